/* refused_threads.c - a system that refuses a thread. */
#include "support/refused_threads.h"

#include <errno.h>
#include <pthread.h>

/* What the linker's --wrap makes of the function's name. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *data);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *data);

static _Atomic int refused, n_asked;

void refuse_thread(int nth)
{
  n_asked = 0;
  refused = nth;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *data)
{
  return ++n_asked == refused ? EAGAIN : __real_pthread_create(thread, attributes, run, data);
}
