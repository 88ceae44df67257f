/* test_context_stop.c - evaluations that are stopped, by the host or by a cancel. */
#define _GNU_SOURCE
#include "gpt2.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_evaluation_may_be_stopped_whenever_the_host_is_asked),
      cmocka_unit_test(only_the_sequences_of_a_stopped_batch_lose_their_logits),
      cmocka_unit_test(a_cancel_stops_the_next_evaluation_and_is_then_forgotten),
      cmocka_unit_test(a_cancel_at_any_moment_of_an_evaluation_stops_that_one),
      cmocka_unit_test(a_signal_handler_may_cancel),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, make_model, free_model);
}
