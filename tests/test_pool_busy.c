/* test_pool_busy.c - threads that must share their cores, with each other or with another program,
 * lose about what they must, and do not stall. */
#define _GNU_SOURCE
#include "support/pools.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"

enum { HANG_SECONDS = 100 };

/* The names before __real_ and __wrap_ are what the linker's --wrap makes of the function. */
int __real_sched_yield(void);
int __wrap_sched_yield(void);

static _Atomic int n_yields;

int __wrap_sched_yield(void)
{
  atomic_fetch_add(&n_yields, 1);
  return __real_sched_yield();
}

/* ---- Work, and its time ---- */

enum { N_TILES = 16 };

/* Some 50 microseconds. */
static void work_a_little(void *work, size_t tile, int worker)
{
  (void)work, (void)tile, (void)worker;
  for (volatile int i = 0; i < 50000; i++)
    ;
}

static double seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double time_jobs(pool *p, int n_jobs)
{
  double start = seconds();
  for (int i = 0; i < n_jobs; i++)
    pool_run(p, N_TILES, pool_threads(p), work_a_little, NULL);
  return seconds() - start;
}

/* ---- More threads than cores ---- */

/* In turn, as the machine may be busy for a while; the best of each counts. */
static void many_more_threads_than_cores_are_not_much_slower(void **state)
{
  (void)state;
  pool *fitting = new_pool(cpu_cores()), *crowded = new_pool(4 * cpu_cores() + 3);
  double best_fitting = 1e9, best_crowded = 1e9;
  for (int round = 0; round < 5; round++) {
    double a = time_jobs(fitting, 50), b = time_jobs(crowded, 50);
    best_fitting = a < best_fitting ? a : best_fitting;
    best_crowded = b < best_crowded ? b : best_crowded;
  }
  pool_free(fitting);
  pool_free(crowded);
  if (best_crowded > 4 * best_fitting)
    fail_msg("with four times as many threads as cores, %.1f times the time",
             best_crowded / best_fitting);
}

/* ---- A core that another program has, too ---- */

typedef struct places {
  meeting meeting; /* so that each thread takes a tile */
  int cpu[2];      /* of the caller and the worker */
} places;

static void move_to(int cpu)
{
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET((size_t)cpu, &only);
  assert_int_equal(sched_setaffinity(0, sizeof only, &only), 0);
}

static void take_place(void *work, size_t tile, int worker)
{
  places *p = work;
  meet(&p->meeting, tile, worker);
  move_to(p->cpu[worker]);
}

typedef struct program {
  int cpu;
  _Atomic bool stopping;
} program;

static void *keep_busy(void *data)
{
  program *other = data;
  move_to(other->cpu);
  while (!atomic_load(&other->stopping))
    ;
  return NULL;
}

/* The first two processors that this process may use; false if there is but one. */
static bool find_two(const cpu_set_t *allowed, int *cpu)
{
  int n = 0;
  for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
    if (CPU_ISSET((size_t)i, allowed))
      cpu[n++] = i;
  return n == 2;
}

/* Of two cores one and a half are left: 4/3 of the time at least. A barrier whose worker loses its
 * core within each job would wait for milliseconds each time, ten times as long as a job takes. */
static void a_worker_beside_another_program_gives_way_between_tiles(void **state)
{
  (void)state;
  cpu_set_t before;
  places where = {.meeting.n_expected = 2};
  assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
  if (cpu_cores() < 2 || !find_two(&before, where.cpu))
    skip();
  pool *p = new_pool(2);
  pool_run(p, 2, 2, take_place, &where);
  double idle = time_jobs(p, 500), busy = 1e9;
  program other = {.cpu = where.cpu[1]};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, keep_busy, &other), 0);
  n_yields = 0;
  for (int round = 0; round < 3; round++) {
    double now = time_jobs(p, 500);
    busy = now < busy ? now : busy;
  }
  int n_given = n_yields;
  atomic_store(&other.stopping, true);
  pthread_join(thread, NULL);
  pool_free(p);
  assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
  assert_true(n_given > 0);
  if (busy > 4 * idle)
    fail_msg("beside another program, %.1f times the time", busy / idle);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(many_more_threads_than_cores_are_not_much_slower),
      cmocka_unit_test(a_worker_beside_another_program_gives_way_between_tiles),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
