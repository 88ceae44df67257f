/* test_sampler_errors.c - what a sampler is refused, it says by name, and is none the worse for it.
 */
#include "gpt2.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/sampling.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/random.h>
#include <sys/types.h>

#include <cmocka.h>

/* Stands before the C library's, so that a test can have the system refuse. */
static bool system_has_no_entropy;

int getentropy(void *bytes, size_t size);

int getentropy(void *bytes, size_t size)
{
  if (system_has_no_entropy) {
    errno = ENOSYS;
    return -1;
  }
  return getrandom(bytes, size, 0) == (ssize_t)size ? 0 : -1;
}

/* ---- Options ---- */

static void a_wrong_option_is_refused_by_its_name(void **state)
{
  (void)state;
  const struct {
    gpt2_sampler_options options;
    gpt2_status status;
    const char *name, *found;
  } cases[] = {
      {{.flags = 6}, GPT2_ERR_UNSUPPORTED, "options.flags", "0x6"},
      {{.temperature = -0.5f}, GPT2_ERR_ARGUMENT, "options.temperature", NULL},
      {{.temperature = NAN}, GPT2_ERR_ARGUMENT, "options.temperature", NULL},
      {{.temperature = INFINITY}, GPT2_ERR_ARGUMENT, "options.temperature", NULL},
      {{.top_k = -1}, GPT2_ERR_ARGUMENT, "options.top_k", "-1"},
      {{.top_k = INT32_MIN}, GPT2_ERR_ARGUMENT, "options.top_k", "-2147483648"},
      {{.top_p = -0.1f}, GPT2_ERR_ARGUMENT, "options.top_p", NULL},
      {{.top_p = 1.5f}, GPT2_ERR_ARGUMENT, "options.top_p", NULL},
      {{.top_p = NAN}, GPT2_ERR_ARGUMENT, "options.top_p", NULL},
      {{.min_p = -0.1f}, GPT2_ERR_ARGUMENT, "options.min_p", NULL},
      {{.min_p = INFINITY}, GPT2_ERR_ARGUMENT, "options.min_p", NULL},
      {{.min_p = NAN}, GPT2_ERR_ARGUMENT, "options.min_p", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_sampler_options options = cases[i].options;
    gpt2_sampler *sampler = (gpt2_sampler *)&options;
    gpt2_error error = NO_ERROR_YET;
    options.struct_size = sizeof options;
    expect_failure(gpt2_sampler_new(&options, &sampler, &error), cases[i].status, &error,
                   cases[i].name, cases[i].found);
    assert_null(sampler);
  }
}

static void options_of_an_older_caller_end_where_his_struct_does(void **state)
{
  (void)state;
  gpt2_sampler_options options = at_temperature(1.0f, 0);
  options.struct_size = offsetof(gpt2_sampler_options, top_k);
  options.top_k = -1;
  gpt2_sampler *sampler = new_sampler(options);
  assert_int_equal(take_byte(sampler), FIRST_BYTE_OF_SEED_0);
  gpt2_sampler_free(sampler);
}

static void options_of_a_newer_caller_work_if_what_is_unknown_is_zero(void **state)
{
  (void)state;
  struct {
    gpt2_sampler_options known;
    uint64_t unknown;
  } options = {.known = at_temperature(1.0f, 0), .unknown = 1};
  gpt2_sampler *sampler = (gpt2_sampler *)&options;
  gpt2_error error = NO_ERROR_YET;
  options.known.struct_size = sizeof options;
  expect_failure(gpt2_sampler_new(&options.known, &sampler, &error), GPT2_ERR_UNSUPPORTED, &error,
                 "options", "struct_size");
  assert_null(sampler);
  options.unknown = 0;
  assert_int_equal(gpt2_sampler_new(&options.known, &sampler, NULL), GPT2_OK);
  assert_int_equal(take_byte(sampler), FIRST_BYTE_OF_SEED_0);
  gpt2_sampler_free(sampler);
}

static void options_without_a_size_are_refused(void **state)
{
  (void)state;
  gpt2_sampler_options options = {.temperature = 1.0f};
  gpt2_sampler *sampler = (gpt2_sampler *)&options;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_sampler_new(&options, &sampler, &error), GPT2_ERR_ARGUMENT, &error, "options",
                 "struct_size");
  assert_null(sampler);
}

