/* test_context_busy.c - of two users of one context at a time one gets through, and the other is
 * answered GPT2_ERR_BUSY: whatever they call, from callbacks and hooks as from other threads. */
#define _GNU_SOURCE
#include "gpt2.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/context_state.h"
#include "support/counting_allocator.h"
#include "support/intruder.h"
#include "support/opened.h"
#include "support/random_numbers.h"

enum { HANG_SECONDS = 200, N_ROWS = 40, N_CTX = 128, N_VOCAB = 301 };

static gpt2_token text[N_ROWS];

/* ---- A context whose callbacks and hooks all report to the test ---- */

typedef struct host {
  gpt2_model *model;
  gpt2_context *context;
  gpt2_generation *generation;      /* one more on the context */
  void (*reported)(struct host *h); /* at each callback; NULL: nothing happens */
  bool from_other_thread, by_hooks; /* who is the intruder, and when */
  _Atomic int n_reports;
  counting_allocator counter;
  gpt2_allocator hooks;
} host;

static void report(host *h)
{
  if (!h->reported)
    return;
  h->n_reports++;
  h->reported(h);
}

static int32_t report_abort(void *user)
{
  report(user);
  return 0;
}

static int32_t report_piece(const gpt2_piece *piece, void *user)
{
  (void)piece;
  report(user);
  return 0;
}

static int32_t report_score(const gpt2_token_score *score, void *user)
{
  (void)score;
  report(user);
  return 0;
}

static void report_tasks(int32_t n, void (*task)(int32_t index, void *data), void *data, void *user)
{
  for (int32_t i = 0; i < n; i++) {
    task(i, data);
    report(user);
  }
}

static void *report_allocation(size_t size, size_t alignment, void *user)
{
  host *h = user;
  if (h->by_hooks)
    report(h);
  gpt2_allocator counting = counting_hooks(&h->counter);
  return counting.allocate(size, alignment, &h->counter);
}

static void report_release(void *memory, void *user)
{
  host *h = user;
  gpt2_allocator counting = counting_hooks(&h->counter);
  counting.release(memory, &h->counter);
}

static void open_host(host *h, int32_t n_threads)
{
  *h = (host){.hooks = {.struct_size = sizeof h->hooks,
                        .allocate = report_allocation,
                        .release = report_release,
                        .user = h}};
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = n_threads,
                                        .parallel_for = n_threads == 3 ? report_tasks : NULL,
                                        .parallel_for_user = h,
                                        .abort_callback = report_abort,
                                        .abort_user = h};
  gpt2_error error = {.struct_size = sizeof error};
  h->model = open_base_model(GPT2_TYPE_F32, &h->hooks);
  must_have_succeeded(gpt2_context_new(h->model, &options, &h->context, &error), &error);
  must_succeed(gpt2_generation_new(h->context, "the", 3, NULL, &h->generation), h->context);
  for (int i = 0; i < N_ROWS; i++)
    text[i] = i * 31 % N_VOCAB;
}

static void close_host(host *h)
{
  h->reported = NULL;
  gpt2_generation_free(h->generation);
  gpt2_context_free(h->context);
  gpt2_model_free(h->model);
  assert_int_equal(h->counter.n_live, 0);
}

/* ---- Calls that call back ---- */

typedef gpt2_status operation(host *h);

static gpt2_status run_eval(host *h)
{
  return gpt2_eval(h->context, 1, text, N_ROWS, 0);
}

static gpt2_status run_eval_batch(host *h)
{
  const gpt2_row rows[] = {{text[0], 2, 0, 0}, {text[1], 3, GPT2_ROW_SCORE, 9}, {text[2], 2, 0, 0}};
  return gpt2_eval_batch(h->context, rows, 3);
}

static gpt2_status run_generate(host *h)
{
  gpt2_generate_options options = {.struct_size = sizeof options, .sequence = 4, .max_tokens = 3};
  return gpt2_generate(h->context, "once", 4, &options, report_piece, h, NULL);
}

static gpt2_status run_generation_next(host *h)
{
  gpt2_piece piece = {.struct_size = sizeof piece};
  return gpt2_generation_next(h->generation, &piece);
}

static gpt2_status run_score(host *h)
{
  return gpt2_score(h->context, "upon a time", 11, NULL, report_score, h, NULL);
}

static gpt2_status run_score_tokens(host *h)
{
  return gpt2_score_tokens(h->context, text, N_ROWS, NULL, report_score, h, NULL);
}

static operation *const operations[] = {
    run_eval, run_eval_batch, run_generate, run_generation_next, run_score, run_score_tokens};
enum { N_OPERATIONS = sizeof operations / sizeof *operations };

/* What all of them leave in a context, undisturbed. */
static context_state undisturbed_state(void)
{
  host h;
  open_host(&h, 1);
  for (int i = 0; i < N_OPERATIONS; i++)
    must_succeed(operations[i](&h), h.context);
  context_state state = state_of(h.context);
  close_host(&h);
  return state;
}

/* ---- One who calls while a call is running ---- */

static void *intrude(void *data)
{
  host *h = data;
  must_all_be_busy(h->context, h->generation);
  return NULL;
}

static void let_intrude(host *h)
{
  pthread_t other;
  if (!h->from_other_thread) {
    intrude(h);
    return;
  }
  assert_int_equal(pthread_create(&other, NULL, intrude, h), 0);
  pthread_join(other, NULL);
}

