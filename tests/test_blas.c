/* test_blas.c - the BLAS library that is really there: its threads are its host's, and any number
 * of threads may call. */
#define _GNU_SOURCE
#include "kernels/blas.h"
#include "support/pools.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cblas.h>

#include <cmocka.h>

/* Only OpenBLAS has these. */
__attribute__((weak)) int openblas_get_num_threads(void);
__attribute__((weak)) void openblas_set_num_threads(int n);

/* ---- Its threads ---- */

/* ThreadSanitizer has a thread of its own, which never rests. */
#if !defined(__SANITIZE_THREAD__)

static bool has_threads_of_its_own(void)
{
  gpt2_build build = {0};
  blas_describe(&build);
  return strcmp(build.blas_threading, "pthreads") == 0;
}

/* Nanoseconds that all threads of this process but this one were on a processor. */
static long long others_nanoseconds(void)
{
  long long sum = 0;
  DIR *tasks = opendir("/proc/self/task");
  assert_non_null(tasks);
  for (struct dirent *entry = readdir(tasks); entry; entry = readdir(tasks)) {
    char path[300];
    long long spent = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
    int thread = atoi(entry->d_name); /* 0: the folder's own names */
    FILE *file = thread == 0 || thread == gettid() ? NULL : fopen(path, "r");
    if (!file)
      continue;
    assert_int_equal(fscanf(file, "%lld", &spent), 1);
    fclose(file);
    sum += spent;
  }
  closedir(tasks);
  return sum;
}

/* OpenBLAS's threads look out for work a while before they sleep. */
static long long others_asleep(void)
{
  for (int i = 0; i < 100; i++) {
    long long before = others_nanoseconds();
    nap(100);
    if (others_nanoseconds() == before)
      return before;
  }
  fail_msg("other threads of this process never sleep");
  return 0;
}

enum { LARGE = 512 };

/* What the others did for a large product, of ours or of a host's. */
static long long others_share(bool ours)
{
  static float x[LARGE * LARGE], y[LARGE * LARGE];
  for (int i = 0; i < LARGE * LARGE; i++)
    x[i] = (float)(i % 7);
  long long before = others_asleep();
  if (ours)
    blas_product(false, LARGE, LARGE, LARGE, 1.0f, x, LARGE, x, LARGE, 0.0f, y, LARGE);
  else
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, LARGE, LARGE, LARGE, 1.0f, x, LARGE, x,
                LARGE, 0.0f, y, LARGE);
  return others_asleep() - before;
}

static void our_products_wake_none_of_its_threads_and_leave_its_count(void **state)
{
  (void)state;
  if (!has_threads_of_its_own())
    skip(); /* a BLAS without threads has none to wake */
  int before = openblas_get_num_threads();
  openblas_set_num_threads(4);
  assert_true(others_share(false) > 0); /* so it would be seen */
  assert_int_equal(others_share(true), 0);
  assert_int_equal(openblas_get_num_threads(), 4);
  openblas_set_num_threads(before);
}

#endif

static void the_library_in_use_is_described(void **state)
{
  (void)state;
  gpt2_build build = {0};
  blas_describe(&build);
  assert_true(strlen(build.blas) > 0);
  assert_true(strcmp(build.blas_linkage, "system") == 0 ||
              strcmp(build.blas_linkage, "private") == 0);
  if (openblas_get_num_threads) {
    assert_int_equal(strncmp(build.blas, "OpenBLAS ", 9), 0);
    assert_true(strlen(build.blas_core) > 0);
    assert_int_equal(build.blas_threads, openblas_get_num_threads());
  }
}

/* ---- More threads than it has room for ---- */

enum { N_THREADS = 70, SIZE = 48, N_PRODUCTS = 20 };

static float a[SIZE * SIZE], expected[SIZE * SIZE];

static void multiply(float *c)
{
  memset(c, 0, sizeof expected);
  blas_product(true, SIZE, SIZE, SIZE, 1.0f, a, SIZE, a, SIZE, 0.0f, c, SIZE);
}

static void *multiply_often(void *data)
{
  int *n_wrong = data;
  float c[SIZE * SIZE];
  for (int i = 0; i < N_PRODUCTS; i++) {
    multiply(c);
    *n_wrong += memcmp(c, expected, sizeof c) != 0;
  }
  return NULL;
}

static void seventy_threads_may_multiply_at_once(void **state)
{
  (void)state;
  pthread_t threads[N_THREADS];
  int n_wrong[N_THREADS] = {0};
  for (int i = 0; i < SIZE * SIZE; i++)
    a[i] = (float)(i * 37 % 101) / 101.0f;
  multiply(expected);
  assert_true(expected[0] > 0);
  for (int i = 0; i < N_THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, multiply_often, &n_wrong[i]), 0);
  for (int i = 0; i < N_THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(n_wrong[i], 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_library_in_use_is_described),
#if !defined(__SANITIZE_THREAD__)
    cmocka_unit_test(our_products_wake_none_of_its_threads_and_leave_its_count),
#endif
    cmocka_unit_test(seventy_threads_may_multiply_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