static void a_system_without_random_numbers_is_an_error_that_says_so(void **state)
{
  (void)state;
  gpt2_sampler_options options = at_temperature(1.0f, 3);
  gpt2_sampler *sampler = (gpt2_sampler *)&options;
  gpt2_error error = NO_ERROR_YET;
  options.flags = GPT2_SAMPLER_RANDOM_SEED;
  system_has_no_entropy = true;
  gpt2_status status = gpt2_sampler_new(&options, &sampler, &error);
  system_has_no_entropy = false;
  expect_failure(status, GPT2_ERR_SYSTEM, &error, "seed", NULL);
  assert_null(sampler);
  gpt2_sampler_free(new_sampler(options));
}

/* ---- Calls that fail, and what is left ---- */

static void logits_that_are_no_numbers_are_refused_and_the_sampler_goes_on(void **state)
{
  (void)state;
  const struct {
    float logits[4];
    const char *token, *found;
  } cases[] = {
      {{0.0f, NAN, 1.0f, 2.0f}, "token 1", "not a number"},
      {{0.0f, 1.0f, 2.0f, NAN}, "token 3", "not a number"},
      {{INFINITY, 1.0f, 2.0f, 3.0f}, "token 0", "+infinity"},
      {{1.0f, -INFINITY, INFINITY, INFINITY}, "token 2", "+infinity"},
      {{-INFINITY, -INFINITY, -INFINITY, -INFINITY}, "logits", "all are -infinity"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int greedy = 0; greedy < 2; greedy++) {
      gpt2_sampler *sampler = new_sampler(at_temperature(greedy ? 0.0f : 1.0f, 0));
      gpt2_error error = NO_ERROR_YET;
      gpt2_token token = -7;
      expect_failure(gpt2_sampler_draw(sampler, cases[i].logits, 4, &token, &error),
                     GPT2_ERR_NON_FINITE, &error, cases[i].token, cases[i].found);
      assert_int_equal(token, -7);
      assert_int_equal(take_byte(sampler), greedy ? 0 : FIRST_BYTE_OF_SEED_0);
      gpt2_sampler_free(sampler);
    }
}

static void arguments_that_are_missing_or_out_of_range_are_named(void **state)
{
  (void)state;
  static const float level[4];
  gpt2_sampler *s = new_sampler(at_temperature(1.0f, 0)), *clone = s;
  gpt2_token token = -7;
  gpt2_error error = NO_ERROR_YET;
#define REFUSED(call, name, found) expect_failure(call, GPT2_ERR_ARGUMENT, &error, name, found)
  REFUSED(gpt2_sampler_new(NULL, NULL, &error), "sampler", "NULL");
  REFUSED(gpt2_sampler_draw(NULL, level, 4, &token, &error), "sampler", "NULL");
  REFUSED(gpt2_sampler_draw(s, NULL, 4, &token, &error), "logits", "NULL");
  REFUSED(gpt2_sampler_draw(s, level, 4, NULL, &error), "token", "NULL");
  REFUSED(gpt2_sampler_draw(s, level, 0, &token, &error), "n_vocab", "0");
  REFUSED(gpt2_sampler_draw(s, level, SIZE_MAX, &token, &error), "n_vocab", "2147483647");
  REFUSED(gpt2_sampler_accept(NULL, 0, &error), "sampler", "NULL");
  REFUSED(gpt2_sampler_accept(s, -1, &error), "token", "-1");
  REFUSED(gpt2_sampler_clone(s, NULL, &error), "clone", "NULL");
  REFUSED(gpt2_sampler_clone(NULL, &clone, &error), "sampler", "NULL");
#undef REFUSED
  assert_null(clone);
  assert_int_equal(token, -7);
  assert_true(gpt2_sampler_seed(NULL) == 0);
  gpt2_sampler_free(NULL);
  assert_int_equal(take_byte(s), FIRST_BYTE_OF_SEED_0);
  gpt2_sampler_free(s);
}

/* ---- Memory ---- */

/* Options that need memory for candidates, and for weights too unless k > 0; all bytes stay as
 * likely. */
static gpt2_sampler_options that_allocate(int32_t top_k, const gpt2_allocator *hooks)
{
  gpt2_sampler_options options = at_temperature(1.0f, 0);
  options.top_k = top_k;
  options.min_p = 0.5f;
  options.allocator = hooks;
  return options;
}

static void check_hooks(int32_t top_k)
{
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_sampler *sampler = new_sampler(that_allocate(top_k, &hooks)), *clone = NULL;
  assert_int_equal(counter.n_live, 1);
  take_byte(sampler);
  assert_true(counter.n_live > 1);
  size_t n_live = counter.n_live, n_calls = counter.n_calls;
  take_byte(sampler);
  assert_int_equal(counter.n_calls, n_calls);
  assert_int_equal(gpt2_sampler_clone(sampler, &clone, NULL), GPT2_OK);
  assert_int_equal(counter.n_live, n_live + 1);
  gpt2_sampler_free(sampler);
  gpt2_sampler_free(clone);
  assert_int_equal(counter.n_live, 0);
}

static void a_sampler_takes_all_its_memory_from_its_own_hooks(void **state)
{
  (void)state;
  check_hooks(0);
  check_hooks(255);
}

static void a_greedy_sampler_takes_no_memory_to_draw(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_sampler_options options = that_allocate(0, &hooks);
  options.temperature = 0.0f;
  gpt2_sampler *sampler = new_sampler(options);
  assert_int_equal(take_byte(sampler), 0);
  assert_int_equal(counter.n_calls, 1);
  gpt2_sampler_free(sampler);
}

/* Everything that allocates, with the refused-th allocation refused. Returns whether all of it
 * worked; what failed is tried again, and works. */
static bool works_but_for(size_t refused)
{
  static const float logits[300];
  counting_allocator counter = {.refused = refused};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_sampler_options options = that_allocate(0, &hooks);
  gpt2_sampler *sampler, *clone;
  gpt2_error error = NO_ERROR_YET;
  gpt2_token token = -7;
  gpt2_status made = gpt2_sampler_new(&options, &sampler, &error);
  if (made != GPT2_OK) {
    expect_failure(made, GPT2_ERR_MEMORY, &error, "memory", NULL);
    assert_null(sampler);
    sampler = new_sampler(options);
  }
  gpt2_status drawn = gpt2_sampler_draw(sampler, logits, 300, &token, &error);
  if (drawn != GPT2_OK) {
    expect_failure(drawn, GPT2_ERR_MEMORY, &error, "memory", "300");
    assert_int_equal(token, -7);
  }
  assert_int_equal(take_byte(sampler), FIRST_BYTE_OF_SEED_0);
  gpt2_status cloned = gpt2_sampler_clone(sampler, &clone, &error);
  if (cloned != GPT2_OK) {
    expect_failure(cloned, GPT2_ERR_MEMORY, &error, "memory", NULL);
    assert_null(clone);
    assert_int_equal(gpt2_sampler_clone(sampler, &clone, NULL), GPT2_OK);
  }
  counter.refused = 0; /* the clone's memory is its own: that was tried with the sampler's */
  assert_int_equal(draw_byte(clone), draw_byte(sampler));
  gpt2_sampler_free(clone);
  gpt2_sampler_free(sampler);
  assert_int_equal(counter.n_live, 0);
  return made == GPT2_OK && drawn == GPT2_OK && cloned == GPT2_OK;
}

static void whichever_allocation_is_refused_the_same_call_works_afterwards(void **state)
{
  (void)state;
  size_t n = 0;
  for (size_t refused = 1; !works_but_for(refused) && n < 100; refused++)
    n++;
  assert_int_equal(n, 4); /* a sampler, candidates, weights, a clone */
}

static void hooks_that_are_half_set_are_refused(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_sampler_options options = at_temperature(1.0f, 0);
  gpt2_sampler *sampler = (gpt2_sampler *)&options;
  gpt2_error error = NO_ERROR_YET;
  hooks.release = NULL;
  options.allocator = &hooks;
  expect_failure(gpt2_sampler_new(&options, &sampler, &error), GPT2_ERR_ARGUMENT, &error,
                 "allocator", "release");
  assert_null(sampler);
  assert_int_equal(counter.n_calls, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_wrong_option_is_refused_by_its_name),
      cmocka_unit_test(options_of_an_older_caller_end_where_his_struct_does),
      cmocka_unit_test(options_of_a_newer_caller_work_if_what_is_unknown_is_zero),
      cmocka_unit_test(options_without_a_size_are_refused),
      cmocka_unit_test(a_system_without_random_numbers_is_an_error_that_says_so),
      cmocka_unit_test(logits_that_are_no_numbers_are_refused_and_the_sampler_goes_on),
      cmocka_unit_test(arguments_that_are_missing_or_out_of_range_are_named),
      cmocka_unit_test(a_sampler_takes_all_its_memory_from_its_own_hooks),
      cmocka_unit_test(a_greedy_sampler_takes_no_memory_to_draw),
      cmocka_unit_test(whichever_allocation_is_refused_the_same_call_works_afterwards),
      cmocka_unit_test(hooks_that_are_half_set_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
