/* test_model_loading.c - one model through every door: a folder, a file in it, blobs in memory,
 * callbacks, copied or mapped; and under every name that its activation function has. */
#include "gpt2.h"
#include "support/fixture.h"
#include "support/host_source.h"
#include "support/opened.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- A fixture's files in memory ---- */

enum { N_FILES = 4 };
static const char *const file_names[N_FILES] = {"config.json", "model.safetensors", "vocab.json",
                                                "merges.txt"};

typedef struct stored_files {
  char *bytes[N_FILES]; /* NULL for what the fixture does not have */
  size_t size[N_FILES];
} stored_files;

static stored_files read_files(const model_fixture *fixture)
{
  stored_files files = {0};
  for (int i = 0; i < N_FILES; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, file_names[i]);
    FILE *there = fopen(path, "rb");
    if (!there)
      continue;
    fclose(there);
    files.bytes[i] = read_test_file(path, &files.size[i]);
  }
  return files;
}

static void free_files(stored_files *files)
{
  for (int i = 0; i < N_FILES; i++)
    free(files->bytes[i]);
}

static size_t blobs_of(const stored_files *files, gpt2_blob *blobs)
{
  size_t n = 0;
  for (int i = 0; i < N_FILES; i++)
    if (files->bytes[i])
      blobs[n++] =
          (gpt2_blob){.name = file_names[i], .bytes = files->bytes[i], .size = files->size[i]};
  return n;
}

static gpt2_status load_files(const stored_files *files, gpt2_model **model, gpt2_error *error)
{
  gpt2_blob blobs[N_FILES];
  size_t n = blobs_of(files, blobs);
  return gpt2_load_memory(blobs, n, NULL, model, error);
}

/* ---- Equal to the bit ---- */

/* The logits (prompt.n, n_vocab) of the fixture's prompt; the model is given back. */
static float *logits_and_free(const model_fixture *fixture, gpt2_model *model)
{
  size_t n_vocab = (size_t)fixture->n_vocab;
  float *logits = malloc(fixture->prompt.n * n_vocab * sizeof *logits);
  assert_non_null(logits);
  gpt2_context *context = open_context(model, 2);
  gpt2_model_free(model); /* the context keeps it */
  must_succeed(gpt2_eval(context, 0, fixture->prompt.tokens, fixture->prompt.n, GPT2_ROW_LOGITS),
               context);
  for (size_t row = 0; row < fixture->prompt.n; row++)
    memcpy(logits + row * n_vocab, gpt2_row_logits(context, row), n_vocab * sizeof *logits);
  gpt2_context_free(context);
  return logits;
}

static void must_equal(const model_fixture *fixture, gpt2_model *model, const float *expected)
{
  float *logits = logits_and_free(fixture, model);
  assert_memory_equal(logits, expected,
                      fixture->prompt.n * (size_t)fixture->n_vocab * sizeof *logits);
  free(logits);
}

static void check_copied(const model_fixture *fixture, const float *expected)
{
  gpt2_model *model = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_load_options options = {.struct_size = sizeof options, .flags = GPT2_LOAD_COPY};
  must_have_succeeded(gpt2_load(fixture->folder, &options, &model, &error), &error);
  assert_int_equal(info_of(model).mapped_size, 0);
  must_equal(fixture, model, expected);
}

static void check_memory(const model_fixture *fixture, const float *expected)
{
  gpt2_model *model = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  stored_files files = read_files(fixture);
  must_have_succeeded(load_files(&files, &model, &error), &error);
  must_equal(fixture, model, expected);
  free_files(&files);
}

static void check_source(const model_fixture *fixture, bool has_view, const float *expected)
{
  gpt2_model *model = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  stored_files files = read_files(fixture);
  gpt2_blob blobs[N_FILES];
  host_source host = {.blobs = blobs, .n_blobs = blobs_of(&files, blobs), .has_view = has_view};
  gpt2_source source = host_callbacks(&host);
  must_have_succeeded(gpt2_load_source(&source, NULL, &model, &error), &error);
  assert_int_equal(host.n_released, 0);
  must_equal(fixture, model, expected);
  assert_true(has_view || host.n_reads > 0);
  assert_int_equal(host.n_open, 0);
  assert_int_equal(host.n_released, 1);
  free_files(&files);
}

static void check_file(const model_fixture *fixture, const float *expected)
{
  char path[4096];
  snprintf(path, sizeof path, "%s/model.safetensors", fixture->folder);
  must_equal(fixture, open_model(path), expected);
}

static void check_every_way(const model_fixture *fixture)
{
  float *expected = logits_and_free(fixture, open_model(fixture->folder));
  check_copied(fixture, expected);
  if (strcmp(fixture->name, "sharded") != 0) {
    check_file(fixture, expected);
    check_memory(fixture, expected);
    check_source(fixture, true, expected);
    check_source(fixture, false, expected);
  }
  free(expected);
}

static void a_model_is_equal_to_the_bit_however_it_is_loaded(void **state)
{
  (void)state;
  for_each_fixture(check_every_way);
}

