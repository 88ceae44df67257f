#define _GNU_SOURCE
#include "support/process_costs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

/* The names before __real_ and __wrap_ are what the linker's --wrap makes of these functions. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

_Atomic size_t n_allocations, n_locks, n_sleeps;

void *__wrap_malloc(size_t size)
{
  atomic_fetch_add(&n_allocations, 1);
  return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
  atomic_fetch_add(&n_allocations, 1);
  return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
  atomic_fetch_add(&n_allocations, 1);
  return __real_realloc(memory, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
  atomic_fetch_add(&n_allocations, 1);
  return __real_posix_memalign(memory, alignment, size);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
  atomic_fetch_add(&n_locks, 1);
  return __real_pthread_mutex_lock(mutex);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
  atomic_fetch_add(&n_sleeps, 1);
  return __real_pthread_cond_wait(condition, mutex);
}

size_t n_page_faults(void)
{
#ifdef __SANITIZE_ADDRESS__
  return 0;
#endif
  struct rusage usage;
  assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
  return (size_t)(usage.ru_minflt + usage.ru_majflt);
}

size_t n_preemptions(void)
{
  struct rusage usage;
  assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
  return (size_t)usage.ru_nivcsw;
}
