/* test_faults_tokenizer.c - whatever is wrong with a file of the tokenizer is told by name, through
 * every door: the model loads without a tokenizer, and what needs text says why. */
#include "support/expect.h"
#include "support/faults.h"
#include "support/opened.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#define T                         "tokenizer.json"
#define V                         "vocab.json"
#define M                         "merges.txt"
#define A                         "added_tokens.json"
#define S                         "special_tokens_map.json"
#define N                         "tokenizer_config.json"
#define JSON(from, to, ...)       FAULT_TOKENIZER_JSON, T, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define JSON_LIMIT(from, to, ...) FAULT_TOKENIZER_JSON, T, from, to, GPT2_ERR_LIMIT, __VA_ARGS__
#define OTHER_KIND(from, to, ...)                                                                  \
  FAULT_TOKENIZER_JSON, T, from, to, GPT2_ERR_UNSUPPORTED, __VA_ARGS__
#define VOCAB(from, to, ...)       FAULT_VOCABULARY, V, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define VOCAB_LIMIT(from, to, ...) FAULT_VOCABULARY, V, from, to, GPT2_ERR_LIMIT, __VA_ARGS__
#define MERGES(from, to, ...)      FAULT_VOCABULARY, M, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define ADDED(from, to, ...)       FAULT_OLDER, A, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define SPECIAL(from, to, ...)     FAULT_OLDER, S, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define NEWER(from, to, ...)       FAULT_NEWER, N, from, to, GPT2_ERR_FORMAT, __VA_ARGS__

