/* test_tokenizer_added.c - added tokens are found where tokenizers finds them: with every
 * combination of their flags, beside and inside each other, and as white space, letters or parts
 * of words. */
#include <stdio.h>
#include <string.h>

#include "support/expect.h"
#include "support/tokenizing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_combination_of_flags_matches_as_in_tokenizers(void **state)
{
  (void)state;
  assert_in_range(check_tokenizer_set("flags", 1088), 400, 544);
}

static void tokens_that_overlap_match_as_in_tokenizers(void **state)
{
  (void)state;
  size_t n_special = 0;
  for (int i = 0; i < 16; i++) {
    char name[32];
    snprintf(name, sizeof name, "added%02d", i);
    n_special += check_tokenizer_set(name, 50);
  }
  assert_in_range(n_special, 100, 16 * 60);
}

/* ---- One thing each, in sight ---- */

#define TOKENIZER(added)                                                                           \
  "{\"added_tokens\": [" added "], \"pre_tokenizer\": {\"type\": \"ByteLevel\", "                  \
  "\"add_prefix_space\": false}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, "  \
  "\"\\u0120\": 2, \"<\": 3, \">\": 4, \"<|endoftext|>\": 5}, \"merges\": []}}"

static tokenizer *open_json(const char *json)
{
  return open_texts((text_file[]){{"tokenizer.json", json, 0}, {.name = NULL}});
}

static void expect_ids(const tokenizer *t, const char *text, uint32_t flags, const int32_t *ids,
                       size_t n)
{
  int32_t copy[16];
  assert_in_range(n, 0, 16);
  memcpy(copy, ids, n * sizeof *ids);
  expect_tokens(t, text, strlen(text), flags, (token_list){copy, n});
}

#define EXPECT_IDS(t, text, flags, ...)                                                            \
  expect_ids(t, text, flags, (const int32_t[]){__VA_ARGS__},                                       \
             sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void a_special_token_is_text_unless_asked_for(void **state)
{
  (void)state;
  tokenizer *t = open_json(TOKENIZER("{\"id\": 6, \"content\": \"<a>\", \"special\": true}"));
  EXPECT_IDS(t, "b<a>b", 0, 1, 3, 0, 4, 1);
  EXPECT_IDS(t, "b<a>b", GPT2_ENCODE_SPECIAL, 1, 6, 1);
  assert_int_equal(tokenizer_find(t, "<a>"), 6);
  assert_int_equal(tokenizer_flags(t, 6), GPT2_TOKEN_SPECIAL | GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
  tokenizer_free(t);
}

static void an_added_token_that_is_not_special_always_matches(void **state)
{
  (void)state;
  tokenizer *t = open_json(TOKENIZER("{\"id\": 6, \"content\": \"<a>\", \"special\": false}"));
  EXPECT_IDS(t, "b<a>b", 0, 1, 6, 1);
  EXPECT_IDS(t, "b<a>b", GPT2_ENCODE_SPECIAL, 1, 6, 1);
  assert_int_equal(tokenizer_flags(t, 6), GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
  tokenizer_free(t);
}

static void a_token_beside_a_space_takes_it_only_with_the_flag_for_that_side(void **state)
{
  (void)state;
  tokenizer *t = open_json(TOKENIZER("{\"id\": 6, \"content\": \"<a>\", \"lstrip\": true},"
                                     "{\"id\": 7, \"content\": \"<b>\", \"rstrip\": true},"
                                     "{\"id\": 8, \"content\": \"<ab>\"}"));
  EXPECT_IDS(t, "b  <a> b", 0, 1, 6, 2, 1);
  EXPECT_IDS(t, "b <b>  b", 0, 1, 2, 7, 1);
  EXPECT_IDS(t, "b <ab> b", 0, 1, 2, 8, 2, 1);
  tokenizer_free(t);
}

static void a_single_word_is_not_taken_out_of_another(void **state)
{
  (void)state;
  tokenizer *t = open_json(TOKENIZER("{\"id\": 6, \"content\": \"ab\", \"single_word\": true}"));
  EXPECT_IDS(t, "ab", 0, 6);
  EXPECT_IDS(t, "<ab>", 0, 3, 6, 4);
  EXPECT_IDS(t, "bab", 0, 1, 0, 1);
  EXPECT_IDS(t, "aba", 0, 0, 1, 0);
  tokenizer_free(t);
}

static void the_longest_of_tokens_that_begin_alike_is_taken(void **state)
{
  (void)state;
  tokenizer *t =
      open_json(TOKENIZER("{\"id\": 6, \"content\": \"<a\"}, {\"id\": 7, \"content\": \"<a>\"},"
                          "{\"id\": 8, \"content\": \"a>b\"}"));
  EXPECT_IDS(t, "<a>b", 0, 7, 1);
  EXPECT_IDS(t, "<ab", 0, 6, 1);
  EXPECT_IDS(t, "a>b", 0, 8);
  tokenizer_free(t);
}

static void end_of_text_is_special_even_if_the_file_does_not_list_it(void **state)
{
  (void)state;
  tokenizer *t = open_json(TOKENIZER(""));
  EXPECT_IDS(t, "a<|endoftext|>", GPT2_ENCODE_SPECIAL, 0, 5);
  assert_int_equal(tokenizer_flags(t, 5), GPT2_TOKEN_SPECIAL | GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
  tokenizer_free(t);
}

/* A token of as many bytes "<<< ...", whose id is 6. */
static gpt2_status load_token_of(size_t size, tokenizer **out, gpt2_error *error)
{
  char json[1024], content[300];
  assert_in_range(size, 1, sizeof content - 1);
  memset(content, '<', size);
  content[size] = '\0';
  snprintf(json, sizeof json, TOKENIZER("{\"id\": 6, \"content\": \"%s\"}"), content);
  return load_texts((text_file[]){{"tokenizer.json", json, 0}, {.name = NULL}}, out, error);
}

static void a_token_of_256_bytes_is_found_and_a_longer_one_refused(void **state)
{
  (void)state;
  char text[257] = {0};
  gpt2_error error = NO_ERROR_YET;
  tokenizer *t;
  expect_success(load_token_of(256, &t, &error), &error);
  EXPECT_IDS(t, memset(text, '<', 256), 0, 6);
  tokenizer_free(t);
  expect_failure(load_token_of(257, &t, &error), GPT2_ERR_LIMIT, &error,
                 "tokenizer.json: the added token \"<<<", "257 bytes, at most 256");
  assert_null(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_combination_of_flags_matches_as_in_tokenizers),
      cmocka_unit_test(tokens_that_overlap_match_as_in_tokenizers),
      cmocka_unit_test(a_special_token_is_text_unless_asked_for),
      cmocka_unit_test(an_added_token_that_is_not_special_always_matches),
      cmocka_unit_test(a_token_beside_a_space_takes_it_only_with_the_flag_for_that_side),
      cmocka_unit_test(a_single_word_is_not_taken_out_of_another),
      cmocka_unit_test(the_longest_of_tokens_that_begin_alike_is_taken),
      cmocka_unit_test(a_token_of_256_bytes_is_found_and_a_longer_one_refused),
      cmocka_unit_test(end_of_text_is_special_even_if_the_file_does_not_list_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
