/* test_wanted_rows.c - what a row is asked for changes nothing of what others give: the last block
 * is computed only for rows whose logits or hidden state somebody wants. */
#include "gpt2.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/random_folder.h"
#include "support/random_numbers.h"
#include "support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the range of a row of logits or of a hidden state: what is promised where other products are
 * taken for other numbers of rows. */
static const double TOLERANCE = 1e-5;

/* So many rows are equal to the bit in any company. */
enum { FEW = 32 };

static const random_sizes SIZES = {.n_vocab = 211,
                                   .n_ctx = 320,
                                   .n_embd = 96,
                                   .n_head = 4,
                                   .n_layer = 3,
                                   .n_inner = 200,
                                   .seed = 21};
enum { N_VOCAB = 211, N_EMBD = 96, N_SEQUENCES = 3, MOST_ROWS = 700 };

static char *folder;
static gpt2_model *model;
static random_numbers chance;

static int open_all(void **state)
{
  (void)state;
  folder = make_random_folder(&SIZES);
  model = open_model(folder);
  return 0;
}

static int close_all(void **state)
{
  (void)state;
  gpt2_model_free(model);
  remove_temporary_folder(folder);
  return 0;
}

/* Rows of several sequences in turn, as chance will have it, that ask for everything. */
static void draw_rows(gpt2_row *rows, size_t n)
{
  for (size_t i = 0; i < n; i++)
    rows[i] = (gpt2_row){.token = random_below(&chance, N_VOCAB),
                         .sequence = random_below(&chance, N_SEQUENCES),
                         .flags = GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN | GPT2_ROW_SCORE,
                         .target = random_below(&chance, N_VOCAB)};
}

/* The same rows, most of which ask for less. */
static void ask_for_less(gpt2_row *rows, size_t n)
{
  static const uint32_t flags[] = {0,
                                   0,
                                   0,
                                   GPT2_ROW_NO_NEXT,
                                   GPT2_ROW_LOGITS,
                                   GPT2_ROW_HIDDEN,
                                   GPT2_ROW_HIDDEN | GPT2_ROW_NO_NEXT,
                                   GPT2_ROW_SCORE};
  for (size_t i = 0; i < n; i++)
    rows[i].flags = flags[random_below(&chance, sizeof flags / sizeof *flags)];
}

static gpt2_context *evaluated(const gpt2_row *rows, size_t n)
{
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = 2,
                                        .max_logit_rows = MOST_ROWS,
                                        .max_hidden_rows = MOST_ROWS};
  gpt2_context *context = NULL;
  must_have_succeeded(gpt2_context_new(model, &options, &context, NULL), NULL);
  must_succeed(gpt2_eval_batch(context, rows, n), context);
  return context;
}

/* Both there, and equal: to the bit, or within the tolerance. */
static void must_be_equal(const float *found, const float *expected, size_t n, bool to_the_bit)
{
  double exact[N_VOCAB];
  assert_true(found && expected);
  if (to_the_bit) {
    assert_memory_equal(found, expected, n * sizeof *found);
    return;
  }
  for (size_t i = 0; i < n; i++)
    exact[i] = (double)expected[i];
  assert_true(greatest_error(found, exact, n) <= TOLERANCE * logits_range(exact, n));
}

static void compare_rows(gpt2_context *less, gpt2_context *all, const gpt2_row *rows, size_t n)
{
  bool few = n <= FEW;
  for (size_t i = 0; i < n; i++) {
    gpt2_token_score score, expected;
    const float *logits = gpt2_row_logits(less, i), *hidden = gpt2_row_hidden(less, i);
    assert_int_equal(logits != NULL, (rows[i].flags & GPT2_ROW_LOGITS) != 0);
    assert_int_equal(hidden != NULL, (rows[i].flags & GPT2_ROW_HIDDEN) != 0);
    if (logits)
      must_be_equal(logits, gpt2_row_logits(all, i), N_VOCAB, few);
    if (hidden)
      must_be_equal(hidden, gpt2_row_hidden(all, i), N_EMBD, few);
    if (!(rows[i].flags & GPT2_ROW_SCORE))
      continue;
    must_succeed(gpt2_row_score(less, i, &score), less);
    must_succeed(gpt2_row_score(all, i, &expected), all);
    assert_true(few ? score.logprob == expected.logprob
                    : score.logprob - expected.logprob < 1e-3f &&
                          expected.logprob - score.logprob < 1e-3f);
  }
}

/* Whether the last row of the sequence wants the logits of what follows. */
static bool wants_next(const gpt2_row *rows, size_t n, int32_t sequence)
{
  while (n-- > 0)
    if (rows[n].sequence == sequence)
      return !(rows[n].flags & GPT2_ROW_NO_NEXT);
  return false;
}

static void check(size_t n)
{
  gpt2_row rows[MOST_ROWS];
  draw_rows(rows, n);
  gpt2_context *all = evaluated(rows, n);
  ask_for_less(rows, n);
  gpt2_context *less = evaluated(rows, n);
  compare_rows(less, all, rows, n);
  for (int32_t i = 0; i < N_SEQUENCES; i++) {
    assert_int_equal(gpt2_logits(less, i) != NULL, wants_next(rows, n, i));
    if (gpt2_logits(less, i))
      must_be_equal(gpt2_logits(less, i), gpt2_logits(all, i), N_VOCAB, n <= FEW);
  }
  gpt2_context_free(all);
  gpt2_context_free(less);
}

static void rows_give_the_same_whatever_others_are_asked_for(void **state)
{
  (void)state;
  chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 30; repeat++)
    check(1 + (size_t)random_below(&chance, FEW));
  for (int repeat = 0; repeat < 6; repeat++)
    check(FEW + 1 + (size_t)random_below(&chance, 300));
}

static void so_they_do_in_a_batch_of_several_passes(void **state)
{
  (void)state;
  chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 3; repeat++)
    check(513 + (size_t)random_below(&chance, MOST_ROWS - 513));
}

/* Keys and values are there all the same. */
static void a_text_goes_on_after_rows_of_which_nothing_was_wanted(void **state)
{
  (void)state;
  static const size_t lengths[] = {1, 20, 32, 200};
  chance = random_from_seed(__func__);
  for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
    size_t n = lengths[l];
    gpt2_row rows[256], next;
    draw_rows(rows, n);
    draw_rows(&next, 1);
    for (size_t i = 0; i < n; i++)
      rows[i].sequence = 0;
    next.sequence = 0;
    gpt2_context *all = evaluated(rows, n);
    for (size_t i = 0; i < n; i++)
      rows[i].flags = GPT2_ROW_NO_NEXT;
    gpt2_context *nothing = evaluated(rows, n);
    assert_null(gpt2_logits(nothing, 0));
    assert_int_equal(gpt2_kv_length(nothing, 0), n);
    must_succeed(gpt2_eval_batch(all, &next, 1), all);
    must_succeed(gpt2_eval_batch(nothing, &next, 1), nothing);
    must_be_equal(gpt2_logits(nothing, 0), gpt2_logits(all, 0), N_VOCAB, n <= FEW);
    gpt2_context_free(all);
    gpt2_context_free(nothing);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_give_the_same_whatever_others_are_asked_for),
      cmocka_unit_test(so_they_do_in_a_batch_of_several_passes),
      cmocka_unit_test(a_text_goes_on_after_rows_of_which_nothing_was_wanted),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