static const fault faults[] = {
    /* tokenizer.json: ids */
    {"a_negative_id_is_refused", JSON("\"a\":0", "\"a\":-1", T ": \"a\" is -1", "from 0 on")},
    {"a_real_id_is_refused", JSON("\"a\":0", "\"a\":0.0", T ": \"a\" is 0.0", "an integer")},
    {"an_id_with_an_exponent_is_refused", JSON("\"a\":0", "\"a\":6e0", T ": \"a\" is 6.0", NULL)},
    {"an_id_in_quotes_is_refused", JSON("\"a\":0", "\"a\":\"0\"", T ": \"a\" is \"0\"", NULL)},
    {"an_id_that_is_null_is_refused", JSON("\"a\":0", "\"a\":null", T ": \"a\" is null", NULL)},
    {"an_id_above_2_to_the_31_is_refused",
     JSON_LIMIT("\"a\":0", "\"a\":2147483647", T ": \"a\" has the id 2147483647", "2147483646")},
    {"an_id_that_wraps_at_2_to_the_32_is_refused",
     JSON_LIMIT("\"a\":0", "\"a\":4294967296", T ": \"a\" has the id 4294967296", NULL)},
    {"an_id_above_2_to_the_53_is_refused",
     JSON_LIMIT("\"a\":0", "\"a\":9007199254740993", T ": \"a\" has the id 9007199254740993",
                NULL)},
    {"an_id_that_wraps_at_2_to_the_64_is_refused",
     JSON("\"a\":0", "\"a\":18446744073709551616", T ": \"a\" is 1.8", "an integer")},
    {"an_id_that_two_tokens_have_is_refused",
     JSON("\"b\":1", "\"b\":0", T ": ", "have the same id 0")},
    {"a_token_that_stands_there_twice_is_refused",
     JSON("\"b\":1", "\"a\":1", T ": line 1", "duplicate object key")},
    /* tokenizer.json: merges */
    {"a_merge_that_names_an_unknown_left_token_is_refused",
     JSON("\"a b\"", "\"z b\"", T ": merges[0] names the token \"z\"", NULL)},
    {"a_merge_that_names_an_unknown_right_token_is_refused",
     JSON("\"a b\"", "\"a z\"", T ": merges[0] names the token \"z\"", NULL)},
    {"a_merge_that_makes_an_unknown_token_is_refused",
     JSON("\"a b\"", "\"b a\"", T ": merges[0] names the token \"ba\"", NULL)},
    {"a_merge_of_one_token_is_refused",
     JSON("\"a b\"", "\"ab\"", T ": merges[0] is not a merge", "two tokens")},
    {"a_merge_of_three_tokens_is_refused",
     JSON("\"a b\"", "\"a b a\"", T ": merges[0] is not a merge", "two tokens")},
    {"a_merge_that_is_a_number_is_refused",
     JSON("\"a b\"", "7", T ": merges[0] is not a merge", "two tokens")},
    {"a_merge_of_nothing_is_refused", JSON("\"a b\"", "\" \"", T ": merges[0]", NULL)},
    {"merges_that_are_an_object_are_refused",
     JSON("[\"a b\"]", "{}", T ": \"merges\" is an object", "an array")},
    /* tokenizer.json: added tokens */
    {"an_added_token_with_the_id_of_another_is_refused",
     JSON("\"id\":5", "\"id\":0", T ": ", "have the same id 0")},
    {"an_added_token_that_the_vocabulary_has_with_another_id_is_refused",
     JSON("<x>", "ab", T ": the added token \"ab\" has the id 5", "2 in the vocabulary")},
    {"an_added_token_that_stands_there_twice_is_refused",
     JSON("[{\"id\":5", "[{\"id\":6,\"content\":\"<x>\"},{\"id\":5", T ": the added token \"<x>\"",
          "twice")},
    {"an_added_token_without_an_id_is_refused",
     JSON("\"id\":5,", "", T ": added_tokens[0]: \"id\" is missing", NULL)},
    {"an_added_token_without_a_text_is_refused",
     JSON("\"content\":\"<x>\"", "\"x\":1", T ": added_tokens[0]: \"content\" is missing", NULL)},
    {"an_added_token_with_a_negative_id_is_refused",
     JSON("\"id\":5", "\"id\":-5", T ": added_tokens[0]: \"id\" is -5", NULL)},
    {"an_added_token_with_an_exponent_is_refused",
     JSON("\"id\":5", "\"id\":5e0", T ": added_tokens[0]: \"id\" is 5.0", NULL)},
    {"an_added_token_above_2_to_the_53_is_refused",
     JSON_LIMIT("\"id\":5", "\"id\":9007199254740993", T ": added_tokens[0]: \"id\"", NULL)},
    {"an_added_token_that_is_a_text_is_refused",
     JSON("{\"id\":5,\"content\":\"<x>\",\"special\":true}", "\"<x>\"",
          T ": added_tokens[0]: is not an object", NULL)},
    {"added_tokens_that_are_no_list_are_refused",
     JSON("[{\"id\":5,\"content\":\"<x>\",\"special\":true}]", "7", T ": \"added_tokens\" is 7",
          "an array")},
    /* tokenizer.json: the rest */
    {"a_vocabulary_of_no_tokens_is_refused",
     JSON("{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3,\"\\u0120\":4}", "{}",
          T ": the vocabulary is empty", NULL)},
    {"a_vocabulary_that_is_a_list_is_refused",
     JSON("{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3,\"\\u0120\":4}", "[\"a\",\"b\"]",
          T ": \"vocab\" is an array of 2", "an object")},
    {"a_missing_vocabulary_is_refused",
     JSON("\"vocab\"", "\"vokab\"", T ": \"vocab\" is missing", "an object")},
    {"a_missing_model_is_refused",
     JSON("\"model\"", "\"modell\"", T ": \"model\" is missing", "an object")},
    {"an_unknown_token_that_is_unknown_is_refused",
     JSON("\"merges\"", "\"unk_token\":\"zz\",\"merges\"", T ": \"unk_token\" is \"zz\"",
          "does not have")},
    {"another_kind_of_model_is_refused",
     OTHER_KIND("\"BPE\"", "\"Unigram\"", T ": \"model\" of type \"Unigram\"", "BPE")},
    {"another_kind_of_words_is_refused",
     OTHER_KIND("\"ByteLevel\"", "\"Metaspace\"", T ": \"pre_tokenizer\" of type \"Metaspace\"",
                NULL)},
    {"another_version_is_refused",
     OTHER_KIND("\"1.0\"", "\"2.0\"", T ": \"version\" is \"2.0\"", NULL)},
    /* vocab.json and merges.txt */
    {"a_negative_id_in_vocab_json_is_refused",
     VOCAB("\"a\":0", "\"a\":-1", V ": \"a\" is -1", "from 0 on")},
    {"an_id_with_an_exponent_in_vocab_json_is_refused",
     VOCAB("\"a\":0", "\"a\":0e0", V ": \"a\" is 0.0", NULL)},
    {"an_id_above_2_to_the_53_in_vocab_json_is_refused",
     VOCAB_LIMIT("\"a\":0", "\"a\":9007199254740993", V ": \"a\" has the id", NULL)},
    {"an_id_that_two_tokens_of_vocab_json_have_is_refused",
     VOCAB("\"b\":1", "\"b\":2", V ": ", "have the same id 2")},
    {"a_token_that_vocab_json_has_twice_is_refused",
     VOCAB("\"b\":1", "\"a\":1", V ": line 1", "duplicate object key")},
    {"a_line_of_merges_that_names_an_unknown_left_token_is_refused",
     MERGES("a b\n", "z b\n", M ": line 2 names the token \"z\"", NULL)},
    {"a_line_of_merges_that_names_an_unknown_right_token_is_refused",
     MERGES("a b\n", "a z\n", M ": line 2 names the token \"z\"", NULL)},
    {"a_line_of_merges_that_makes_an_unknown_token_is_refused",
     MERGES("a b\n", "b b\n", M ": line 2 names the token \"bb\"", NULL)},
    {"a_line_of_merges_with_one_token_is_refused",
     MERGES("a b\n", "ab\n", M ": line 2 is not a merge", NULL)},
    {"a_line_of_merges_with_three_tokens_is_refused",
     MERGES("a b\n", "a b a\n", M ": line 2 is not a merge", NULL)},
    {"a_line_of_merges_that_is_no_utf8_is_refused",
     MERGES("a b\n", "a \xff\n", M ": line 2 names the token", NULL)},
    {"a_vocabulary_that_lacks_what_merges_make_is_refused", FAULT_VOCABULARY, V, "\"ab\":2",
     "\"ba\":2", GPT2_ERR_FORMAT, M ": line 2 names the token \"ab\"", NULL},
    /* the files beside them */
    {"an_id_in_added_tokens_that_another_has_is_refused",
     ADDED("5", "0", V ": ", "have the same id 0")},
    {"a_negative_id_in_added_tokens_is_refused", ADDED("5", "-5", A ": \"<x>\" is -5", NULL)},
    {"an_id_with_an_exponent_in_added_tokens_is_refused",
     ADDED("5", "5e0", A ": \"<x>\" is 5.0", NULL)},
    {"an_id_above_2_to_the_53_in_added_tokens_is_refused", FAULT_OLDER, A, "5", "9007199254740993",
     GPT2_ERR_LIMIT, A ": \"<x>\" is 9007199254740993", NULL},
    {"an_added_token_that_vocab_json_has_with_another_id_is_refused",
     ADDED("<x>", "ab", V ": the added token \"ab\" has the id 5", "2 in the vocabulary")},
    {"a_special_token_that_is_a_number_is_refused",
     SPECIAL("\"<x>\"", "7", S ": \"pad_token\" is 7", "a token")},
    {"a_special_token_without_a_text_is_refused",
     SPECIAL("\"content\"", "\"text\"", S ": \"eos_token\" is an object", "content")},
    {"a_flag_of_a_special_token_that_is_a_number_is_refused",
     SPECIAL("false", "0", S ": \"lstrip\" is 0", "true or false")},
    {"an_id_that_is_no_number_is_refused", NEWER("\"5\"", "\"five\"", N ": \"five\"", "an id")},
    {"a_negative_id_of_the_decoder_is_refused", NEWER("\"5\"", "\"-5\"", N ": \"-5\"", "an id")},
    {"an_id_of_the_decoder_that_wraps_is_refused",
     NEWER("\"5\"", "\"18446744073709551621\"", N ": \"18446744073709551621\"", "an id")},
    {"an_id_of_the_decoder_that_another_has_is_refused",
     NEWER("\"5\"", "\"0\"", V ": ", "have the same id 0")},
    {"a_token_that_the_decoder_has_twice_is_refused",
     NEWER("{\"5\"", "{\"6\":{\"content\":\"<x>\"},\"5\"", N ": the added token \"<x>\"", "twice")},
    {"tokens_at_the_beginning_are_refused", FAULT_NEWER, N, "\"add_bos_token\":false",
     "\"add_bos_token\":true", GPT2_ERR_UNSUPPORTED, N ": \"add_bos_token\" is true", NULL},
};

