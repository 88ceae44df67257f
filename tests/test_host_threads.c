/* test_host_threads.c - contexts that work on threads of the host: whichever these are, in whatever
 * order they run their tasks and however many of them, the results are those of one thread, to the
 * bit. */
#define _GNU_SOURCE
#include "gpt2.h"
#include "support/pools.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/opened.h"
#include "support/random_numbers.h"

enum { HANG_SECONDS = 200, SEED = 5, MOST_THREADS = 16, MOST_TASKS = 64 };

static gpt2_model *models[2]; /* weights in f32, and in q8_0 */
static record expected[2], found;

static int open_models(void **state)
{
  (void)state;
  const gpt2_context_options serial = {.struct_size = sizeof serial, .n_threads = 1};
  for (int i = 0; i < 2; i++) {
    models[i] = open_base_model(i ? GPT2_TYPE_Q8_0 : GPT2_TYPE_F32, NULL);
    do_all_work(models[i], &serial, SEED, &expected[i]);
  }
  return 0;
}

static int free_models(void **state)
{
  (void)state;
  for (int i = 0; i < 2; i++)
    gpt2_model_free(models[i]);
  return 0;
}

static void must_compute_the_same(int32_t n_threads, gpt2_parallel_for parallel_for, void *user)
{
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = n_threads,
                                        .parallel_for = parallel_for,
                                        .parallel_for_user = user};
  for (int i = 0; i < 2; i++) {
    do_all_work(models[i], &options, SEED, &found);
    expect_same(&found, &expected[i]);
  }
}

/* ---- A thread pool of the host ---- */

typedef struct call {
  void (*task)(int32_t index, void *data);
  void *data;
  int32_t index;
  int *n_open; /* of the same parallel_for */
} call;

typedef struct host {
  pthread_t threads[MOST_THREADS];
  int n_threads;
  pthread_mutex_t mutex; /* guards the rest */
  pthread_cond_t changed;
  call calls[MOST_TASKS]; /* (n_calls) that wait */
  int n_calls;
  bool ends;
  random_numbers random; /* picks the next one */
} host;

static void *serve(void *data)
{
  host *h = data;
  pthread_mutex_lock(&h->mutex);
  for (;;) {
    while (h->n_calls == 0 && !h->ends)
      pthread_cond_wait(&h->changed, &h->mutex);
    if (h->n_calls == 0)
      break;
    call *picked = &h->calls[random_below(&h->random, h->n_calls)], now = *picked;
    *picked = h->calls[--h->n_calls];
    pthread_mutex_unlock(&h->mutex);
    now.task(now.index, now.data);
    pthread_mutex_lock(&h->mutex);
    --*now.n_open;
    pthread_cond_broadcast(&h->changed);
  }
  pthread_mutex_unlock(&h->mutex);
  return NULL;
}

static void on_pool(int32_t n, void (*task)(int32_t index, void *data), void *data, void *user)
{
  host *h = user;
  int n_open = n;
  pthread_mutex_lock(&h->mutex);
  assert_true(n >= 2 && h->n_calls + n <= MOST_TASKS);
  for (int32_t i = 0; i < n; i++)
    h->calls[h->n_calls++] = (call){task, data, i, &n_open};
  pthread_cond_broadcast(&h->changed);
  while (n_open > 0)
    pthread_cond_wait(&h->changed, &h->mutex);
  pthread_mutex_unlock(&h->mutex);
}

static void start_host(host *h, int n_threads)
{
  *h = (host){.n_threads = n_threads, .random = {(uint64_t)n_threads}};
  pthread_mutex_init(&h->mutex, NULL);
  pthread_cond_init(&h->changed, NULL);
  for (int i = 0; i < n_threads; i++)
    assert_int_equal(pthread_create(&h->threads[i], NULL, serve, h), 0);
}

static void stop_host(host *h)
{
  pthread_mutex_lock(&h->mutex);
  h->ends = true;
  pthread_cond_broadcast(&h->changed);
  pthread_mutex_unlock(&h->mutex);
  for (int i = 0; i < h->n_threads; i++)
    pthread_join(h->threads[i], NULL);
  pthread_mutex_destroy(&h->mutex);
  pthread_cond_destroy(&h->changed);
}

/* Fewer threads than tasks, as many, and more; in any order. */
static void a_hosts_pool_of_any_size_computes_the_same_to_the_bit(void **state)
{
  (void)state;
  static const int sizes[] = {1, 2, 3, 8, MOST_THREADS};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int32_t n_threads = 1; n_threads <= 9; n_threads += 4) {
      host h;
      start_host(&h, sizes[i]);
      int before = n_threads_of_process();
      must_compute_the_same(n_threads, on_pool, &h);
      expect_threads(before); /* none of ours */
      stop_host(&h);
    }
}

typedef struct sharer {
  pthread_t thread;
  gpt2_context_options options;
  record found;
} sharer;

