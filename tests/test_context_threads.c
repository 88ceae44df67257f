/* test_context_threads.c - contexts of one model on several threads, on the host's threads, and
 * where the system refuses a thread. */
#define _GNU_SOURCE
#include "gpt2.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/expect.h"
#include "support/little_model.h"
#include "support/opened.h"
#include "support/random_numbers.h"
#include "support/refused_threads.h"

enum { HANG_SECONDS = 200 };

/* ---- One piece of work, which uses both ways of multiplying ---- */

static const gpt2_token text[] = {3, 14, 15, 9, 2, 6, 5, 35, 8, 9, 7, 9};

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

static gpt2_context *context_on(gpt2_model *model, int n_threads, gpt2_parallel_for parallel_for)
{
  const gpt2_context_options options = {
      .struct_size = sizeof options, .n_threads = n_threads, .parallel_for = parallel_for};
  gpt2_context *context = NULL;
  assert_int_equal(gpt2_context_new(model, &options, &context, NULL), GPT2_OK);
  return context;
}

enum { N_SEQUENCES = 3, N_ROWS = N_SEQUENCES * 20 };

/* Evaluates 60 rows of three sequences at once and then some one by one; copies the sequences'
 * logits to `logits` (3, n_vocab). False if something fails. */
static bool work(gpt2_context *context, uint64_t seed, float *logits)
{
  random_numbers random = {seed};
  gpt2_row rows[N_ROWS];
  if (gpt2_kv_clear(context) != GPT2_OK)
    return false;
  for (int i = 0; i < N_ROWS; i++)
    rows[i] = (gpt2_row){.token = random_below(&random, LITTLE_VOCAB), .sequence = i % N_SEQUENCES};
  if (gpt2_eval_batch(context, rows, N_ROWS) != GPT2_OK)
    return false;
  for (int i = 0; i < N_SEQUENCES; i++) {
    gpt2_token token = random_below(&random, LITTLE_VOCAB);
    if (gpt2_eval(context, i, &token, 1, 0) != GPT2_OK)
      return false;
    memcpy(logits + i * LITTLE_VOCAB, gpt2_logits(context, i), LITTLE_VOCAB * sizeof *logits);
  }
  return true;
}

enum { N_WORKS = 5 };

typedef struct results {
  float logits[N_WORKS][N_SEQUENCES * LITTLE_VOCAB];
} results;

static bool work_all(gpt2_context *context, results *found)
{
  for (int i = 0; i < N_WORKS; i++)
    if (!work(context, (uint64_t)i, found->logits[i]))
      return false;
  return true;
}

static results serial_results(gpt2_model *model)
{
  static results expected;
  gpt2_context *context = context_on(model, 1, NULL);
  assert_true(work_all(context, &expected));
  gpt2_context_free(context);
  return expected;
}

/* ---- Threads ---- */

typedef struct user {
  gpt2_model *model;
  const results *expected;
  int n_threads, n_wrong, n_rounds;
} user;

static void *use_model(void *data)
{
  user *u = data;
  results found;
  for (int round = 0; round < u->n_rounds; round++) {
    gpt2_context *context = context_on(u->model, u->n_threads, NULL);
    u->n_wrong += !work_all(context, &found) || memcmp(&found, u->expected, sizeof found) != 0;
    gpt2_context_free(context);
  }
  gpt2_model_free(u->model);
  return NULL;
}

static void contexts_on_several_threads_compute_what_one_alone_does_to_the_bit(void **state)
{
  (void)state;
  enum { N = 6 };
  pthread_t threads[N];
  user users[N];
  gpt2_model *model = little_open(little);
  results expected = serial_results(model);
  for (int i = 0; i < N; i++) {
    users[i] = (user){gpt2_model_ref(model), &expected, 1 + i % 3, 0, 4};
    assert_int_equal(pthread_create(&threads[i], NULL, use_model, &users[i]), 0);
  }
  gpt2_model_free(model); /* each of them has its reference */
  for (int i = 0; i < N; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(users[i].n_wrong, 0);
  }
}

static void in_reverse(int32_t n, void (*task)(int32_t index, void *data), void *data, void *nobody)
{
  (void)nobody;
  for (int32_t i = n; i-- > 0;)
    task(i, data);
}

static void a_hosts_threads_compute_the_same_to_the_bit(void **state)
{
  (void)state;
  gpt2_model *model = little_open(little);
  results expected = serial_results(model), found;
  for (int n_threads = 1; n_threads <= 9; n_threads += 4) {
    gpt2_context *context = context_on(model, n_threads, in_reverse);
    assert_int_equal(gpt2_context_threads(context), n_threads);
    assert_true(work_all(context, &found));
    assert_memory_equal(&found, &expected, sizeof found);
    gpt2_context_free(context);
  }
  gpt2_model_free(model);
}

static void handles_may_be_freed_in_any_order(void **state)
{
  (void)state;
  results expected, found;
  gpt2_model *model = little_open(little);
  gpt2_context *first = context_on(model, 2, NULL), *second = context_on(model, 1, NULL);
  expected = serial_results(model);
  assert_ptr_equal(gpt2_context_model(first), model);
  gpt2_model_free(model);
  assert_true(work_all(first, &found));
  assert_memory_equal(&found, &expected, sizeof found);
  gpt2_context_free(first);
  gpt2_context *third = context_on(gpt2_context_model(second), 3, NULL);
  gpt2_context_free(second);
  assert_true(work_all(third, &found));
  assert_memory_equal(&found, &expected, sizeof found);
  gpt2_context_free(third);
}

/* ---- Refused threads ---- */

static void a_refused_thread_fails_the_evaluation_and_the_next_one_may_go_well(void **state)
{
  (void)state;
  gpt2_model *model = little_open(little);
  results expected = serial_results(model), found;
  gpt2_context *context = context_on(model, 3, NULL);
  refuse_thread(1);
  expect_failure(gpt2_eval(context, 0, text, 4, 0), GPT2_ERR_SYSTEM, gpt2_context_error(context),
                 "n_threads", "thread 2 of 3");
  assert_int_equal(gpt2_kv_length(context, 0), 0);
  assert_null(gpt2_logits(context, 0));
  refuse_thread(0);
  assert_true(work_all(context, &found));
  assert_memory_equal(&found, &expected, sizeof found);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void one_thread_needs_none_of_the_systems(void **state)
{
  (void)state;
  gpt2_model *model = little_open(little);
  gpt2_context *context = context_on(model, 1, NULL), *of_host = context_on(model, 5, in_reverse);
  refuse_thread(1);
  must_succeed(gpt2_eval(context, 0, text, 4, 0), context);
  must_succeed(gpt2_eval(of_host, 0, text, 4, 0), of_host);
  refuse_thread(0);
  gpt2_context_free(context);
  gpt2_context_free(of_host);
  gpt2_model_free(model);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(contexts_on_several_threads_compute_what_one_alone_does_to_the_bit),
      cmocka_unit_test(a_hosts_threads_compute_the_same_to_the_bit),
      cmocka_unit_test(handles_may_be_freed_in_any_order),
      cmocka_unit_test(a_refused_thread_fails_the_evaluation_and_the_next_one_may_go_well),
      cmocka_unit_test(one_thread_needs_none_of_the_systems),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, make_model, free_model);
}
