/* test_context_batches.c - batches that take several passes: hundreds of rows of many sequences
 * in any order, against the same tokens one by one. */
#include "gpt2.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/context_state.h"
#include "support/expect.h"
#include "support/little_model.h"
#include "support/opened.h"
#include "support/random_numbers.h"

/* More than two passes of 512 rows. Few of the passes' ends are ends of sequences. */
enum { N_ROWS = 1200, N_SEQUENCES = 41 };

/* What may lie between a sequence and the same in other chunks, as a part of the logits' range. */
#define TOLERANCE 1e-5

static gpt2_row rows[N_ROWS];                /* random, but no sequence is too long */
static size_t position[N_ROWS];              /* of the row in its sequence */
static size_t length[N_SEQUENCES];           /* of the sequences in the end */
static float expected[N_ROWS][LITTLE_VOCAB]; /* logits of each row, one by one */
static float hidden[N_ROWS][LITTLE_EMBD];
static gpt2_token_score scores[N_ROWS];
static float range; /* of all logits */

static little_model *little;

/* Far apart, and in no order. */
static int32_t sequence_of(int i)
{
  return i * 12345 % GPT2_MAX_SEQUENCES;
}

static void make_rows(void)
{
  random_numbers random = random_from_seed("batches");
  for (int i = 0; i < N_ROWS; i++) {
    int which = random_below(&random, N_SEQUENCES);
    while (length[which] == LITTLE_CTX)
      which = (which + 1) % N_SEQUENCES;
    position[i] = length[which]++;
    rows[i] = (gpt2_row){.token = random_below(&random, LITTLE_VOCAB),
                         .sequence = sequence_of(which),
                         .flags = GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN | GPT2_ROW_SCORE,
                         .target = random_below(&random, LITTLE_VOCAB)};
  }
}

static gpt2_context *new_context(int n_threads)
{
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = n_threads,
                                        .max_logit_rows = N_ROWS,
                                        .max_hidden_rows = N_ROWS};
  return little_context(little, &options);
}

static void make_expected(void)
{
  float least = INFINITY, greatest = -INFINITY;
  gpt2_context *context = new_context(1);
  for (int i = 0; i < N_ROWS; i++) {
    must_succeed(gpt2_eval_batch(context, &rows[i], 1), context);
    memcpy(expected[i], gpt2_row_logits(context, 0), sizeof expected[i]);
    memcpy(hidden[i], gpt2_row_hidden(context, 0), sizeof hidden[i]);
    must_succeed(gpt2_row_score(context, 0, &scores[i]), context);
    for (int k = 0; k < LITTLE_VOCAB; k++) {
      least = fminf(least, expected[i][k]);
      greatest = fmaxf(greatest, expected[i][k]);
    }
  }
  range = greatest - least;
  assert_true(range > 1 && range < 1000);
  gpt2_context_free(context);
}

static int make_all(void **state)
{
  (void)state;
  little = little_new();
  make_rows();
  make_expected();
  return 0;
}

static int free_all(void **state)
{
  (void)state;
  little_free(little);
  return 0;
}

static void must_be_near(const char *what, size_t row, const float *found, const float *wanted,
                         size_t n)
{
  assert_non_null(found);
  for (size_t k = 0; k < n; k++)
    if (!(fabs((double)found[k] - (double)wanted[k]) <= TOLERANCE * (double)range))
      fail_msg("%s %zu of row %zu: is %g, one by one %g", what, k, row, (double)found[k],
               (double)wanted[k]);
}

/* Near ties may change places: the rank is that of the row's own logits. */
static void must_be_scored(gpt2_context *context, size_t row)
{
  gpt2_token_score found;
  const float *logits = gpt2_row_logits(context, row);
  int rank = 1;
  must_succeed(gpt2_row_score(context, row, &found), context);
  for (int k = 0; k < LITTLE_VOCAB; k++)
    rank += logits[k] > logits[rows[row].target];
  assert_int_equal(found.position, row);
  assert_int_equal(found.token, rows[row].target);
  assert_int_equal(found.rank, rank);
  must_be_near("logprob", row, &found.logprob, &scores[row].logprob, 1);
  must_be_near("entropy", row, &found.entropy, &scores[row].entropy, 1);
}

