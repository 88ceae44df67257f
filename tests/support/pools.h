/* pools.h - pools of threads, and work that needs several of them at once. */
#ifndef TESTS_SUPPORT_POOLS_H
#define TESTS_SUPPORT_POOLS_H

#include <stdatomic.h>

#include "base/pool.h"

/* A pool whose threads run, or that uses the host's; what fails fails the test. */
pool *new_pool(int n_threads);
pool *new_pool_for_host(int n_threads, gpt2_parallel_for parallel_for, void *user);

/* A tile that ends when n_expected tiles run at the same time: were a thread missing, never. */
typedef struct meeting {
  int n_expected;
  _Atomic int n_arrived;
} meeting;

void meet(void *work, size_t tile, int worker);

/* A job of n such tiles. */
void hold_meeting(pool *p, int n);

void nap(long milliseconds);

/* Fails the test unless this process has, or soon has, n threads. */
void expect_threads(int n);
int n_threads_of_process(void);

#endif
