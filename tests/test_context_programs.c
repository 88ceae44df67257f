/* test_context_programs.c - random programs of evaluations, cuts and failures on one context,
 * against a plain model of it: a list of tokens for each sequence, each evaluated afresh. */
#include "gpt2.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/little_model.h"
#include "support/opened.h"
#include "support/random_numbers.h"

enum { N_PROGRAMS = 6, N_STEPS = 150, N_SEQUENCES = 5, MOST_ROWS = 60 };

/* What may lie between a sequence and the same in other chunks, as a part of the logits' range. */
#define TOLERANCE 1e-5

static const int32_t numbers[N_SEQUENCES] = {0, 1, 255, 256, GPT2_MAX_SEQUENCES - 1};

/* What a sequence must be. */
typedef struct plain_sequence {
  gpt2_token tokens[LITTLE_CTX];
  size_t length;
  bool has_logits;
} plain_sequence;

typedef struct program {
  random_numbers random;
  gpt2_context *context;
  gpt2_context *fresh; /* cleared before each use */
  plain_sequence sequences[N_SEQUENCES];
  int asks_until_stop; /* of the abort callback; 0: it does not stop */
  int n_checked, n_refused, n_stopped;
  char step[64]; /* the last one, for those who search */
} program;

static int32_t stop_in_time(void *user)
{
  program *p = user;
  return p->asks_until_stop > 0 && --p->asks_until_stop == 0;
}

/* ---- What must hold after every step ---- */

static void check_logits(program *p, const plain_sequence *s, const float *found)
{
  float least = INFINITY, greatest = -INFINITY;
  must_succeed(gpt2_kv_clear(p->fresh), p->fresh);
  must_succeed(gpt2_eval(p->fresh, 0, s->tokens, s->length, 0), p->fresh);
  const float *expected = gpt2_logits(p->fresh, 0);
  for (int i = 0; i < LITTLE_VOCAB; i++) {
    least = fminf(least, expected[i]);
    greatest = fmaxf(greatest, expected[i]);
  }
  for (int i = 0; i < LITTLE_VOCAB; i++)
    if (!(fabs((double)found[i] - (double)expected[i]) <=
          TOLERANCE * ((double)greatest - (double)least)))
      fail_msg("after %s: logit %d is %g, afresh %g", p->step, i, (double)found[i],
               (double)expected[i]);
  p->n_checked++;
}

static void check_sequence(program *p, int which)
{
  const plain_sequence *s = &p->sequences[which];
  gpt2_token tokens[LITTLE_CTX];
  size_t n = 0;
  const float *logits = gpt2_logits(p->context, numbers[which]);
  must_succeed(gpt2_kv_tokens(p->context, numbers[which], tokens, LITTLE_CTX, &n), p->context);
  if (n != s->length || memcmp(tokens, s->tokens, n * sizeof *tokens) != 0)
    fail_msg("after %s: sequence %d holds other tokens", p->step, (int)numbers[which]);
  if (s->has_logits != (logits != NULL))
    fail_msg("after %s: sequence %d has %s logits", p->step, (int)numbers[which],
             logits ? "still" : "no");
  if (logits)
    check_logits(p, s, logits);
}

/* ---- Steps ---- */

/* What the rows do to the plain sequences if they are all evaluated; false if they do not fit. */
static bool apply_rows(plain_sequence *sequences, const gpt2_row *rows, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    plain_sequence *s = sequences;
    while (numbers[s - sequences] != rows[i].sequence)
      s++;
    if (s->length == LITTLE_CTX)
      return false;
    s->tokens[s->length++] = rows[i].token;
    s->has_logits = !(rows[i].flags & GPT2_ROW_NO_NEXT);
  }
  return true;
}

static void forget_logits(program *p, const gpt2_row *rows, size_t n)
{
  for (size_t i = 0; i < n; i++)
    for (int which = 0; which < N_SEQUENCES; which++)
      if (numbers[which] == rows[i].sequence)
        p->sequences[which].has_logits = false;
}

/* Some rows of as many sequences as that. */
static size_t make_rows(program *p, gpt2_row *rows, int n_sequences)
{
  static const uint32_t flags[] = {0, 0, GPT2_ROW_LOGITS, GPT2_ROW_SCORE, GPT2_ROW_NO_NEXT};
  int first = random_below(&p->random, N_SEQUENCES);
  int most = random_below(&p->random, 3) ? 4 : MOST_ROWS;
  size_t n = 1 + (size_t)random_below(&p->random, most);
  for (size_t i = 0; i < n; i++)
    rows[i] = (gpt2_row){.token = random_below(&p->random, LITTLE_VOCAB),
                         .sequence =
                             numbers[(first + random_below(&p->random, n_sequences)) % N_SEQUENCES],
                         .flags = flags[random_below(&p->random, 5)]};
  return n;
}

