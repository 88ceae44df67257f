/* test_pool.c - the threads of a context run every tile once, whoever is busy or asleep. */
#define _GNU_SOURCE
#include "support/pools.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A hang is a failure, too: the alarm ends the program. */
enum { HANG_SECONDS = 100 };

/* ---- Every tile once, by a worker that does nothing else meanwhile ---- */

enum { MOST_TILES = 1000, MOST_WORKERS = 32 };

typedef struct tally {
  int n_runs[MOST_TILES]; /* not atomic: nobody else runs the tile, and pool_run waits for it */
  _Atomic bool working[MOST_WORKERS];
  _Atomic int n_wrong;
  int n_workers;
} tally;

static void count_tile(void *work, size_t tile, int worker)
{
  tally *t = work;
  if (worker < 0 || worker >= t->n_workers || atomic_exchange(&t->working[worker], true)) {
    atomic_fetch_add(&t->n_wrong, 1);
    return;
  }
  t->n_runs[tile]++;
  atomic_store(&t->working[worker], false);
}

static void check_job(pool *p, size_t n_tiles, int max_workers)
{
  static tally t;
  memset(&t, 0, sizeof t);
  t.n_workers = max_workers < pool_threads(p) ? max_workers : pool_threads(p);
  pool_run(p, n_tiles, max_workers, count_tile, &t);
  if (t.n_wrong > 0)
    fail_msg("%d tiles were run by a worker that is not one of the %d or was busy", t.n_wrong,
             t.n_workers);
  for (size_t tile = 0; tile < MOST_TILES; tile++)
    if (t.n_runs[tile] != (tile < n_tiles))
      fail_msg("tile %zu of %zu ran %d times, with %d workers", tile, n_tiles, t.n_runs[tile],
               t.n_workers);
}

static void check_jobs(pool *p)
{
  static const size_t sizes[] = {0, 1, 2, 3, 4, 7, 64, MOST_TILES};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int max_workers = 1; max_workers <= 16; max_workers++)
      check_job(p, sizes[i], max_workers);
}

static void every_tile_runs_once_on_any_number_of_threads(void **state)
{
  (void)state;
  static const int counts[] = {1, 2, 3, 5, 8, 17};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    pool *p = new_pool(counts[i]);
    check_jobs(p);
    pool_free(p);
  }
}

static void so_it_does_in_a_hundred_thousand_jobs_one_upon_another(void **state)
{
  (void)state;
  pool *p = new_pool(2);
  tally t = {.n_workers = 2};
  for (int job = 0; job < 100000; job++)
    pool_run(p, 1 + (size_t)job % 4, 2, count_tile, &t);
  assert_int_equal(t.n_wrong, 0);
  for (int tile = 0; tile < 4; tile++)
    assert_int_equal(t.n_runs[tile], 25000 * (4 - tile));
  pool_free(p);
}

/* ---- Several threads at once ---- */

/* Were a thread late for good, a meeting would never end. */
static void no_thread_misses_a_job_however_quickly_they_follow(void **state)
{
  (void)state;
  for (int n = 2; n <= 4; n++) {
    pool *p = new_pool(n);
    for (int job = 0; job < 3000; job++) {
      tally t = {.n_workers = n};
      pool_run(p, 2, n, count_tile, &t); /* a short one, which some are late for */
      hold_meeting(p, n);
    }
    pool_free(p);
  }
}

static void threads_that_have_gone_to_sleep_wake_up_for_a_job(void **state)
{
  (void)state;
  pool *p = new_pool(3);
  for (int i = 0; i < 10; i++) {
    nap(5);
    hold_meeting(p, 3);
  }
  pool_free(p);
}

typedef struct slow_first {
  size_t n_tiles;
  _Atomic size_t n_others;
} slow_first;

static void run_slow_first(void *work, size_t tile, int worker)
{
  (void)worker;
  slow_first *s = work;
  if (tile > 0)
    atomic_fetch_add(&s->n_others, 1);
  while (tile == 0 && atomic_load(&s->n_others) < s->n_tiles - 1)
    sched_yield();
}

static void a_slow_tile_does_not_hold_up_the_others(void **state)
{
  (void)state;
  pool *p = new_pool(2);
  for (int i = 0; i < 200; i++) {
    slow_first s = {.n_tiles = 50};
    pool_run(p, s.n_tiles, 2, run_slow_first, &s);
    assert_int_equal(s.n_others, 49);
  }
  pool_free(p);
}

/* Takes longer by about 50 microseconds. */
static void count_tile_slowly(void *work, size_t tile, int worker)
{
  for (volatile int i = 0; i < 50000; i++)
    ;
  count_tile(work, tile, worker);
}

typedef struct move {
  meeting meeting; /* so that each thread takes a tile */
  cpu_set_t to;
} move;

static void move_thread(void *work, size_t tile, int worker)
{
  move *m = work;
  meet(&m->meeting, tile, worker);
  sched_setaffinity(0, sizeof m->to, &m->to);
}

