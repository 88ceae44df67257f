/* fake_blas.h - a BLAS library of any kind, which counts how it is called. Programs with it are
 * linked without a real one. */
#ifndef TESTS_SUPPORT_FAKE_BLAS_H
#define TESTS_SUPPORT_FAKE_BLAS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What openblas_get_parallel answers. The test program test_blas_unknown has a library without
 * these functions. */
enum { FAKE_SERIAL = 0, FAKE_PTHREADS = 1, FAKE_OPENMP = 2 };

typedef struct fake_blas {
  int parallel;
  _Atomic int n_threads; /* the process's count, and how often it was set */
  _Atomic int n_sets;
  const char *config, *core;

  _Atomic int n_calls; /* of cblas_sgemm, and those running now */
  _Atomic int n_inside, most_inside;
  _Atomic int most_threads; /* the greatest thread count that a call met */
  _Atomic int most_columns; /* the widest product */
  _Atomic int most_multiplications;
  void (*during)(void);     /* what happens within each call; or NULL */
  _Atomic bool held;        /* calls do not return until this is false */
  _Atomic bool slow;        /* calls take a millisecond */
  _Atomic pthread_t caller; /* of the last call */
} fake_blas;

extern fake_blas fake;

/* A library of that kind, not called yet, with a count of four threads. */
void new_fake_blas(int parallel);

/* Waits until n calls, or more, are inside; fails the test if they do not come. */
void await_inside(int n);

#endif
