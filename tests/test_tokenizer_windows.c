/* test_tokenizer_windows.c - long words are encoded in windows: whatever their size, and whatever
 * the order of the merges, the tokens are those of merging the whole word, pair by pair. */
#include <string.h>

#include "support/random_numbers.h"
#include "tokenizer/joint.h"
#include "tokenizer/word.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { N_LETTERS = 4, N_UNKNOWN = 2, MOST_TOKENS = 200, MOST_BYTES = 600, LONGEST = 12 };

/* What stands for the letters e and f: nothing; the token "u"; or one "u" for a run of them. */
typedef enum unknown_bytes { NO_UNKNOWN, UNKNOWN_EACH, UNKNOWN_RUNS } unknown_bytes;

/* A vocabulary of the letters a to d, perhaps u, and of what random merges make of them. */
typedef struct random_vocabulary {
  gpt2_allocator allocator;
  char texts[MOST_TOKENS][LONGEST + 1];
  token_name names[MOST_TOKENS]; /* (n_tokens) a token's id is its place */
  merge merges[MOST_TOKENS];     /* (n_merges) */
  size_t n_tokens, n_merges;
  unknown_bytes unknown;
  vocabulary vocabulary;
} random_vocabulary;

static void add_token(random_vocabulary *r, const char *left, const char *right)
{
  char *text = r->texts[r->n_tokens];
  strcpy(text, left);
  strcat(text, right);
  r->names[r->n_tokens] =
      (token_name){.text = text, .size = strlen(text), .id = (gpt2_token)r->n_tokens};
  r->n_tokens++;
}

static uint32_t find_token(const random_vocabulary *r, const char *left, const char *right)
{
  char text[2 * LONGEST + 1];
  strcpy(text, left);
  strcat(text, right);
  for (size_t i = 0; i < r->n_tokens; i++)
    if (strcmp(r->texts[i], text) == 0)
      return (uint32_t)i;
  return NO_TOKEN;
}

/* Merges as training finds them: each of tokens that are there, and makes one that is not. Or, not
 * `orderly`, also tokens that are there, and in any order. */
static void make_merges(random_vocabulary *r, random_numbers *random, bool orderly)
{
  int n = random_below(random, 80);
  for (int i = 0; i < n; i++) {
    uint32_t left = (uint32_t)random_below(random, (int)r->n_tokens);
    uint32_t right = (uint32_t)random_below(random, (int)r->n_tokens);
    if (strlen(r->texts[left]) + strlen(r->texts[right]) > LONGEST)
      continue;
    uint32_t made = find_token(r, r->texts[left], r->texts[right]);
    if (made != NO_TOKEN && orderly)
      continue;
    if (made == NO_TOKEN) {
      made = (uint32_t)r->n_tokens;
      add_token(r, r->texts[left], r->texts[right]);
    }
    r->merges[r->n_merges++] = (merge){left, right, made};
  }
  for (size_t i = r->n_merges; !orderly && i > 1; i--) {
    size_t other = (size_t)random_below(random, (int)i);
    merge swapped = r->merges[i - 1];
    r->merges[i - 1] = r->merges[other];
    r->merges[other] = swapped;
  }
}

static void start_vocabulary(random_vocabulary *r, unknown_bytes unknown)
{
  memset(r, 0, sizeof *r);
  r->unknown = unknown;
  assert_int_equal(allocator_read(&r->allocator, NULL, NULL), GPT2_OK);
  for (int i = 0; i < N_LETTERS; i++)
    add_token(r, (char[]){(char)('a' + i), '\0'}, "");
  if (unknown != NO_UNKNOWN)
    add_token(r, "u", "");
}

static void finish_vocabulary(random_vocabulary *r)
{
  assert_int_equal(
      vocabulary_set_tokens(&r->vocabulary, &r->allocator, r->names, r->n_tokens, "test", NULL),
      GPT2_OK);
  if (r->unknown != NO_UNKNOWN)
    vocabulary_set_unknown(&r->vocabulary, N_LETTERS, r->unknown == UNKNOWN_RUNS);
  merge *merges = allocate_array(&r->allocator, MOST_TOKENS, sizeof *merges);
  assert_non_null(merges);
  memcpy(merges, r->merges, sizeof r->merges);
  assert_int_equal(vocabulary_set_merges(&r->vocabulary, merges, r->n_merges, NULL), GPT2_OK);
}

