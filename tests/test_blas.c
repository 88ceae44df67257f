/* test_blas.c - the BLAS library that is really there: its thread count is its host's, and any
 * number of threads may call. */
#include "kernels/blas.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Only OpenBLAS has these. */
__attribute__((weak)) int openblas_get_num_threads(void);
__attribute__((weak)) void openblas_set_num_threads(int n);

static bool has_threads_of_its_own(void)
{
  gpt2_build build = {0};
  blas_describe(&build);
  return strcmp(build.blas_threading, "pthreads") == 0;
}

static void the_thread_count_is_one_inside_and_as_before_afterwards(void **state)
{
  (void)state;
  if (!has_threads_of_its_own())
    skip();
  int before = openblas_get_num_threads();
  for (int n = 1; n <= 3; n++) {
    openblas_set_num_threads(n);
    blas_enter();
    assert_int_equal(openblas_get_num_threads(), 1);
    blas_leave();
    assert_int_equal(openblas_get_num_threads(), n);
  }
  openblas_set_num_threads(before);
}

static void a_count_that_the_host_sets_meanwhile_stays(void **state)
{
  (void)state;
  if (!has_threads_of_its_own())
    skip();
  int before = openblas_get_num_threads();
  openblas_set_num_threads(3);
  blas_enter();
  openblas_set_num_threads(2);
  blas_leave();
  assert_int_equal(openblas_get_num_threads(), 2);
  openblas_set_num_threads(before);
}

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
  blas_enter();
  for (int i = 0; i < N_PRODUCTS; i++) {
    multiply(c);
    *n_wrong += memcmp(c, expected, sizeof c) != 0;
  }
  blas_leave();
  return NULL;
}

static void seventy_threads_may_multiply_at_once(void **state)
{
  (void)state;
  pthread_t threads[N_THREADS];
  int n_wrong[N_THREADS] = {0};
  for (int i = 0; i < SIZE * SIZE; i++)
    a[i] = (float)(i * 37 % 101) / 101.0f;
  blas_enter();
  multiply(expected);
  blas_leave();
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
      cmocka_unit_test(the_thread_count_is_one_inside_and_as_before_afterwards),
      cmocka_unit_test(a_count_that_the_host_sets_meanwhile_stays),
      cmocka_unit_test(seventy_threads_may_multiply_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