/* ---- What a text in the place of another cannot say ---- */

static void a_missing_file_of_the_tokenizer_is_named(void **state)
{
  (void)state;
  tiny_files *files = fault_files(FAULT_VOCABULARY);
  tiny_file(files, M)->name = "other";
  expect_no_tokenizer(files, GPT2_ERR_NOT_FOUND, M, NULL);
  tiny_file(files, V)->name = "another";
  expect_no_tokenizer(files, GPT2_ERR_NOT_FOUND, T, V);
  tiny_free(files);
}

static void an_empty_file_of_the_tokenizer_is_named(void **state)
{
  (void)state;
  static const struct {
    fault_model model;
    const char *file;
  } cases[] = {{FAULT_TOKENIZER_JSON, T},
               {FAULT_VOCABULARY, V},
               {FAULT_OLDER, A},
               {FAULT_OLDER, S},
               {FAULT_NEWER, N}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tiny_files *files = fault_files(cases[i].model);
    tiny_set(files, cases[i].file, "", 0);
    expect_no_tokenizer(files, GPT2_ERR_FORMAT, cases[i].file, "line 1");
    tiny_free(files);
  }
}

static void an_added_token_that_is_too_long_is_refused(void **state)
{
  (void)state;
  char text[257];
  memset(text, 'x', sizeof text);
  tiny_files *files = fault_files(FAULT_TOKENIZER_JSON);
  tiny_edit(files, T, "<x>", text, sizeof text);
  expect_no_tokenizer(files, GPT2_ERR_LIMIT, T ": the added token \"xxxx", "257 bytes");
  tiny_free(files);
}