static void make_vocabulary(random_vocabulary *r, random_numbers *random, bool orderly,
                            unknown_bytes unknown)
{
  start_vocabulary(r, unknown);
  make_merges(r, random, orderly);
  finish_vocabulary(r);
}

/* The rank of a pair, by looking at every merge; of equal ones the last counts. */
static size_t rank_of(const random_vocabulary *r, gpt2_token left, gpt2_token right)
{
  for (size_t rank = r->n_merges; rank > 0; rank--)
    if (r->merges[rank - 1].left == (uint32_t)left && r->merges[rank - 1].right == (uint32_t)right)
      return rank - 1;
  return SIZE_MAX;
}

/* What the letters start as; how many tokens that is. */
static size_t start_naively(const random_vocabulary *r, const uint8_t *word, size_t size,
                            gpt2_token *tokens)
{
  size_t n = 0;
  for (size_t i = 0; i < size; i++) {
    bool is_unknown = word[i] >= 'a' + N_LETTERS;
    bool in_run = is_unknown && i > 0 && word[i - 1] >= 'a' + N_LETTERS;
    if (!in_run || r->unknown != UNKNOWN_RUNS)
      tokens[n++] = is_unknown ? N_LETTERS : word[i] - 'a';
  }
  return n;
}

/* As byte-pair encoding is defined: the lowest rank first, the leftmost of equal ones, until there
 * is none. */
static size_t merge_naively(const random_vocabulary *r, const uint8_t *word, size_t size,
                            gpt2_token *tokens)
{
  size = start_naively(r, word, size, tokens);
  for (;;) {
    size_t best = 0, lowest = SIZE_MAX;
    for (size_t i = 0; i + 1 < size; i++) {
      size_t rank = rank_of(r, tokens[i], tokens[i + 1]);
      if (rank < lowest) {
        lowest = rank;
        best = i;
      }
    }
    if (lowest == SIZE_MAX)
      return size;
    tokens[best] = (gpt2_token)r->merges[lowest].made;
    size--;
    memmove(tokens + best + 1, tokens + best + 2, (size - best - 1) * sizeof *tokens);
  }
}

static void compare(const random_vocabulary *r, const uint8_t *word, size_t size, size_t window)
{
  gpt2_token expected[MOST_BYTES], found[MOST_BYTES];
  token_sink sink = {.tokens = found, .capacity = MOST_BYTES};
  piece p;
  piece_init(&p, &r->vocabulary);
  assert_int_equal(encode_word(&p, word, size, window, 0, &sink, NULL), GPT2_OK);
  piece_free(&p);
  assert_int_equal(sink.n, merge_naively(r, word, size, expected));
  assert_memory_equal(found, expected, sink.n * sizeof *found);
}

/* Words of any length, some of few letters, in windows from 1 byte to more than the word. */
static void compare_many(const char *test, bool orderly, unknown_bytes unknown)
{
  random_numbers random = random_from_seed(test);
  random_vocabulary r;
  for (int i = 0; i < 60; i++) {
    make_vocabulary(&r, &random, orderly, unknown);
    for (int j = 0; j < 20; j++) {
      uint8_t word[MOST_BYTES];
      size_t size = 1 + (size_t)random_below(&random, j % 4 == 0 ? MOST_BYTES : 40);
      int most_letters = N_LETTERS + (unknown == NO_UNKNOWN ? 0 : N_UNKNOWN);
      int n_letters = 1 + random_below(&random, most_letters);
      for (size_t k = 0; k < size; k++)
        word[k] = (uint8_t)('a' + random_below(&random, n_letters));
      compare(&r, word, size, 1 + (size_t)random_below(&random, 20));
      compare(&r, word, size, WORD_WINDOW);
    }
    vocabulary_free(&r.vocabulary);
  }
}

static void windows_give_the_tokens_of_the_whole_word(void **state)
{
  (void)state;
  compare_many("orderly merges", true, NO_UNKNOWN);
}

static void windows_do_so_for_merges_in_any_order_too(void **state)
{
  (void)state;
  compare_many("merges in any order", false, NO_UNKNOWN);
}

