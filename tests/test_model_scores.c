/* test_model_scores.c - log-probabilities, entropies, ranks and perplexities are those of
 * transformers in float64: row by row, and over texts of any length by sliding windows. */
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

static double range_of(const model_fixture *fixture)
{
  return least_range(fixture->logits, fixture->prompt.n, fixture->n_vocab);
}

/* ---- Rows of a batch ---- */

/* The rows of BOS and the text (n). The target of each is the token after it; the last has none. */
static size_t target_rows(token_list text, gpt2_token bos, gpt2_row *rows)
{
  size_t n = 0;
  if (bos >= 0)
    rows[n++] = (gpt2_row){.token = bos};
  for (size_t i = 0; i < text.n; i++)
    rows[n++] = (gpt2_row){.token = text.tokens[i]};
  for (size_t row = 0; row + 1 < n; row++) {
    rows[row].flags = GPT2_ROW_SCORE;
    rows[row].target = rows[row + 1].token;
  }
  return n;
}

static void check_row_scores(const model_fixture *fixture)
{
  score_case expected;
  assert_true(read_score_case(fixture->expected, "text_scores", 0, &expected));
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  gpt2_row rows[128];
  assert_in_range(fixture->text.n, 2, 127);
  size_t n = target_rows(fixture->text, gpt2_bos_token(model), rows);
  must_succeed(gpt2_eval_batch(context, rows, n), context);

  size_t unscored = expected.bos ? 0 : 1; /* without BOS nothing comes before the first token */
  comparison c = {fixture->name, &expected, fixture->text.tokens, range_of(fixture), unscored};
  for (size_t row = 0; row + 1 < n; row++) {
    gpt2_token_score score = {0};
    must_succeed(gpt2_row_score(context, row, &score), context);
    assert_int_equal(score.position, row);
    score.position = (int64_t)c.n;
    compare_score(&c, &score);
  }
  assert_int_equal(c.n, fixture->text.n);
  free_score_case(&expected);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void every_row_can_score_the_token_after_it(void **state)
{
  (void)state;
  for_each_fixture(check_row_scores);
}

/* ---- Texts in tokens ---- */

static void check_scored_tokens(const model_fixture *fixture, gpt2_context *context,
                                const char *key, token_list text)
{
  score_case expected;
  for (size_t i = 0; read_score_case(fixture->expected, key, i, &expected); i++) {
    bool has_bos = gpt2_bos_token(gpt2_context_model(context)) >= 0;
    gpt2_score_options options = {.struct_size = sizeof options,
                                  .flags = has_bos && !expected.bos ? GPT2_SCORE_NO_BOS : 0,
                                  .stride = expected.stride};
    gpt2_score_result result = {.struct_size = sizeof result};
    comparison c = {fixture->name, &expected, text.tokens, range_of(fixture), 0};
    must_succeed(gpt2_score_tokens(context, text.tokens, text.n, &options, compare_arriving_score,
                                   &c, &result),
                 context);
    assert_int_equal(c.n, text.n);
    compare_result(&c, &result);
    free_score_case(&expected);
  }
}

static void check_texts(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  check_scored_tokens(fixture, context, "text_scores", fixture->text);
  check_scored_tokens(fixture, context, "long_text_scores", fixture->long_text);
  assert_int_equal(gpt2_kv_length(context, 0), 0);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void texts_shorter_and_longer_than_the_context_are_scored_as_by_transformers(void **state)
{
  (void)state;
  for_each_fixture(check_texts);
}

static void some_texts_are_longer_than_three_contexts_and_cut_by_several_strides(void **state)
{
  (void)state;
  model_fixture *fixture = fixture_open("base");
  assert_true(fixture->long_text.n > 3 * (size_t)fixture->n_ctx);
  assert_true(json_array_size(json_object_get(fixture->expected, "long_text_scores")) >= 6);
  fixture_close(fixture);
}

/* ---- Texts in characters ---- */

static void check_scored_string(gpt2_context *context, const char *text, size_t size, comparison *c)
{
  gpt2_score_result result = {.struct_size = sizeof result};
  must_succeed(gpt2_score(context, text, size, NULL, compare_arriving_score, c, &result), context);
  compare_result(c, &result);
  assert_int_equal(result.scored_size, size);
  double bits_per_byte = -c->expected->sum_logprob / log(2) / (double)size;
  assert_true(fabs(result.bits_per_byte - bits_per_byte) <= 1e-5 * bits_per_byte);
}

static void a_string_is_encoded_and_scored(void **state)
{
  (void)state;
  model_fixture *fixture = fixture_open("base");
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  const char *text = json_string_value(json_object_get(fixture->expected, "long_string"));
  score_case expected;
  assert_non_null(text);
  assert_true(read_score_case(fixture->expected, "long_text_scores", 0, &expected));
  comparison c = {fixture->name, &expected, fixture->long_text.tokens, range_of(fixture), 0};
  check_scored_string(context, text, strlen(text), &c);
  free_score_case(&expected);
  gpt2_context_free(context);
  gpt2_model_free(model);
  fixture_close(fixture);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_can_score_the_token_after_it),
      cmocka_unit_test(texts_shorter_and_longer_than_the_context_are_scored_as_by_transformers),
      cmocka_unit_test(some_texts_are_longer_than_three_contexts_and_cut_by_several_strides),
      cmocka_unit_test(a_string_is_encoded_and_scored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