/* The row after which a sequence ends. */
static size_t last_row_of(int which)
{
  size_t last = N_ROWS;
  while (rows[--last].sequence != sequence_of(which))
    ;
  return last;
}

static void must_hold_all(gpt2_context *context)
{
  for (int i = 0; i < N_SEQUENCES; i++) {
    gpt2_token tokens[LITTLE_CTX];
    size_t n = 0;
    must_succeed(gpt2_kv_tokens(context, sequence_of(i), tokens, LITTLE_CTX, &n), context);
    assert_int_equal(n, length[i]);
    for (size_t row = 0; row < N_ROWS; row++)
      if (rows[row].sequence == sequence_of(i))
        assert_int_equal(tokens[position[row]], rows[row].token);
    size_t last = last_row_of(i);
    must_be_near("next-token logit", last, gpt2_logits(context, sequence_of(i)), expected[last],
                 LITTLE_VOCAB);
  }
}

static void a_batch_of_several_passes_gives_every_row_what_it_gets_alone(void **state)
{
  (void)state;
  gpt2_context *context = new_context(2);
  must_succeed(gpt2_eval_batch(context, rows, N_ROWS), context);
  for (size_t row = 0; row < N_ROWS; row++) {
    must_be_near("logit", row, gpt2_row_logits(context, row), expected[row], LITTLE_VOCAB);
    must_be_near("hidden element", row, gpt2_row_hidden(context, row), hidden[row], LITTLE_EMBD);
    must_be_scored(context, row);
  }
  must_hold_all(context);
  gpt2_context_free(context);
}

static void so_do_batches_of_random_lengths(void **state)
{
  (void)state;
  random_numbers random = random_from_seed("lengths of batches");
  for (int round = 0; round < 10; round++) {
    gpt2_context *context = new_context(1);
    for (size_t first = 0, n; first < N_ROWS; first += n) {
      n = 1 + (size_t)random_below(&random, round % 2 ? 700 : 40);
      n = n < N_ROWS - first ? n : N_ROWS - first;
      must_succeed(gpt2_eval_batch(context, rows + first, n), context);
      for (size_t i = 0; i < n; i++)
        must_be_near("logit", first + i, gpt2_row_logits(context, i), expected[first + i],
                     LITTLE_VOCAB);
    }
    must_hold_all(context);
    gpt2_context_free(context);
  }
}

static void the_number_of_threads_does_not_change_a_bit(void **state)
{
  (void)state;
  static const int n_threads[] = {2, 3, 5};
  gpt2_context *one = new_context(1);
  must_succeed(gpt2_eval_batch(one, rows, N_ROWS), one);
  for (size_t i = 0; i < sizeof n_threads / sizeof *n_threads; i++) {
    gpt2_context *context = new_context(n_threads[i]);
    must_succeed(gpt2_eval_batch(context, rows, N_ROWS), context);
    for (size_t row = 0; row < N_ROWS; row++)
      assert_memory_equal(gpt2_row_logits(context, row), gpt2_row_logits(one, row),
                          sizeof expected[row]);
    for (int which = 0; which < N_SEQUENCES; which++)
      must_have_logits(context, sequence_of(which), gpt2_logits(one, sequence_of(which)));
    gpt2_context_free(context);
  }
  gpt2_context_free(one);
}

/* ---- Stopped between passes ---- */

static int32_t stop_when_zero(void *user)
{
  int *n_left = user;
  return --*n_left == 0;
}

enum { N_BEFORE = 100 };