/* ---- What is odd, and no fault ---- */

static void load_edited(const char *from, const char *to,
                        void (*check)(gpt2_model *model, int32_t type, void *user))
{
  tiny_files *files = fault_files(FAULT_VOCABULARY);
  tiny_edit(files, V, from, to, strlen(to));
  load_every_way(files, check, (void *)(uintptr_t)to);
  tiny_free(files);
}

/* Token `id` is "ab", and has no row: it cannot be evaluated. Ids before it stand for nothing,
 * those behind it are none. */
static void check_gap(gpt2_model *model, gpt2_token id)
{
  gpt2_token tokens[4], in_gap[] = {6, id - 1}, behind = id + 1;
  char text[4];
  size_t n;
  gpt2_error error = NO_ERROR_YET;
  gpt2_context *context = open_context(model, 1);
  expect_success(gpt2_encode(model, "ab", 2, 0, tokens, 4, &n, &error), &error);
  assert_true(n == 1 && tokens[0] == id);
  expect_success(gpt2_decode(model, tokens, 1, text, 4, &n, &error), &error);
  assert_true(n == 2 && memcmp(text, "ab", 2) == 0);
  expect_success(gpt2_decode(model, in_gap, 2, text, 4, &n, &error), &error);
  assert_int_equal(n, 0);
  assert_int_equal(gpt2_token_flags(model, in_gap[1]), 0);
  expect_failure(gpt2_decode(model, &behind, 1, text, 4, &n, &error), GPT2_ERR_ARGUMENT, &error,
                 "token", NULL);
  expect_failure(gpt2_eval(context, 0, tokens, 1, 0), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(context), "token", NULL);
  tokens[0] = 1;
  must_succeed(gpt2_eval(context, 0, tokens, 1, 0), context);
  gpt2_context_free(context);
}

static void check_large_gap(gpt2_model *model, int32_t type, void *user)
{
  (void)type;
  (void)user;
  check_gap(model, 1000000);
}

static void check_greatest_gap(gpt2_model *model, int32_t type, void *user)
{
  (void)type;
  (void)user;
  check_gap(model, INT32_MAX - 1);
}

static void a_gap_between_ids_is_no_fault(void **state)
{
  (void)state;
  load_edited("\"ab\":2", "\"ab\":1000000", check_large_gap);
}

static void the_greatest_id_is_no_fault(void **state)
{
  (void)state;
  load_edited("\"ab\":2", "\"ab\":2147483646", check_greatest_gap);
}

/* The space has no token. */
static void check_missing_byte(gpt2_model *model, int32_t type, void *user)
{
  (void)type;
  (void)user;
  gpt2_token tokens[8];
  size_t n;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_encode(model, "ab a", 4, 0, tokens, 8, &n, &error), GPT2_ERR_UNSUPPORTED,
                 &error, "0x20", NULL);
  assert_int_equal(error.offset, 2);
  error = NO_ERROR_YET;
  expect_success(gpt2_encode(model, "aba", 3, 0, tokens, 8, &n, &error), &error);
  assert_true(n == 2 && tokens[0] == 2 && tokens[1] == 0);
}

static void a_byte_without_a_token_is_told_with_its_place_when_it_is_met(void **state)
{
  (void)state;
  load_edited(",\"\\u0120\":4", "", check_missing_byte);
}

static void check_empty_token(gpt2_model *model, int32_t type, void *user)
{
  (void)type;
  (void)user;
  const gpt2_token tokens[] = {2, 3, 0};
  char text[8];
  size_t n;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_decode(model, tokens, 3, text, 8, &n, &error), &error);
  assert_true(n == 3 && memcmp(text, "aba", 3) == 0);
}

static void a_token_without_a_text_is_no_fault(void **state)
{
  (void)state;
  load_edited("<|endoftext|>", "", check_empty_token);
}

int main(void)
{
  enum { N_FAULTS = sizeof faults / sizeof *faults };
  const struct CMUnitTest others[] = {
      cmocka_unit_test(a_missing_file_of_the_tokenizer_is_named),
      cmocka_unit_test(an_empty_file_of_the_tokenizer_is_named),
      cmocka_unit_test(an_added_token_that_is_too_long_is_refused),
      cmocka_unit_test(a_gap_between_ids_is_no_fault),
      cmocka_unit_test(the_greatest_id_is_no_fault),
      cmocka_unit_test(a_byte_without_a_token_is_told_with_its_place_when_it_is_met),
      cmocka_unit_test(a_token_without_a_text_is_no_fault),
  };
  struct CMUnitTest tests[N_FAULTS + sizeof others / sizeof *others];
  fault_tests(faults, N_FAULTS, tests);
  memcpy(tests + N_FAULTS, others, sizeof others);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
