/* test_tokenizer_exact.c - merging is exact for any vocabulary: compared with the plainest way
 * to do it and with tokenizers; and a word of any length needs neither much stack nor much time. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/expect.h"
#include "support/random_numbers.h"
#include "support/tokenizing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void merges_in_any_order_go_as_in_tokenizers(void **state)
{
  (void)state;
  for (int i = 0; i < 8; i++) {
    char name[32];
    snprintf(name, sizeof name, "merges%d", i);
    check_tokenizer_set(name, 90);
  }
}

/* ---- Random vocabularies and the plainest merging ---- */

enum { MOST_NAMES = 400, LONGEST = 10, MOST_MERGES = 400 };

/* Tokens of the letters a, b, ...; a token's id is its place. */
typedef struct random_vocabulary {
  char names[MOST_NAMES][LONGEST + 1];
  int n_names, n_letters;
  int left[MOST_MERGES], right[MOST_MERGES], made[MOST_MERGES]; /* (n_merges) by rank */
  int n_merges;
  tokenizer *t;
} random_vocabulary;

static int find_name(const random_vocabulary *v, const char *name)
{
  for (int i = 0; i < v->n_names; i++)
    if (strcmp(v->names[i], name) == 0)
      return i;
  return -1;
}

static int find_merge(const random_vocabulary *v, int left, int right)
{
  for (int i = 0; i < v->n_merges; i++)
    if (v->left[i] == left && v->right[i] == right)
      return i;
  return -1;
}

/* Merges any two tokens, unless that would be too long or is merged already. */
static void add_merge(random_vocabulary *v, random_numbers *chance)
{
  char name[2 * LONGEST + 1];
  int left = random_below(chance, v->n_names), right = random_below(chance, v->n_names);
  snprintf(name, sizeof name, "%s%s", v->names[left], v->names[right]);
  if (strlen(name) > LONGEST || find_merge(v, left, right) >= 0)
    return;
  int made = find_name(v, name);
  if (made < 0) {
    made = v->n_names++;
    memcpy(v->names[made], name, strlen(name) + 1);
  }
  v->left[v->n_merges] = left;
  v->right[v->n_merges] = right;
  v->made[v->n_merges++] = made;
}

static void swap(int *numbers, int a, int b)
{
  int kept = numbers[a];
  numbers[a] = numbers[b];
  numbers[b] = kept;
}

/* Any order of ranks: then parts may be made after what they are parts of. */
static void shuffle_merges(random_vocabulary *v, random_numbers *chance)
{
  for (int i = v->n_merges - 1; i > 0; i--) {
    int other = random_below(chance, i + 1);
    swap(v->left, i, other);
    swap(v->right, i, other);
    swap(v->made, i, other);
  }
}

static tokenizer *open_random(const random_vocabulary *v)
{
  static char json[64 * (MOST_NAMES + MOST_MERGES) + 256];
  size_t used = 0;
#define PUT(...) (used += (size_t)snprintf(json + used, sizeof json - used, __VA_ARGS__))
  PUT("{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
      "\"model\": {\"type\": \"BPE\", \"vocab\": {");
  for (int i = 0; i < v->n_names; i++)
    PUT("%s\"%s\": %d", i ? ", " : "", v->names[i], i);
  PUT("}, \"merges\": [");
  for (int i = 0; i < v->n_merges; i++)
    PUT("%s[\"%s\", \"%s\"]", i ? ", " : "", v->names[v->left[i]], v->names[v->right[i]]);
  PUT("]}}");
#undef PUT
  assert_in_range(used, 1, sizeof json - 1);
  return open_texts((text_file[]){{"tokenizer.json", json, used}, {.name = NULL}});
}

static random_vocabulary *new_vocabulary(random_numbers *chance, bool shuffled)
{
  random_vocabulary *v = calloc(1, sizeof *v);
  assert_non_null(v);
  v->n_letters = 1 + random_below(chance, 5);
  for (; v->n_names < v->n_letters; v->n_names++)
    v->names[v->n_names][0] = (char)('a' + v->n_names);
  int n = random_below(chance, MOST_MERGES - 8);
  for (int i = 0; i < n; i++)
    add_merge(v, chance);
  if (shuffled)
    shuffle_merges(v, chance);
  v->t = open_random(v);
  return v;
}

/* The lowest rank anywhere in the word first, the leftmost of equal ones, until nothing can be
 * merged. */
static token_list merge_plainly(const random_vocabulary *v, const char *word, size_t size)
{
  token_list list = {malloc((size + 1) * sizeof *list.tokens), size};
  assert_non_null(list.tokens);
  for (size_t i = 0; i < size; i++)
    list.tokens[i] = word[i] - 'a';
  for (;;) {
    int best = -1;
    size_t place = 0;
    for (size_t i = 0; i + 1 < list.n; i++) {
      int rank = find_merge(v, list.tokens[i], list.tokens[i + 1]);
      if (rank >= 0 && (best < 0 || rank < best)) {
        best = rank;
        place = i;
      }
    }
    if (best < 0)
      return list;
    list.tokens[place] = v->made[best];
    list.n--;
    memmove(list.tokens + place + 1, list.tokens + place + 2,
            (list.n - place - 1) * sizeof *list.tokens);
  }
}

