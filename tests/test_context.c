/* test_context.c - what a context is asked is checked before anything is done: every refusal says
 * which argument, changes nothing, and leaves the context as good as new. */
#include "gpt2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/context_state.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/little_model.h"

enum { MOST_LOGIT_ROWS = 4, MOST_HIDDEN_ROWS = 6 };

static const gpt2_token text[LITTLE_CTX + 1] = {3, 14, 15, 9,  2,  6,  5,  35, 8,  9, 7,  9, 3, 23,
                                                8, 4,  6,  26, 43, 38, 3,  2,  7,  9, 5,  0, 2, 8,
                                                8, 41, 9,  7,  16, 9,  39, 9,  37, 5, 10, 5, 8};

static little_model *little;

static int make_model(void **state)
{
  (void)state;
  little = little_new();
  return 0;
}

static int free_model(void **state)
{
  (void)state;
  little_free(little);
  return 0;
}

/* ---- Making one ---- */

/* Refused with the words, and *context set to NULL. */
static void must_refuse(gpt2_model *model, const gpt2_context_options *options,
                        gpt2_status expected, const char *words, const char *more_words)
{
  gpt2_error error = NO_ERROR_YET;
  gpt2_context *context = (gpt2_context *)&error;
  expect_failure(gpt2_context_new(model, options, &context, &error), expected, &error, words,
                 more_words);
  assert_null(context);
}

static void options_that_make_no_sense_are_refused_by_name(void **state)
{
  (void)state;
  gpt2_model *model = little_open(little);
  const uint32_t size = sizeof(gpt2_context_options);
  must_refuse(NULL, NULL, GPT2_ERR_ARGUMENT, "model", "NULL");
  must_refuse(model, &(gpt2_context_options){0}, GPT2_ERR_ARGUMENT, "options", "struct_size");
  must_refuse(model, &(gpt2_context_options){size, .n_threads = -1}, GPT2_ERR_ARGUMENT, "n_threads",
              "-1");
  must_refuse(model, &(gpt2_context_options){size, .n_threads = 1025}, GPT2_ERR_LIMIT, "n_threads",
              "1024");
  must_refuse(model, &(gpt2_context_options){size, .n_threads = INT32_MAX}, GPT2_ERR_LIMIT,
              "n_threads", "2147483647");
  must_refuse(model, &(gpt2_context_options){size, .max_logit_rows = -2}, GPT2_ERR_ARGUMENT,
              "max_logit_rows", "-2");
  must_refuse(model, &(gpt2_context_options){size, .max_hidden_rows = INT32_MIN}, GPT2_ERR_ARGUMENT,
              "max_hidden_rows", "-2147483648");
  gpt2_model_free(model);
}

static void a_context_needs_a_place_to_be_put(void **state)
{
  (void)state;
  gpt2_model *model = little_open(little);
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_context_new(model, NULL, NULL, &error), GPT2_ERR_ARGUMENT, &error, "context",
                 "NULL");
  assert_int_equal(gpt2_context_new(model, NULL, NULL, NULL), GPT2_ERR_ARGUMENT);
  gpt2_model_free(model);
}

static void options_may_be_of_any_size_as_long_as_nothing_unknown_is_set(void **state)
{
  (void)state;
  struct {
    gpt2_context_options known;
    int32_t unknown[4];
  } options = {.known = {.n_threads = 3}};
  gpt2_model *model = little_open(little);
  for (uint32_t size = sizeof(uint32_t); size <= sizeof options; size += 4) {
    gpt2_context *context = NULL;
    options.known.struct_size = size;
    assert_int_equal(gpt2_context_new(model, &options.known, &context, NULL), GPT2_OK);
    if (size >= 8)
      assert_int_equal(gpt2_context_threads(context), 3);
    gpt2_context_free(context);
  }
  options.unknown[3] = 1;
  must_refuse(model, &options.known, GPT2_ERR_UNSUPPORTED, "options", "struct_size");
  gpt2_model_free(model);
}

static void a_new_context_is_empty_and_has_no_error(void **state)
{
  (void)state;
  gpt2_build build = {.struct_size = sizeof build};
  gpt2_context *context = little_context(little, NULL);
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_OK);
  assert_int_equal(gpt2_context_threads(context), build.n_cpus);
  assert_int_equal(gpt2_context_error(context)->status, GPT2_OK);
  assert_string_equal(gpt2_context_error(context)->message, "");
  assert_int_equal(gpt2_context_error(context)->offset, -1);
  assert_int_equal(gpt2_kv_length(context, 0), 0);
  assert_null(gpt2_logits(context, 0));
  assert_null(gpt2_row_logits(context, 0));
  assert_null(gpt2_row_hidden(context, 0));
  gpt2_context_free(context);
}

