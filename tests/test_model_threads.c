/* test_model_threads.c - results are equal to the bit whatever the number of threads: on tiny
 * models, and on one whose products have the shapes of GPT-2 124M, which are large enough to be
 * split. */
#include "gpt2.h"
#include "reference/reference.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/random_folder.h"
#include "support/random_numbers.h"
#include "support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int thread_counts[] = {1, 2, 3, 5, 8};
enum { N_THREAD_COUNTS = sizeof thread_counts / sizeof *thread_counts };

/* Of the range of a row of logits or of a hidden state: what is promised of exact arithmetic. */
static const double TOLERANCE = 1e-5;

/* The blocks of GPT-2 124M; a vocabulary that is no multiple of any tile. */
static const random_sizes BIG = {.n_vocab = 5003,
                                 .n_ctx = 256,
                                 .n_embd = 768,
                                 .n_head = 12,
                                 .n_layer = 1,
                                 .n_inner = 3072,
                                 .seed = 124};

static char *big_folder;
static gpt2_model *big_model;

static int make_big_model(void **state)
{
  (void)state;
  big_folder = make_random_folder(&BIG);
  big_model = open_model(big_folder);
  return 0;
}

static int remove_big_model(void **state)
{
  (void)state;
  gpt2_model_free(big_model);
  remove_temporary_folder(big_folder);
  return 0;
}

/* What a run of batches leaves: the hidden states of all rows, and the logits of each batch's last
 * row. */
typedef struct outcome {
  float *hidden; /* (n_rows, n_embd) */
  float *logits; /* (n_batches, n_vocab) */
  size_t hidden_size, logits_size;
} outcome;

/* Evaluates random tokens in batches of the given sizes, one after another in one sequence. */
static outcome run(gpt2_model *model, int n_threads, const int *sizes, int n_batches)
{
  gpt2_info info = info_of(model);
  gpt2_context *context = open_context_for_rows(model, n_threads);
  assert_int_equal(gpt2_context_threads(context), n_threads);
  size_t n_rows = 0, hidden_row = (size_t)info.n_embd * sizeof(float),
         logits_row = (size_t)info.n_vocab * sizeof(float);
  for (int i = 0; i < n_batches; i++)
    n_rows += (size_t)sizes[i];
  outcome out = {malloc(n_rows * hidden_row), malloc((size_t)n_batches * logits_row),
                 n_rows * hidden_row, (size_t)n_batches * logits_row};
  assert_true(out.hidden && out.logits);

  random_numbers random = {7};
  char *hidden = (char *)out.hidden, *logits = (char *)out.logits;
  for (int i = 0; i < n_batches; i++) {
    gpt2_token tokens[256];
    for (int k = 0; k < sizes[i]; k++)
      tokens[k] = random_below(&random, info.n_vocab);
    must_succeed(gpt2_eval(context, 0, tokens, (size_t)sizes[i], GPT2_ROW_HIDDEN), context);
    for (int k = 0; k < sizes[i]; k++, hidden += hidden_row)
      memcpy(hidden, gpt2_row_hidden(context, (size_t)k), hidden_row);
    memcpy(logits, gpt2_logits(context, 0), logits_row);
    logits += logits_row;
  }
  gpt2_context_free(context);
  return out;
}

static void free_outcome(outcome out)
{
  free(out.hidden);
  free(out.logits);
}

static void check_equal_for_all_threads(gpt2_model *model, const int *sizes, int n_batches)
{
  outcome expected = run(model, thread_counts[0], sizes, n_batches);
  for (int i = 1; i < N_THREAD_COUNTS; i++) {
    outcome found = run(model, thread_counts[i], sizes, n_batches);
    assert_memory_equal(found.hidden, expected.hidden, expected.hidden_size);
    assert_memory_equal(found.logits, expected.logits, expected.logits_size);
    free_outcome(found);
  }
  free_outcome(expected);
}

static void check_fixture(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  check_equal_for_all_threads(model, (const int[]){1, 7, 40, 1, 1, 60}, 6);
  gpt2_model_free(model);
}

static void tiny_models_are_equal_to_the_bit_on_1_2_3_and_5_threads(void **state)
{
  (void)state;
  for_each_fixture(check_fixture);
}

static void so_are_products_of_the_124m_shape_decoding_token_by_token(void **state)
{
  (void)state;
  check_equal_for_all_threads(big_model, (const int[]){1, 1, 1, 1, 1, 1, 1, 1}, 8);
}

static void so_are_they_with_7_rows(void **state)
{
  (void)state;
  check_equal_for_all_threads(big_model, (const int[]){7, 7}, 2);
}

static void so_are_they_with_40_rows(void **state)
{
  (void)state;
  check_equal_for_all_threads(big_model, (const int[]){40, 1}, 2);
}

static void so_are_they_with_200_rows(void **state)
{
  (void)state;
  check_equal_for_all_threads(big_model, (const int[]){200, 1}, 2);
}

/* Each of many sequences is given one token at once, as a server would; the results do not depend
 * on the threads. */
