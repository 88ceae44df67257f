/* pools.c - pools of threads, and work that needs several of them at once. */
#define _GNU_SOURCE
#include "support/pools.h"

#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#include "support/expect.h"

void nap(long milliseconds)
{
  nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

int n_threads_of_process(void)
{
  int n = 0;
  DIR *tasks = opendir("/proc/self/task");
  assert_non_null(tasks);
  for (struct dirent *entry = readdir(tasks); entry; entry = readdir(tasks))
    n += entry->d_name[0] != '.';
  closedir(tasks);
  return n;
}

/* A thread that has been joined may be listed a moment longer. */
void expect_threads(int n)
{
  for (int i = 0; i < 1000 && n_threads_of_process() != n; i++)
    nap(5);
  assert_int_equal(n_threads_of_process(), n);
}

pool *new_pool_for_host(int n_threads, gpt2_parallel_for parallel_for, void *user)
{
  gpt2_allocator allocator;
  gpt2_error error = NO_ERROR_YET;
  pool *p = NULL;
  expect_success(allocator_read(&allocator, NULL, &error), &error);
  expect_success(pool_new(&allocator, n_threads, parallel_for, user, &p, &error), &error);
  expect_success(pool_start(p, &error), &error);
  assert_int_equal(pool_threads(p), n_threads);
  return p;
}

pool *new_pool(int n_threads)
{
  return new_pool_for_host(n_threads, NULL, NULL);
}

void meet(void *work, size_t tile, int worker)
{
  (void)tile, (void)worker;
  meeting *m = work;
  atomic_fetch_add(&m->n_arrived, 1);
  while (atomic_load(&m->n_arrived) < m->n_expected)
    sched_yield();
}

void hold_meeting(pool *p, int n)
{
  meeting m = {.n_expected = n};
  pool_run(p, (size_t)n, n, meet, &m);
  assert_int_equal(m.n_arrived, n);
}