static void everything_can_be_asked_of_no_context(void **state)
{
  (void)state;
  gpt2_token_score score;
  size_t n = 0;
  gpt2_row row = {0};
  gpt2_context_free(NULL);
  gpt2_cancel(NULL);
  assert_null(gpt2_context_error(NULL));
  assert_null(gpt2_context_model(NULL));
  assert_int_equal(gpt2_context_threads(NULL), 0);
  assert_int_equal(gpt2_eval(NULL, 0, text, 1, 0), GPT2_ERR_ARGUMENT);
  assert_int_equal(gpt2_eval_batch(NULL, &row, 1), GPT2_ERR_ARGUMENT);
  assert_null(gpt2_logits(NULL, 0));
  assert_null(gpt2_row_logits(NULL, 0));
  assert_null(gpt2_row_hidden(NULL, 0));
  assert_int_equal(gpt2_row_score(NULL, 0, &score), GPT2_ERR_ARGUMENT);
  assert_int_equal(gpt2_kv_length(NULL, 0), 0);
  assert_int_equal(gpt2_kv_tokens(NULL, 0, NULL, 0, &n), GPT2_ERR_ARGUMENT);
  assert_int_equal(gpt2_kv_truncate(NULL, 0, 0), GPT2_ERR_ARGUMENT);
  assert_int_equal(gpt2_kv_drop(NULL, 0), GPT2_ERR_ARGUMENT);
  assert_int_equal(gpt2_kv_clear(NULL), GPT2_ERR_ARGUMENT);
}

/* ---- Refused evaluations ---- */

/* Five tokens in sequence 0, the last four of them with views, and two in the last sequence. */
static gpt2_context *used_context(void)
{
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = 1,
                                        .max_logit_rows = MOST_LOGIT_ROWS,
                                        .max_hidden_rows = MOST_HIDDEN_ROWS};
  gpt2_context *context = little_context(little, &options);
  must_succeed(gpt2_eval(context, GPT2_MAX_SEQUENCES - 1, text, 2, 0), context);
  must_succeed(gpt2_eval(context, 0, text, 1, 0), context);
  must_succeed(gpt2_eval(context, 0, text + 1, 4, GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN), context);
  return context;
}

typedef struct refused_eval {
  int32_t sequence;
  const gpt2_token *tokens;
  size_t n;
  uint32_t flags;
  gpt2_status status;
  const char *words, *more_words;
} refused_eval;

static const gpt2_token with_negative[] = {1, 2, -1}, with_first_beyond[] = {LITTLE_VOCAB, 2},
                        with_greatest[] = {1, INT32_MAX};

static const refused_eval refused_evals[] = {
    {0, NULL, 1, 0, GPT2_ERR_ARGUMENT, "tokens", "NULL"},
    {0, text, 0, 0, GPT2_ERR_ARGUMENT, "n_tokens", "0"},
    {0, with_negative, 3, 0, GPT2_ERR_ARGUMENT, "token 2", "-1"},
    {0, with_first_beyond, 2, 0, GPT2_ERR_ARGUMENT, "token 0", "49"},
    {0, with_greatest, 2, 0, GPT2_ERR_ARGUMENT, "token 1", "2147483647"},
    {-1, text, 1, 0, GPT2_ERR_ARGUMENT, "sequence", "-1"},
    {GPT2_MAX_SEQUENCES, text, 1, 0, GPT2_ERR_ARGUMENT, "sequence", "65536"},
    {INT32_MAX, text, 1, 0, GPT2_ERR_ARGUMENT, "sequence", "65535"},
    {0, text, 1, GPT2_ROW_SCORE, GPT2_ERR_ARGUMENT, "flags", "gpt2_eval_batch"},
    {0, text, 1, 1u << 31, GPT2_ERR_UNSUPPORTED, "flags", "0x80000000"},
    {0, text, LITTLE_CTX - 4, 0, GPT2_ERR_CONTEXT_FULL, "sequence 0", "40 positions"},
    {1, text, LITTLE_CTX + 1, 0, GPT2_ERR_CONTEXT_FULL, "n_tokens", "40 positions"},
    {1, text, SIZE_MAX, 0, GPT2_ERR_CONTEXT_FULL, "n_tokens", "40 positions"},
    {0, text, MOST_LOGIT_ROWS + 1, GPT2_ROW_LOGITS, GPT2_ERR_LIMIT, "max_logit_rows", "4"},
    {0, text, MOST_HIDDEN_ROWS + 1, GPT2_ROW_HIDDEN, GPT2_ERR_LIMIT, "max_hidden_rows", "6"},
};

/* The next token gives what it gives in a context that has never been refused anything. */
static void must_be_as_good_as_new(gpt2_context *context)
{
  gpt2_context *other = used_context();
  must_succeed(gpt2_eval(other, 0, text + 5, 1, 0), other);
  must_succeed(gpt2_eval(context, 0, text + 5, 1, 0), context);
  must_have_logits(context, 0, gpt2_logits(other, 0));
  gpt2_context_free(other);
}