static void a_token_that_stands_for_unknown_bytes_is_merged_like_any_other(void **state)
{
  (void)state;
  compare_many("one for each unknown byte", true, UNKNOWN_EACH);
  compare_many("one for each unknown byte, in any order", false, UNKNOWN_EACH);
  compare_many("one for a run of unknown bytes", true, UNKNOWN_RUNS);
  compare_many("one for a run of unknown bytes, in any order", false, UNKNOWN_RUNS);
}

/* Its end may take letters of a run before these are merged with each other, one after another:
 * from the right with the first merges, from the left with the others. */
static void a_run_of_a_letter_is_merged_after_what_its_ends_take(void **state)
{
  (void)state;
  static const char *const from_the_right[][2] = {
      {"a", "b"}, {"a", "ab"}, {"a", "aab"}, {"a", "a"}};
  static const char *const from_the_left[][2] = {{"b", "a"}, {"ba", "a"}, {"baa", "a"}, {"a", "a"}};
  static const char word[] = "caaaaaabaaaaaaabaaaabaaaaaca";
  for (int left = 0; left < 2; left++) {
    random_vocabulary r;
    start_vocabulary(&r, NO_UNKNOWN);
    for (int i = 0; i < 4; i++) {
      const char *const *parts = left ? from_the_left[i] : from_the_right[i];
      add_token(&r, parts[0], parts[1]);
      r.merges[r.n_merges++] =
          (merge){find_token(&r, parts[0], ""), find_token(&r, parts[1], ""), N_LETTERS + i};
    }
    finish_vocabulary(&r);
    for (size_t start = 0; start < sizeof word - 1; start++)
      compare(&r, (const uint8_t *)word + start, sizeof word - 1 - start, WORD_WINDOW);
    vocabulary_free(&r.vocabulary);
  }
}

/* The joint's proof, against merging both tokens' bytes: it may say no to tokens that stay apart
 * only where a token is made in more than one way. */
static void tokens_stay_apart_exactly_when_merging_keeps_them_apart(void **state)
{
  (void)state;
  random_numbers random = random_from_seed("joints");
  random_vocabulary r;
  for (int i = 0; i < 20; i++) {
    make_vocabulary(&r, &random, true, NO_UNKNOWN);
    const vocabulary *v = &r.vocabulary;
    for (uint32_t left = 0; left < v->n_tokens; left++)
      for (uint32_t right = 0; right < v->n_tokens; right++) {
        if (!(v->flags[left] & FLAG_WHOLE) || !(v->flags[right] & FLAG_WHOLE))
          continue;
        uint8_t both[2 * LONGEST + 1];
        gpt2_token tokens[2 * LONGEST];
        size_t n_left = strlen(r.texts[left]), n_right = strlen(r.texts[right]);
        memcpy(both, r.texts[left], n_left);
        memcpy(both + n_left, r.texts[right], n_right);
        size_t n = merge_naively(&r, both, n_left + n_right, tokens);
        bool apart = n == 2 && tokens[0] == (gpt2_token)left && tokens[1] == (gpt2_token)right;
        assert_int_equal(stay_apart(v, left, right), apart);
      }
    vocabulary_free(&r.vocabulary);
  }
}

static void a_token_is_whole_exactly_when_its_bytes_are_merged_to_it(void **state)
{
  (void)state;
  random_numbers random = random_from_seed("whole tokens");
  random_vocabulary r;
  for (int i = 0; i < 100; i++) {
    make_vocabulary(&r, &random, true, NO_UNKNOWN);
    for (size_t place = 0; place < r.n_tokens; place++) {
      gpt2_token tokens[LONGEST];
      const char *text = r.texts[place];
      size_t n = merge_naively(&r, (const uint8_t *)text, strlen(text), tokens);
      assert_int_equal((r.vocabulary.flags[place] & FLAG_WHOLE) != 0, n == 1);
    }
    vocabulary_free(&r.vocabulary);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(windows_give_the_tokens_of_the_whole_word),
      cmocka_unit_test(windows_do_so_for_merges_in_any_order_too),
      cmocka_unit_test(a_token_that_stands_for_unknown_bytes_is_merged_like_any_other),
      cmocka_unit_test(a_run_of_a_letter_is_merged_after_what_its_ends_take),
      cmocka_unit_test(tokens_stay_apart_exactly_when_merging_keeps_them_apart),
      cmocka_unit_test(a_token_is_whole_exactly_when_its_bytes_are_merged_to_it),
  };
  return cmocka_run_group_tests_name("tokenizer_windows", tests, NULL, NULL);
}