static void *share(void *data)
{
  sharer *s = data;
  do_all_work(models[1], &s->options, SEED, &s->found);
  return NULL;
}

static void contexts_on_several_threads_may_share_a_hosts_pool(void **state)
{
  (void)state;
  enum { N = 4 };
  static sharer sharers[N];
  host h;
  start_host(&h, 3);
  for (int i = 0; i < N; i++) {
    sharers[i].options = (gpt2_context_options){.struct_size = sizeof sharers[i].options,
                                                .n_threads = 2 + i,
                                                .parallel_for = on_pool,
                                                .parallel_for_user = &h};
    assert_int_equal(pthread_create(&sharers[i].thread, NULL, share, &sharers[i]), 0);
  }
  for (int i = 0; i < N; i++) {
    pthread_join(sharers[i].thread, NULL);
    expect_same(&sharers[i].found, &expected[1]);
  }
  stop_host(&h);
}

/* ---- The calling thread alone, and hosts that do not do all they are asked for ---- */

typedef struct manner {
  bool backwards;
  int32_t most_tasks; /* runs no more than these, */
  int n_times;        /* each so often, */
  int32_t shift;      /* under a wrong number */
  int n_calls;
} manner;

static void one_by_one(int32_t n, void (*task)(int32_t index, void *data), void *data, void *user)
{
  manner *m = user;
  m->n_calls++;
  for (int32_t i = 0; i < n && i < m->most_tasks; i++)
    for (int k = 0; k < m->n_times; k++)
      task((m->backwards ? n - 1 - i : i) + m->shift, data);
}

static void check_manner(manner m)
{
  must_compute_the_same(4, one_by_one, &m);
  assert_true(m.n_calls > 0);
}

static void tasks_may_run_one_by_one_on_the_calling_thread_in_any_order(void **state)
{
  (void)state;
  check_manner((manner){.most_tasks = INT32_MAX, .n_times = 1});
  check_manner((manner){.backwards = true, .most_tasks = INT32_MAX, .n_times = 1});
}

static void what_a_host_leaves_that_runs_fewer_tasks_or_none_is_done_all_the_same(void **state)
{
  (void)state;
  for (int32_t most = 0; most < 4; most++)
    check_manner((manner){.most_tasks = most, .n_times = 1});
}

static void tasks_that_run_twice_or_under_wrong_numbers_harm_nothing(void **state)
{
  (void)state;
  check_manner((manner){.most_tasks = INT32_MAX, .n_times = 2});
  check_manner((manner){.most_tasks = INT32_MAX, .n_times = 1, .shift = 1000000});
  check_manner((manner){.most_tasks = INT32_MAX, .n_times = 1, .shift = -1000});
}

typedef struct repeated {
  void (*task)(int32_t index, void *data);
  void *data;
} repeated;

static void *run_first(void *data)
{
  const repeated *r = data;
  r->task(0, r->data);
  return NULL;
}

/* All under the same number: who took it for a worker's would share its memory. */
static void all_as_the_first(int32_t n, void (*task)(int32_t index, void *data), void *data,
                             void *user)
{
  pthread_t threads[MOST_THREADS];
  repeated r = {task, data};
  (void)user;
  for (int32_t i = 0; i < n; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, run_first, &r), 0);
  for (int32_t i = 0; i < n; i++)
    pthread_join(threads[i], NULL);
}

static void so_it_is_when_they_run_at_once(void **state)
{
  (void)state;
  must_compute_the_same(4, all_as_the_first, NULL);
}

/* ---- A host that evaluates meanwhile, in another context ---- */

static void with_another_context(int32_t n, void (*task)(int32_t index, void *data), void *data,
                                 void *user)
{
  const gpt2_token token = 3;
  must_succeed(gpt2_kv_clear(user), user);
  must_succeed(gpt2_eval(user, 0, &token, 1, 0), user);
  for (int32_t i = 0; i < n; i++)
    task(i, data);
}

static void a_host_may_use_another_context_meanwhile(void **state)
{
  (void)state;
  gpt2_context *other = open_context(models[0], 2);
  must_compute_the_same(3, with_another_context, other);
  assert_int_equal(gpt2_kv_length(other, 0), 1);
  gpt2_context_free(other);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_hosts_pool_of_any_size_computes_the_same_to_the_bit),
      cmocka_unit_test(contexts_on_several_threads_may_share_a_hosts_pool),
      cmocka_unit_test(tasks_may_run_one_by_one_on_the_calling_thread_in_any_order),
      cmocka_unit_test(what_a_host_leaves_that_runs_fewer_tasks_or_none_is_done_all_the_same),
      cmocka_unit_test(tasks_that_run_twice_or_under_wrong_numbers_harm_nothing),
      cmocka_unit_test(so_it_is_when_they_run_at_once),
      cmocka_unit_test(a_host_may_use_another_context_meanwhile),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, open_models, free_models);
}
