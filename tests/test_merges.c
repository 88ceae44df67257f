/* test_merges.c - merges of files that are long enough to be read in pieces: all of them in their
 * order, and what is wrong with one by its place, whatever stands before it. */
#include "support/expect.h"
#include "support/tokenizing.h"
#include "tokenizer/reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every word of one, two and three letters is a token; merges make those of two letters, then those
 * of three. */
enum { LETTERS = 24, N_PAIRS = LETTERS * LETTERS, N_TRIPLES = N_PAIRS * LETTERS };
enum { N_MERGES = N_PAIRS + N_TRIPLES };

/* A name that is longer than what is read ahead, in two halves; and one that byte letters do not
 * write. */
enum { HALF = 400 };

typedef struct vocabulary_text {
  char *bytes;
  size_t size;
  int n;
} vocabulary_text;

static void add_token(vocabulary_text *v, const char *name)
{
  v->size += (size_t)sprintf(v->bytes + v->size, "%c\"%s\":%d", v->n ? ',' : '{', name, v->n);
  v->n++;
}

static vocabulary_text make_vocabulary(void)
{
  vocabulary_text v = {malloc(1 << 20), 0, 0};
  char name[2 * HALF + 1] = "", half[HALF + 1] = "";
  assert_non_null(v.bytes);
  for (int length = 1; length <= 3; length++)
    for (int i = 0; i < (length == 1 ? LETTERS : length == 2 ? N_PAIRS : N_TRIPLES); i++) {
      name[length - 1] = (char)('a' + i % LETTERS);
      if (length > 1)
        name[length - 2] = (char)('a' + i / LETTERS % LETTERS);
      if (length > 2)
        name[0] = (char)('a' + i / N_PAIRS);
      add_token(&v, name);
    }
  memset(name, 'x', 2 * HALF);
  memset(half, 'x', HALF);
  add_token(&v, name);
  add_token(&v, half);
  add_token(&v, "\xe6\x97\xa5");
  add_token(&v, "\xe6\x9c\xac");
  add_token(&v, "\xe6\x97\xa5\xe6\x9c\xac");
  v.bytes[v.size++] = '}';
  v.bytes[v.size] = '\0';
  return v;
}

/* The parts of the n-th merge. */
static void parts_of(int n, char left[3], char right[2])
{
  memset(left, 0, 3);
  memset(right, 0, 2);
  int triple = n - N_PAIRS;
  if (n < N_PAIRS) {
    left[0] = (char)('a' + n / LETTERS);
    right[0] = (char)('a' + n % LETTERS);
  } else {
    left[0] = (char)('a' + triple / N_PAIRS);
    left[1] = (char)('a' + triple / LETTERS % LETTERS);
    right[0] = (char)('a' + triple % LETTERS);
  }
}

/* What else may be in the file, before the n-th merge. */
typedef struct insertion {
  int before;
  const char *text; /* a line of merges.txt, or an element of an array */
} insertion;

/* merges.txt, or the array of tokenizer.json. */
static char *make_merges(bool array, const insertion *more, size_t n_more)
{
  char *text = malloc(1 << 20), *at = text;
  assert_non_null(text);
  at += sprintf(at, array ? "[" : "#version: 0.2\n");
  for (int n = 0; n < N_MERGES; n++) {
    char left[3], right[2];
    parts_of(n, left, right);
    for (size_t i = 0; i < n_more; i++)
      if (more[i].before == n)
        at += sprintf(at, array ? "%s," : "%s\n", more[i].text);
    const char *form = !array ? "%s %s\n" : n % 2 ? "\"%s %s\"%s" : "[\"%s\", \"%s\"]%s";
    at += sprintf(at, form, left, right, n + 1 < N_MERGES ? "," : "");
  }
  if (array)
    strcpy(at, "]");
  return text;
}

static gpt2_status load(bool array, const insertion *more, size_t n_more, tokenizer **t,
                        gpt2_error *error)
{
  vocabulary_text v = make_vocabulary();
  char *merges = make_merges(array, more, n_more), *whole = malloc(2 << 20);
  assert_non_null(whole);
  sprintf(whole,
          "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
          "\"model\": {\"type\": \"BPE\", \"vocab\": %s, \"merges\": %s}}",
          v.bytes, array ? merges : "[]");
  const text_file files[] = {{"vocab.json", v.bytes, 0}, {"merges.txt", merges, 0}, {.name = NULL}};
  const text_file json[] = {{"tokenizer.json", whole, 0}, {.name = NULL}};
  gpt2_status status = load_texts(array ? json : files, t, error);
  free(whole);
  free(merges);
  free(v.bytes);
  return status;
}

static void expect_token(const vocabulary *v, uint32_t place, const char *expected)
{
  size_t size;
  const char *bytes = vocabulary_bytes(v, place, &size);
  assert_int_equal(size, strlen(expected));
  assert_memory_equal(bytes, expected, size);
}

