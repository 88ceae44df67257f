/* test_kv_cache_memory.c - the memory of sequences: nothing is asked for without need, what is
 * given back is used again, and no old number in it can be seen. */
#include "gpt2.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/little_model.h"
#include "support/opened.h"

typedef struct counted {
  counting_allocator memory;
  little_model *little;
  gpt2_context *context;
} counted;

static int open_counted(void **state)
{
  static counted c;
  c = (counted){.little = little_new()};
  gpt2_allocator hooks = counting_hooks(&c.memory);
  const gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks};
  gpt2_error error = NO_ERROR_YET;
  gpt2_model *model = NULL;
  must_have_succeeded(little_load(c.little, &options, &model, &error), &error);
  c.context = open_context(model, 1);
  gpt2_model_free(model);
  *state = &c;
  return 0;
}

/* Whatever a test did, everything comes back. */
static int close_counted(void **state)
{
  counted *c = *state;
  gpt2_context_free(c->context);
  little_free(c->little);
  return c->memory.n_live == 0 ? 0 : -1;
}

static gpt2_token token_at(size_t position)
{
  return (gpt2_token)(position * 7 % 41);
}

/* Appends the tokens of the positions [from, to), one by one. */
static void append(gpt2_context *context, int32_t sequence, size_t from, size_t to)
{
  for (size_t i = from; i < to; i++) {
    gpt2_token token = token_at(i);
    must_succeed(gpt2_eval(context, sequence, &token, 1, 0), context);
  }
}

static void tokens_within_a_block_allocate_nothing(void **state)
{
  counted *c = *state;
  append(c->context, 0, 0, 1);
  size_t n_calls = c->memory.n_calls;
  append(c->context, 0, 1, 16);
  assert_int_equal(c->memory.n_calls, n_calls);
  append(c->context, 0, 16, 17);
  assert_true(c->memory.n_calls > n_calls); /* the next block: what is counted does exist */
  n_calls = c->memory.n_calls;
  append(c->context, 0, 17, 32);
  assert_int_equal(c->memory.n_calls, n_calls);
}

/* Appends one token to each of eight sequences, and asks for all that can be asked for. */
static void step(gpt2_context *context, size_t position)
{
  gpt2_row rows[8];
  for (int32_t i = 0; i < 8; i++)
    rows[i] = (gpt2_row){.token = token_at(position + (size_t)i),
                         .sequence = i,
                         .flags = GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN | GPT2_ROW_SCORE};
  must_succeed(gpt2_eval_batch(context, rows, 8), context);
}

static void so_do_batches_of_several_sequences(void **state)
{
  counted *c = *state;
  step(c->context, 0);
  size_t n_calls = c->memory.n_calls;
  for (size_t position = 1; position < 16; position++)
    step(c->context, position);
  assert_int_equal(c->memory.n_calls, n_calls);
}

static void blocks_that_were_cut_off_or_dropped_are_used_again(void **state)
{
  counted *c = *state;
  append(c->context, 0, 0, LITTLE_CTX);
  append(c->context, 1, 0, 1);
  size_t n_calls = c->memory.n_calls;
  must_succeed(gpt2_kv_truncate(c->context, 0, 1), c->context);
  append(c->context, 1, 1, LITTLE_CTX);
  must_succeed(gpt2_kv_truncate(c->context, 1, 0), c->context);
  append(c->context, 0, 1, LITTLE_CTX);
  must_succeed(gpt2_kv_drop(c->context, 0), c->context);
  append(c->context, 1, 0, LITTLE_CTX);
  assert_int_equal(c->memory.n_calls, n_calls);
}

static void clearing_gives_all_memory_of_sequences_back(void **state)
{
  static const int32_t sequences[] = {0, 255, 256, GPT2_MAX_SEQUENCES - 1};
  counted *c = *state;
  append(c->context, 0, 0, 1);
  must_succeed(gpt2_kv_clear(c->context), c->context);
  size_t n_live = c->memory.n_live;
  for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
    append(c->context, sequences[i], 0, LITTLE_CTX);
  must_succeed(gpt2_kv_truncate(c->context, 255, 1), c->context);
  must_succeed(gpt2_kv_drop(c->context, 256), c->context);
  assert_true(c->memory.n_live > n_live);
  must_succeed(gpt2_kv_clear(c->context), c->context);
  assert_int_equal(c->memory.n_live, n_live);
  append(c->context, 0, 0, 1);
}

/* ---- Memory that is refused ---- */

/* What a failed evaluation of sequence 0, which held one token, leaves. */
static void must_have_lost_the_views_only(gpt2_context *context)
{
  assert_int_equal(gpt2_kv_length(context, 0), 1);
  assert_int_equal(gpt2_kv_length(context, 2), 0);
  assert_null(gpt2_logits(context, 0));
  assert_null(gpt2_row_logits(context, 0));
  assert_null(gpt2_row_hidden(context, 0));
  assert_int_equal(gpt2_kv_length(context, 1), 1);
  assert_non_null(gpt2_logits(context, 1));
}

/* Evaluates 40 rows of sequences 0 and 2 in a new context that is refused the n-th allocation, and
 * again if that fails. False when it did not. */
