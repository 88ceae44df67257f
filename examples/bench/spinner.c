/* spinner.c - keeps one core busy, as another program would. */
#define _GNU_SOURCE
#include "bench/spinner.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct spinner {
  pthread_t thread;
  atomic_bool quit;
  atomic_bool started; /* it has reached its core */
};

/* The last of the cores that may be used: it, and not another one from time to time. */
static void stay_on_one_core(void)
{
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return;
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
    if (CPU_ISSET(cpu, &allowed)) {
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof one, &one);
      return;
    }
}

static void *spin(void *data)
{
  spinner *s = data;
  stay_on_one_core();
  s->started = true;
  while (!s->quit)
    ;
  return NULL;
}

spinner *spinner_start(void)
{
  spinner *s = calloc(1, sizeof *s);
  if (s && pthread_create(&s->thread, NULL, spin, s) != 0) {
    free(s);
    return NULL;
  }
  while (s && !s->started)
    sched_yield();
  return s;
}

void spinner_stop(spinner *s)
{
  s->quit = true;
  pthread_join(s->thread, NULL);
  free(s);
}
