/* test_default_model.c - the model that the repository carries: real text, as transformers
 * evaluates, continues and scores it in float64. */
#include "gpt2.h"
#include "support/compare_scores.h"
#include "support/fixture.h"
#include "support/opened.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the range of a row of logits: what is promised of exact arithmetic. */
static const double TOLERANCE = 1e-5;

/* The model, a context on it, and what is expected: shared by all tests, which use sequences of
 * their own. */
static gpt2_model *model;
static gpt2_context *context;
static json_t *expected;
static token_list prompt_rows; /* the rows of the prompt whose logits are in the file */
static double *prompt_logits;  /* (prompt_rows.n, n_vocab) */

static const char *string_of(const char *key)
{
  const char *value = json_string_value(json_object_get(expected, key));
  if (!value)
    fail_msg("expected.json has no %s", key);
  return value;
}

static int open_all(void **state)
{
  (void)state;
  char *folder = test_data_path("../examples/models/tales");
  char *json = test_data_path("fixtures/tales/expected.json"),
       *logits = test_data_path("fixtures/tales/logits.f64");
  model = open_model(folder);
  context = open_context_for_rows(model, 0);
  expected = json_load_file(json, 0, NULL);
  assert_non_null(expected);
  prompt_rows = expected_tokens(expected, "prompt_rows");
  prompt_logits = read_doubles(logits, prompt_rows.n * (size_t)info_of(model).n_vocab);
  free(folder);
  free(json);
  free(logits);
  return 0;
}

static int close_all(void **state)
{
  (void)state;
  gpt2_context_free(context);
  gpt2_model_free(model);
  json_decref(expected);
  free_tokens(prompt_rows);
  free(prompt_logits);
  return 0;
}

/* The tokens of a text of expected.json, which the library must encode as the tokenizer of
 * transformers did. */
static token_list encode_as_expected(const char *text, size_t size, uint32_t flags, const char *key)
{
  gpt2_error error = {.struct_size = sizeof error};
  token_list wanted = expected_tokens(expected, key),
             found = {calloc(size + 1, sizeof(int32_t)), 0};
  assert_non_null(found.tokens);
  must_have_succeeded(gpt2_encode(model, text, size, flags, found.tokens, size, &found.n, &error),
                      &error);
  assert_int_equal(found.n, wanted.n);
  assert_memory_equal(found.tokens, wanted.tokens, found.n * sizeof(int32_t));
  free_tokens(found);
  return wanted;
}

static void a_sentence_gives_the_logits_of_transformers(void **state)
{
  (void)state;
  const char *text = string_of("prompt_string");
  size_t n_vocab = (size_t)info_of(model).n_vocab;
  token_list prompt = encode_as_expected(text, strlen(text), 0, "prompt");
  must_succeed(gpt2_eval(context, 0, prompt.tokens, prompt.n, GPT2_ROW_LOGITS), context);
  assert_true(prompt_rows.n >= 5);
  for (size_t i = 0; i < prompt_rows.n; i++) {
    const double *row = prompt_logits + i * n_vocab;
    const float *found = gpt2_row_logits(context, (size_t)prompt_rows.tokens[i]);
    assert_non_null(found);
    double error = greatest_error(found, row, n_vocab) / logits_range(row, n_vocab);
    if (!(error <= TOLERANCE))
      fail_msg("row %d is off by %g of its range", prompt_rows.tokens[i], error);
  }
  free_tokens(prompt);
}

typedef struct streamed_text {
  char bytes[2000];
  size_t size;
} streamed_text;

static int32_t keep_piece(const gpt2_piece *piece, void *user)
{
  streamed_text *text = user;
  assert_true(text->size + piece->size <= sizeof text->bytes);
  memcpy(text->bytes + text->size, piece->text, piece->size);
  text->size += piece->size;
  return 0;
}

