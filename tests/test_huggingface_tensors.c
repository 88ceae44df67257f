/* test_huggingface_tensors.c - the weights of a folder are found, whole or in shards that agree
 * with their index. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/huggingface.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/safetensors_builder.h"
#include "support/temporary_folder.h"

/* Three files of weights: a and b in the first, c in the second; the third holds a again. */
typedef struct weights {
  uint8_t *bytes[3];
  size_t size[3];
} weights;

static weights make_weights(void)
{
  static const float one[] = {1}, two[] = {2}, three[] = {3};
  static const built_tensor first[] = {{"a", "F32", 1, {1}, one, 4}, {"b", "F32", 1, {1}, two, 4}};
  static const built_tensor second[] = {{"c", "F32", 1, {1}, three, 4}};
  weights w;
  w.bytes[0] = build_safetensors(first, 2, &w.size[0]);
  w.bytes[1] = build_safetensors(second, 1, &w.size[1]);
  w.bytes[2] = build_safetensors(first, 1, &w.size[2]);
  return w;
}

static void free_weights(weights *w)
{
  for (int i = 0; i < 3; i++)
    free(w->bytes[i]);
}

static gpt2_blob blob_of(const char *name, const weights *w, int i)
{
  return (gpt2_blob){name, w->bytes[i], w->size[i], 0};
}

static gpt2_blob text_blob(const char *name, const char *text)
{
  return (gpt2_blob){name, text, strlen(text), 0};
}

/* Opens the weights of a folder that is in memory and looks for the tensors `names` ("abc"), no
 * more and no fewer. */
static gpt2_status open_weights(const gpt2_blob *blobs, size_t n_blobs, const char *weights_file,
                                const char *names, gpt2_error *error)
{
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  source *s;
  tensors list;
  assert_int_equal(source_open_blobs(&hooks, blobs, n_blobs, &s, NULL), GPT2_OK);
  gpt2_status status = huggingface_tensors(s, weights_file, &list, error);
  if (status == GPT2_OK) {
    assert_string_equal(list.format, "safetensors");
    assert_int_equal(list.n, strlen(names));
    for (size_t i = 0; names[i]; i++) {
      float value = 0;
      const tensor *t = tensors_find(&list, (const char[]){names[i], '\0'});
      assert_non_null(t);
      assert_int_equal(tensor_read_f32(t, 0, 1, &value, NULL), GPT2_OK);
      assert_true(value == (float)(names[i] - 'a' + 1));
    }
    tensors_free(&list);
  } else
    assert_true(list.n == 0 && list.n_files == 0);
  source_free(s);
  assert_int_equal(counter.n_live, 0);
  return status;
}

/* ---- Which file ---- */

static const char index_name[] = "model.safetensors.index.json";
static const char sound_index[] = "{\"metadata\": {\"total_size\": 12}, \"weight_map\":"
                                  "{\"c\": \"s2\", \"a\": \"s1\", \"b\": \"s1\"}}";

static void one_file_is_taken_before_an_index_of_shards(void **state)
{
  (void)state;
  weights w = make_weights();
  gpt2_error error = NO_ERROR_YET;
  const gpt2_blob blobs[] = {text_blob(index_name, sound_index), blob_of("s1", &w, 0),
                             blob_of("s2", &w, 1), blob_of("model.safetensors", &w, 2)};
  expect_success(open_weights(blobs, 4, NULL, "a", &error), &error);
  expect_success(open_weights(blobs, 3, NULL, "abc", &error), &error); /* without it */
  free_weights(&w);
}

static void a_file_or_an_index_may_be_asked_for_by_name(void **state)
{
  (void)state;
  weights w = make_weights();
  gpt2_error error = NO_ERROR_YET;
  const gpt2_blob blobs[] = {text_blob("other.safetensors.index.json", sound_index),
                             blob_of("s1", &w, 0), blob_of("s2", &w, 1),
                             blob_of("model.safetensors", &w, 2)};
  expect_success(open_weights(blobs, 4, "s1", "ab", &error), &error);
  expect_success(open_weights(blobs, 4, "model.safetensors", "a", &error), &error);
  expect_success(open_weights(blobs, 4, "other.safetensors.index.json", "abc", &error), &error);
  expect_failure(open_weights(blobs, 4, "nothing.safetensors", "", &error), GPT2_ERR_NOT_FOUND,
                 &error, "nothing.safetensors", NULL);
  free_weights(&w);
}

