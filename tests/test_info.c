/* test_info.c - what a model tells of itself: its sizes and types, where its weights are, its
 * special tokens, and what it says in the log while it is loaded. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/scripted_model.h"
#include "support/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- Every fixture ---- */

static json_int_t integer_of(const model_fixture *fixture, const char *key)
{
  return json_integer_value(json_object_get(fixture->config, key));
}

static bool is_set(const model_fixture *fixture, const char *key, bool otherwise)
{
  const json_t *value = json_object_get(fixture->config, key);
  return value ? json_is_true(value) : otherwise;
}

static void check_sizes(const model_fixture *fixture, const gpt2_info *info)
{
  json_int_t n_inner = integer_of(fixture, "n_inner");
  assert_int_equal(info->struct_size, sizeof *info);
  assert_int_equal(info->n_vocab, fixture->n_vocab);
  assert_int_equal(info->n_ctx, fixture->n_ctx);
  assert_int_equal(info->n_embd, fixture->n_embd);
  assert_int_equal(info->n_layer, fixture->n_layer);
  assert_int_equal(info->n_head, integer_of(fixture, "n_head"));
  assert_int_equal(info->n_inner, n_inner ? n_inner : 4 * fixture->n_embd);
}

static void check_arithmetic(const model_fixture *fixture, const gpt2_info *info)
{
  const char *name = json_string_value(json_object_get(fixture->config, "activation_function"));
  const json_t *epsilon = json_object_get(fixture->config, "layer_norm_epsilon");
  int32_t activation = GPT2_ACTIVATION_GELU_TANH;
  if (name && strcmp(name, "gelu_new") != 0)
    activation = strcmp(name, "gelu") == 0 ? GPT2_ACTIVATION_GELU_ERF : GPT2_ACTIVATION_RELU;
  uint32_t flags = fixture->tied ? GPT2_INFO_TIED : 0;
  if (is_set(fixture, "scale_attn_weights", true))
    flags |= GPT2_INFO_SCALE_ATTN;
  if (is_set(fixture, "scale_attn_by_inverse_layer_idx", false))
    flags |= GPT2_INFO_SCALE_BY_LAYER;
  assert_int_equal(info->activation, activation);
  assert_true(info->layer_norm_epsilon == (float)(epsilon ? json_real_value(epsilon) : 1e-5));
  assert_int_equal(info->flags & ~(uint32_t)GPT2_INFO_TOKENIZER, flags);
}

/* Matrices stay as they are stored, F64 becomes f32; vectors are f32. Whatever changes its type
 * leaves the file, and vectors with the matrices. */
static void check_memory(const model_fixture *fixture, const gpt2_info *info)
{
  uint64_t v = (uint64_t)info->n_vocab, c = (uint64_t)info->n_ctx, e = (uint64_t)info->n_embd;
  uint64_t i = (uint64_t)info->n_inner, n_layer = (uint64_t)info->n_layer;
  uint64_t head = fixture->tied ? 0 : v * e, vectors = 2 * e + n_layer * (9 * e + i);
  uint64_t matrices = (v + c) * e + head + n_layer * (4 * e * e + 2 * e * i);
  /* A token needs one row of wpe, and of wte, unless wte is the unembedding, too. */
  uint64_t unread = (c - 1) * e + (fixture->tied ? 0 : (v - 1) * e);
  assert_int_equal(info->n_parameters, matrices + vectors);
  assert_int_equal(info->kv_token_size, 2 * n_layer * e * sizeof(float));
  assert_int_equal(info->compute, GPT2_COMPUTE_EXACT);
  if (strcmp(fixture->name, "mixed") == 0)
    return;
  bool is_half = strstr(info->stored_type, "F16") != NULL,
       is_f32 = !strcmp(info->stored_type, "F32");
  uint64_t size = is_half ? 2 : 4;
  assert_int_equal(info->weights_size, (matrices - unread) * size + vectors * 4);
  assert_int_equal(info->mapped_size, is_half  ? matrices * 2
                                      : is_f32 ? (matrices + vectors) * 4
                                               : 0);
  assert_int_equal(info->mapped_size + info->allocated_size, matrices * size + vectors * 4);
}

static void check_ignored(const model_fixture *fixture, const gpt2_model *model)
{
  const json_t *ignored = json_object_get(fixture->expected, "ignored");
  size_t n = json_array_size(ignored);
  assert_int_equal(info_of(model).n_ignored, n);
  for (size_t i = 0; i < n; i++)
    assert_string_equal(gpt2_ignored_tensor(model, i),
                        json_string_value(json_array_get(ignored, i)));
  assert_null(gpt2_ignored_tensor(model, n));
}

static void check_fixture(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_info info = info_of(model);
  check_sizes(fixture, &info);
  check_arithmetic(fixture, &info);
  check_memory(fixture, &info);
  check_ignored(fixture, model);
  assert_string_equal(info.format, "safetensors");
  gpt2_model_free(model);
}

static void every_fixture_is_described_as_its_config_and_file_say(void **state)
{
  (void)state;
  for_each_fixture(check_fixture);
}

