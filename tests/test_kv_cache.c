/* test_kv_cache.c - sequences remember exactly what was evaluated in them, whatever is truncated, dropped and used
 * again. */
#include "gpt2.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/context_state.h"
#include "support/expect.h"
#include "support/little_model.h"
#include "support/opened.h"
#include "support/random_numbers.h"

/* Of the range of a row of logits: what is promised of the same sequence in other chunks and batches. */
static const double TOLERANCE = 1e-5;

static little_model *little;
static gpt2_model *model;

static int make_model(void **state)
{
  (void)state;
  little = little_new();
  model = little_open(little);
  return 0;
}

static int free_model(void **state)
{
  (void)state;
  gpt2_model_free(model);
  little_free(little);
  return 0;
}

static const gpt2_token text[LITTLE_CTX] = {3, 14, 15, 9, 2, 6, 5, 35, 8, 9, 7, 9, 3, 23, 8, 4, 6, 26, 43, 38,
                                            3, 2, 7, 9, 5, 0, 2, 8, 8, 41, 9, 7, 16, 9, 39, 9, 37, 5, 10, 5};

static void must_hold(gpt2_context *context, int32_t sequence, const gpt2_token *tokens, size_t n)
{
  gpt2_token found[LITTLE_CTX];
  size_t n_found = 0;
  assert_int_equal(gpt2_kv_length(context, sequence), n);
  must_succeed(gpt2_kv_tokens(context, sequence, found, LITTLE_CTX, &n_found), context);
  assert_int_equal(n_found, n);
  if (n > 0)
    assert_memory_equal(found, tokens, n * sizeof *found);
}

/* The logits that follow n tokens, evaluated one by one in a context that has done nothing else. */
static void plain_logits(const gpt2_token *tokens, size_t n, float *logits)
{
  gpt2_context *context = open_context(model, 1);
  for (size_t i = 0; i < n; i++)
    must_succeed(gpt2_eval(context, 0, &tokens[i], 1, 0), context);
  memcpy(logits, gpt2_logits(context, 0), LITTLE_VOCAB * sizeof *logits);
  gpt2_context_free(context);
}

/* Fails the test unless `found` (n_vocab) is nearly what follows those tokens. */
static void must_follow(const float *found, const gpt2_token *tokens, size_t n)
{
  float expected[LITTLE_VOCAB], least = INFINITY, greatest = -INFINITY, error = 0;
  assert_non_null(found);
  plain_logits(tokens, n, expected);
  for (int i = 0; i < LITTLE_VOCAB; i++) {
    least = fminf(least, expected[i]);
    greatest = fmaxf(greatest, expected[i]);
    error = fabsf(found[i] - expected[i]) <= error ? error : fabsf(found[i] - expected[i]);
  }
  if (!((double)error <= TOLERANCE * (double)(greatest - least)))
    fail_msg("after %zu tokens the logits are off by %g of their range", n, (double)(error / (greatest - least)));
}

/* ---- Refusals ---- */

static void tokens_are_handed_out_by_the_convention_of_all_buffers(void **state)
{
  (void)state;
  gpt2_context *context = open_context(model, 1);
  const gpt2_error *error = gpt2_context_error(context);
  gpt2_token tokens[8] = {-9, -9, -9, -9, -9, -9, -9, -9};
  size_t n = 99;
  must_succeed(gpt2_eval(context, 5, text, 7, 0), context);
  expect_failure(gpt2_kv_tokens(context, 5, NULL, 0, &n), GPT2_ERR_BUFFER_TOO_SMALL, error, "capacity", "7 tokens");
  assert_int_equal(n, 7);
  expect_failure(gpt2_kv_tokens(context, 5, tokens, 6, &n), GPT2_ERR_BUFFER_TOO_SMALL, error, "capacity", "is 6");
  assert_int_equal(n, 7);
  assert_int_equal(tokens[0], -9); /* nothing was written */
  must_succeed(gpt2_kv_tokens(context, 5, tokens, 7, &n), context);
  assert_memory_equal(tokens, text, 7 * sizeof *tokens);
  assert_int_equal(tokens[7], -9);
  must_succeed(gpt2_kv_tokens(context, 6, NULL, 0, &n), context);
  assert_int_equal(n, 0);
  expect_failure(gpt2_kv_tokens(context, 5, tokens, 8, NULL), GPT2_ERR_ARGUMENT, error, "n_tokens", "NULL");
  expect_failure(gpt2_kv_tokens(context, 5, NULL, 8, &n), GPT2_ERR_ARGUMENT, error, "tokens", "NULL");
  gpt2_context_free(context);
}