static void pickled_weights_alone_are_refused_with_what_to_do(void **state)
{
  (void)state;
  static const char *const names[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
  weights w = make_weights();
  for (size_t i = 0; i < 2; i++) {
    gpt2_error error = NO_ERROR_YET;
    const gpt2_blob blobs[] = {text_blob(names[i], "pickle"), blob_of("model.safetensors", &w, 0)};
    expect_failure(open_weights(blobs, 1, NULL, "", &error), GPT2_ERR_UNSUPPORTED, &error, names[i],
                   "save_pretrained");
    error = NO_ERROR_YET;
    expect_success(open_weights(blobs, 2, NULL, "ab", &error), &error);
  }
  free_weights(&w);
}

static void a_folder_without_weights_is_told_what_was_looked_for_and_where(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  const gpt2_blob other = text_blob("config.json", "{}");
  expect_failure(open_weights(&other, 1, NULL, "", &error), GPT2_ERR_NOT_FOUND, &error,
                 "model.safetensors: ", "nor is there a model.safetensors.index.json");
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  char *folder = new_temporary_folder(), path[4096];
  source *s;
  tensors list;
  snprintf(path, sizeof path, "%s/model.safetensors: ", folder);
  assert_int_equal(source_open_folder(&hooks, folder, false, &s, NULL), GPT2_OK);
  expect_failure(huggingface_tensors(s, NULL, &list, &error), GPT2_ERR_NOT_FOUND, &error, path,
                 "nor is there a model.safetensors.index.json");
  source_free(s);
  remove_temporary_folder(folder);
}

static void weights_that_cannot_be_opened_are_not_passed_over(void **state)
{
  (void)state;
  weights w = make_weights();
  const gpt2_blob blobs[] = {text_blob(index_name, sound_index), blob_of("s1", &w, 0),
                             blob_of("s2", &w, 1), text_blob("pytorch_model.bin", "pickle"),
                             blob_of("model.safetensors", &w, 2)};
  static const struct {
    const char *broken;
    size_t n_blobs;
    gpt2_status status;
  } cases[] = {{"model.safetensors", 5, GPT2_ERR_IO},
               {"model.safetensors.index.json", 4, GPT2_ERR_IO},
               {"s2", 4, GPT2_ERR_IO},
               {"pytorch_model.bin", 0, GPT2_ERR_IO}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
    host_source host = {
        .blobs = blobs, .n_blobs = cases[i].n_blobs, .broken_name = cases[i].broken};
    gpt2_source callbacks = host_callbacks(&host);
    source *s;
    tensors list;
    assert_int_equal(source_open_callbacks(&hooks, &callbacks, false, &s, NULL), GPT2_OK);
    expect_failure(huggingface_tensors(s, NULL, &list, &error), cases[i].status, &error,
                   cases[i].broken, NULL);
    assert_int_equal(host.n_open, 0);
    host.broken_name = NULL;
    host.n_blobs = 4;
    error = NO_ERROR_YET;
    expect_success(huggingface_tensors(s, NULL, &list, &error), &error);
    tensors_free(&list);
    source_free(s);
  }
  free_weights(&w);
}

/* ---- Shards ---- */

static void shards_are_listed_by_name_and_each_is_opened_once(void **state)
{
  (void)state;
  weights w = make_weights();
  gpt2_error error = NO_ERROR_YET;
  const gpt2_blob blobs[] = {text_blob(index_name, sound_index), blob_of("s1", &w, 0),
                             blob_of("s2", &w, 1)};
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  host_source host = {.blobs = blobs, .n_blobs = 3};
  gpt2_source callbacks = host_callbacks(&host);
  source *s;
  tensors list;
  assert_int_equal(source_open_callbacks(&hooks, &callbacks, false, &s, NULL), GPT2_OK);
  expect_success(huggingface_tensors(s, NULL, &list, &error), &error);
  assert_int_equal(host.n_open, 2); /* the index is closed */
  assert_int_equal(list.n_files, 2);
  assert_string_equal(list.files[0]->name, "s1");
  assert_string_equal(list.files[1]->name, "s2");
  static const char *const order[] = {"a", "b", "c"};
  for (size_t i = 0; i < 3; i++)
    assert_string_equal(list.tensor[i].name, order[i]);
  tensors_free(&list);
  assert_int_equal(host.n_open, 0);
  source_free(s);
  free_weights(&w);
}

static void tensors_that_the_index_does_not_name_are_taken_too(void **state)
{
  (void)state;
  weights w = make_weights();
  gpt2_error error = NO_ERROR_YET;
  const gpt2_blob blobs[] = {
      text_blob(index_name, "{\"weight_map\": {\"c\": \"s2\", \"b\": \"s1\"}}"),
      blob_of("s1", &w, 0), blob_of("s2", &w, 1)};
  expect_success(open_weights(blobs, 3, NULL, "abc", &error), &error);
  free_weights(&w);
}

static void an_index_that_is_not_true_is_refused_by_name(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    gpt2_status status;
    const char *words, *other_words;
  } cases[] = {
      {"{", GPT2_ERR_FORMAT, "model.safetensors.index.json: line 1", "cannot be parsed"},
      {"{}", GPT2_ERR_FORMAT, "model.safetensors.index.json: \"weight_map\" is missing",
       "each tensor's file"},
      {"{\"weight_map\": []}", GPT2_ERR_FORMAT, "\"weight_map\" is an array of 0",
       "each tensor's file"},
      {"{\"weight_map\": {}}", GPT2_ERR_FORMAT, "\"weight_map\" is an object",
       "each tensor's file"},
      {"{\"weight_map\": {\"a\": 1}}", GPT2_ERR_FORMAT, "model.safetensors.index.json: \"a\" is 1",
       "beside the index"},
      {"{\"weight_map\": {\"a\": \"\"}}", GPT2_ERR_FORMAT, "\"a\" is \"\"", "beside the index"},
      {"{\"weight_map\": {\"a\": \"../s1\"}}", GPT2_ERR_FORMAT, "\"a\" is \"../s1\"",
       "beside the index"},
      {"{\"weight_map\": {\"a\": \"/s1\"}}", GPT2_ERR_FORMAT, "\"a\" is \"/s1\"",
       "beside the index"},
      {"{\"weight_map\": {\"a\": \"..\"}}", GPT2_ERR_FORMAT, "\"a\" is \"..\"", "beside the index"},
      {"{\"weight_map\": {\"a\": \".\"}}", GPT2_ERR_FORMAT, "\"a\" is \".\"", "beside the index"},
      {"{\"weight_map\": {\"a\": \"s1\", \"a\": \"s2\"}}", GPT2_ERR_FORMAT,
       "model.safetensors.index.json", "duplicate object key"},
      {"{\"weight_map\": {\"a\": \"s1\", \"d\": \"s4\"}}", GPT2_ERR_NOT_FOUND,
       "s4: ", "model.safetensors.index.json names it"},
      {"{\"weight_map\": {\"a\": \"s1\", \"d\": \"s2\"}}", GPT2_ERR_FORMAT,
       "model.safetensors.index.json: says that tensor \"d\" is in s2", "in none of the shards"},
      {"{\"weight_map\": {\"a\": \"s2\", \"b\": \"s1\"}}", GPT2_ERR_FORMAT,
       "model.safetensors.index.json: says that tensor \"a\" is in s2", "it is in s1"},
      {"{\"weight_map\": {\"b\": \"s1\", \"a\": \"s3\"}}", GPT2_ERR_FORMAT,
       "tensor \"a\" is also in", "s1"},
      {"{\"weight_map\": {\"a\": \"s1\", \"x\": \"broken\"}}", GPT2_ERR_FORMAT,
       "broken: has 3 bytes", NULL},
  };
  weights w = make_weights();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    const gpt2_blob blobs[] = {text_blob(index_name, cases[i].text), blob_of("s1", &w, 0),
                               blob_of("s2", &w, 1), blob_of("s3", &w, 2),
                               text_blob("broken", "abc")};
    expect_failure(open_weights(blobs, 5, NULL, "", &error), cases[i].status, &error,
                   cases[i].words, cases[i].other_words);
  }
  const gpt2_blob blobs[] = {text_blob(index_name, sound_index), blob_of("s1", &w, 0),
                             blob_of("s2", &w, 1)};
  assert_int_equal(open_weights(blobs, 3, NULL, "abc", NULL), GPT2_OK);
  free_weights(&w);
}