static void so_are_they_with_32_sequences_of_one_row(void **state)
{
  (void)state;
  enum { N = 32 };
  size_t row_size = (size_t)BIG.n_vocab * sizeof(float);
  char *expected = malloc(N * row_size);
  assert_non_null(expected);
  for (int t = 0; t < N_THREAD_COUNTS; t++) {
    gpt2_context *context = open_context(big_model, thread_counts[t]);
    gpt2_row rows[N] = {{0}};
    for (int i = 0; i < N; i++)
      rows[i] = (gpt2_row){.token = 13 * i, .sequence = i};
    must_succeed(gpt2_eval_batch(context, rows, N), context);
    for (int i = 0; i < N; i++) {
      if (t == 0)
        memcpy(expected + (size_t)i * row_size, gpt2_logits(context, i), row_size);
      else
        assert_memory_equal(gpt2_logits(context, i), expected + (size_t)i * row_size, row_size);
    }
    gpt2_context_free(context);
  }
  free(expected);
}

/* ---- Whatever else is in the batch ---- */

/* Evaluates five tokens in sequence 0 and one more beside n_others other sequences; copies the
 * logits (n_vocab) that follow it. */
static void decode_among(int n_others, float *logits)
{
  enum { MOST = 32 };
  gpt2_context *context = open_context(big_model, 2);
  gpt2_row rows[MOST] = {{0}};
  assert_in_range(n_others, 0, MOST - 1);
  must_succeed(gpt2_eval(context, 0, (const gpt2_token[]){3, 1, 4, 1, 5}, 5, 0), context);
  for (int i = 0; i < n_others; i++)
    rows[i] = (gpt2_row){.token = 17 * i, .sequence = 1 + i};
  rows[n_others] = (gpt2_row){.token = 9, .sequence = 0};
  must_succeed(gpt2_eval_batch(context, rows, (size_t)n_others + 1), context);
  memcpy(logits, gpt2_logits(context, 0), (size_t)BIG.n_vocab * sizeof *logits);
  gpt2_context_free(context);
}

static void decoding_is_equal_to_the_bit_alone_and_among_up_to_31_other_rows(void **state)
{
  (void)state;
  size_t size = (size_t)BIG.n_vocab * sizeof(float);
  float *alone = malloc(size), *found = malloc(size);
  assert_true(alone && found);
  decode_among(0, alone);
  for (int n_others = 1; n_others <= 31; n_others += n_others < 8 ? 1 : 23) {
    decode_among(n_others, found);
    assert_memory_equal(found, alone, size);
  }
  free(alone);
  free(found);
}

/* ---- And they are right ---- */

static void check_against_reference(const reference_model *reference, const int *sizes,
                                    int n_batches, int n_rows)
{
  outcome found = run(big_model, 2, sizes, n_batches);
  size_t n_embd = (size_t)BIG.n_embd, n_vocab = (size_t)BIG.n_vocab;
  double *hidden = reference_doubles((size_t)n_rows * n_embd), *logits = reference_doubles(n_vocab);
  random_numbers random = {7}; /* the tokens of run() */
  int32_t tokens[256];
  for (int i = 0; i < n_rows; i++)
    tokens[i] = random_below(&random, BIG.n_vocab);
  reference_hidden(reference, tokens, n_rows, hidden);
  for (int i = 0; i < n_rows; i++) {
    const double *row = hidden + (size_t)i * n_embd;
    double error =
        greatest_error(found.hidden + (size_t)i * n_embd, row, n_embd) / logits_range(row, n_embd);
    if (!(error <= TOLERANCE))
      fail_msg("the hidden state of row %d is off by %g of its range", i, error);
  }
  reference_unembed(reference, hidden + (size_t)(n_rows - 1) * n_embd, logits);
  const float *last = found.logits + (size_t)(n_batches - 1) * n_vocab;
  double error = greatest_error(last, logits, n_vocab) / logits_range(logits, n_vocab);
  if (!(error <= TOLERANCE))
    fail_msg("the last logits are off by %g of their range", error);
  free(hidden);
  free(logits);
  free_outcome(found);
}

static void products_of_the_124m_shape_agree_with_the_reference(void **state)
{
  (void)state;
  reference_model *reference = reference_load(big_folder);
  assert_non_null(reference);
  check_against_reference(reference, (const int[]){64}, 1, 64);
  check_against_reference(reference, (const int[]){40, 16, 7, 1}, 4, 64);
  reference_free(reference);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tiny_models_are_equal_to_the_bit_on_1_2_3_and_5_threads),
      cmocka_unit_test(so_are_products_of_the_124m_shape_decoding_token_by_token),
      cmocka_unit_test(so_are_they_with_7_rows),
      cmocka_unit_test(so_are_they_with_40_rows),
      cmocka_unit_test(so_are_they_with_200_rows),
      cmocka_unit_test(so_are_they_with_32_sequences_of_one_row),
      cmocka_unit_test(decoding_is_equal_to_the_bit_alone_and_among_up_to_31_other_rows),
      cmocka_unit_test(products_of_the_124m_shape_agree_with_the_reference),
  };
  return cmocka_run_group_tests(tests, make_big_model, remove_big_model);
}
