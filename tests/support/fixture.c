/* fixture.c - reads the fixtures with jansson; a fixture that cannot be read fails the test that
 * wants it. */
#define _POSIX_C_SOURCE 200809L

#include "fixture.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* make.py makes at least one for each configuration that the library promises to read. */
enum { LEAST_FIXTURES = 24 };

const char *test_data_folder(void)
{
  const char *folder = getenv("GPT2_TEST_DATA");
#ifdef TEST_DATA_DIR
  if (!folder)
    folder = TEST_DATA_DIR;
#endif
  if (!folder)
    fail_msg("set GPT2_TEST_DATA to the tests folder of the source tree");
  return folder;
}

static char *join(const char *folder, const char *name)
{
  size_t size = strlen(folder) + strlen(name) + 2;
  char *path = malloc(size);
  assert_non_null(path);
  snprintf(path, size, "%s/%s", folder, name);
  return path;
}

char *test_data_path(const char *name)
{
  return join(test_data_folder(), name);
}

char *read_test_file(const char *path, size_t *size)
{
  FILE *file = fopen(path, "rb");
  if (!file)
    fail_msg("%s cannot be opened", path);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  long length = ftell(file);
  assert_true(length >= 0);
  rewind(file);
  char *bytes = malloc((size_t)length + 1);
  assert_non_null(bytes);
  *size = fread(bytes, 1, (size_t)length, file);
  assert_int_equal(*size, length);
  bytes[length] = 0;
  fclose(file);
  return bytes;
}

static json_t *read_json(const char *folder, const char *name)
{
  json_error_t error;
  char *path = join(folder, name);
  json_t *value = json_load_file(path, 0, &error);
  if (!value)
    fail_msg("%s: line %d: %s", path, error.line, error.text);
  free(path);
  return value;
}

/* Folders only: files such as activations.json have a dot. */
static int is_folder(const struct dirent *entry)
{
  return !strchr(entry->d_name, '.');
}

void for_each_fixture(void (*check)(const model_fixture *fixture))
{
  char *folder = test_data_path("fixtures/models");
  struct dirent **entries = NULL;
  int n = scandir(folder, &entries, is_folder, alphasort);
  if (n < LEAST_FIXTURES)
    fail_msg("%s holds %d models, at least %d were expected", folder, n, LEAST_FIXTURES);
  for (int i = 0; i < n; i++) {
    model_fixture *fixture = fixture_open(entries[i]->d_name);
    check(fixture);
    fixture_close(fixture);
    free(entries[i]);
  }
  free(entries);
  free(folder);
}

static int config_int(const model_fixture *fixture, const char *key)
{
  json_t *value = json_object_get(fixture->config, key);
  if (!json_is_integer(value))
    fail_msg("%s/config.json: %s is not a number", fixture->folder, key);
  return (int)json_integer_value(value);
}

static double *read_rows(const model_fixture *fixture, const char *name, size_t n_rows, int width)
{
  char *path = join(fixture->folder, name);
  double *rows = read_doubles(path, n_rows * (size_t)width);
  free(path);
  return rows;
}

model_fixture *fixture_open(const char *name)
{
  char below[256];
  model_fixture *opened = calloc(1, sizeof *opened);
  assert_non_null(opened);
  snprintf(below, sizeof below, "fixtures/models/%s", name);
  opened->name = strdup(name);
  opened->folder = test_data_path(below);
  opened->config = read_json(opened->folder, "config.json");
  opened->expected = read_json(opened->folder, "expected.json");
  opened->n_vocab = config_int(opened, "vocab_size");
  opened->n_ctx = config_int(opened, "n_positions");
  opened->n_embd = config_int(opened, "n_embd");
  opened->n_layer = config_int(opened, "n_layer");
  opened->tied = json_is_true(json_object_get(opened->expected, "tied"));
  opened->prompt = expected_tokens(opened->expected, "prompt");
  opened->continuation = expected_tokens(opened->expected, "continuation");
  opened->text = expected_tokens(opened->expected, "text");
  opened->long_text = expected_tokens(opened->expected, "long_text");
  opened->logits = read_rows(opened, "logits.f64", opened->prompt.n, opened->n_vocab);
  opened->hidden = read_rows(opened, "hidden.f64", opened->prompt.n, opened->n_embd);
  return opened;
}

void fixture_close(model_fixture *fixture)
{
  if (!fixture)
    return;
  json_decref(fixture->config);
  json_decref(fixture->expected);
  free_tokens(fixture->prompt);
  free_tokens(fixture->continuation);
  free_tokens(fixture->text);
  free_tokens(fixture->long_text);
  free(fixture->logits);
  free(fixture->hidden);
  free(fixture->name);
  free(fixture->folder);
  free(fixture);
}