/* All merges in order; `n_more` of others stand before the n-th. */
static void expect_merges(const tokenizer *t, int before, size_t n_more)
{
  const vocabulary *v = &t->vocabulary;
  assert_int_equal(tokenizer_n_merges(t), N_MERGES + n_more);
  for (int n = 0; n < N_MERGES; n++) {
    const merge *m = &v->merges[(size_t)n + (n >= before ? n_more : 0)];
    char left[3], right[2], made[8];
    parts_of(n, left, right);
    snprintf(made, sizeof made, "%s%s", left, right);
    expect_token(v, m->left, left);
    expect_token(v, m->right, right);
    expect_token(v, m->made, made);
  }
}

static void all_merges_are_there_in_their_order(void **state)
{
  (void)state;
  for (int array = 0; array < 2; array++) {
    gpt2_error error = NO_ERROR_YET;
    tokenizer *t;
    expect_success(load(array, NULL, 0, &t, &error), &error);
    expect_merges(t, 0, 0);
    tokenizer_free(t);
  }
}

/* Merges that are not read ahead, in every piece of the file: long names, and names that byte
 * letters do not write. */
static void unusual_merges_keep_their_places(void **state)
{
  (void)state;
  char longest[2 * HALF + 8], half[HALF + 1] = "";
  memset(half, 'x', HALF);
  for (int array = 0; array < 2; array++)
    for (int before = 0; before < N_MERGES; before += 6000) {
      snprintf(longest, sizeof longest, array ? "\"%s %s\"" : "%s %s", half, half);
      const insertion more[] = {
          {before, longest},
          {before, array ? "[\"\xe6\x97\xa5\", \"\xe6\x9c\xac\"]" : "\xe6\x97\xa5 \xe6\x9c\xac"}};
      gpt2_error error = NO_ERROR_YET;
      tokenizer *t;
      expect_success(load(array, more, 2, &t, &error), &error);
      expect_merges(t, before, 2);
      const merge *m = &t->vocabulary.merges[before];
      size_t size;
      assert_int_equal(m->left, m->right);
      vocabulary_bytes(&t->vocabulary, m->made, &size);
      assert_int_equal(size, 2 * HALF);
      expect_token(&t->vocabulary, m[1].made, "\xe6\x97\xa5\xe6\x9c\xac");
      tokenizer_free(t);
    }
}

static void empty_lines_and_versions_count_as_lines_anywhere(void **state)
{
  (void)state;
  for (int before = 0; before < N_MERGES; before += 6000) {
    char place[32];
    const insertion more[] = {{before, ""}, {before, "\r"}, {before, "#version: 7"}, {before, "a"}};
    gpt2_error error = NO_ERROR_YET;
    tokenizer *t;
    expect_success(load(false, more, 3, &t, &error), &error);
    expect_merges(t, 0, 0);
    tokenizer_free(t);
    snprintf(place, sizeof place, "line %d is not a merge", before + 5);
    expect_failure(load(false, more, 4, &t, &error), GPT2_ERR_FORMAT, &error, "merges.txt", place);
  }
}

/* The first of two that are wrong, in whatever pieces they are. */
static void the_first_that_is_wrong_is_told_by_its_place(void **state)
{
  (void)state;
  static const struct {
    const char *line, *element, *words;
  } wrong[] = {
      {"ab", "\"ab\"", "is not a merge: expected two tokens with a space between them"},
      {"a b c", "\"a b c\"", "is not a merge: expected two tokens with a space between them"},
      {" a b", "[\"a\"]", "is not a merge: expected two tokens"},
      {"a \xc3\xa9", "[\"a\", \"\xc3\xa9\"]", "names the token \"\xc3\xa9\""},
      {"\xc3\xa9 a", "\"\xc3\xa9 a\"", "names the token \"\xc3\xa9\""},
      {"abc d", "\"abc d\"", "names the token \"abcd\""},
      {"\xe6\x9c\xac \xe6\x97\xa5", "\"\xe6\x9c\xac \xe6\x97\xa5\"",
       "names the token \"\xe6\x9c\xac\xe6\x97\xa5\""},
      {"a ", "[\"a\", \"\"]", "names the token \"\""},
  };
  for (int array = 0; array < 2; array++)
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
      for (int before = 17; before < N_MERGES; before += 7000) {
        char place[32];
        const char *text = array ? wrong[i].element : wrong[i].line;
        const insertion more[] = {{before, text}, {N_MERGES - 5, array ? "1" : "broken"}};
        gpt2_error error = NO_ERROR_YET;
        tokenizer *t;
        snprintf(place, sizeof place, array ? "merges[%d] " : "line %d ", before + (array ? 0 : 2));
        expect_failure(load(array, more, 2, &t, &error), GPT2_ERR_FORMAT, &error, place,
                       wrong[i].words);
        assert_null(t);
      }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_merges_are_there_in_their_order),
      cmocka_unit_test(unusual_merges_keep_their_places),
      cmocka_unit_test(empty_lines_and_versions_count_as_lines_anywhere),
      cmocka_unit_test(the_first_that_is_wrong_is_told_by_its_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