/* An index that names n shards, with one empty tensor each, and the shards. */
static gpt2_status open_many_shards(int n, gpt2_error *error)
{
  char *index = malloc((size_t)n * 40 + 40), (*names)[16] = malloc((size_t)n * sizeof *names);
  gpt2_blob *blobs = calloc((size_t)n + 1, sizeof *blobs);
  assert_true(index && names && blobs);
  int length = sprintf(index, "{\"weight_map\":{");
  for (int k = 0; k < n; k++) {
    int i = 1 + k * 37 % n; /* each once, so that their order is not the index's */
    char header[100];
    size_t size;
    sprintf(names[i - 1], "shard-%04d", i);
    sprintf(header, "{\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", i);
    length += sprintf(index + length, "%s\"t%d\":\"%s\"", k > 0 ? "," : "", i, names[i - 1]);
    blobs[i].bytes = build_safetensors_text(header, 0, &size);
    blobs[i].name = names[i - 1];
    blobs[i].size = size;
  }
  strcpy(index + length, "}}");
  blobs[0] = text_blob(index_name, index);
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  source *s;
  tensors list;
  assert_int_equal(source_open_blobs(&hooks, blobs, (size_t)n + 1, &s, NULL), GPT2_OK);
  gpt2_status status = huggingface_tensors(s, NULL, &list, error);
  assert_int_equal(list.n, status == GPT2_OK ? n : 0);
  tensors_free(&list);
  source_free(s);
  for (int i = 1; i <= n; i++)
    free((void *)(uintptr_t)blobs[i].bytes);
  free(blobs);
  free(names);
  free(index);
  return status;
}

