/* test_context_cancel.c - cancels from another thread, at random moments of whatever is running:
 * each stops one operation and no more, and leaves a context that computes the same to the bit. */
#define _GNU_SOURCE
#include "gpt2.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/context_state.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/random_numbers.h"

enum { HANG_SECONDS = 200, N_ROUNDS = 40, N_VOCAB = 301, N_BEFORE = 10, N_ROWS = 60 };

static gpt2_model *model;
static gpt2_token text[N_ROWS];

static int open_all(void **state)
{
  (void)state;
  model = open_base_model(GPT2_TYPE_F32, NULL);
  for (int i = 0; i < N_ROWS; i++)
    text[i] = i * 41 % N_VOCAB;
  return 0;
}

static int close_all(void **state)
{
  (void)state;
  gpt2_model_free(model);
  return 0;
}

/* ---- What is cancelled ---- */

typedef gpt2_status operation(gpt2_context *context);

static gpt2_status run_eval(gpt2_context *context)
{
  return gpt2_eval(context, 0, text, N_ROWS, 0);
}

static gpt2_status run_eval_batch(gpt2_context *context)
{
  gpt2_row rows[N_ROWS];
  for (int i = 0; i < N_ROWS; i++)
    rows[i] = (gpt2_row){.token = text[i], .sequence = i % 4};
  return gpt2_eval_batch(context, rows, N_ROWS);
}

static gpt2_status run_generate(gpt2_context *context)
{
  gpt2_generate_options options = {
      .struct_size = sizeof options, .flags = GPT2_GENERATE_IGNORE_END, .max_tokens = 12};
  return gpt2_generate(context, "once upon", 9, &options, NULL, NULL, NULL);
}

static gpt2_status run_score(gpt2_context *context)
{
  return gpt2_score_tokens(context, text, N_ROWS, NULL, NULL, NULL, NULL);
}

static const struct {
  operation *run;
  bool in_part; /* what was evaluated before the cancel is in the sequence */
} operations[] = {
    {run_eval, false}, {run_eval_batch, false}, {run_generate, true}, {run_score, false}};
enum { N_OPERATIONS = sizeof operations / sizeof *operations };

/* ---- One who cancels after a while ---- */

typedef struct canceller {
  pthread_t thread;
  gpt2_context *context;
  sem_t begins, is_done;
  long delay_ns; /* below zero: leave */
} canceller;

static long now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void wait_for(sem_t *semaphore)
{
  while (sem_wait(semaphore) != 0)
    continue;
}

static void *cancel_in_time(void *data)
{
  canceller *c = data;
  for (;;) {
    wait_for(&c->begins);
    if (c->delay_ns < 0)
      return NULL;
    for (long until = now_ns() + c->delay_ns; now_ns() < until;)
      continue;
    gpt2_cancel(c->context);
    sem_post(&c->is_done);
  }
}

static void start_canceller(canceller *c, gpt2_context *context)
{
  c->context = context;
  assert_int_equal(sem_init(&c->begins, 0, 0), 0);
  assert_int_equal(sem_init(&c->is_done, 0, 0), 0);
  assert_int_equal(pthread_create(&c->thread, NULL, cancel_in_time, c), 0);
}

static void stop_canceller(canceller *c)
{
  c->delay_ns = -1;
  sem_post(&c->begins);
  pthread_join(c->thread, NULL);
  sem_destroy(&c->begins);
  sem_destroy(&c->is_done);
}

/* ---- Rounds ---- */

/* A context as it is before each operation: some tokens in sequence 0. */
static void begin_anew(gpt2_context *context)
{
  must_succeed(gpt2_kv_clear(context), context);
  must_succeed(gpt2_eval(context, 0, text, N_BEFORE, 0), context);
}

static void must_be_cancelled(gpt2_status status, const gpt2_context *context)
{
  expect_failure(status, GPT2_ERR_CANCELLED, gpt2_context_error(context), "cancelled", NULL);
}

/* What a stopped operation leaves: the tokens of before, and in sequence 0 perhaps more. */
static void check_what_is_left(gpt2_context *context, bool in_part)
{
  gpt2_token tokens[128];
  size_t n = 0;
  must_succeed(gpt2_kv_tokens(context, 0, tokens, 128, &n), context);
  assert_true(in_part ? n >= N_BEFORE : n == N_BEFORE);
  assert_memory_equal(tokens, text, N_BEFORE * sizeof *tokens);
  for (int32_t sequence = 1; sequence < 4; sequence++)
    assert_int_equal(gpt2_kv_length(context, sequence), 0);
}