static void once_upon_a_time_goes_on_as_in_transformers(void **state)
{
  (void)state;
  const char *start = string_of("start_string"), *wanted = string_of("continuation_string");
  token_list prompt = encode_as_expected(start, strlen(start), 0, "start");
  token_list continuation = expected_tokens(expected, "continuation");
  token_list text = concatenate(prompt, continuation);
  streamed_text streamed = {.size = 0};
  gpt2_generate_options options = {
      .struct_size = sizeof options, .sequence = 1, .max_tokens = (int32_t)continuation.n};
  must_succeed(gpt2_generate(context, start, strlen(start), &options, keep_piece, &streamed, NULL),
               context);
  assert_int_equal(streamed.size, strlen(wanted));
  assert_memory_equal(streamed.bytes, wanted, streamed.size);

  /* The sequence holds all tokens but the last. */
  token_list held = {calloc(text.n, sizeof(int32_t)), 0};
  must_succeed(gpt2_kv_tokens(context, 1, held.tokens, text.n, &held.n), context);
  assert_int_equal(held.n, text.n - 1);
  assert_memory_equal(held.tokens, text.tokens, held.n * sizeof(int32_t));
  free_tokens(held);
  free_tokens(text);
  free_tokens(continuation);
  free_tokens(prompt);
}

static void score_string(const char *text, size_t size, uint32_t flags, const score_case *wanted,
                         token_list tokens)
{
  double range = least_range(prompt_logits, prompt_rows.n, info_of(model).n_vocab);
  comparison c = {"tales", wanted, tokens.tokens, range, 0};
  gpt2_score_options options = {.struct_size = sizeof options, .flags = flags};
  gpt2_score_result result = {.struct_size = sizeof result};
  must_succeed(gpt2_score(context, text, size, &options, compare_arriving_score, &c, &result),
               context);
  compare_result(&c, &result);
  assert_int_equal(result.scored_size, size);
  double bits_per_byte = -wanted->sum_logprob / log(2) / (double)size;
  assert_true(fabs(result.bits_per_byte - bits_per_byte) <= 1e-5 * bits_per_byte);
}

static void a_sentence_is_scored_token_by_token_as_by_transformers(void **state)
{
  (void)state;
  score_case wanted;
  const char *text = string_of("short_string");
  token_list tokens = encode_as_expected(text, strlen(text), 0, "text");
  assert_true(read_score_case(expected, "text_scores", 0, &wanted));
  score_string(text, strlen(text), 0, &wanted, tokens);
  free_score_case(&wanted);
  free_tokens(tokens);
}

/* scores.f64 (n, 2): log-probabilities and entropies, in binary because there are many. */
static void read_columns(score_case *wanted)
{
  char *path = test_data_path("fixtures/tales/scores.f64");
  double *columns = read_doubles(path, wanted->n * 2);
  for (size_t i = 0; i < wanted->n; i++) {
    wanted->logprob[i] = columns[2 * i];
    wanted->entropy[i] = columns[2 * i + 1];
  }
  free(columns);
  free(path);
}

/* Tales end with <|endoftext|>, which is read as that token. */
static void tales_longer_than_the_context_are_scored_as_by_transformers(void **state)
{
  (void)state;
  size_t file_size = 0, size = (size_t)json_integer_value(json_object_get(expected, "long_size"));
  char *path = test_data_path("data/val.txt"), *text = read_test_file(path, &file_size);
  assert_in_range(size, 20000, file_size);
  token_list tokens = encode_as_expected(text, size, GPT2_ENCODE_SPECIAL, "long_text");
  score_case wanted;
  assert_true(read_score_case(expected, "long_text_scores", 0, &wanted));
  read_columns(&wanted);
  score_string(text, size, GPT2_SCORE_SPECIAL, &wanted, tokens);
  free_score_case(&wanted);
  free_tokens(tokens);
  free(text);
  free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sentence_gives_the_logits_of_transformers),
      cmocka_unit_test(once_upon_a_time_goes_on_as_in_transformers),
      cmocka_unit_test(a_sentence_is_scored_token_by_token_as_by_transformers),
      cmocka_unit_test(tales_longer_than_the_context_are_scored_as_by_transformers),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
