/* blas_private.c - makes the OpenBLAS that is linked into the library safe to call from several
 * threads.
 *
 * A serial OpenBLAS as distributions build it (without USE_LOCKING) looks for a free work buffer
 * without a lock: two threads that multiply at once may get the same one, and both get wrong
 * results. So the linker puts the functions below in the way of those that take and give back
 * buffers (--wrap, see scripts/blas/meson.build). Only built with blas=private; inside a shared
 * library nothing can be wrapped, and blas.c lets one thread at a time into it. */
#include <pthread.h>

void *__wrap_blas_memory_alloc(int kind);
void __wrap_blas_memory_free(void *buffer);
void *__real_blas_memory_alloc(int kind);
void __real_blas_memory_free(void *buffer);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* In a child of the process the thread that held it may not be. */
static void begin_anew(void)
{
  pthread_mutex_init(&mutex, NULL);
}

static void watch_forks(void)
{
  pthread_atfork(NULL, NULL, begin_anew);
}

static void lock(void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  pthread_mutex_lock(&mutex);
}

void *__wrap_blas_memory_alloc(int kind)
{
  lock();
  void *buffer = __real_blas_memory_alloc(kind);
  pthread_mutex_unlock(&mutex);
  return buffer;
}

void __wrap_blas_memory_free(void *buffer)
{
  lock();
  __real_blas_memory_free(buffer);
  pthread_mutex_unlock(&mutex);
}