static void the_number_of_shards_is_limited(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  expect_success(open_many_shards(MAX_SHARDS, &error), &error);
  expect_failure(open_many_shards(MAX_SHARDS + 1, &error), GPT2_ERR_LIMIT, &error,
                 "model.safetensors.index.json: \"weight_map\" names more than 256 files", NULL);
}

static void any_refused_allocation_is_an_error(void **state)
{
  (void)state;
  weights w = make_weights();
  const gpt2_blob blobs[] = {text_blob(index_name, sound_index), blob_of("s1", &w, 0),
                             blob_of("s2", &w, 1)};
  gpt2_status status = GPT2_ERR_MEMORY;
  size_t refused = 0;
  while (status != GPT2_OK) {
    gpt2_error error = NO_ERROR_YET;
    counting_allocator counter = {0};
    gpt2_allocator hooks = counting_hooks(&counter);
    source *s;
    tensors list;
    assert_int_equal(source_open_blobs(&hooks, blobs, 3, &s, NULL), GPT2_OK);
    counter.refused = counter.n_calls + ++refused;
    status = huggingface_tensors(s, NULL, &list, &error);
    if (status != GPT2_OK)
      expect_failure(status, GPT2_ERR_MEMORY, &error, "out of memory", NULL);
    tensors_free(&list);
    source_free(s);
    assert_int_equal(counter.n_live, 0);
  }
  assert_true(refused > 15);
  free_weights(&w);
}

/* Nothing to open at all: the search itself may be refused memory. */
static void a_refused_allocation_is_not_taken_for_a_missing_file(void **state)
{
  (void)state;
  gpt2_status status = GPT2_ERR_MEMORY;
  size_t refused = 0;
  while (status != GPT2_ERR_NOT_FOUND) {
    gpt2_error error = NO_ERROR_YET;
    counting_allocator counter = {0};
    gpt2_allocator hooks = counting_hooks(&counter);
    source *s;
    tensors list;
    assert_int_equal(source_open_blobs(&hooks, NULL, 0, &s, NULL), GPT2_OK);
    counter.refused = counter.n_calls + ++refused;
    status = huggingface_tensors(s, NULL, &list, &error);
    assert_true(status == GPT2_ERR_MEMORY || status == GPT2_ERR_NOT_FOUND);
    assert_int_equal(error.status, status);
    source_free(s);
  }
  assert_int_equal(refused,
                   2 * 4 + 1); /* a file and its name, for each of the four that are looked for */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_file_is_taken_before_an_index_of_shards),
      cmocka_unit_test(a_file_or_an_index_may_be_asked_for_by_name),
      cmocka_unit_test(pickled_weights_alone_are_refused_with_what_to_do),
      cmocka_unit_test(a_folder_without_weights_is_told_what_was_looked_for_and_where),
      cmocka_unit_test(weights_that_cannot_be_opened_are_not_passed_over),
      cmocka_unit_test(shards_are_listed_by_name_and_each_is_opened_once),
      cmocka_unit_test(tensors_that_the_index_does_not_name_are_taken_too),
      cmocka_unit_test(an_index_that_is_not_true_is_refused_by_name),
      cmocka_unit_test(the_number_of_shards_is_limited),
      cmocka_unit_test(any_refused_allocation_is_an_error),
      cmocka_unit_test(a_refused_allocation_is_not_taken_for_a_missing_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