static void f32_weights_stay_in_the_mapping(void **state)
{
  (void)state;
  model_fixture *fixture = fixture_open("base");
  gpt2_model *model = open_model(fixture->folder);
  gpt2_info info = info_of(model);
  assert_int_equal(info.allocated_size, 0);
  assert_int_equal(info.mapped_size, info.n_parameters * sizeof(float));
  gpt2_model_free(model);
  fixture_close(fixture);
}

/* ---- The names of activation functions ---- */

/* The fixture's files with another activation_function in config.json. */
static stored_files files_with_activation(const model_fixture *fixture, const char *activation)
{
  stored_files files = read_files(fixture);
  json_t *config = json_deep_copy(fixture->config);
  json_object_set_new(config, "activation_function", json_string(activation));
  free(files.bytes[0]);
  files.bytes[0] = json_dumps(config, 0);
  assert_non_null(files.bytes[0]);
  files.size[0] = strlen(files.bytes[0]);
  json_decref(config);
  return files;
}

static json_t *read_activations(void)
{
  char *path = test_data_path("fixtures/models/activations.json");
  json_t *activations = json_load_file(path, 0, NULL);
  assert_non_null(activations);
  free(path);
  return activations;
}

static void check_aliases(const char *name, const json_t *aliases)
{
  model_fixture *fixture = fixture_open(name);
  float *expected = logits_and_free(fixture, open_model(fixture->folder));
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    gpt2_model *model = NULL;
    gpt2_error error = {.struct_size = sizeof error};
    const char *alias = json_string_value(json_array_get(aliases, i));
    stored_files files = files_with_activation(fixture, alias);
    must_have_succeeded(load_files(&files, &model, &error), &error);
    must_equal(fixture, model, expected);
    free_files(&files);
  }
  free(expected);
  fixture_close(fixture);
}

static void an_activation_function_may_have_any_of_its_names(void **state)
{
  (void)state;
  json_t *activations = read_activations(), *aliases;
  const char *name;
  assert_int_equal(json_object_size(json_object_get(activations, "same")), 3);
  json_object_foreach (json_object_get(activations, "same"), name, aliases)
    check_aliases(name, aliases);
  json_decref(activations);
}

static void every_other_activation_function_of_transformers_is_refused_by_name(void **state)
{
  (void)state;
  json_t *activations = read_activations(), *others = json_object_get(activations, "others");
  model_fixture *fixture = fixture_open("base");
  assert_true(json_array_size(others) >= 10);
  for (size_t i = 0; i < json_array_size(others); i++) {
    gpt2_model *model = NULL;
    gpt2_error error = {.struct_size = sizeof error};
    const char *other = json_string_value(json_array_get(others, i));
    stored_files files = files_with_activation(fixture, other);
    assert_int_equal(load_files(&files, &model, &error), GPT2_ERR_UNSUPPORTED);
    free_files(&files);
    assert_null(model);
    assert_non_null(strstr(error.message, other));
    assert_non_null(strstr(error.message, "config.json"));
    assert_non_null(strstr(error.message, "activation_function"));
  }
  fixture_close(fixture);
  json_decref(activations);
}

/* ---- Vocabularies that do not fit the embedding ---- */

static void rows_without_a_token_are_evaluated_and_decode_to_nothing(void **state)
{
  (void)state;
  model_fixture *fixture = fixture_open("extra_rows");
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 1);
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_token last = fixture->n_vocab - 1;
  char text[16];
  size_t size = 1;
  assert_int_equal(info_of(model).n_tokens, 270);
  assert_true(info_of(model).n_tokens <= last);
  assert_int_equal(gpt2_token_flags(model, last), 0);
  must_succeed(gpt2_eval(context, 0, &last, 1, 0), context);
  must_have_succeeded(gpt2_decode(model, &last, 1, text, sizeof text, &size, &error), &error);
  assert_int_equal(size, 0);
  gpt2_context_free(context);
  gpt2_model_free(model);
  fixture_close(fixture);
}

static void tokens_without_a_row_are_decoded_and_refused_by_name_when_evaluated(void **state)
{
  (void)state;
  model_fixture *fixture = fixture_open("few_rows");
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 1);
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_token beyond = fixture->n_vocab, before = 0;
  char text[16];
  size_t size = 0;
  assert_true(info_of(model).n_tokens > fixture->n_vocab);
  must_have_succeeded(gpt2_decode(model, &beyond, 1, text, sizeof text, &size, &error), &error);
  assert_true(size > 0);
  assert_int_equal(gpt2_eval(context, 0, &beyond, 1, 0), GPT2_ERR_ARGUMENT);
  assert_non_null(strstr(gpt2_context_error(context)->message, "280"));
  must_succeed(gpt2_eval(context, 0, &before, 1, 0), context);
  assert_int_equal(gpt2_kv_length(context, 0), 1);
  gpt2_context_free(context);
  gpt2_model_free(model);
  fixture_close(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_is_equal_to_the_bit_however_it_is_loaded),
      cmocka_unit_test(f32_weights_stay_in_the_mapping),
      cmocka_unit_test(an_activation_function_may_have_any_of_its_names),
      cmocka_unit_test(every_other_activation_function_of_transformers_is_refused_by_name),
      cmocka_unit_test(rows_without_a_token_are_evaluated_and_decode_to_nothing),
      cmocka_unit_test(tokens_without_a_row_are_decoded_and_refused_by_name_when_evaluated),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