token_list expected_tokens(const json_t *object, const char *key)
{
  json_t *array = json_object_get(object, key);
  token_list list = {NULL, json_array_size(array)};
  list.tokens = calloc(list.n + 1, sizeof *list.tokens);
  assert_non_null(list.tokens);
  for (size_t i = 0; i < list.n; i++) {
    assert_true(json_is_integer(json_array_get(array, i)));
    list.tokens[i] = (int32_t)json_integer_value(json_array_get(array, i));
  }
  return list;
}

token_list concatenate(token_list first, token_list second)
{
  token_list list = {malloc((first.n + second.n) * sizeof *list.tokens), first.n + second.n};
  assert_non_null(list.tokens);
  memcpy(list.tokens, first.tokens, first.n * sizeof *list.tokens);
  memcpy(list.tokens + first.n, second.tokens, second.n * sizeof *list.tokens);
  return list;
}

void free_tokens(token_list list)
{
  free(list.tokens);
}

double *read_doubles(const char *path, size_t count)
{
  size_t size = 0;
  char *bytes = read_test_file(path, &size);
  if (size != count * sizeof(double))
    fail_msg("%s holds %zu bytes, %zu doubles were expected", path, size, count);
  double *values = malloc(size);
  assert_non_null(values);
  memcpy(values, bytes, size);
  free(bytes);
  return values;
}

static double number_at(const json_t *array, size_t index)
{
  return json_number_value(json_array_get(array, index)); /* 0 for null */
}

static void read_scores(const json_t *entry, score_case *scores)
{
  const json_t *rank = json_object_get(entry, "rank"), *unsure = json_object_get(entry, "unsure");
  scores->n = json_array_size(rank);
  scores->logprob = calloc(scores->n, sizeof *scores->logprob);
  scores->entropy = calloc(scores->n, sizeof *scores->entropy);
  scores->rank = calloc(scores->n, sizeof *scores->rank);
  scores->lowest = calloc(scores->n, sizeof *scores->lowest);
  scores->highest = calloc(scores->n, sizeof *scores->highest);
  assert_true(scores->logprob && scores->entropy && scores->rank && scores->lowest &&
              scores->highest);
  for (size_t i = 0; i < scores->n; i++) {
    scores->logprob[i] = number_at(json_object_get(entry, "logprob"), i);
    scores->entropy[i] = number_at(json_object_get(entry, "entropy"), i);
    scores->rank[i] = scores->lowest[i] = scores->highest[i] = (int)number_at(rank, i);
  }
  for (size_t i = 0; i < json_array_size(unsure); i++) {
    const json_t *one = json_array_get(unsure, i);
    size_t place = (size_t)number_at(one, 0);
    assert_in_range(place, 0, scores->n - 1);
    scores->lowest[place] = (int)number_at(one, 1);
    scores->highest[place] = (int)number_at(one, 2);
  }
}

bool read_score_case(const json_t *expected, const char *key, size_t index, score_case *scores)
{
  const json_t *entry = json_array_get(json_object_get(expected, key), index);
  *scores = (score_case){0};
  if (!entry)
    return false;
  scores->bos = json_is_true(json_object_get(entry, "bos"));
  scores->stride = (int)json_integer_value(json_object_get(entry, "stride"));
  scores->n_scored = (uint64_t)json_integer_value(json_object_get(entry, "n_scored"));
  scores->sum_logprob = json_number_value(json_object_get(entry, "sum_logprob"));
  scores->perplexity = json_number_value(json_object_get(entry, "perplexity"));
  read_scores(entry, scores);
  return true;
}

void free_score_case(score_case *scores)
{
  free(scores->logprob);
  free(scores->entropy);
  free(scores->rank);
  free(scores->lowest);
  free(scores->highest);
  *scores = (score_case){0};
}

double logits_range(const double *logits, size_t n)
{
  double least = INFINITY, greatest = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    least = fmin(least, logits[i]);
    greatest = fmax(greatest, logits[i]);
  }
  return greatest - least;
}

double greatest_error(const float *found, const double *expected, size_t n)
{
  double greatest = 0;
  for (size_t i = 0; i < n; i++) {
    double distance = fabs(found[i] - expected[i]);
    if (!(distance <= greatest))
      greatest = isnan(distance) ? INFINITY : distance;
  }
  return greatest;
}