static void a_refused_evaluation_names_the_argument_and_changes_nothing(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  for (size_t i = 0; i < sizeof refused_evals / sizeof *refused_evals; i++) {
    const refused_eval *r = &refused_evals[i];
    context_state before = state_of(context);
    expect_failure(gpt2_eval(context, r->sequence, r->tokens, r->n, r->flags), r->status,
                   gpt2_context_error(context), r->words, r->more_words);
    must_be_unchanged(context, &before, r->words);
  }
  must_be_as_good_as_new(context);
  gpt2_context_free(context);
}

typedef struct refused_batch {
  gpt2_row rows[4];
  size_t n;
  gpt2_status status;
  const char *words, *more_words;
} refused_batch;

static const refused_batch refused_batches[] = {
    {{{0}}, 0, GPT2_ERR_ARGUMENT, "n_rows", "0"},
    {{{1, 0, 0, 0}, {-1, 0, 0, 0}}, 2, GPT2_ERR_ARGUMENT, "token 1", "-1"},
    {{{1, 0, 0, 0}, {1, -5, 0, 0}}, 2, GPT2_ERR_ARGUMENT, "sequence", "-5"},
    {{{1, 65536, 0, 0}}, 1, GPT2_ERR_ARGUMENT, "sequence", "65536"},
    {{{1, 0, 0, 0}, {1, 0, 0, 0}, {1, 0, GPT2_ROW_SCORE, 50}},
     3,
     GPT2_ERR_ARGUMENT,
     "target 2",
     "50"},
    {{{1, 0, GPT2_ROW_SCORE, -1}}, 1, GPT2_ERR_ARGUMENT, "target 0", "-1"},
    {{{1, 0, 16, 0}}, 1, GPT2_ERR_UNSUPPORTED, "flags", "0x10"},
};

static void so_does_a_refused_batch(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  for (size_t i = 0; i < sizeof refused_batches / sizeof *refused_batches; i++) {
    const refused_batch *r = &refused_batches[i];
    context_state before = state_of(context);
    expect_failure(gpt2_eval_batch(context, r->rows, r->n), r->status, gpt2_context_error(context),
                   r->words, r->more_words);
    must_be_unchanged(context, &before, r->words);
  }
  context_state before = state_of(context);
  expect_failure(gpt2_eval_batch(context, NULL, 1), GPT2_ERR_ARGUMENT, gpt2_context_error(context),
                 "rows", "NULL");
  must_be_unchanged(context, &before, "rows NULL");
  must_be_as_good_as_new(context);
  gpt2_context_free(context);
}

static void a_batch_that_is_too_long_for_one_of_its_sequences_is_refused_whole(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  gpt2_row rows[40];
  for (int i = 0; i < 40; i++)
    rows[i] = (gpt2_row){.token = i,
                         .sequence = i < 4 ? i + 1 : 0}; /* 36 for the one that has room for 35 */
  context_state before = state_of(context);
  expect_failure(gpt2_eval_batch(context, rows, 40), GPT2_ERR_CONTEXT_FULL,
                 gpt2_context_error(context), "sequence 0", "36 more");
  must_be_unchanged(context, &before, "a batch that is too long");
  must_succeed(gpt2_eval_batch(context, rows, 39), context);
  assert_int_equal(gpt2_kv_length(context, 0), LITTLE_CTX);
  assert_int_equal(gpt2_kv_length(context, 4), 1);
  gpt2_context_free(context);
}

static void a_context_can_be_filled_exactly_and_then_takes_no_more(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  must_succeed(gpt2_eval(context, 1, text, LITTLE_CTX, 0), context);
  must_succeed(gpt2_eval(context, 0, text + 5, LITTLE_CTX - 5, 0), context);
  context_state before = state_of(context);
  expect_failure(gpt2_eval(context, 0, text, 1, 0), GPT2_ERR_CONTEXT_FULL,
                 gpt2_context_error(context), "has 40 tokens", "1 more");
  must_be_unchanged(context, &before, "one token too many");
  must_succeed(gpt2_kv_truncate(context, 0, LITTLE_CTX - 1), context);
  must_succeed(gpt2_eval(context, 0, text + LITTLE_CTX - 1, 1, 0), context);
  assert_int_equal(gpt2_kv_length(context, 0), LITTLE_CTX);
  assert_non_null(gpt2_logits(context, 0));
  gpt2_context_free(context);
}

/* ---- Views ---- */

