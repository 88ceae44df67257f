/* fake_blas.c - a BLAS library of any kind, which counts how it is called. With FAKE_BLAS_UNKNOWN
 * it is one that is not OpenBLAS. */
#define _GNU_SOURCE
#include "support/fake_blas.h"

#include <cblas.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

fake_blas fake;

void new_fake_blas(int parallel)
{
  fake = (fake_blas){.parallel = parallel,
                     .n_threads = 4,
                     .config = "OpenBLAS 1.2.3 NO_LAPACKE DYNAMIC_ARCH",
                     .core = "Fake"};
}

#ifndef FAKE_BLAS_UNKNOWN
int openblas_get_parallel(void)
{
  return fake.parallel;
}

int openblas_get_num_threads(void)
{
  return fake.n_threads;
}

void openblas_set_num_threads(int n)
{
  fake.n_threads = n;
  fake.n_sets++;
}

char *openblas_get_config(void)
{
  return (char *)(size_t)fake.config;
}

char *openblas_get_corename(void)
{
  return (char *)(size_t)fake.core;
}
#endif

static void raise_to(_Atomic int *most, int value)
{
  for (int now = *most; value > now && !atomic_compare_exchange_weak(most, &now, value);)
    continue;
}

static void note_call(int n_columns, int n_multiplications)
{
  fake.n_calls++;
  fake.caller = pthread_self();
  raise_to(&fake.most_inside, ++fake.n_inside);
  raise_to(&fake.most_threads, fake.n_threads);
  raise_to(&fake.most_columns, n_columns);
  raise_to(&fake.most_multiplications, n_multiplications);
  if (fake.during)
    fake.during();
  while (fake.held)
    sched_yield();
  if (fake.slow)
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void cblas_sgemm(CBLAS_LAYOUT layout, CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b,
                 blasint m, blasint n, blasint k, float alpha, const float *a, blasint lda,
                 const float *b, blasint ldb, float beta, float *c, blasint ldc)
{
  (void)layout, (void)transpose_a; /* blas.c knows only row-major, and a as it is */
  note_call(n, m * n * k);
  for (blasint i = 0; i < m; i++)
    for (blasint j = 0; j < n; j++) {
      float sum = 0;
      for (blasint l = 0; l < k; l++)
        sum += a[i * lda + l] * (transpose_b == CblasTrans ? b[j * ldb + l] : b[l * ldb + j]);
      c[i * ldc + j] = alpha * sum + (beta == 0 ? 0 : beta * c[i * ldc + j]);
    }
  fake.n_inside--;
}

void await_inside(int n)
{
  for (int i = 0; i < 10000 && fake.n_inside < n; i++)
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  assert_true(fake.n_inside >= n);
}