static void sequences_out_of_range_are_refused_and_empty(void **state)
{
  (void)state;
  static const int32_t sequences[] = {-1, GPT2_MAX_SEQUENCES, INT32_MIN, INT32_MAX};
  gpt2_context *context = open_context(model, 1);
  const gpt2_error *error = gpt2_context_error(context);
  must_succeed(gpt2_eval(context, 0, text, 4, GPT2_ROW_LOGITS), context);
  context_state before = state_of(context);
  for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
    size_t n;
    char number[16];
    snprintf(number, sizeof number, "%d", (int)sequences[i]);
    expect_failure(gpt2_kv_tokens(context, sequences[i], NULL, 0, &n), GPT2_ERR_ARGUMENT, error, "sequence", number);
    expect_failure(gpt2_kv_truncate(context, sequences[i], 0), GPT2_ERR_ARGUMENT, error, "sequence", number);
    expect_failure(gpt2_kv_drop(context, sequences[i]), GPT2_ERR_ARGUMENT, error, "sequence", number);
    assert_int_equal(gpt2_kv_length(context, sequences[i]), 0);
  }
  must_be_unchanged(context, &before, "a sequence out of range");
  gpt2_context_free(context);
}

static void a_sequence_cannot_be_truncated_to_more_than_it_has(void **state)
{
  (void)state;
  gpt2_context *context = open_context(model, 1);
  const gpt2_error *error = gpt2_context_error(context);
  must_succeed(gpt2_eval(context, 0, text, 4, GPT2_ROW_LOGITS), context);
  context_state before = state_of(context);
  expect_failure(gpt2_kv_truncate(context, 0, 5), GPT2_ERR_ARGUMENT, error, "length", "4 tokens");
  expect_failure(gpt2_kv_truncate(context, 0, SIZE_MAX), GPT2_ERR_ARGUMENT, error, "length", NULL);
  expect_failure(gpt2_kv_truncate(context, 77, 1), GPT2_ERR_ARGUMENT, error, "length", "sequence 77 has 0 tokens");
  must_be_unchanged(context, &before, "a length beyond the end");
  gpt2_context_free(context);
}

/* ---- Truncating, dropping, clearing ---- */

static void truncating_forgets_the_logits_unless_nothing_is_forgotten(void **state)
{
  (void)state;
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_eval(context, 0, text, 10, GPT2_ROW_LOGITS), context);
  context_state before = state_of(context);
  must_succeed(gpt2_kv_truncate(context, 0, 10), context);
  must_succeed(gpt2_kv_truncate(context, 3, 0), context); /* one that was never used */
  must_be_unchanged(context, &before, "truncating to the whole length");
  must_succeed(gpt2_kv_truncate(context, 0, 9), context);
  assert_null(gpt2_logits(context, 0));
  must_hold(context, 0, text, 9);
  must_succeed(gpt2_kv_truncate(context, 0, 0), context);
  must_hold(context, 0, text, 0);
  gpt2_context_free(context);
}

static void what_was_truncated_and_evaluated_again_is_equal_to_the_bit(void **state)
{
  (void)state;
  gpt2_context *context = open_context(model, 2);
  for (size_t length = 0; length < LITTLE_CTX; length++) {
    must_succeed(gpt2_kv_drop(context, 0), context);
    for (size_t i = 0; i < LITTLE_CTX; i++)
      must_succeed(gpt2_eval(context, 0, &text[i], 1, 0), context);
    float *expected = copy_logits(context, gpt2_logits(context, 0));
    must_succeed(gpt2_kv_truncate(context, 0, length), context);
    must_hold(context, 0, text, length);
    for (size_t i = length; i < LITTLE_CTX; i++)
      must_succeed(gpt2_eval(context, 0, &text[i], 1, 0), context);
    must_have_logits(context, 0, expected);
    free(expected);
  }
  gpt2_context_free(context);
}

