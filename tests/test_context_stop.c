/* test_context_stop.c - evaluations that are stopped, and contexts that are in use already. */
#define _GNU_SOURCE
#include "gpt2.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/context_state.h"
#include "support/expect.h"
#include "support/little_model.h"
#include "support/opened.h"

enum { HANG_SECONDS = 100 };

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

/* ---- A host that stops evaluations ---- */

typedef struct stopper {
  int n_calls;
  int stops_at;                    /* the call that stops, from 1 on; 0: none */
  gpt2_context *cancelled_at_call; /* a context to be cancelled at that call instead */
} stopper;

static int32_t asked(void *user)
{
  stopper *s = user;
  bool now = ++s->n_calls == s->stops_at;
  if (now && s->cancelled_at_call) {
    gpt2_cancel(s->cancelled_at_call);
    return 0;
  }
  return now;
}

static gpt2_context *context_with(gpt2_abort_callback callback, void *user)
{
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = 2,
                                        .abort_callback = callback,
                                        .abort_user = user};
  return little_context(little, &options);
}

/* The logits after the first n tokens of the text, evaluated as 4 and the rest, undisturbed. The
 * caller frees them. */
static float *undisturbed_logits(size_t n)
{
  gpt2_context *context = context_with(NULL, NULL);
  must_succeed(gpt2_eval(context, 0, text, 4, 0), context);
  must_succeed(gpt2_eval(context, 0, text + 4, n - 4, 0), context);
  float *logits = copy_logits(context, gpt2_logits(context, 0));
  gpt2_context_free(context);
  return logits;
}

/* After a stopped evaluation of sequence 0: its four tokens are there, and nothing else. */
static void must_be_stopped(gpt2_context *context, gpt2_status status)
{
  gpt2_token tokens[4];
  size_t n = 0;
  expect_failure(status, GPT2_ERR_CANCELLED, gpt2_context_error(context), "cancelled", NULL);
  must_succeed(gpt2_kv_tokens(context, 0, tokens, 4, &n), context);
  assert_int_equal(n, 4);
  assert_memory_equal(tokens, text, sizeof tokens);
  assert_null(gpt2_logits(context, 0));
  assert_null(gpt2_row_logits(context, 0));
}

static void an_evaluation_may_be_stopped_whenever_the_host_is_asked(void **state)
{
  (void)state;
  float *expected = undisturbed_logits(10);
  bool finished = false;
  int n_stops = 0;
  while (!finished) {
    stopper s = {0};
    gpt2_context *context = context_with(asked, &s);
    must_succeed(gpt2_eval(context, 0, text, 4, GPT2_ROW_LOGITS), context);
    s = (stopper){.stops_at = n_stops + 1};
    gpt2_status status = gpt2_eval(context, 0, text + 4, 6, 0);
    finished = status == GPT2_OK;
    if (!finished) {
      n_stops++;
      must_be_stopped(context, status);
      must_succeed(gpt2_eval(context, 0, text + 4, 6, 0), context);
    }
    must_have_logits(context, 0, expected);
    gpt2_context_free(context);
  }
  assert_true(n_stops >= LITTLE_LAYERS); /* it is asked at every block at least */
  free(expected);
}

static void only_the_sequences_of_a_stopped_batch_lose_their_logits(void **state)
{
  (void)state;
  static const gpt2_row rows[] = {{1, 0, 0, 0}, {2, 2, 0, 0}, {3, 0, 0, 0}, {4, 9, 0, 0}};
  stopper s = {0};
  gpt2_context *context = context_with(asked, &s);
  must_succeed(gpt2_eval(context, 0, text, 4, 0), context);
  must_succeed(gpt2_eval(context, 1, text, 3, 0), context);
  must_succeed(gpt2_eval(context, 2, text, 2, 0), context);
  float *of_1 = copy_logits(context, gpt2_logits(context, 1));
  s = (stopper){.stops_at = 2};
  must_be_stopped(context, gpt2_eval_batch(context, rows, 4));
  assert_null(gpt2_logits(context, 2));
  must_have_logits(context, 1, of_1);
  assert_int_equal(gpt2_kv_length(context, 2), 2);
  assert_int_equal(gpt2_kv_length(context, 9), 0);
  free(of_1);
  gpt2_context_free(context);
}