static void check_intrusion(host how, int32_t n_threads)
{
  context_state expected = undisturbed_state();
  host h;
  open_host(&h, n_threads);
  h.from_other_thread = how.from_other_thread;
  h.by_hooks = how.by_hooks;
  h.reported = let_intrude;
  for (int i = 0; i < N_OPERATIONS; i++) {
    h.n_reports = 0;
    must_succeed(operations[i](&h), h.context);
    assert_true(h.n_reports > 0);
  }
  h.reported = NULL;
  assert_int_equal(gpt2_context_error(h.context)->status, GPT2_OK);
  must_be_unchanged(h.context, &expected, "an intruder");
  close_host(&h);
}

static void callbacks_that_use_their_context_are_told_that_it_is_busy(void **state)
{
  (void)state;
  check_intrusion((host){.from_other_thread = false}, 2);
}

static void so_is_a_second_thread(void **state)
{
  (void)state;
  check_intrusion((host){.from_other_thread = true}, 2);
}

static void so_are_the_hosts_parallel_for_and_the_memory_hooks(void **state)
{
  (void)state;
  check_intrusion((host){.from_other_thread = false}, 3);
  check_intrusion((host){.by_hooks = true}, 1);
  check_intrusion((host){.by_hooks = true, .from_other_thread = true}, 3);
}

/* ---- Two that come at the same time ---- */

typedef struct racer {
  pthread_t thread;
  host *host;
  operation *operation;
  pthread_barrier_t *start;
  gpt2_status status;
} racer;

static _Atomic int n_answered;

/* Who got through stays there until the other one has its answer. */
static void await_the_others_answer(host *h)
{
  (void)h;
  while (n_answered == 0)
    usleep(10);
}

static void *race(void *data)
{
  racer *r = data;
  pthread_barrier_wait(r->start);
  r->status = r->operation(r->host);
  n_answered++;
  return NULL;
}

static void check_race(host *h, operation *first, operation *second)
{
  pthread_barrier_t start;
  racer racers[2] = {{.host = h, .operation = first, .start = &start},
                     {.host = h, .operation = second, .start = &start}};
  n_answered = 0;
  assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
  for (int i = 0; i < 2; i++)
    pthread_join(racers[i].thread, NULL);
  pthread_barrier_destroy(&start);
  bool first_won = racers[0].status == GPT2_OK;
  assert_int_equal(racers[first_won ? 0 : 1].status, GPT2_OK);
  assert_int_equal(racers[first_won ? 1 : 0].status, GPT2_ERR_BUSY);
}

static void of_two_threads_that_begin_at_once_exactly_one_gets_through(void **state)
{
  (void)state;
  enum { N_ROUNDS = 10 };
  for (int i = 0; i < N_OPERATIONS; i++)
    for (int k = 0; k < N_OPERATIONS; k++) {
      host h;
      open_host(&h, 2);
      h.reported = await_the_others_answer;
      for (int round = 0; round < N_ROUNDS; round++) {
        check_race(&h, operations[i], operations[k]);
        must_succeed(gpt2_kv_drop(h.context, 1), h.context);
        must_succeed(gpt2_kv_drop(h.context, 4), h.context);
      }
      close_host(&h);
    }
}

/* ---- A crowd ---- */

enum { N_VISITORS = 4, N_EVALUATIONS = 25 };

typedef struct visitor {
  pthread_t thread;
  gpt2_context *context;
  random_numbers random;
  int n_evaluated;
} visitor;

/* Reads what is there between the evaluations; goes on when it is told that another is at it. */
static void *visit(void *data)
{
  visitor *v = data;
  while (v->n_evaluated < N_EVALUATIONS) {
    gpt2_token token = random_below(&v->random, N_VOCAB), all[N_CTX];
    size_t n = 0;
    bool reads = random_below(&v->random, 3) == 0;
    gpt2_status status = reads ? gpt2_kv_tokens(v->context, 0, all, N_CTX, &n)
                               : gpt2_eval(v->context, 0, &token, 1, 0);
    if (status != GPT2_ERR_BUSY)
      must_succeed(status, v->context);
    v->n_evaluated += !reads && status == GPT2_OK;
  }
  return NULL;
}

/* The same tokens, one by one, in a context of one thread. */
static void must_be_as_if_alone(gpt2_context *context)
{
  gpt2_token tokens[N_CTX];
  size_t n = 0;
  gpt2_context *alone = open_context(gpt2_context_model(context), 1);
  must_succeed(gpt2_kv_tokens(context, 0, tokens, N_CTX, &n), context);
  assert_int_equal(n, N_VISITORS * N_EVALUATIONS);
  for (size_t i = 0; i < n; i++)
    must_succeed(gpt2_eval(alone, 0, tokens + i, 1, 0), alone);
  context_state expected = state_of(alone);
  must_be_unchanged(context, &expected, "a crowd");
  gpt2_context_free(alone);
}

static void a_crowd_in_one_context_harms_nothing_and_nobody_is_lost(void **state)
{
  (void)state;
  visitor visitors[N_VISITORS];
  gpt2_model *model = open_base_model(GPT2_TYPE_F32, NULL);
  gpt2_context *context = open_context(model, 2);
  random_numbers random = random_from_seed("crowd");
  for (int i = 0; i < N_VISITORS; i++) {
    visitors[i] = (visitor){.context = context, .random = {random_bits(&random)}};
    assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
  }
  for (int i = 0; i < N_VISITORS; i++)
    pthread_join(visitors[i].thread, NULL);
  must_be_as_if_alone(context);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(callbacks_that_use_their_context_are_told_that_it_is_busy),
      cmocka_unit_test(so_is_a_second_thread),
      cmocka_unit_test(so_are_the_hosts_parallel_for_and_the_memory_hooks),
      cmocka_unit_test(of_two_threads_that_begin_at_once_exactly_one_gets_through),
      cmocka_unit_test(a_crowd_in_one_context_harms_nothing_and_nobody_is_lost),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