static void another_text_after_a_truncated_one_sees_nothing_of_what_was_cut(void **state)
{
  (void)state;
  gpt2_token other[LITTLE_CTX];
  gpt2_context *context = open_context(model, 1);
  memcpy(other, text, 17 * sizeof *other);
  for (size_t i = 17; i < LITTLE_CTX; i++)
    other[i] = (text[i] + 7) % LITTLE_VOCAB;
  must_succeed(gpt2_eval(context, 0, text, LITTLE_CTX, 0), context);
  must_succeed(gpt2_kv_truncate(context, 0, 17), context);
  must_succeed(gpt2_eval(context, 0, other + 17, LITTLE_CTX - 17, 0), context);
  must_hold(context, 0, other, LITTLE_CTX);
  must_follow(gpt2_logits(context, 0), other, LITTLE_CTX);
  gpt2_context_free(context);
}

static void dropping_empties_one_sequence_and_clearing_all(void **state)
{
  (void)state;
  static const int32_t sequences[] = {0, 1, 255, 256, 300, GPT2_MAX_SEQUENCES - 1};
  enum { N = sizeof sequences / sizeof *sequences };
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_kv_clear(context), context); /* there is nothing yet */
  must_succeed(gpt2_kv_drop(context, 7), context);
  for (int i = 0; i < N; i++)
    must_succeed(gpt2_eval(context, sequences[i], text, (size_t)i + 1, 0), context);
  must_succeed(gpt2_kv_drop(context, 256), context);
  for (int i = 0; i < N; i++) {
    must_hold(context, sequences[i], text, sequences[i] == 256 ? 0 : (size_t)i + 1);
    assert_int_equal(gpt2_logits(context, sequences[i]) == NULL, sequences[i] == 256);
  }
  must_succeed(gpt2_kv_clear(context), context);
  for (int i = 0; i < N; i++) {
    must_hold(context, sequences[i], NULL, 0);
    assert_null(gpt2_logits(context, sequences[i]));
  }
  must_succeed(gpt2_eval(context, 256, text, 3, 0), context);
  must_follow(gpt2_logits(context, 256), text, 3);
  gpt2_context_free(context);
}

/* ---- More rows than a pass takes ---- */

static void a_batch_of_thousands_of_rows_of_hundreds_of_sequences_is_evaluated_in_order(void **state)
{
  (void)state;
  enum { N = 1300, SEQUENCES = 100 };
  gpt2_token tokens[SEQUENCES][LITTLE_CTX];
  size_t lengths[SEQUENCES] = {0};
  gpt2_row *rows = calloc(N, sizeof *rows);
  random_numbers random = random_from_seed(__func__);
  gpt2_context *context = open_context(model, 3);
  assert_non_null(rows);
  for (int i = 0; i < N;) {
    int s = random_below(&random, SEQUENCES);
    if (lengths[s] == LITTLE_CTX)
      continue;
    rows[i] = (gpt2_row){.token = random_below(&random, LITTLE_VOCAB), .sequence = 650 * s};
    tokens[s][lengths[s]++] = rows[i++].token;
  }
  must_succeed(gpt2_eval_batch(context, rows, N), context);
  for (int s = 0; s < SEQUENCES; s++) {
    must_hold(context, 650 * s, tokens[s], lengths[s]);
    if (s % 9 == 0 && lengths[s] > 0)
      must_follow(gpt2_logits(context, 650 * s), tokens[s], lengths[s]);
  }
  gpt2_context_free(context);
  free(rows);
}

/* ---- Random programs, against plain lists of tokens ---- */

enum { N_LISTS = 6 };
static const int32_t list_sequences[N_LISTS] = {0, 1, 2, 300, 301, GPT2_MAX_SEQUENCES - 1};

typedef struct token_lists {
  gpt2_token tokens[N_LISTS][LITTLE_CTX];
  size_t n[N_LISTS];
  bool has_logits[N_LISTS];
  random_numbers random;
} token_lists;

/* A batch of random rows for random sequences; the one that is too long for a sequence must be refused. */
static void random_batch(gpt2_context *context, token_lists *lists)
{
  enum { MOST = 60 };
  gpt2_row rows[MOST];
  token_lists after = *lists;
  int n = 1 + random_below(&lists->random, random_below(&lists->random, 3) ? 6 : MOST);
  bool fits = true;
  for (int i = 0; i < n; i++) {
    int s = random_below(&lists->random, N_LISTS);
    uint32_t flags = random_below(&lists->random, 8) == 0 ? GPT2_ROW_NO_NEXT : 0;
    rows[i] = (gpt2_row){random_below(&lists->random, LITTLE_VOCAB), list_sequences[s], flags, 0};
    fits = fits && after.n[s] < LITTLE_CTX;
    if (fits)
      after.tokens[s][after.n[s]++] = rows[i].token;
    after.has_logits[s] = flags == 0;
  }
  gpt2_status status = gpt2_eval_batch(context, rows, (size_t)n);
  assert_int_equal(status, fits ? GPT2_OK : GPT2_ERR_CONTEXT_FULL);
  after.random = lists->random;
  if (fits)
    *lists = after;
}

