/* test_tokenizer_files.c - the files of a tokenizer: what each may say, and that anything else
 * is refused with the name of the file and of what was found in it. */
#include <stdio.h>
#include <string.h>

#include "support/expect.h"
#include "support/tokenizing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BYTE_LEVEL "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}"
#define VOCAB      "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<|endoftext|>\": 3, \"\\u0120\": 4}"
#define MODEL_OF(vocab, merges, more)                                                              \
  "\"model\": {\"type\": \"BPE\", \"vocab\": " vocab ", \"merges\": [" merges "]" more "}"
#define MODEL               MODEL_OF(VOCAB, "\"a b\"", "")
#define SOUND               "{\"pre_tokenizer\": " BYTE_LEVEL ", " MODEL "}"
#define WITH(more)          "{\"pre_tokenizer\": " BYTE_LEVEL ", " MODEL ", " more "}"
#define WITH_ADDED(tokens)  WITH("\"added_tokens\": " tokens)
#define WITH_MODEL(model)   "{\"pre_tokenizer\": " BYTE_LEVEL ", " model "}"
#define WITH_OPTION(option) WITH_MODEL(MODEL_OF(VOCAB, "\"a b\"", ", " option))
#define SPLIT_BY(pattern)                                                                          \
  "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern "\"}, \"behavior\": \"Isolated\", "  \
  "\"invert\": false}"
#define SPLITTER(pre_tokenizer) "{\"pre_tokenizer\": " pre_tokenizer ", " MODEL "}"

static void expect_ids(const tokenizer *t, const char *text, int32_t *ids, size_t n)
{
  expect_tokens(t, text, strlen(text), 0, (token_list){ids, n});
}

/* The tokenizer reads "abb a" as it should. */
static void expect_working(const tokenizer *t)
{
  expect_ids(t, "abb a", (int32_t[]){2, 1, 4, 0}, 4);
}

static void open_and_expect_working(const text_file *files, const char *origin)
{
  tokenizer *t = open_texts(files);
  expect_working(t);
  assert_string_equal(tokenizer_origin(t), origin);
  tokenizer_free(t);
}

/* Loading fails; and the same files but for what is wrong load. */
static void expect_refusal(const text_file *files, gpt2_status status, const char *text,
                           const char *other_text)
{
  gpt2_error error = NO_ERROR_YET;
  tokenizer *t;
  expect_failure(load_texts(files, &t, &error), status, &error, text, other_text);
  assert_null(t);
}

static void check_json(const char *json, gpt2_status status, const char *text)
{
  expect_refusal((text_file[]){{"tokenizer.json", json, 0}, {.name = NULL}}, status,
                 "tokenizer.json", text);
}

/* ---- tokenizer.json ---- */