/* Whether the operation was stopped by a cancel so long after its beginning; if not, the cancel is
 * still to come and stops the next. After that the operation gives what it gives undisturbed. */
static bool cancel_once(canceller *c, int which, long delay_ns, const context_state *expected)
{
  gpt2_context *context = c->context;
  begin_anew(context);
  c->delay_ns = delay_ns;
  sem_post(&c->begins);
  gpt2_status status = operations[which].run(context);
  wait_for(&c->is_done);
  bool stopped = status == GPT2_ERR_CANCELLED;
  if (stopped) {
    must_be_cancelled(status, context);
    check_what_is_left(context, operations[which].in_part);
  } else {
    must_succeed(status, context);
    must_be_cancelled(gpt2_eval(context, 9, text, 1, 0), context);
  }
  begin_anew(context);
  must_succeed(operations[which].run(context), context);
  context_state copy = {.bytes = malloc(expected->size), .size = expected->size};
  assert_non_null(copy.bytes);
  memcpy(copy.bytes, expected->bytes, copy.size);
  must_be_unchanged(context, &copy, "a cancel");
  return stopped;
}

typedef struct tally {
  int n_stopped, n_late;
} tally;

static void cancel_often(random_numbers *random, int which, int32_t n_threads, tally *t)
{
  gpt2_context *alone = open_context(model, 1), *context = open_context(model, n_threads);
  begin_anew(alone);
  must_succeed(operations[which].run(alone), alone);
  context_state expected = state_of(alone);
  canceller c;
  begin_anew(context);
  long before = now_ns();
  must_succeed(operations[which].run(context), context);
  int most = (int)((now_ns() - before) / 1000 * 5 / 4) + 1; /* microseconds */
  start_canceller(&c, context);
  for (int round = 0; round < N_ROUNDS; round++) {
    bool stopped = cancel_once(&c, which, 1000L * random_below(random, most), &expected);
    t->n_stopped += stopped;
    t->n_late += !stopped;
  }
  stop_canceller(&c);
  free_state(&expected);
  gpt2_context_free(alone);
  gpt2_context_free(context);
}

static void a_cancel_at_a_random_moment_stops_one_operation_and_harms_nothing(void **state)
{
  (void)state;
  random_numbers random = random_from_seed("cancels");
  tally t = {0};
  for (int which = 0; which < N_OPERATIONS; which++)
    for (int32_t n_threads = 1; n_threads <= 3; n_threads += 2)
      cancel_often(&random, which, n_threads, &t);
  print_message("# %d operations were stopped, %d cancels came late\n", t.n_stopped, t.n_late);
  assert_int_equal(t.n_stopped + t.n_late, 2 * N_OPERATIONS * N_ROUNDS);
  assert_true(t.n_stopped > 0);
}

/* ---- One who cancels all the time ---- */

typedef struct pest {
  gpt2_context *context;
  _Atomic bool done;
} pest;

static void *cancel_all_the_time(void *data)
{
  pest *p = data;
  while (!p->done) {
    gpt2_cancel(p->context);
    usleep(50);
  }
  return NULL;
}

/* At least one of each must come. */
static void many_cancels_leave_each_operation_done_or_cancelled(void **state)
{
  (void)state;
  pthread_t other;
  pest p = {.context = open_context(model, 2)};
  begin_anew(p.context);
  must_succeed(run_eval(p.context), p.context);
  float *expected = copy_logits(p.context, gpt2_logits(p.context, 0));
  assert_int_equal(pthread_create(&other, NULL, cancel_all_the_time, &p), 0);
  int n_cancelled = 0;
  for (int i = 0; i < 2000 && (i < 100 || n_cancelled == 0); i++) {
    must_succeed(gpt2_kv_truncate(p.context, 0, N_BEFORE), p.context);
    gpt2_status status = run_eval(p.context);
    n_cancelled += status == GPT2_ERR_CANCELLED;
    if (status != GPT2_ERR_CANCELLED) {
      must_succeed(status, p.context);
      must_have_logits(p.context, 0, expected);
    }
  }
  p.done = true;
  pthread_join(other, NULL);
  assert_true(n_cancelled > 0);
  free(expected);
  gpt2_context_free(p.context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cancel_at_a_random_moment_stops_one_operation_and_harms_nothing),
      cmocka_unit_test(many_cancels_leave_each_operation_done_or_cancelled),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, open_all, close_all);
}