/* The worker and the caller, which spins for it, take turns on a core, some milliseconds each. */
static void on_a_core_that_is_shared_every_tile_runs_once(void **state)
{
  (void)state;
  static tally t;
  cpu_set_t before;
  pool *p = new_pool(2);
  move m = {.meeting.n_expected = 2};
  assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_SET((size_t)sched_getcpu(), &m.to);
  pool_run(p, 2, 2, move_thread, &m);
  memset(&t, 0, sizeof t);
  t.n_workers = 2;
  for (int job = 1; job <= 200; job++) {
    pool_run(p, 16, 2, count_tile_slowly, &t);
    for (size_t tile = 0; tile < 16; tile++)
      assert_int_equal(t.n_runs[tile], job);
  }
  assert_int_equal(t.n_wrong, 0);
  pool_free(p);
  assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void run_slowly(void *work, size_t tile, int worker)
{
  (void)tile;
  nap(2);
  if (worker >= 2)
    atomic_fetch_add((_Atomic int *)work, 1);
}

static void no_more_threads_take_part_than_are_allowed(void **state)
{
  (void)state;
  _Atomic int n_wrong = 0;
  pool *p = new_pool(5);
  for (int i = 0; i < 5; i++)
    pool_run(p, 10, 2, run_slowly, &n_wrong);
  assert_int_equal(n_wrong, 0);
  pool_free(p);
}

static double processor_seconds(void)
{
  struct timespec now;
  assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void an_idle_pool_takes_no_processor_time(void **state)
{
  (void)state;
  pool *p = new_pool(4);
  hold_meeting(p, 4);
  nap(50); /* until they sleep */
  double before = processor_seconds();
  nap(200);
  assert_true(processor_seconds() - before < 0.1); /* one that spins takes 0.2 */
  pool_free(p);
}

typedef struct signals_seen {
  meeting meeting;
  _Atomic int n_open; /* threads that a signal of the host's could interrupt */
} signals_seen;

static void see_signals(void *work, size_t tile, int worker)
{
  signals_seen *seen = work;
  sigset_t blocked;
  meet(&seen->meeting, tile, worker);
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGALRM))
    atomic_fetch_add(&seen->n_open, 1);
}

static void signals_of_the_host_never_arrive_on_our_threads(void **state)
{
  (void)state;
  pool *p = new_pool(3);
  signals_seen seen = {.meeting.n_expected = 3};
  pool_run(p, 3, 3, see_signals, &seen);
  assert_int_equal(seen.n_open, 1); /* the host's own */
  pool_free(p);
}

/* ---- The host's threads ---- */

typedef struct host {
  int n_calls;
  int32_t n_last;
} host;

/* One after another, the last first: what a host may do. */
static void backwards(int32_t n, void (*task)(int32_t index, void *data), void *data, void *user)
{
  host *h = user;
  h->n_calls++;
  h->n_last = n;
  for (int32_t i = n; i-- > 0;)
    task(i, data);
}

typedef struct host_task {
  void (*task)(int32_t index, void *data);
  void *data;
  int32_t index;
} host_task;

static void *run_task(void *data)
{
  const host_task *t = data;
  t->task(t->index, t->data);
  return NULL;
}

static void at_once(int32_t n, void (*task)(int32_t index, void *data), void *data, void *user)
{
  pthread_t threads[MOST_WORKERS];
  host_task tasks[MOST_WORKERS];
  ((host *)user)->n_calls++;
  assert_true(n <= MOST_WORKERS);
  for (int32_t i = 0; i < n; i++) {
    tasks[i] = (host_task){task, data, i};
    assert_int_equal(pthread_create(&threads[i], NULL, run_task, &tasks[i]), 0);
  }
  for (int32_t i = 0; i < n; i++)
    pthread_join(threads[i], NULL);
}

static void a_hosts_threads_run_every_tile_once_and_we_start_none(void **state)
{
  (void)state;
  host h = {0};
  int before = n_threads_of_process();
  pool *p = new_pool_for_host(5, backwards, &h);
  check_jobs(p);
  assert_true(h.n_calls > 0);
  expect_threads(before);
  pool_free(p);
}

static void so_they_do_all_at_once(void **state)
{
  (void)state;
  host h = {0};
  pool *p = new_pool_for_host(3, at_once, &h);
  for (int job = 0; job < 50; job++) {
    check_job(p, 7, 3);
    check_job(p, 64, 2);
  }
  assert_int_equal(h.n_calls, 100);
  pool_free(p);
}

static void a_host_is_asked_for_no_more_workers_than_there_is_work_for(void **state)
{
  (void)state;
  host h = {0};
  pool *p = new_pool_for_host(8, backwards, &h);
  check_job(p, 3, 100);
  assert_int_equal(h.n_last, 3);
  check_job(p, 100, 4);
  assert_int_equal(h.n_last, 4);
  check_job(p, 100, 100);
  assert_int_equal(h.n_last, 8);
  check_job(p, 1, 100); /* not worth asking */
  check_job(p, 100, 1);
  assert_int_equal(h.n_calls, 3);
  pool_free(p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_tile_runs_once_on_any_number_of_threads),
      cmocka_unit_test(so_it_does_in_a_hundred_thousand_jobs_one_upon_another),
      cmocka_unit_test(no_thread_misses_a_job_however_quickly_they_follow),
      cmocka_unit_test(threads_that_have_gone_to_sleep_wake_up_for_a_job),
      cmocka_unit_test(a_slow_tile_does_not_hold_up_the_others),
      cmocka_unit_test(on_a_core_that_is_shared_every_tile_runs_once),
      cmocka_unit_test(no_more_threads_take_part_than_are_allowed),
      cmocka_unit_test(an_idle_pool_takes_no_processor_time),
      cmocka_unit_test(signals_of_the_host_never_arrive_on_our_threads),
      cmocka_unit_test(a_hosts_threads_run_every_tile_once_and_we_start_none),
      cmocka_unit_test(so_they_do_all_at_once),
      cmocka_unit_test(a_host_is_asked_for_no_more_workers_than_there_is_work_for),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
