/* intruder.c - a second user of a context that is in use. */
#include "support/intruder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void must_be_busy(gpt2_status status)
{
  if (status != GPT2_ERR_BUSY)
    fail_msg("%s; expected GPT2_ERR_BUSY", gpt2_status_name(status));
}

static void try_evaluating(gpt2_context *context)
{
  const gpt2_token token = 1;
  gpt2_token drawn = -7;
  gpt2_token_score score = {.rank = -7};
  must_be_busy(gpt2_eval(context, 0, &token, 1, 0));
  must_be_busy(gpt2_eval_batch(context, &(gpt2_row){.token = 1}, 1));
  must_be_busy(gpt2_row_score(context, 0, &score));
  must_be_busy(gpt2_sample(context, 0, NULL, &drawn));
  assert_int_equal(score.rank, -7);
  assert_int_equal(drawn, -7);
}

static void try_cache(gpt2_context *context)
{
  gpt2_token tokens[8] = {-7};
  size_t n = 99;
  must_be_busy(gpt2_kv_tokens(context, 0, tokens, 8, &n));
  must_be_busy(gpt2_kv_truncate(context, 0, 0));
  must_be_busy(gpt2_kv_drop(context, 0));
  must_be_busy(gpt2_kv_clear(context));
  assert_int_equal(n, 99);
  assert_int_equal(tokens[0], -7);
}

static void try_generating(gpt2_context *context, gpt2_generation *generation)
{
  const gpt2_token tokens[] = {1, 2};
  gpt2_generation *another = (gpt2_generation *)context; /* not NULL */
  gpt2_piece piece = {.struct_size = sizeof piece, .token = -7};
  gpt2_result result = {.struct_size = sizeof result, .n_tokens = -7};
  gpt2_score_result sum = {.struct_size = sizeof sum, .n_scored = 99};
  if (generation)
    must_be_busy(gpt2_generation_next(generation, &piece));
  must_be_busy(gpt2_generation_new(context, NULL, 0, NULL, &another));
  must_be_busy(gpt2_generate(context, "x", 1, NULL, NULL, NULL, &result));
  must_be_busy(gpt2_score(context, "xy", 2, NULL, NULL, NULL, &sum));
  must_be_busy(gpt2_score_tokens(context, tokens, 2, NULL, NULL, NULL, &sum));
  assert_null(another);
  assert_int_equal(piece.token, -7);
  assert_int_equal(result.n_tokens, -7);
  assert_int_equal(sum.n_scored, 99);
}

void must_all_be_busy(gpt2_context *context, gpt2_generation *generation)
{
  gpt2_status before = gpt2_context_error(context)->status;
  try_evaluating(context);
  try_cache(context);
  try_generating(context, generation);
  assert_int_equal(gpt2_context_error(context)->status, before);
  assert_string_equal(gpt2_status_text(GPT2_ERR_BUSY), "the context is in use by another call");
}
