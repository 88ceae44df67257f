/* test_stop_finder.c - stop strings are found, and text is held back, as a search through the whole
 * text so far says, whatever pieces it came in. */
#include "generate/stop.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/random_numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_STOPS = 4, LONGEST_STOP = 6, LONGEST_TEXT = 60, LONGEST_PIECE = 7 };

/* A text and stop strings of few letters, so that much repeats. */
typedef struct trial {
  char text[LONGEST_TEXT], letters[MOST_STOPS][LONGEST_STOP];
  size_t size, n_stops;
  gpt2_string stops[MOST_STOPS];
} trial;

static void make_trial(random_numbers *chance, trial *t)
{
  int n_letters = 1 + random_below(chance, 3);
  t->size = (size_t)random_below(chance, LONGEST_TEXT);
  t->n_stops = (size_t)random_below(chance, MOST_STOPS + 1);
  for (size_t i = 0; i < t->size; i++)
    t->text[i] = (char)('a' + random_below(chance, n_letters));
  for (size_t i = 0; i < t->n_stops; i++) {
    t->stops[i] = (gpt2_string){t->letters[i], 1 + (uint64_t)random_below(chance, LONGEST_STOP)};
    for (size_t k = 0; k < t->stops[i].size; k++)
      t->letters[i][k] = (char)('a' + random_below(chance, n_letters + 1));
  }
}

/* Whether a stop string ends at `end`; *begin is where the longest of them begins. */
static bool ends_at(const trial *t, size_t end, size_t *begin)
{
  *begin = end;
  for (size_t i = 0; i < t->n_stops; i++) {
    size_t size = (size_t)t->stops[i].size;
    if (size <= end && memcmp(t->text + end - size, t->stops[i].bytes, size) == 0 &&
        end - size < *begin)
      *begin = end - size;
  }
  return *begin < end;
}

/* How much of the first `size` bytes, which hold no stop string, is certain not to begin one. */
static size_t certain(const trial *t, size_t size)
{
  for (size_t at = 0; at < size; at++)
    for (size_t i = 0; i < t->n_stops; i++)
      if (size - at < t->stops[i].size && memcmp(t->text + at, t->stops[i].bytes, size - at) == 0)
        return at;
  return size;
}

/* What must have been handed out of the first `size` bytes; whether a stop string is complete. */
static bool expected_of(const trial *t, size_t size, bool at_end, size_t *handed_out)
{
  for (size_t end = 1; end <= size; end++)
    if (ends_at(t, end, handed_out))
      return true;
  *handed_out = at_end ? size : certain(t, size);
  return false;
}

/* Feeds the text in random pieces; returns whether a stop string came up. */
static bool feed(random_numbers *chance, const trial *t, stop_finder *finder)
{
  size_t handed_out = 0, taken, expected;
  for (size_t at = 0; at < t->size;) {
    size_t left = t->size - at, size = (size_t)random_below(chance, LONGEST_PIECE + 1);
    size = size < left ? size : left;
    stop_finder_add(finder, t->text + at, size);
    at += size;
    bool found = stop_finder_take(finder, at == t->size, &taken);
    assert_memory_equal(finder->text, t->text + handed_out, taken);
    handed_out += taken;
    assert_int_equal(found, expected_of(t, at, at == t->size, &expected));
    assert_int_equal(handed_out, expected);
    if (found)
      return true;
  }
  return false;
}

static void pieces_of_any_size_give_what_the_whole_text_gives(void **state)
{
  (void)state;
  random_numbers chance = random_from_seed(__func__);
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  int n_found = 0, n_trials = 5000;
  for (int i = 0; i < n_trials; i++) {
    trial t;
    stop_finder finder;
    gpt2_error error = NO_ERROR_YET;
    make_trial(&chance, &t);
    expect_success(stop_finder_init(&finder, &hooks, t.stops, t.n_stops, LONGEST_PIECE, &error),
                   &error);
    n_found += feed(&chance, &t, &finder);
    stop_finder_free(&finder, &hooks);
    assert_int_equal(counter.n_live, 0);
  }
  assert_in_range(n_found, n_trials / 10, n_trials - n_trials / 10);
}

static void two_pieces_may_be_added_before_one_is_taken(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_string stop = {"xyz", 3};
  stop_finder finder;
  size_t size;
  assert_int_equal(stop_finder_init(&finder, &hooks, &stop, 1, 4, NULL), GPT2_OK);
  stop_finder_add(&finder, "ax", 2);
  stop_finder_add(&finder, "yb", 2);
  assert_false(stop_finder_take(&finder, false, &size));
  assert_int_equal(size, 4);
  assert_memory_equal(finder.text, "axyb", 4);
  stop_finder_add(&finder, "cx", 2);
  assert_false(stop_finder_take(&finder, false, &size));
  assert_int_equal(size, 1);
  assert_memory_equal(finder.text, "c", 1);
  stop_finder_add(&finder, "yz", 2);
  assert_true(stop_finder_take(&finder, false, &size));
  assert_int_equal(size, 0);
  stop_finder_free(&finder, &hooks);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_of_any_size_give_what_the_whole_text_gives),
      cmocka_unit_test(two_pieces_may_be_added_before_one_is_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
