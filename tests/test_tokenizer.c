/* test_tokenizer.c - texts have the tokens that tiktoken and tokenizers give them, with the
 * published vocabulary, with the default model's, and with one whose tokens show every place
 * where text is split. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tokenizing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { N_VOCABULARIES = 3 };

/* Their names in the fixtures, and their folders. */
static const char *const names[N_VOCABULARIES] = {"published", "tales", "classes"};
static const char *const folders[N_VOCABULARIES] = {"data/gpt2-vocab", "../examples/models/tales",
                                                    "fixtures/tokenizer/classes"};
static tokenizer *tokenizers[N_VOCABULARIES];

static int open_all(void **state)
{
  (void)state;
  for (int i = 0; i < N_VOCABULARIES; i++)
    tokenizers[i] = open_tokenizer(folders[i]);
  return 0;
}

static int close_all(void **state)
{
  (void)state;
  for (int i = 0; i < N_VOCABULARIES; i++)
    tokenizer_free(tokenizers[i]);
  return 0;
}

/* Compares the tokens of a text, whole or as a hash, with each vocabulary, and turns them back. */
static void check_text(const char *text, size_t size, uint32_t flags, const json_t *expected,
                       const char *what)
{
  for (int i = 0; i < N_VOCABULARIES; i++) {
    const json_t *value = json_object_get(expected, names[i]);
    token_list found = encoded(tokenizers[i], text, size, flags);
    expect_bytes(tokenizers[i], found, text, size);
    if (json_is_array(value)) {
      token_list list = expected_tokens(expected, names[i]);
      expect_tokens(tokenizers[i], text, size, flags, list);
      free_tokens(list);
    } else {
      assert_true(json_is_string(value));
      if (hash_tokens(found) != strtoull(json_string_value(value), NULL, 16))
        fail_msg("%s: other tokens than expected with the vocabulary \"%s\"", what, names[i]);
    }
    free_tokens(found);
  }
}

/* A line of texts.jsonl or random.jsonl. */
static void check_line(const json_t *line, void *user)
{
  size_t *n_special = user;
  const json_t *text = json_object_get(line, "text"), *special = json_object_get(line, "special");
  const char *bytes = json_string_value(text);
  size_t size = json_string_length(text);
  assert_true(json_is_string(text));
  check_text(bytes, size, 0, line, bytes);
  check_text(bytes, size, GPT2_ENCODE_SPECIAL, special ? special : line, bytes);
  *n_special += special != NULL;
}

static void texts_that_each_show_one_thing_have_the_oracles_tokens(void **state)
{
  (void)state;
  size_t n_special = 0;
  for_each_line("fixtures/tokenizer/texts.jsonl", 400, check_line, &n_special);
  assert_in_range(n_special, 10, 1000);
}

static void random_mixtures_of_all_classes_have_the_oracles_tokens(void **state)
{
  (void)state;
  size_t n_special = 0;
  for_each_line("fixtures/tokenizer/random.jsonl", 2500, check_line, &n_special);
  assert_in_range(n_special, 100, 2500);
}

/* ---- All code points ---- */

static size_t put_character(char *to, uint32_t c)
{
  static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; i--, c >>= 6)
    to[i] = (char)(0x80 | (c & 0x3f));
  to[0] = (char)(lead[size] | c);
  return size;
}

/* Each character before a letter, a number and a sign, and behind a space; as
 * tokenizer_texts.py. */
static size_t put_block(char *to, uint32_t first, uint32_t n)
{
  static const char *const behind[] = {"a", "1", "! ", "'s"};
  size_t size = 0;
  for (uint32_t c = first; c < first + n; c++)
    for (size_t i = 0; i < 4; i++) {
      size += put_character(to + size, c);
      memcpy(to + size, behind[i], strlen(behind[i]));
      size += strlen(behind[i]);
    }
  return size;
}

typedef struct code_points {
  uint32_t next; /* the first that the next block may have */
  size_t n;
} code_points;

static void check_block(const json_t *line, void *user)
{
  enum { MOST = 4096, ROOM = 4 * 4 + 6 };
  static char text[MOST * ROOM];
  code_points *all = user;
  char what[64];
  uint32_t first = (uint32_t)json_integer_value(json_object_get(line, "first"));
  uint32_t n = (uint32_t)json_integer_value(json_object_get(line, "n"));
  assert_in_range(n, 1, MOST);
  assert_int_equal(first, all->next == 0xd800 ? 0xe000 : all->next);
  snprintf(what, sizeof what, "code points U+%04X to U+%04X", (unsigned)first,
           (unsigned)(first + n - 1));
  check_text(text, put_block(text, first, n), 0, line, what);
  all->next = first + n;
  all->n += n;
}

static void every_code_point_is_of_the_class_that_the_oracles_have_it_in(void **state)
{
  (void)state;
  code_points all = {0, 0};
  for_each_line("fixtures/tokenizer/code_points.jsonl", 500, check_block, &all);
  assert_int_equal(all.n, 0x110000 - 0x800);
}

/* ---- What is not UTF-8, and a long text ---- */

static int hex_digit(char c)
{
  const char *digits = "0123456789abcdef", *found = strchr(digits, c);
  assert_true(c && found);
  return (int)(found - digits);
}

static void check_invalid(const json_t *line, void *user)
{
  char bytes[1024];
  (void)user;
  const char *hex = json_string_value(json_object_get(line, "hex"));
  assert_non_null(hex);
  size_t size = strlen(hex) / 2;
  assert_in_range(size, 1, sizeof bytes);
  for (size_t i = 0; i < size; i++)
    bytes[i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
  check_text(bytes, size, 0, line, hex);
}

static void bytes_that_are_not_utf8_are_split_and_merged_as_by_the_plain_splitter(void **state)
{
  (void)state;
  for_each_line("fixtures/tokenizer/invalid.jsonl", 900, check_invalid, NULL);
}

static void check_story(const json_t *line, void *user)
{
  size_t size;
  (void)user;
  char *path = test_data_path("data/val.txt"), *text = read_test_file(path, &size);
  check_text(text, size, GPT2_ENCODE_SPECIAL, line, "val.txt");
  free(text);
  free(path);
}

static void a_book_has_the_oracles_tokens(void **state)
{
  (void)state;
  for_each_line("fixtures/tokenizer/story.jsonl", 1, check_story, NULL);
}

static void the_classes_name_their_version_of_unicode(void **state)
{
  (void)state;
  assert_string_equal(tokenizer_unicode_version(), "16.0.0");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_that_each_show_one_thing_have_the_oracles_tokens),
      cmocka_unit_test(random_mixtures_of_all_classes_have_the_oracles_tokens),
      cmocka_unit_test(every_code_point_is_of_the_class_that_the_oracles_have_it_in),
      cmocka_unit_test(bytes_that_are_not_utf8_are_split_and_merged_as_by_the_plain_splitter),
      cmocka_unit_test(a_book_has_the_oracles_tokens),
      cmocka_unit_test(the_classes_name_their_version_of_unicode),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
