/* team.c - a few threads that do one thing together, and how long it takes them. */
#define _POSIX_C_SOURCE 200809L
#include "bench/team.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/progress.h"

typedef struct member {
  team *of;
  int32_t index;
  pthread_t thread;
  double start, end; /* of its part of the last task */
} member;

struct team {
  int32_t n_threads;
  int32_t n_started; /* threads of ours, without the calling one */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t round; /* counts the tasks */
  int32_t n_busy; /* members that have not finished this round's */
  int quit;
  team_task task;
  void *data;
  atomic_int n_ready; /* members that are awake and wait for the others */
  member *members;    /* (n_threads), the first is the calling thread */
};

/* Waits until all are awake: how long the system takes to wake them is not what is measured. Where
 * threads share a core, the others must get it. */
static void take_part(member *self)
{
  enum { PATIENCE = 1 << 12 };
  team *t = self->of;
  t->n_ready++;
  for (int n_looks = 0; t->n_ready < t->n_threads; n_looks += n_looks < PATIENCE)
    if (n_looks == PATIENCE)
      sched_yield();
  self->start = clock_seconds();
  t->task(self->index, t->n_threads, t->data);
  self->end = clock_seconds();
}

static void *work(void *argument)
{
  member *self = argument;
  team *t = self->of;
  uint64_t done = 0;
  pthread_mutex_lock(&t->lock);
  for (;;) {
    while (t->round == done && !t->quit)
      pthread_cond_wait(&t->changed, &t->lock);
    if (t->quit)
      break;
    done = t->round;
    pthread_mutex_unlock(&t->lock);
    take_part(self);
    pthread_mutex_lock(&t->lock);
    if (--t->n_busy == 0)
      pthread_cond_broadcast(&t->changed);
  }
  pthread_mutex_unlock(&t->lock);
  return NULL;
}

team *team_new(int32_t n_threads)
{
  team *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->n_threads = n_threads;
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->changed, NULL);
  t->members = calloc((size_t)n_threads, sizeof *t->members);
  for (int32_t i = 0; t->members && i < n_threads; i++) {
    member *m = &t->members[i];
    *m = (member){.of = t, .index = i};
    if (i > 0 && pthread_create(&m->thread, NULL, work, m) != 0)
      break;
    t->n_started += i > 0;
  }
  if (t->members && t->n_started == n_threads - 1)
    return t;
  team_free(t);
  return NULL;
}

void team_free(team *t)
{
  if (!t)
    return;
  pthread_mutex_lock(&t->lock);
  t->quit = 1;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->lock);
  for (int32_t i = 1; i <= t->n_started; i++)
    pthread_join(t->members[i].thread, NULL);
  pthread_cond_destroy(&t->changed);
  pthread_mutex_destroy(&t->lock);
  free(t->members);
  free(t);
}

/* From the first start to the last end. */
static double seconds_of(const team *t)
{
  double start = t->members[0].start, end = t->members[0].end;
  for (int32_t i = 1; i < t->n_threads; i++) {
    start = fmin(start, t->members[i].start);
    end = fmax(end, t->members[i].end);
  }
  return end - start;
}

double team_run(team *t, team_task task, void *data)
{
  pthread_mutex_lock(&t->lock);
  t->task = task;
  t->data = data;
  t->n_busy = t->n_started;
  t->n_ready = 0;
  t->round++;
  pthread_cond_broadcast(&t->changed);
  pthread_mutex_unlock(&t->lock);
  take_part(&t->members[0]);
  pthread_mutex_lock(&t->lock);
  while (t->n_busy > 0)
    pthread_cond_wait(&t->changed, &t->lock);
  pthread_mutex_unlock(&t->lock);
  return seconds_of(t);
}