/* ---- gpt2_cancel ---- */

static void a_cancel_stops_the_next_evaluation_and_is_then_forgotten(void **state)
{
  (void)state;
  float *expected = undisturbed_logits(10);
  gpt2_context *context = context_with(NULL, NULL);
  must_succeed(gpt2_eval(context, 0, text, 4, GPT2_ROW_LOGITS), context);
  gpt2_cancel(context);
  gpt2_cancel(context);
  must_be_stopped(context, gpt2_eval(context, 0, text + 4, 6, 0));
  must_succeed(gpt2_eval(context, 0, text + 4, 6, 0), context);
  must_have_logits(context, 0, expected);
  gpt2_context_free(context);
  free(expected);
}

static void a_cancel_at_any_moment_of_an_evaluation_stops_that_one(void **state)
{
  (void)state;
  for (int at = 1; at <= LITTLE_LAYERS; at++) {
    stopper s = {0};
    gpt2_context *context = context_with(asked, &s);
    must_succeed(gpt2_eval(context, 0, text, 4, GPT2_ROW_LOGITS), context);
    s = (stopper){.stops_at = at, .cancelled_at_call = context};
    must_be_stopped(context, gpt2_eval(context, 0, text + 4, 6, 0));
    must_succeed(gpt2_eval(context, 0, text + 4, 6, 0), context);
    gpt2_context_free(context);
  }
}

static gpt2_context *of_signal;

static void cancel_in_handler(int signal)
{
  (void)signal;
  gpt2_cancel(of_signal);
}

static void a_signal_handler_may_cancel(void **state)
{
  (void)state;
  struct sigaction before, ours = {.sa_handler = cancel_in_handler};
  of_signal = context_with(NULL, NULL);
  must_succeed(gpt2_eval(of_signal, 0, text, 4, 0), of_signal);
  assert_int_equal(sigaction(SIGUSR1, &ours, &before), 0);
  raise(SIGUSR1);
  assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
  must_be_stopped(of_signal, gpt2_eval(of_signal, 0, text + 4, 6, 0));
  gpt2_context_free(of_signal);
}

/* ---- Busy ---- */

/* Every call that uses a context, with arguments that would do. */
static void must_all_be_busy(gpt2_context *context)
{
  gpt2_token token, tokens[8];
  gpt2_token_score score;
  gpt2_generation *generation = NULL;
  size_t n = 0;
  assert_int_equal(gpt2_eval(context, 0, text, 1, 0), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_eval_batch(context, &(gpt2_row){.token = 1}, 1), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_row_score(context, 0, &score), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_kv_tokens(context, 0, tokens, 8, &n), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_kv_truncate(context, 0, 0), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_kv_drop(context, 0), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_kv_clear(context), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_sample(context, 0, NULL, &token), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_generation_new(context, NULL, 0, NULL, &generation), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_generate(context, NULL, 0, NULL, NULL, NULL, NULL), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_score_tokens(context, text, 2, NULL, NULL, NULL, NULL), GPT2_ERR_BUSY);
}

typedef struct intruder {
  gpt2_context *context;
  int n_calls;
  bool from_other_thread;
} intruder;

static void *intrude(void *data)
{
  must_all_be_busy(((intruder *)data)->context);
  return NULL;
}

static int32_t call_back(void *user)
{
  intruder *i = user;
  pthread_t other;
  if (!i->context)
    return 0;
  i->n_calls++;
  if (!i->from_other_thread) {
    intrude(i);
    return 0;
  }
  assert_int_equal(pthread_create(&other, NULL, intrude, i), 0);
  pthread_join(other, NULL);
  return 0;
}