static bool fails_at_allocation(counted *c, size_t n)
{
  gpt2_row rows[40];
  for (int i = 0; i < 40; i++)
    rows[i] =
        (gpt2_row){.token = i, .sequence = i % 2 * 2, .flags = GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN};
  append(c->context, 1, 0, 1);
  must_succeed(gpt2_eval(c->context, 0, &rows[0].token, 1, GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN),
               c->context);
  c->memory.refused = c->memory.n_calls + n;
  gpt2_status status = gpt2_eval_batch(c->context, rows, 40);
  c->memory.refused = 0;
  if (status != GPT2_OK) {
    expect_failure(status, GPT2_ERR_MEMORY, gpt2_context_error(c->context), "memory", NULL);
    must_have_lost_the_views_only(c->context);
    must_succeed(gpt2_eval_batch(c->context, rows, 40), c->context);
  }
  assert_int_equal(gpt2_kv_length(c->context, 0), 21);
  return status != GPT2_OK;
}

static void an_evaluation_without_memory_adds_no_token_and_takes_its_views_along(void **state)
{
  counted *c = *state;
  size_t n = 1;
  while (fails_at_allocation(c, n)) {
    assert_int_equal(close_counted(state), 0);
    open_counted(state);
    n++;
  }
  assert_true(n > 10); /* rows, views, activations, blocks, logits */
}

/* ---- Numbers that would spread ---- */

/* The token whose embedding is no number. wte is the unembedding, too, so its logit is always NaN;
 * tests look at those below it. */
enum { POISON = LITTLE_VOCAB - 1 };

static little_model *poisoned_model(void)
{
  little_model *poisoned = little_new();
  little_values(poisoned, "wte.weight")[POISON * LITTLE_EMBD] = NAN;
  return poisoned;
}

static void no_old_number_is_seen_in_memory_that_is_used_again(void **state)
{
  (void)state;
  static const gpt2_token poison[] = {POISON, POISON, POISON};
  little_model *poisoned = poisoned_model();
  gpt2_context *fresh = little_context(poisoned, NULL), *used = little_context(poisoned, NULL);
  append(fresh, 0, 0, 4);
  append(used, 0, 0, 2);
  for (int32_t sequence = 0; sequence < 3; sequence++)
    must_succeed(gpt2_eval(used, sequence, poison, 3, 0), used);
  assert_true(isnan(gpt2_logits(used, 0)[0]));
  must_succeed(gpt2_kv_truncate(used, 0, 2), used);
  must_succeed(gpt2_kv_drop(used, 1), used);
  append(used, 0, 2, 4);
  append(used, 1, 0, 4);
  for (int32_t sequence = 0; sequence < 2; sequence++)
    assert_memory_equal(gpt2_logits(used, sequence), gpt2_logits(fresh, 0), POISON * sizeof(float));
  assert_true(isfinite(gpt2_logits(used, 1)[0]));
  gpt2_context_free(fresh);
  gpt2_context_free(used);
  little_free(poisoned);
}

static void a_token_is_not_seen_by_those_before_it_nor_by_other_sequences(void **state)
{
  (void)state;
  enum { N = 30, POISONED_FROM = 25 };
  little_model *poisoned = poisoned_model();
  gpt2_context *clean = little_context(poisoned, NULL), *context = little_context(poisoned, NULL);
  gpt2_row rows[2 * N]; /* two sequences in turn; the second one goes bad */
  for (int i = 0; i < 2 * N; i++)
    rows[i] = (gpt2_row){.token = token_at((size_t)i), .sequence = i % 2, .flags = GPT2_ROW_LOGITS};
  must_succeed(gpt2_eval_batch(clean, rows, 2 * N), clean);
  for (int i = 2 * POISONED_FROM; i < 2 * N; i++)
    rows[i].token = i % 2 ? POISON : rows[i].token;
  must_succeed(gpt2_eval_batch(context, rows, 2 * N), context);
  for (size_t i = 0; i < 2 * N; i++) {
    const float *found = gpt2_row_logits(context, i), *expected = gpt2_row_logits(clean, i);
    assert_true(isfinite(expected[0]));
    if (i % 2 && i >= 2 * POISONED_FROM)
      assert_true(isnan(found[0]));
    else
      assert_memory_equal(found, expected, POISON * sizeof(float));
  }
  gpt2_context_free(clean);
  gpt2_context_free(context);
  little_free(poisoned);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(tokens_within_a_block_allocate_nothing, open_counted,
                                      close_counted),
      cmocka_unit_test_setup_teardown(so_do_batches_of_several_sequences, open_counted,
                                      close_counted),
      cmocka_unit_test_setup_teardown(blocks_that_were_cut_off_or_dropped_are_used_again,
                                      open_counted, close_counted),
      cmocka_unit_test_setup_teardown(clearing_gives_all_memory_of_sequences_back, open_counted,
                                      close_counted),
      cmocka_unit_test_setup_teardown(
          an_evaluation_without_memory_adds_no_token_and_takes_its_views_along, open_counted,
          close_counted),
      cmocka_unit_test(no_old_number_is_seen_in_memory_that_is_used_again),
      cmocka_unit_test(a_token_is_not_seen_by_those_before_it_nor_by_other_sequences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