static void check_random_words(bool shuffled, random_numbers *chance)
{
  enum { VOCABULARIES = 40, WORDS = 40, LONGEST_WORD = 60 };
  for (int i = 0; i < VOCABULARIES; i++) {
    random_vocabulary *v = new_vocabulary(chance, shuffled);
    for (int j = 0; j < WORDS; j++) {
      char word[LONGEST_WORD];
      size_t size = 1 + (size_t)random_below(chance, LONGEST_WORD);
      for (size_t k = 0; k < size; k++)
        word[k] = (char)('a' + random_below(chance, j % 2 ? v->n_letters : 1 + v->n_letters / 2));
      token_list expected = merge_plainly(v, word, size);
      expect_tokens(v->t, word, size, 0, expected);
      free_tokens(expected);
    }
    tokenizer_free(v->t);
    free(v);
  }
}

static void vocabularies_in_the_order_of_their_making_merge_as_the_plainest_way(void **state)
{
  (void)state;
  random_numbers chance = random_from_seed(__func__);
  check_random_words(false, &chance);
}

static void vocabularies_in_any_order_merge_as_the_plainest_way(void **state)
{
  (void)state;
  random_numbers chance = random_from_seed(__func__);
  check_random_words(true, &chance);
}

/* ---- Buffers ---- */

static void a_buffer_that_is_too_small_is_left_alone_and_its_size_told(void **state)
{
  (void)state;
  enum { UNTOUCHED = -7 };
  tokenizer *t = open_tokenizer("fixtures/tokenizer/classes");
  gpt2_token tokens[8] = {UNTOUCHED};
  size_t n = 0;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(tokenizer_encode(t, "one two", 7, 0, tokens, 5, &n, &error),
                 GPT2_ERR_BUFFER_TOO_SMALL, &error, "capacity", "5");
  assert_int_equal(n, 6);
  assert_int_equal(tokens[0], UNTOUCHED);
  error = NO_ERROR_YET;
  expect_success(tokenizer_encode(t, "one two", 7, 0, tokens, n, &n, &error), &error);
  assert_int_equal(n, 6);
  tokenizer_free(t);
}

static void an_empty_text_has_no_tokens(void **state)
{
  (void)state;
  size_t n = 1;
  gpt2_error error = NO_ERROR_YET;
  tokenizer *t = open_tokenizer("fixtures/tokenizer/classes");
  expect_success(tokenizer_encode(t, NULL, 0, 0, NULL, 0, &n, &error), &error);
  assert_int_equal(n, 0);
  tokenizer_free(t);
}

/* ---- Words of 10 MB ---- */

/* Sanitizers take ten times as long; there, and only there, the words are shorter. */
#ifdef __SANITIZE_ADDRESS__
enum { LONG = 1000000 };
#else
enum { LONG = 10000000 };
#endif

typedef struct long_word {
  const tokenizer *t;
  char *text;
  token_list tokens;
} long_word;

static void *encode_long_word(void *data)
{
  long_word *w = data;
  w->tokens = encoded(w->t, w->text, LONG, 0);
  return NULL;
}

/* Encodes in a thread with little stack, and turns the tokens back. Which they are, the fixtures
 * show. */
static void check_long_word(const tokenizer *t, char *text)
{
  enum { SMALL_STACK = 128 << 10 };
  pthread_attr_t attributes;
  pthread_t thread;
  long_word w = {t, text, {NULL, 0}};
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstacksize(&attributes, SMALL_STACK), 0);
  assert_int_equal(pthread_create(&thread, &attributes, encode_long_word, &w), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  pthread_attr_destroy(&attributes);
  expect_bytes(t, w.tokens, text, LONG);
  free_tokens(w.tokens);
}

static void with_published(void (*fill)(char *text))
{
  tokenizer *t = open_tokenizer("data/gpt2-vocab");
  char *text = malloc(LONG);
  assert_non_null(text);
  fill(text);
  check_long_word(t, text);
  free(text);
  tokenizer_free(t);
}

static void fill_one_letter(char *text)
{
  memset(text, 'a', LONG);
}

static void fill_letters(char *text)
{
  random_numbers chance = random_from_seed(__func__);
  for (int i = 0; i < LONG; i++)
    text[i] = (char)('a' + random_below(&chance, 26));
}

static void fill_spaces(char *text)
{
  memset(text, ' ', LONG);
}

static void fill_signs(char *text)
{
  for (int i = 0; i < LONG; i++)
    text[i] = "!?-=*."[i % 6];
}

static void ten_megabytes_of_one_letter_fit_a_small_stack(void **state)
{
  (void)state;
  with_published(fill_one_letter);
}

static void ten_megabytes_of_letters_without_a_space_fit_a_small_stack(void **state)
{
  (void)state;
  with_published(fill_letters);
}

static void ten_megabytes_of_spaces_fit_a_small_stack(void **state)
{
  (void)state;
  with_published(fill_spaces);
}

static void ten_megabytes_of_signs_fit_a_small_stack(void **state)
{
  (void)state;
  with_published(fill_signs);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(merges_in_any_order_go_as_in_tokenizers),
      cmocka_unit_test(vocabularies_in_the_order_of_their_making_merge_as_the_plainest_way),
      cmocka_unit_test(vocabularies_in_any_order_merge_as_the_plainest_way),
      cmocka_unit_test(a_buffer_that_is_too_small_is_left_alone_and_its_size_told),
      cmocka_unit_test(an_empty_text_has_no_tokens),
      cmocka_unit_test(ten_megabytes_of_one_letter_fit_a_small_stack),
      cmocka_unit_test(ten_megabytes_of_letters_without_a_space_fit_a_small_stack),
      cmocka_unit_test(ten_megabytes_of_spaces_fit_a_small_stack),
      cmocka_unit_test(ten_megabytes_of_signs_fit_a_small_stack),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