static void options_of_the_file_work_as_in_tokenizers(void **state)
{
  (void)state;
  static const char *const names[] = {"ignore_merges", "ignore_merges_whole_words",
                                      "prefix_space",  "without_pattern",
                                      "split",         "unknown",
                                      "unknown_fused"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    check_tokenizer_set(names[i], 80);
}

static void every_form_of_the_same_tokenizer_is_read(void **state)
{
  (void)state;
  static const char *const files[] = {
      SOUND,
      WITH_MODEL(MODEL_OF(VOCAB, "[\"a\", \"b\"]", "")),
      WITH_OPTION("\"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": \"\", "
                  "\"end_of_word_suffix\": \"\", \"fuse_unk\": false, \"byte_fallback\": false"),
      WITH("\"version\": \"1.0\", \"truncation\": null, \"padding\": null, \"normalizer\": null, "
           "\"post_processor\": {\"type\": \"ByteLevel\", \"trim_offsets\": false}, "
           "\"decoder\": {\"type\": \"ByteLevel\"}"),
      SPLITTER("{\"type\": \"Sequence\", \"pretokenizers\": [" BYTE_LEVEL "]}"),
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    open_and_expect_working((text_file[]){{"tokenizer.json", files[i], 0}, {.name = NULL}},
                            "tokenizer.json");
}

static void what_is_not_implemented_is_refused_by_name(void **state)
{
  (void)state;
  static const struct {
    const char *json, *name;
  } cases[] = {
      {WITH_OPTION("\"dropout\": 0.1"), "dropout"},
      {WITH_OPTION("\"continuing_subword_prefix\": \"##\""), "continuing_subword_prefix"},
      {WITH_OPTION("\"end_of_word_suffix\": \"</w>\""), "end_of_word_suffix"},
      {WITH_OPTION("\"byte_fallback\": true"), "byte_fallback"},
      {WITH("\"normalizer\": {\"type\": \"NFC\"}"), "\"NFC\""},
      {WITH("\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": "
            "\"Lowercase\"}]}"),
       "normalizer"},
      {WITH("\"post_processor\": {\"type\": \"BertProcessing\"}"), "\"BertProcessing\""},
      {WITH("\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
            "[{\"SpecialToken\": {}}, {\"Sequence\": {}}]}"),
       "\"TemplateProcessing\""},
      {WITH("\"decoder\": {\"type\": \"Metaspace\"}"), "\"Metaspace\""},
      {WITH("\"version\": \"2.0\""), "\"2.0\""},
      {SPLITTER("{\"type\": \"Whitespace\"}"), "\"Whitespace\""},
      {SPLITTER("null"), "pre_tokenizer"},
      {"{" MODEL "}", "pre_tokenizer"},
      {SPLITTER("{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}, " BYTE_LEVEL
                "]}"),
       "\"Digits\""},
      {SPLITTER("{\"type\": \"Sequence\", \"pretokenizers\": [" SPLIT_BY("\\\\d") ", " BYTE_LEVEL
                                                                                  "]}"),
       "\"Split\""},
      {WITH_MODEL("\"model\": {\"type\": \"WordPiece\", \"vocab\": {}}"), "\"WordPiece\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check_json(cases[i].json, GPT2_ERR_UNSUPPORTED, cases[i].name);
}

static void what_is_damaged_is_refused_by_file_and_place(void **state)
{
  (void)state;
  static const struct {
    const char *json, *text;
  } cases[] = {
      {"", "line 1"},
      {"[]", "expected an object"},
      {"{\"pre_tokenizer\": " BYTE_LEVEL "}", "\"model\""},
      {"{\"pre_tokenizer\": " BYTE_LEVEL ", \"model\": []}", "\"model\""},
      {SPLITTER("{\"type\": \"ByteLevel\"}"), "add_prefix_space"},
      {SPLITTER("{\"type\": \"ByteLevel\", \"add_prefix_space\": 1}"), "add_prefix_space"},
      {WITH_MODEL(MODEL_OF("[]", "", "")), "\"vocab\""},
      {WITH_MODEL(MODEL_OF("{}", "", "")), "empty"},
      {WITH_MODEL(MODEL_OF("{\"a\": \"0\"}", "", "")), "\"a\""},
      {WITH_MODEL(MODEL_OF("{\"a\": -1}", "", "")), "\"a\""},
      {WITH_MODEL(MODEL_OF("{\"a\": 0.5}", "", "")), "\"a\""},
      {WITH_MODEL(MODEL_OF("{\"a\": 0, \"b\": 0}", "", "")), "the same id 0"},
      {WITH_MODEL("\"model\": {\"type\": \"BPE\", \"vocab\": " VOCAB "}"), "\"merges\""},
      {WITH_MODEL("\"model\": {\"type\": \"BPE\", \"vocab\": " VOCAB ", \"merges\": {}}"),
       "\"merges\""},
      {WITH_MODEL(MODEL_OF(VOCAB, "\"a b\", \"ab\"", "")), "merges[1]"},
      {WITH_MODEL(MODEL_OF(VOCAB, "\"a b c\"", "")), "merges[0]"},
      {WITH_MODEL(MODEL_OF(VOCAB, "[\"a\"]", "")), "merges[0]"},
      {WITH_MODEL(MODEL_OF(VOCAB, "[\"a\", 1]", "")), "merges[0]"},
      {WITH_MODEL(MODEL_OF(VOCAB, "7", "")), "merges[0]"},
      {WITH_MODEL(MODEL_OF(VOCAB, "\"a z\"", "")), "\"z\""},
      {WITH_MODEL(MODEL_OF(VOCAB, "\"z a\"", "")), "\"z\""},
      {WITH_MODEL(MODEL_OF(VOCAB, "\"b a\"", "")), "\"ba\""},
      {WITH_OPTION("\"unk_token\": \"zz\""), "\"zz\""},
      {WITH_OPTION("\"unk_token\": 1"), "unk_token"},
      {WITH_OPTION("\"ignore_merges\": 1"), "ignore_merges"},
      {WITH_ADDED("{}"), "added_tokens"},
      {WITH_ADDED("[1]"), "added_tokens[0]"},
      {WITH_ADDED("[{\"id\": 9}]"), "\"content\""},
      {WITH_ADDED("[{\"content\": \"x\"}]"), "\"id\""},
      {WITH_ADDED("[{\"id\": -1, \"content\": \"x\"}]"), "\"id\""},
      {WITH_ADDED("[{\"id\": 9, \"content\": 1}]"), "\"content\""},
      {WITH_ADDED("[{\"id\": 9, \"content\": \"x\", \"lstrip\": 1}]"), "\"lstrip\""},
      {WITH_ADDED("[{\"id\": 9, \"content\": \"x\"}, {\"id\": 8, \"content\": \"x\"}]"), "twice"},
      {WITH_ADDED(
           "[{\"id\": 9, \"content\": \"x\"}, {\"id\": 8, \"content\": \"x\", \"normalized\": "
           "true}]"),
       "twice"},
      {WITH_ADDED("[{\"id\": 9, \"content\": \"x\"}, {\"id\": 9, \"content\": \"y\"}]"),
       "same id 9"},
      {WITH_ADDED("[{\"id\": 2, \"content\": \"x\"}]"), "same id 2"},
      {WITH_ADDED("[{\"id\": 9, \"content\": \"ab\"}]"), "\"ab\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check_json(cases[i].json, GPT2_ERR_FORMAT, cases[i].text);
}

static void ids_beyond_the_largest_are_refused(void **state)
{
  (void)state;
  check_json(WITH_MODEL(MODEL_OF("{\"a\": 2147483647}", "", "")), GPT2_ERR_LIMIT, "2147483647");
  check_json(WITH_ADDED("[{\"id\": 2147483647, \"content\": \"x\"}]"), GPT2_ERR_LIMIT, "\"id\"");
}

/* ---- vocab.json and merges.txt ---- */

static const char files_origin[] = "vocab.json + merges.txt";

static void merges_are_read_with_any_line_ends_and_with_or_without_a_version(void **state)
{
  (void)state;
  static const char *const merges[] = {"#version: 0.2\na b\n",
                                       "a b\n",
                                       "a b",
                                       "#version: 0.2\r\na b\r\n",
                                       "a b\r\n",
                                       "\na b\n",
                                       "a b\n\n",
                                       "#version: 0.2\n\na b"};
  for (size_t i = 0; i < sizeof merges / sizeof *merges; i++)
    open_and_expect_working(
        (text_file[]){{"vocab.json", VOCAB, 0}, {"merges.txt", merges[i], 0}, {.name = NULL}},
        files_origin);
}

static void tokenizer_json_goes_first(void **state)
{
  (void)state;
  open_and_expect_working((text_file[]){{"tokenizer.json", SOUND, 0},
                                        {"vocab.json", "{\"a\": 5}", 0},
                                        {"merges.txt", "broken", 0},
                                        {.name = NULL}},
                          "tokenizer.json");
}

static void a_missing_file_is_named(void **state)
{
  (void)state;
  expect_refusal((text_file[]){{.name = NULL}}, GPT2_ERR_NOT_FOUND, "tokenizer.json", "vocab.json");
  expect_refusal((text_file[]){{"vocab.json", VOCAB, 0}, {.name = NULL}}, GPT2_ERR_NOT_FOUND,
                 "merges.txt", NULL);
  expect_refusal((text_file[]){{"merges.txt", "a b", 0}, {.name = NULL}}, GPT2_ERR_NOT_FOUND,
                 "vocab.json", NULL);
}

static void a_broken_line_of_merges_is_told_by_its_number(void **state)
{
  (void)state;
  static const struct {
    const char *merges, *text;
  } cases[] = {
      {"#version: 0.2\na b\nab\n", "line 3"},
      {"a b c", "line 1"},
      {"a  b", "line 1"},
      {"a b\n\na z\n", "\"z\""},
      {"a b\n\na z\n", "line 3"},
      {"b a", "\"ba\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    expect_refusal(
        (text_file[]){{"vocab.json", VOCAB, 0}, {"merges.txt", cases[i].merges, 0}, {.name = NULL}},
        GPT2_ERR_FORMAT, "merges.txt", cases[i].text);
}

static void a_broken_vocabulary_is_told_by_the_name_of_the_token(void **state)
{
  (void)state;
  static const struct {
    const char *vocab, *text;
  } cases[] = {
      {"{}", "empty"},
      {"{\"a\": null}", "\"a\""},
      {"{\"a\": 1, \"b\": 1}", "same id 1"},
      {"{\"a\": 0", "line 1"},
      {"{\"a\": 0, \"a\": 1}", "duplicate"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    expect_refusal(
        (text_file[]){{"vocab.json", cases[i].vocab, 0}, {"merges.txt", "", 0}, {.name = NULL}},
        GPT2_ERR_FORMAT, "vocab.json", cases[i].text);
}

/* ---- The files beside them ---- */

#define FILES                                                                                      \
  {"vocab.json", VOCAB, 0},                                                                        \
  {                                                                                                \
    "merges.txt", "a b\n", 0                                                                       \
  }

static void end_of_text_is_special_without_any_file_that_says_so(void **state)
{
  (void)state;
  tokenizer *t = open_texts((text_file[]){FILES, {.name = NULL}});
  int32_t ids[] = {0, 3};
  expect_tokens(t, "a<|endoftext|>", 14, GPT2_ENCODE_SPECIAL, (token_list){ids, 2});
  assert_int_equal(tokenizer_flags(t, 3), GPT2_TOKEN_SPECIAL | GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
  tokenizer_free(t);
}

static void added_tokens_come_from_added_tokens_json(void **state)
{
  (void)state;
  tokenizer *t =
      open_texts((text_file[]){FILES,
                               {"added_tokens.json", "{\"<x>\": 7, \"<pad>\": 8}", 0},
                               {"special_tokens_map.json", "{\"pad_token\": \"<pad>\"}", 0},
                               {.name = NULL}});
  expect_ids(t, "a<x>b", (int32_t[]){0, 7, 1}, 3);
  int32_t padded[] = {0, 8};
  expect_tokens(t, "a<pad>", 6, GPT2_ENCODE_SPECIAL, (token_list){padded, 2});
  assert_int_equal(tokenizer_flags(t, 7), GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
  assert_int_equal(tokenizer_flags(t, 8), GPT2_TOKEN_SPECIAL | GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
  assert_int_equal(tokenizer_id_limit(t), 9); /* 5 and 6 are gaps */
  assert_int_equal(tokenizer_n_tokens(t), 7);
  assert_int_equal(tokenizer_flags(t, 5), 0);
  expect_working(t);
  tokenizer_free(t);
}

static void added_tokens_come_from_tokenizer_config_json(void **state)
{
  (void)state;
  tokenizer *t = open_texts((text_file[]){
      FILES,
      {"tokenizer_config.json",
       "{\"added_tokens_decoder\": {\"7\": {\"content\": \"<x>\", \"lstrip\": true}}}", 0},
      {.name = NULL}});
  expect_ids(t, "a <x>b", (int32_t[]){0, 7, 1}, 3);
  tokenizer_free(t);
}

static void a_space_before_the_text_is_added_when_the_config_says_so(void **state)
{
  (void)state;
  tokenizer *t = open_texts((text_file[]){
      FILES, {"tokenizer_config.json", "{\"add_prefix_space\": true}", 0}, {.name = NULL}});
  expect_ids(t, "a", (int32_t[]){4, 0}, 2);
  expect_ids(t, " a", (int32_t[]){4, 0}, 2);
  tokenizer_free(t);
}

static void what_is_wrong_with_the_files_beside_is_told_with_their_names(void **state)
{
  (void)state;
  static const struct {
    const char *name, *json;
    gpt2_status status;
    const char *text;
  } cases[] = {
      {"tokenizer_config.json", "{\"add_bos_token\": true}", GPT2_ERR_UNSUPPORTED, "add_bos_token"},
      {"tokenizer_config.json", "{\"add_eos_token\": true}", GPT2_ERR_UNSUPPORTED, "add_eos_token"},
      {"tokenizer_config.json", "{\"add_prefix_space\": 1}", GPT2_ERR_FORMAT, "add_prefix_space"},
      {"tokenizer_config.json", "{\"added_tokens_decoder\": []}", GPT2_ERR_FORMAT,
       "added_tokens_decoder"},
      {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}",
       GPT2_ERR_FORMAT, "\"x\""},
      {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"7\": {}}}", GPT2_ERR_FORMAT,
       "\"7\""},
      {"tokenizer_config.json", "{\"pad_token\": 1}", GPT2_ERR_FORMAT, "pad_token"},
      {"tokenizer_config.json", "{", GPT2_ERR_FORMAT, "line 1"},
      {"special_tokens_map.json", "{\"unk_token\": []}", GPT2_ERR_FORMAT, "unk_token"},
      {"special_tokens_map.json", "{\"additional_special_tokens\": \"x\"}", GPT2_ERR_FORMAT,
       "additional_special_tokens"},
      {"added_tokens.json", "{\"x\": \"7\"}", GPT2_ERR_FORMAT, "\"x\""},
      {"added_tokens.json", "{\"x\": 2147483647}", GPT2_ERR_LIMIT, "\"x\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    expect_refusal((text_file[]){FILES, {cases[i].name, cases[i].json, 0}, {.name = NULL}},
                   cases[i].status, cases[i].name, cases[i].text);
}

static void a_byte_without_a_token_is_refused_when_it_is_met_with_its_place(void **state)
{
  (void)state;
  gpt2_token tokens[8];
  size_t n;
  gpt2_error error = NO_ERROR_YET;
  tokenizer *t = open_texts((text_file[]){{"tokenizer.json", SOUND, 0}, {.name = NULL}});
  expect_failure(tokenizer_encode(t, "ab abz", 6, 0, tokens, 8, &n, &error), GPT2_ERR_UNSUPPORTED,
                 &error, "0x7a", "5");
  assert_int_equal(error.offset, 5);
  expect_working(t);
  tokenizer_free(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_of_the_file_work_as_in_tokenizers),
      cmocka_unit_test(every_form_of_the_same_tokenizer_is_read),
      cmocka_unit_test(what_is_not_implemented_is_refused_by_name),
      cmocka_unit_test(what_is_damaged_is_refused_by_file_and_place),
      cmocka_unit_test(ids_beyond_the_largest_are_refused),
      cmocka_unit_test(merges_are_read_with_any_line_ends_and_with_or_without_a_version),
      cmocka_unit_test(tokenizer_json_goes_first),
      cmocka_unit_test(a_missing_file_is_named),
      cmocka_unit_test(a_broken_line_of_merges_is_told_by_its_number),
      cmocka_unit_test(a_broken_vocabulary_is_told_by_the_name_of_the_token),
      cmocka_unit_test(end_of_text_is_special_without_any_file_that_says_so),
      cmocka_unit_test(added_tokens_come_from_added_tokens_json),
      cmocka_unit_test(added_tokens_come_from_tokenizer_config_json),
      cmocka_unit_test(a_space_before_the_text_is_added_when_the_config_says_so),
      cmocka_unit_test(what_is_wrong_with_the_files_beside_is_told_with_their_names),
      cmocka_unit_test(a_byte_without_a_token_is_refused_when_it_is_met_with_its_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