static void random_truncation(gpt2_context *context, token_lists *lists)
{
  int s = random_below(&lists->random, N_LISTS);
  size_t length = (size_t)random_below(&lists->random, LITTLE_CTX + 2);
  gpt2_status status = gpt2_kv_truncate(context, list_sequences[s], length);
  assert_int_equal(status, length <= lists->n[s] ? GPT2_OK : GPT2_ERR_ARGUMENT);
  if (status != GPT2_OK)
    return;
  lists->has_logits[s] = lists->has_logits[s] && length == lists->n[s];
  lists->n[s] = length;
}

static void random_step(gpt2_context *context, token_lists *lists)
{
  int what = random_below(&lists->random, 20), s = random_below(&lists->random, N_LISTS);
  if (what < 12) {
    random_batch(context, lists);
  } else if (what < 17) {
    random_truncation(context, lists);
  } else if (what < 19) {
    must_succeed(gpt2_kv_drop(context, list_sequences[s]), context);
    lists->n[s] = 0;
    lists->has_logits[s] = false;
  } else if (random_below(&lists->random, 4) == 0) {
    must_succeed(gpt2_kv_clear(context), context);
    memset(lists->n, 0, sizeof lists->n);
    memset(lists->has_logits, 0, sizeof lists->has_logits);
  } else {
    gpt2_cancel(context);
    gpt2_token token = 1;
    assert_int_equal(gpt2_eval(context, list_sequences[s], &token, 1, 0),
                     lists->n[s] < LITTLE_CTX ? GPT2_ERR_CANCELLED : GPT2_ERR_CONTEXT_FULL);
    if (lists->n[s] < LITTLE_CTX)
      lists->has_logits[s] = false;
    else /* the cancel waits for the next evaluation */
      assert_int_equal(gpt2_eval(context, 5000, &token, 1, 0), GPT2_ERR_CANCELLED);
  }
}

static void check_lists(gpt2_context *context, const token_lists *lists, int step)
{
  for (int s = 0; s < N_LISTS; s++) {
    must_hold(context, list_sequences[s], lists->tokens[s], lists->n[s]);
    assert_int_equal(gpt2_logits(context, list_sequences[s]) != NULL, lists->has_logits[s]);
    if (lists->has_logits[s] && step % 20 == s)
      must_follow(gpt2_logits(context, list_sequences[s]), lists->tokens[s], lists->n[s]);
  }
}

static void random_programs_leave_what_lists_of_tokens_would(void **state)
{
  (void)state;
  random_numbers random = random_from_seed(__func__);
  for (int program = 0; program < 4; program++) {
    token_lists lists = {.random = {random_bits(&random)}};
    gpt2_context *context = open_context(model, 1 + program);
    for (int step = 0; step < 300; step++) {
      random_step(context, &lists);
      check_lists(context, &lists, step);
    }
    gpt2_context_free(context);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens_are_handed_out_by_the_convention_of_all_buffers),
      cmocka_unit_test(sequences_out_of_range_are_refused_and_empty),
      cmocka_unit_test(a_sequence_cannot_be_truncated_to_more_than_it_has),
      cmocka_unit_test(truncating_forgets_the_logits_unless_nothing_is_forgotten),
      cmocka_unit_test(what_was_truncated_and_evaluated_again_is_equal_to_the_bit),
      cmocka_unit_test(another_text_after_a_truncated_one_sees_nothing_of_what_was_cut),
      cmocka_unit_test(dropping_empties_one_sequence_and_clearing_all),
      cmocka_unit_test(a_batch_of_thousands_of_rows_of_hundreds_of_sequences_is_evaluated_in_order),
      cmocka_unit_test(random_programs_leave_what_lists_of_tokens_would),
  };
  return cmocka_run_group_tests(tests, make_model, free_model);
}