/* Whether the rows after the first N_BEFORE could be evaluated; if not, none of them may count. */
static bool evaluates_the_rest(gpt2_context *context)
{
  gpt2_status status = gpt2_eval_batch(context, rows + N_BEFORE, N_ROWS - N_BEFORE);
  size_t n = 0;
  if (status == GPT2_OK)
    return true;
  expect_failure(status, GPT2_ERR_CANCELLED, gpt2_context_error(context), "cancelled", NULL);
  for (int which = 0; which < N_SEQUENCES; which++)
    n += gpt2_kv_length(context, sequence_of(which));
  assert_int_equal(n, N_BEFORE);
  assert_null(gpt2_logits(context, rows[N_BEFORE].sequence));
  assert_null(gpt2_logits(context, rows[N_ROWS - 1].sequence));
  assert_null(gpt2_row_logits(context, 0));
  return false;
}

static void a_batch_that_is_stopped_in_any_pass_leaves_no_row_behind(void **state)
{
  (void)state;
  int n_left = 0, n_stops = 0;
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = 1,
                                        .max_logit_rows = N_ROWS,
                                        .max_hidden_rows = N_ROWS,
                                        .abort_callback = stop_when_zero,
                                        .abort_user = &n_left};
  gpt2_context *context = little_context(little, &options);
  must_succeed(gpt2_eval_batch(context, rows, N_BEFORE), context);
  must_succeed(gpt2_eval(context, 7, &(gpt2_token){3}, 1, 0), context);
  float *logits = copy_logits(context, gpt2_logits(context, 7));
  while (n_left = n_stops + 1, !evaluates_the_rest(context)) {
    n_stops++;
    must_have_logits(context, 7, logits);
  }
  assert_true(n_stops >= 3 * LITTLE_LAYERS); /* three passes, each asks before every block */
  must_hold_all(context);
  free(logits);
  gpt2_context_free(context);
}

/* ---- Rows that are no numbers ---- */

static void rows_without_numbers_are_named_and_the_others_are_scored(void **state)
{
  (void)state;
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  enum { BAD_POSITION = 3, N = 10 }; /* two sequences in turn, of five tokens each */
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    little_model *broken = little_new();
    little_values(broken, "wpe.weight")[BAD_POSITION * LITTLE_EMBD] = bad[i];
    gpt2_context *context = little_context(broken, NULL);
    gpt2_token_score score = {.rank = -7};
    gpt2_row some[N];
    for (int row = 0; row < N; row++)
      some[row] = (gpt2_row){.token = row, .sequence = row % 2, .flags = GPT2_ROW_SCORE};
    must_succeed(gpt2_eval_batch(context, some, N), context);
    for (size_t row = 2 * BAD_POSITION; row < N; row++)
      expect_failure(gpt2_row_score(context, row, &score), GPT2_ERR_NON_FINITE,
                     gpt2_context_error(context), row == 7 ? "row 7" : "row", "not finite");
    assert_int_equal(score.rank, -7);
    for (size_t row = 0; row < 2 * BAD_POSITION; row++)
      must_succeed(gpt2_row_score(context, row, &score), context);
    assert_true(score.rank > 0 && isfinite(score.logprob));
    must_succeed(gpt2_kv_truncate(context, 1, BAD_POSITION - 1), context);
    must_succeed(gpt2_eval(context, 1, &(gpt2_token){5}, 1, 0), context);
    assert_true(isfinite(gpt2_logits(context, 1)[0]));
    gpt2_context_free(context);
    little_free(broken);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_batch_of_several_passes_gives_every_row_what_it_gets_alone),
      cmocka_unit_test(so_do_batches_of_random_lengths),
      cmocka_unit_test(the_number_of_threads_does_not_change_a_bit),
      cmocka_unit_test(a_batch_that_is_stopped_in_any_pass_leaves_no_row_behind),
      cmocka_unit_test(rows_without_numbers_are_named_and_the_others_are_scored),
  };
  return cmocka_run_group_tests(tests, make_all, free_all);
}