static void check_intrusion(bool from_other_thread)
{
  float *expected = undisturbed_logits(10);
  intruder i = {.from_other_thread = from_other_thread};
  gpt2_context *context = context_with(call_back, &i);
  must_succeed(gpt2_eval(context, 0, text, 4, 0), context);
  i.context = context;
  must_succeed(gpt2_eval(context, 0, text + 4, 6, 0), context);
  assert_true(i.n_calls >= LITTLE_LAYERS);
  assert_int_equal(gpt2_kv_length(context, 0), 10);
  must_have_logits(context, 0, expected);
  assert_int_equal(gpt2_context_error(context)->status, GPT2_OK); /* being busy leaves no words */
  gpt2_context_free(context);
  free(expected);
}

static void a_callback_that_uses_its_context_is_told_that_it_is_busy(void **state)
{
  (void)state;
  check_intrusion(false);
}

static void so_is_a_second_thread(void **state)
{
  (void)state;
  check_intrusion(true);
}

/* Runs each task on this thread, and uses the context in between. */
static void intrude_between_tasks(int32_t n, void (*task)(int32_t index, void *data), void *data,
                                  void *user)
{
  for (int32_t i = 0; i < n; i++) {
    task(i, data);
    call_back(user);
  }
}

static void so_is_the_hosts_parallel_for(void **state)
{
  (void)state;
  float *expected = undisturbed_logits(10);
  intruder i = {0};
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = 3,
                                        .parallel_for = intrude_between_tasks,
                                        .parallel_for_user = &i};
  gpt2_context *context = little_context(little, &options);
  must_succeed(gpt2_eval(context, 0, text, 4, 0), context);
  i.context = context;
  must_succeed(gpt2_eval(context, 0, text + 4, 6, 0), context);
  assert_true(i.n_calls > 0);
  must_have_logits(context, 0, expected);
  gpt2_context_free(context);
  free(expected);
}

/* ---- From other threads ---- */

typedef struct canceller {
  gpt2_context *context;
  _Atomic bool done;
} canceller;

static void *cancel_often(void *data)
{
  canceller *c = data;
  while (!atomic_load(&c->done)) {
    gpt2_cancel(c->context);
    usleep(50);
  }
  return NULL;
}

static void another_thread_may_cancel_at_any_time(void **state)
{
  (void)state;
  pthread_t other;
  float *expected = undisturbed_logits(10);
  canceller c = {.context = context_with(NULL, NULL)};
  must_succeed(gpt2_eval(c.context, 0, text, 4, 0), c.context);
  assert_int_equal(pthread_create(&other, NULL, cancel_often, &c), 0);
  int n_cancelled = 0;
  for (int i = 0; i < 2000 && (i < 100 || n_cancelled == 0); i++) {
    gpt2_status status = gpt2_eval(c.context, 0, text + 4, 6, 0);
    assert_true(status == GPT2_OK || status == GPT2_ERR_CANCELLED);
    n_cancelled += status == GPT2_ERR_CANCELLED;
    if (status == GPT2_OK)
      must_have_logits(c.context, 0, expected);
    must_succeed(gpt2_kv_truncate(c.context, 0, 4), c.context);
  }
  atomic_store(&c.done, true);
  pthread_join(other, NULL);
  assert_true(n_cancelled > 0);
  gpt2_context_free(c.context);
  free(expected);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_evaluation_may_be_stopped_whenever_the_host_is_asked),
      cmocka_unit_test(only_the_sequences_of_a_stopped_batch_lose_their_logits),
      cmocka_unit_test(a_cancel_stops_the_next_evaluation_and_is_then_forgotten),
      cmocka_unit_test(a_cancel_at_any_moment_of_an_evaluation_stops_that_one),
      cmocka_unit_test(a_signal_handler_may_cancel),
      cmocka_unit_test(a_callback_that_uses_its_context_is_told_that_it_is_busy),
      cmocka_unit_test(so_is_a_second_thread),
      cmocka_unit_test(so_is_the_hosts_parallel_for),
      cmocka_unit_test(another_thread_may_cancel_at_any_time),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, make_model, free_model);
}
