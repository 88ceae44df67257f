/* test_tokenizer_specials.c - special and added tokens of the files beside vocab.json, in every
 * form that they may have. */
#include <stdio.h>
#include <string.h>

#include "support/expect.h"
#include "support/tokenizing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define VOCAB "{\"a\": 0, \"b\": 1, \"\\u0120\": 2, \"<|endoftext|>\": 3, \"<x>\": 4, \"<y>\": 5}"

static gpt2_status load_beside(const char *name, const char *json, tokenizer **out,
                               gpt2_error *error)
{
  return load_texts(
      (text_file[]){
          {"vocab.json", VOCAB, 0}, {"merges.txt", "", 0}, {name, json, 0}, {.name = NULL}},
      out, error);
}

static void expect_ids(const tokenizer *t, const char *text, uint32_t flags, int32_t *ids, size_t n)
{
  expect_tokens(t, text, strlen(text), flags, (token_list){ids, n});
}

/* A list of strings, one of objects, and an object that names each. */
static void lists_and_objects_of_special_tokens_mean_the_same(void **state)
{
  (void)state;
  static const struct {
    const char *name, *json;
  } cases[] = {
      {"special_tokens_map.json", "{\"additional_special_tokens\": [\"<x>\", \"<y>\"]}"},
      {"tokenizer_config.json",
       "{\"additional_special_tokens\": [{\"content\": \"<x>\"}, {\"content\": \"<y>\"}]}"},
      {"tokenizer_config.json", "{\"extra_special_tokens\": [\"<x>\", \"<y>\"]}"},
      {"tokenizer_config.json",
       "{\"extra_special_tokens\": {\"x_token\": \"<x>\", \"y_token\": \"<y>\"}}"},
      {"tokenizer_config.json", "{\"additional_special_tokens\": {\"x\": \"<x>\", \"y\": "
                                "{\"content\": \"<y>\"}, \"z\": null}}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    tokenizer *t;
    expect_success(load_beside(cases[i].name, cases[i].json, &t, &error), &error);
    expect_ids(t, "a<x>b<y>", GPT2_ENCODE_SPECIAL, (int32_t[]){0, 4, 1, 5}, 4);
    assert_int_equal(tokenizer_flags(t, 5),
                     GPT2_TOKEN_SPECIAL | GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
    tokenizer_free(t);
  }
}

static void flags_of_a_special_token_are_those_of_its_object(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  tokenizer *t;
  expect_success(load_beside("tokenizer_config.json",
                             "{\"extra_special_tokens\": {\"x\": {\"content\": \"<x>\", "
                             "\"lstrip\": true}, \"y\": \"<y>\"}}",
                             &t, &error),
                 &error);
  expect_ids(t, "a <x>", GPT2_ENCODE_SPECIAL, (int32_t[]){0, 4}, 2);
  expect_ids(t, "a <y>", GPT2_ENCODE_SPECIAL, (int32_t[]){0, 2, 5}, 3);
  tokenizer_free(t);
}

static void what_is_wrong_is_told_with_file_and_name(void **state)
{
  (void)state;
  static const struct {
    const char *json, *text;
  } cases[] = {
      {"{\"extra_special_tokens\": {\"image_token\": 7}}", "\"image_token\""},
      {"{\"extra_special_tokens\": {\"image_token\": {\"text\": \"<x>\"}}}", "\"image_token\""},
      {"{\"extra_special_tokens\": [[\"<x>\"]]}", "\"extra_special_tokens\""},
      {"{\"extra_special_tokens\": {\"x\": {\"content\": \"<x>\", \"rstrip\": 1}}}", "\"rstrip\""},
      {"{\"added_tokens_decoder\": {\"7\": {\"content\": \"<z>\"}, \"8\": {\"content\": "
       "\"<z>\"}}}",
       "the added token \"<z>\" stands there twice"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    tokenizer *t;
    expect_failure(load_beside("tokenizer_config.json", cases[i].json, &t, &error), GPT2_ERR_FORMAT,
                   &error, "tokenizer_config.json", cases[i].text);
    assert_null(t);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_and_objects_of_special_tokens_mean_the_same),
      cmocka_unit_test(flags_of_a_special_token_are_those_of_its_object),
      cmocka_unit_test(what_is_wrong_is_told_with_file_and_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