static void rows_are_seen_only_as_far_as_they_asked(void **state)
{
  (void)state;
  static const gpt2_row rows[] = {{1, 0, 0, 0},
                                  {2, 1, GPT2_ROW_LOGITS, 0},
                                  {3, 0, GPT2_ROW_HIDDEN, 0},
                                  {4, 2, GPT2_ROW_NO_NEXT, 0},
                                  {5, 1, GPT2_ROW_SCORE, 7},
                                  {6, 3, GPT2_ROW_LOGITS | GPT2_ROW_NO_NEXT, 0}};
  enum { N = sizeof rows / sizeof *rows };
  gpt2_context *context = used_context();
  must_succeed(gpt2_eval_batch(context, rows, N), context);
  for (size_t i = 0; i < N; i++) {
    gpt2_token_score score;
    assert_int_equal(gpt2_row_logits(context, i) != NULL, (rows[i].flags & GPT2_ROW_LOGITS) != 0);
    assert_int_equal(gpt2_row_hidden(context, i) != NULL, (rows[i].flags & GPT2_ROW_HIDDEN) != 0);
    assert_int_equal(gpt2_row_score(context, i, &score),
                     rows[i].flags & GPT2_ROW_SCORE ? GPT2_OK : GPT2_ERR_NO_LOGITS);
  }
  assert_null(gpt2_row_logits(context, N));
  assert_null(gpt2_row_hidden(context, SIZE_MAX));
  assert_true(gpt2_logits(context, 0) && gpt2_logits(context, 1));
  assert_true(!gpt2_logits(context, 2) && !gpt2_logits(context, 3) && !gpt2_logits(context, 9));
  assert_true(!gpt2_logits(context, -1) && !gpt2_logits(context, GPT2_MAX_SEQUENCES));
  gpt2_context_free(context);
}

static void the_next_evaluation_takes_the_views_and_logits_of_its_sequences_along(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  assert_non_null(gpt2_row_logits(context, 0));
  must_succeed(gpt2_eval(context, 0, text + 5, 1, GPT2_ROW_NO_NEXT), context);
  assert_null(gpt2_row_logits(context, 0));
  assert_null(gpt2_row_hidden(context, 3));
  assert_null(gpt2_logits(context, 0));
  assert_non_null(gpt2_logits(context, GPT2_MAX_SEQUENCES - 1));
  gpt2_context_free(context);
}

static void scores_that_cannot_be_given_are_refused_by_row(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  gpt2_token_score score = {.rank = -3};
  const gpt2_error *error = gpt2_context_error(context);
  context_state before = state_of(context);
  expect_failure(gpt2_row_score(context, 0, NULL), GPT2_ERR_ARGUMENT, error, "score", "NULL");
  expect_failure(gpt2_row_score(context, 4, &score), GPT2_ERR_ARGUMENT, error, "row", "4 rows");
  expect_failure(gpt2_row_score(context, SIZE_MAX, &score), GPT2_ERR_ARGUMENT, error, "row", NULL);
  expect_failure(gpt2_row_score(context, 2, &score), GPT2_ERR_NO_LOGITS, error, "row 2",
                 "GPT2_ROW_SCORE");
  assert_int_equal(score.rank, -3);
  must_be_unchanged(context, &before, "gpt2_row_score");
  gpt2_context_free(context);
}

static void a_success_leaves_the_words_of_the_last_failure(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  assert_int_equal(gpt2_eval(context, -7, text, 1, 0), GPT2_ERR_ARGUMENT);
  must_succeed(gpt2_eval(context, 0, text, 1, 0), context);
  assert_int_equal(gpt2_context_error(context)->status, GPT2_ERR_ARGUMENT);
  assert_non_null(strstr(gpt2_context_error(context)->message, "-7"));
  gpt2_context_free(context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_that_make_no_sense_are_refused_by_name),
      cmocka_unit_test(a_context_needs_a_place_to_be_put),
      cmocka_unit_test(options_may_be_of_any_size_as_long_as_nothing_unknown_is_set),
      cmocka_unit_test(a_new_context_is_empty_and_has_no_error),
      cmocka_unit_test(everything_can_be_asked_of_no_context),
      cmocka_unit_test(a_refused_evaluation_names_the_argument_and_changes_nothing),
      cmocka_unit_test(so_does_a_refused_batch),
      cmocka_unit_test(a_batch_that_is_too_long_for_one_of_its_sequences_is_refused_whole),
      cmocka_unit_test(a_context_can_be_filled_exactly_and_then_takes_no_more),
      cmocka_unit_test(rows_are_seen_only_as_far_as_they_asked),
      cmocka_unit_test(the_next_evaluation_takes_the_views_and_logits_of_its_sequences_along),
      cmocka_unit_test(scores_that_cannot_be_given_are_refused_by_row),
      cmocka_unit_test(a_success_leaves_the_words_of_the_last_failure),
  };
  return cmocka_run_group_tests(tests, make_model, free_model);
}
