/* test_many_threads.c - more threads than are allowed, as many as are, and the system refusing any
 * of them: an error that says so, and nothing left behind. */
#define _GNU_SOURCE
#include "gpt2.h"
#include "support/pools.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/refused_threads.h"

enum { HANG_SECONDS = 200, MOST = 1024, N_VOCAB = 301, N_ROWS = 48 };

/* ---- A model, and what it computes ---- */

static counting_allocator counter;
static gpt2_allocator hooks;
static gpt2_model *model;
static float expected[N_VOCAB];

static const float *evaluate(gpt2_context *context)
{
  gpt2_token tokens[N_ROWS];
  for (int i = 0; i < N_ROWS; i++)
    tokens[i] = i * 37 % N_VOCAB;
  must_succeed(gpt2_kv_clear(context), context);
  must_succeed(gpt2_eval(context, 0, tokens, N_ROWS - 1, 0), context);
  must_succeed(gpt2_eval(context, 0, tokens + N_ROWS - 1, 1, 0), context);
  return gpt2_logits(context, 0);
}

static int open_all(void **state)
{
  (void)state;
  hooks = counting_hooks(&counter);
  model = open_base_model(GPT2_TYPE_F32, &hooks);
  gpt2_context *context = open_context(model, 1);
  memcpy(expected, evaluate(context), sizeof expected);
  gpt2_context_free(context);
  return 0;
}

static int close_all(void **state)
{
  (void)state;
  gpt2_model_free(model);
  return counter.n_live != 0;
}

static void must_compute_the_same(gpt2_context *context)
{
  assert_memory_equal(evaluate(context), expected, sizeof expected);
}

/* Loads the same with so many threads. */
static gpt2_status load(int32_t n_threads, gpt2_model **loaded, gpt2_error *error)
{
  char *folder = test_data_path("fixtures/models/base");
  const gpt2_load_options options = {.struct_size = sizeof options,
                                     .allocator = &hooks,
                                     .weights = GPT2_TYPE_Q8_0,
                                     .n_threads = n_threads};
  *loaded = model; /* not NULL */
  *error = NO_ERROR_YET;
  gpt2_status status = gpt2_load(folder, &options, loaded, error);
  free(folder);
  return status;
}

/* ---- Too many ---- */

static void ten_thousand_threads_are_refused_by_a_context_and_by_a_load(void **state)
{
  (void)state;
  static const int32_t too_many[] = {MOST + 1, 10000, INT32_MAX};
  size_t n_live = counter.n_live;
  int before = n_threads_of_process();
  for (size_t i = 0; i < sizeof too_many / sizeof *too_many; i++) {
    const gpt2_context_options options = {.struct_size = sizeof options, .n_threads = too_many[i]};
    gpt2_context *context = (gpt2_context *)model; /* not NULL */
    gpt2_model *loaded;
    gpt2_error error = NO_ERROR_YET;
    char words[64];
    snprintf(words, sizeof words, "n_threads: is %d, at most 1024 are allowed", (int)too_many[i]);
    expect_failure(gpt2_context_new(model, &options, &context, &error), GPT2_ERR_LIMIT, &error,
                   words, NULL);
    assert_null(context);
    expect_failure(load(too_many[i], &loaded, &error), GPT2_ERR_LIMIT, &error, words, NULL);
    assert_null(loaded);
  }
  expect_threads(before);
  assert_int_equal(counter.n_live, n_live);
}

/* ---- As many as are allowed ---- */

static void as_many_threads_as_are_allowed_compute_the_same_and_end(void **state)
{
  (void)state;
  int before = n_threads_of_process();
  gpt2_context *context = open_context(model, MOST);
  expect_threads(before); /* none until they are needed */
  must_compute_the_same(context);
  expect_threads(before + MOST - 1);
  must_compute_the_same(context);
  gpt2_context_free(context);
  expect_threads(before);
}

static void so_do_loads(void **state)
{
  (void)state;
  int before = n_threads_of_process();
  gpt2_model *loaded;
  gpt2_error error;
  expect_success(load(MOST, &loaded, &error), &error);
  expect_threads(before);
  gpt2_model_free(loaded);
}

/* ---- Refused by the system ---- */

static void check_refused(gpt2_context *context, int refused)
{
  char words[64];
  const gpt2_token token = 3;
  int before = n_threads_of_process();
  size_t length = gpt2_kv_length(context, 0);
  snprintf(words, sizeof words, "refused thread %d of %d", refused + 1,
           (int)gpt2_context_threads(context));
  refuse_thread(refused);
  expect_failure(gpt2_eval(context, 0, &token, 1, 0), GPT2_ERR_SYSTEM, gpt2_context_error(context),
                 "n_threads", words);
  refuse_thread(0);
  assert_int_equal(gpt2_kv_length(context, 0), length);
  expect_threads(before); /* those that had been started have ended */
}

static void whichever_thread_is_refused_the_context_is_as_before_and_can_try_again(void **state)
{
  (void)state;
  enum { N = 8 };
  for (int refused = 1; refused < N; refused++) {
    gpt2_context *context = open_context(model, N);
    check_refused(context, refused);
    must_compute_the_same(context);
    gpt2_context_free(context);
  }
}

static void so_it_is_with_a_thousand_threads(void **state)
{
  (void)state;
  static const int refused[] = {1, 2, 500, MOST - 1};
  gpt2_context *context = open_context(model, MOST);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    check_refused(context, refused[i]);
  must_compute_the_same(context);
  gpt2_context_free(context);
}

static void whichever_thread_a_load_is_refused_it_fails_and_leaves_nothing(void **state)
{
  (void)state;
  size_t n_live = counter.n_live;
  int before = n_threads_of_process(), refused = 1;
  gpt2_model *loaded;
  gpt2_error error;
  for (;; refused++) {
    refuse_thread(refused);
    gpt2_status status = load(8, &loaded, &error);
    refuse_thread(0);
    if (status == GPT2_OK)
      break;
    expect_failure(status, GPT2_ERR_SYSTEM, &error, "n_threads", "refused thread");
    assert_null(loaded);
    assert_int_equal(counter.n_live, n_live);
    expect_threads(before);
  }
  assert_int_equal(refused, 8); /* seven beside the caller's */
  gpt2_model_free(loaded);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ten_thousand_threads_are_refused_by_a_context_and_by_a_load),
      cmocka_unit_test(as_many_threads_as_are_allowed_compute_the_same_and_end),
      cmocka_unit_test(so_do_loads),
      cmocka_unit_test(whichever_thread_is_refused_the_context_is_as_before_and_can_try_again),
      cmocka_unit_test(so_it_is_with_a_thousand_threads),
      cmocka_unit_test(whichever_thread_a_load_is_refused_it_fails_and_leaves_nothing),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, open_all, close_all);
}