/* Evaluates rows of several sequences, or tokens of one. */
static gpt2_status evaluate(program *p, gpt2_row *rows, size_t n, bool as_batch)
{
  gpt2_token tokens[MOST_ROWS];
  if (as_batch)
    return gpt2_eval_batch(p->context, rows, n);
  for (size_t i = 0; i < n; i++) {
    tokens[i] = rows[i].token;
    rows[i].flags = 0;
  }
  return gpt2_eval(p->context, rows[0].sequence, tokens, n, 0);
}

static void evaluate_some(program *p)
{
  gpt2_row rows[MOST_ROWS];
  plain_sequence after[N_SEQUENCES];
  bool as_batch = random_below(&p->random, 2);
  size_t n = make_rows(p, rows, as_batch ? N_SEQUENCES : 1);
  p->asks_until_stop = random_below(&p->random, 4) ? 0 : 1 + random_below(&p->random, 4);
  snprintf(p->step, sizeof p->step, "%s of %zu rows", as_batch ? "a batch" : "an evaluation", n);
  gpt2_status status = evaluate(p, rows, n, as_batch);
  p->asks_until_stop = 0;
  memcpy(after, p->sequences, sizeof after);
  if (!apply_rows(after, rows, n)) {
    assert_int_equal(status, GPT2_ERR_CONTEXT_FULL);
    p->n_refused++;
  } else if (status == GPT2_ERR_CANCELLED) {
    forget_logits(p, rows, n);
    p->n_stopped++;
  } else {
    must_succeed(status, p->context);
    memcpy(p->sequences, after, sizeof after);
  }
}

static void truncate_one(program *p)
{
  int which = random_below(&p->random, N_SEQUENCES);
  plain_sequence *s = &p->sequences[which];
  size_t length = (size_t)random_below(&p->random, (int)s->length + 3);
  snprintf(p->step, sizeof p->step, "truncating sequence %d to %zu", (int)numbers[which], length);
  gpt2_status status = gpt2_kv_truncate(p->context, numbers[which], length);
  if (length > s->length) {
    assert_int_equal(status, GPT2_ERR_ARGUMENT);
    return;
  }
  must_succeed(status, p->context);
  s->has_logits = s->has_logits && length == s->length;
  s->length = length;
}

static void drop_one(program *p)
{
  int which = random_below(&p->random, N_SEQUENCES);
  snprintf(p->step, sizeof p->step, "dropping sequence %d", (int)numbers[which]);
  must_succeed(gpt2_kv_drop(p->context, numbers[which]), p->context);
  p->sequences[which] = (plain_sequence){.length = 0};
}

static void clear_all(program *p)
{
  snprintf(p->step, sizeof p->step, "clearing");
  must_succeed(gpt2_kv_clear(p->context), p->context);
  memset(p->sequences, 0, sizeof p->sequences);
}

static void take_step(program *p)
{
  int kind = random_below(&p->random, 40);
  if (kind == 0)
    clear_all(p);
  else if (kind < 4)
    drop_one(p);
  else if (kind < 12)
    truncate_one(p);
  else
    evaluate_some(p);
}

static void run_program(program *p, little_model *little, int n_threads)
{
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = n_threads,
                                        .abort_callback = stop_in_time,
                                        .abort_user = p};
  p->context = little_context(little, &options);
  p->fresh = little_context(little, NULL);
  memset(p->sequences, 0, sizeof p->sequences);
  for (int step = 0; step < N_STEPS; step++) {
    take_step(p);
    for (int which = 0; which < N_SEQUENCES; which++)
      check_sequence(p, which);
  }
  gpt2_context_free(p->context);
  gpt2_context_free(p->fresh);
}

static void every_random_program_leaves_what_a_plain_model_says(void **state)
{
  (void)state;
  little_model *little = little_new();
  program p = {.random = random_from_seed("programs")};
  for (int i = 0; i < N_PROGRAMS; i++)
    run_program(&p, little, 1 + i % 3);
  assert_true(p.n_checked > 0 && p.n_refused > 0 && p.n_stopped > 0); /* it was all tried */
  little_free(little);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_random_program_leaves_what_a_plain_model_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