/* ---- Some of them by name ---- */

typedef struct known_fixture {
  const char *name, *stored_type, *weights_type, *unembedding_type, *tokenizer;
  int n_tokens, n_merges; /* 0: no tokenizer */
} known_fixture;

static const known_fixture known_fixtures[] = {
    {"base", "F32", "f32", "f32", "vocab.json + merges.txt", 301, 44},
    {"few_rows", "F16", "f16", "f16", "vocab.json + merges.txt", 301, 44},
    {"extra_rows", "F16", "f16", "f16", "tokenizer.json", 270, 13},
    {"sharded", "F32", "f32", "f32", "none", 0, 0},
    {"published", "F32", "f32", "f32", "none", 0, 0}, /* with buffers of F32, too */
    {"masks", "F16", "f16", "f16", "none", 0, 0},     /* BOOL buffers are not weights */
    {"heads", "F16", "f16", "f16", "none", 0, 0},     /* nor are heads of F32 */
    {"bf16", "BF16", "bf16", "bf16", "none", 0, 0},
    {"f64", "F64", "f32", "f32", "none", 0, 0},
    /* 190944, 36504, 9648 and 2448 bytes; of the blocks' matrices 51840 and 36288. */
    {"mixed", "F64+F16+BF16+F32", "f32+f16", "f32", "none", 0, 0},
};

static void types_and_tokenizers_are_told_by_name(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof known_fixtures / sizeof *known_fixtures; i++) {
    const known_fixture *known = &known_fixtures[i];
    model_fixture *fixture = fixture_open(known->name);
    gpt2_model *model = open_model(fixture->folder);
    gpt2_info info = info_of(model);
    bool has_tokenizer = known->n_tokens > 0;
    assert_string_equal(info.stored_type, known->stored_type);
    assert_string_equal(info.weights_type, known->weights_type);
    assert_string_equal(info.unembedding_type, known->unembedding_type);
    assert_string_equal(info.tokenizer, known->tokenizer);
    assert_int_equal(info.n_tokens, known->n_tokens);
    assert_int_equal(info.n_merges, known->n_merges);
    assert_int_equal(!!(info.flags & GPT2_INFO_TOKENIZER), has_tokenizer);
    assert_int_equal(info.tokenizer_status, has_tokenizer ? GPT2_OK : GPT2_ERR_NOT_FOUND);
    assert_int_equal(info.tokenizer_message[0] == '\0', has_tokenizer);
    gpt2_model_free(model);
    fixture_close(fixture);
  }
}

static void what_is_not_asked_of_a_model_is_refused(void **state)
{
  (void)state;
  gpt2_info info = {.struct_size = sizeof info};
  gpt2_error error = NO_ERROR_YET;
  small_model *small = small_new("");
  gpt2_model *model = small_open(small);
  expect_failure(gpt2_model_info(NULL, &info, &error), GPT2_ERR_ARGUMENT, &error, "model", "NULL");
  expect_failure(gpt2_model_info(model, NULL, &error), GPT2_ERR_ARGUMENT, &error, "info", "NULL");
  assert_int_equal(gpt2_model_info(model, &info, NULL), GPT2_OK);
  assert_int_equal(info.n_vocab, SMALL_VOCAB);
  gpt2_model_free(model);
  small_free(small);
}

/* ---- Special tokens without a tokenizer ---- */

typedef struct special_case {
  const char *more; /* in config.json */
  gpt2_token bos;
  int n_eos;
  gpt2_token eos[3];
} special_case;

static const special_case special_cases[] = {
    {"", -1, 0, {0}}, /* 50256, twice */
    {",\"bos_token_id\":0,\"eos_token_id\":6", 0, 1, {6}},
    {",\"bos_token_id\":6,\"eos_token_id\":0", 6, 1, {0}},
    {",\"bos_token_id\":7,\"eos_token_id\":7", -1, 0, {0}},
    {",\"bos_token_id\":-1,\"eos_token_id\":-1", -1, 0, {0}},
    {",\"bos_token_id\":4294967297,\"eos_token_id\":4294967298", -1, 0, {0}},
    {",\"bos_token_id\":null,\"eos_token_id\":null", -1, 0, {0}},
    {",\"bos_token_id\":1,\"eos_token_id\":[]", 1, 0, {0}},
    {",\"bos_token_id\":null,\"eos_token_id\":[5]", -1, 1, {5}},
    {",\"bos_token_id\":2,\"eos_token_id\":[6,7,2,null,-3,50256,0]", 2, 3, {6, 2, 0}},
};

static void check_special(const special_case *special, gpt2_model *model)
{
  gpt2_info info = info_of(model);
  assert_int_equal(gpt2_bos_token(model), special->bos);
  assert_int_equal(info.bos_token, special->bos);
  assert_int_equal(info.n_eos_tokens, special->n_eos);
  for (int i = 0; i < 4; i++)
    assert_int_equal(gpt2_eos_token(model, (size_t)i), i < special->n_eos ? special->eos[i] : -1);
  for (gpt2_token token = -1; token <= SMALL_VOCAB; token++) {
    uint32_t flags = token >= 0 && token == special->bos ? GPT2_TOKEN_BOS : 0;
    for (int i = 0; i < special->n_eos; i++)
      flags |= token == special->eos[i] ? GPT2_TOKEN_EOS : 0;
    assert_int_equal(gpt2_token_flags(model, token), flags);
  }
}

