/* test_info.c - gpt2-info: describes a model and the library. */
#include "programs/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpt2.h"
#include "support/temporary_folder.h"

#include <cmocka.h>

static json_t *info_of_model(const char *folder)
{
  outcome o = RUN("info", NULL, "--json", "--model", folder);
  assert_quiet_success(&o);
  json_t *json = json_of(&o);
  free_outcome(&o);
  return json;
}

static void expect_integer(json_t *json, const char *key, long long value)
{
  json_t *found = json_object_get(json, key);
  if (!json_is_integer(found) || json_integer_value(found) != value)
    fail_msg("%s is %lld, not %lld", key, (long long)json_integer_value(found), value);
}

static void expect_text(json_t *json, const char *key, const char *value)
{
  json_t *found = json_object_get(json, key);
  assert_true(json_is_string(found));
  assert_string_equal(json_string_value(found), value);
}

/* The numbers stand in the model's config.json and README. */
static void the_default_model_is_described(void **state)
{
  (void)state;
  json_t *json = info_of_model(default_model());
  static const struct {
    const char *key;
    long long value;
  } numbers[] = {{"n_layer", 6},
                 {"n_head", 8},
                 {"n_embd", 256},
                 {"n_inner", 1024},
                 {"n_ctx", 512},
                 {"n_vocab", 4096},
                 {"bos_token", 4095},
                 {"tokenizer_tokens", 4096},
                 {"kv_token_bytes", 2 * 6 * 256 * 4},
                 {"kv_context_bytes", 2 * 6 * 256 * 4 * 512}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    expect_integer(json, numbers[i].key, numbers[i].value);
  long long block = 12 * 256 * 256 + 13 * 256;
  expect_integer(json, "parameters", (4096 + 512) * 256 + 6 * block + 2 * 256);
  expect_text(json, "model", default_model());
  expect_text(json, "stored_type", "F16");
  expect_text(json, "activation", "gelu_tanh");
  expect_text(json, "tokenizer", "vocab.json + merges.txt");
  expect_text(json, "library_version", gpt2_version());
  assert_true(json_is_true(json_object_get(json, "tied_unembedding")));
  assert_true(json_number_value(json_object_get(json, "layer_norm_epsilon")) == 1e-5);
  json_t *ends = json_object_get(json, "eos_tokens");
  assert_int_equal(json_array_size(ends), 1);
  assert_int_equal(json_integer_value(json_array_get(ends, 0)), 4095);
  assert_int_equal(json_array_size(json_object_get(json, "ignored_tensors")), 0);
  json_decref(json);
}

/* What the default model is kept in, by the options. */
static void weights_are_kept_in_the_type_that_is_asked_for(void **state)
{
  (void)state;
  static const struct {
    const char *weights, *compute, *type, *unembedding, *how;
  } cases[] = {
      {"stored", "default", "f16", "f16", "exact"}, {"stored", "fast", "f16", "f16", "exact"},
      {"f32", "default", "f32", "f32", "exact"},    {"q8_0", "default", "q8_0", "q8_0", "fast"},
      {"q4_0", "default", "q4_0", "q8_0", "fast"},  {"q8_0", "exact", "q8_0", "q8_0", "exact"},
      {"bf16", "exact", "bf16", "bf16", "exact"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    outcome o = RUN("info", NULL, "--json", "--model", default_model(), "--weights",
                    cases[i].weights, "--compute", cases[i].compute, "--threads", "2");
    assert_quiet_success(&o);
    json_t *json = json_of(&o);
    expect_text(json, "stored_type", "F16");
    expect_text(json, "weights_type", cases[i].type);
    expect_text(json, "unembedding_type", cases[i].unembedding);
    expect_text(json, "compute", cases[i].how);
    json_decref(json);
    free_outcome(&o);
  }
}

static void the_library_is_described(void **state)
{
  (void)state;
  gpt2_build build = {.struct_size = sizeof build};
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_OK);
  json_t *json = info_of_model(default_model());
  expect_text(json, "compiler", build.compiler);
  expect_text(json, "instruction_sets", build.instruction_sets);
  expect_text(json, "blas", build.blas);
  expect_text(json, "blas_threading", build.blas_threading);
  expect_text(json, "unicode", build.unicode);
  expect_integer(json, "cores", build.n_cpus);
  json_decref(json);
}

/* "key: value", the keys of the JSON object in its order. */
static void lines_have_the_same_keys_as_json(void **state)
{
  (void)state;
  json_t *json = info_of_model(default_model());
  outcome o = RUN("info", NULL, "-m", default_model());
  assert_quiet_success(&o);
  char *line = o.out;
  for (void *at = json_object_iter(json); at; at = json_object_iter_next(json, at)) {
    const char *key = json_object_iter_key(at);
    size_t size = strlen(key);
    assert_memory_equal(line, key, size);
    assert_memory_equal(line + size, ": ", 2);
    assert_true(line[size + 2] != '\n');
    line = strchr(line, '\n') + 1;
  }
  assert_string_equal(line, "");
  free_outcome(&o);
  json_decref(json);
}

static void a_model_without_tokenizer_is_described_with_the_reason(void **state)
{
  (void)state;
  char *folder = make_odd_model(16, false);
  json_t *json = info_of_model(folder);
  expect_text(json, "tokenizer", "none");
  assert_true(json_string_length(json_object_get(json, "tokenizer_message")) > 10);
  expect_integer(json, "n_ctx", 16);
  json_decref(json);
  remove_temporary_folder(folder);
}

static void operands_are_wrong_usage(void **state)
{
  (void)state;
  outcome o = RUN("info", NULL, default_model());
  ASSERT_FAILURE(&o, 2, "info", default_model(), "--model");
  free_outcome(&o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_default_model_is_described),
      cmocka_unit_test(weights_are_kept_in_the_type_that_is_asked_for),
      cmocka_unit_test(the_library_is_described),
      cmocka_unit_test(lines_have_the_same_keys_as_json),
      cmocka_unit_test(a_model_without_tokenizer_is_described_with_the_reason),
      cmocka_unit_test(operands_are_wrong_usage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