static void special_tokens_are_those_of_the_config_that_the_model_has(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof special_cases / sizeof *special_cases; i++) {
    small_model *small = small_new("");
    small->more = special_cases[i].more;
    gpt2_model *model = small_open(small);
    check_special(&special_cases[i], model);
    gpt2_model_free(model);
    small_free(small);
  }
}

static void the_vocabularys_end_of_text_begins_a_text_only_if_the_model_has_it(void **state)
{
  (void)state;
  static const char none[] = "\"bos_token_id\":null,\"eos_token_id\":null";
  for (int missing = 0; missing < 2; missing++) {
    scripted_model s = scripted_open(
        &(model_script){.special = none, .n_more_rows = -missing, .text = "aaaa", .n_ctx = 4});
    assert_int_equal(gpt2_bos_token(s.model), missing ? -1 : END_TOKEN);
    assert_int_equal(info_of(s.model).bos_token, missing ? -1 : END_TOKEN);
    assert_int_equal(gpt2_eos_token(s.model, 0), -1);
    scripted_close(&s);
  }
}

/* ---- The log ---- */

typedef struct log_lines {
  int n;
  int32_t level[16];
  char line[16][1024];
} log_lines;

static void keep_line(int32_t level, const char *message, void *user)
{
  log_lines *lines = user;
  assert_in_range(lines->n, 0, 15);
  lines->level[lines->n] = level;
  snprintf(lines->line[lines->n++], sizeof lines->line[0], "%s", message);
}

/* What the log says while the fixture is loaded. */
static log_lines lines_of(const char *name)
{
  log_lines lines = {0};
  gpt2_load_options options = {.struct_size = sizeof options, .log = keep_line, .log_user = &lines};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  model_fixture *fixture = fixture_open(name);
  must_have_succeeded(gpt2_load(fixture->folder, &options, &model, &error), &error);
  gpt2_model_free(model);
  fixture_close(fixture);
  return lines;
}

static void a_model_with_all_that_it_needs_says_nothing(void **state)
{
  (void)state;
  assert_int_equal(lines_of("base").n, 0);
  assert_int_equal(lines_of("extra_rows").n, 0);
}

static void the_log_warns_of_a_missing_tokenizer_and_lists_ignored_tensors(void **state)
{
  (void)state;
  static const char *const ignored[] = {"multiple_choice_head.summary.weight", "score.weight",
                                        "v_head.summary.bias", "v_head.summary.weight"};
  log_lines lines = lines_of("heads");
  assert_int_equal(lines.n, 5);
  assert_int_equal(lines.level[0], GPT2_LOG_WARNING);
  assert_non_null(strstr(lines.line[0], "no tokenizer"));
  assert_non_null(strstr(lines.line[0], "vocab.json"));
  for (int i = 0; i < 4; i++) {
    assert_int_equal(lines.level[1 + i], GPT2_LOG_INFO);
    assert_non_null(strstr(lines.line[1 + i], "ignored"));
    assert_non_null(strstr(lines.line[1 + i], ignored[i]));
  }
}

static void a_line_of_the_log_is_one_line_whatever_a_tensor_is_called(void **state)
{
  (void)state;
  log_lines lines = {0};
  gpt2_load_options options = {.struct_size = sizeof options, .log = keep_line, .log_user = &lines};
  small_model *small = small_new("");
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  char long_name[91];
  memset(long_name, 'x', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = '\0';
  small_insert(small, small->n, "two\\nlines\\u001b[31m", "U8", 1, 0);
  small_insert(small, small->n, long_name, "U8", 1, 0);
  must_have_succeeded(small_load(small, &options, &model, &error), &error);
  assert_int_equal(lines.n, 3);
  assert_string_equal(lines.line[1], "ignored tensor: two?lines?[31m");
  assert_non_null(strstr(lines.line[2], long_name));
  assert_string_equal(gpt2_ignored_tensor(model, 0), "two\nlines\033[31m"); /* as the file has it */
  gpt2_model_free(model);
  small_free(small);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_fixture_is_described_as_its_config_and_file_say),
      cmocka_unit_test(types_and_tokenizers_are_told_by_name),
      cmocka_unit_test(what_is_not_asked_of_a_model_is_refused),
      cmocka_unit_test(special_tokens_are_those_of_the_config_that_the_model_has),
      cmocka_unit_test(the_vocabularys_end_of_text_begins_a_text_only_if_the_model_has_it),
      cmocka_unit_test(a_model_with_all_that_it_needs_says_nothing),
      cmocka_unit_test(the_log_warns_of_a_missing_tokenizer_and_lists_ignored_tensors),
      cmocka_unit_test(a_line_of_the_log_is_one_line_whatever_a_tensor_is_called),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
