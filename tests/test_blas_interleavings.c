/* test_blas_interleavings.c - whatever the order in which products of two threads begin and end,
 * the host sets the BLAS library's thread count, and the process forks: at every moment the count
 * is the one that the host set last. Every order is tried, with a fake library. */
#define _GNU_SOURCE
#include "kernels/blas.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/fake_blas.h"

enum { HANG_SECONDS = 100 };

int openblas_get_num_threads(void);
void openblas_set_num_threads(int n);

/* ---- Threads that multiply when they are told, and stay inside until they are told ---- */

typedef struct actor {
  pthread_t thread;
  sem_t begins, is_inside, ends, is_outside;
  _Atomic bool leaves; /* for good */
  float result;
} actor;

enum { N_ACTORS = 2 };
static actor actors[N_ACTORS];
static _Thread_local actor *self; /* NULL on threads that are none: they stay nowhere */

static void wait_for(sem_t *semaphore)
{
  while (sem_wait(semaphore) != 0)
    continue;
}

static void stay_inside(void)
{
  if (!self)
    return;
  sem_post(&self->is_inside);
  wait_for(&self->ends);
}

/* One product of 1 by 1. */
static float multiply(float a, float b)
{
  float c = 1;
  blas_product(false, 1, 1, 1, 1.0f, &a, 1, &b, 1, 1.0f, &c, 1);
  return c;
}

static void *act(void *data)
{
  self = data;
  for (;;) {
    wait_for(&self->begins);
    if (self->leaves)
      return NULL;
    self->result = multiply(2, 3);
    sem_post(&self->is_outside);
  }
}

static int start_actors(void **state)
{
  (void)state;
  for (int i = 0; i < N_ACTORS; i++) {
    actor *a = &actors[i];
    sem_t *all[] = {&a->begins, &a->is_inside, &a->ends, &a->is_outside};
    for (int k = 0; k < 4; k++)
      assert_int_equal(sem_init(all[k], 0, 0), 0);
    assert_int_equal(pthread_create(&a->thread, NULL, act, a), 0);
  }
  return 0;
}

static int stop_actors(void **state)
{
  (void)state;
  for (int i = 0; i < N_ACTORS; i++) {
    actors[i].leaves = true;
    sem_post(&actors[i].begins);
    pthread_join(actors[i].thread, NULL);
  }
  return 0;
}

/* ---- One order of events ---- */

/* A, B: a product of the first or the second thread begins; a, b: it ends; 1 to 9: the host sets
 * that count; f: the process forks, and its child multiplies. */
typedef char event;

static int count;    /* what the host set last */
static int n_inside; /* products that have begun and not ended */
static int n_orders, n_forks;

static void fork_and_multiply(const event *order)
{
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    bool as_set = openblas_get_num_threads() == count;
    _exit(as_set && multiply(2, 3) == 7 && openblas_get_num_threads() == count ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (status != 0)
    fail_msg("order %s: the child ended with status %d", order, status);
  n_forks++;
}

static void happen(event e, const event *order)
{
  if (e >= '1' && e <= '9')
    openblas_set_num_threads(count = e - '0');
  if (e == 'f')
    fork_and_multiply(order);
  if (e == 'A' || e == 'B') {
    sem_post(&actors[e - 'A'].begins);
    wait_for(&actors[e - 'A'].is_inside);
    n_inside++;
  }
  if (e == 'a' || e == 'b') {
    sem_post(&actors[e - 'a'].ends);
    wait_for(&actors[e - 'a'].is_outside);
    assert_true(actors[e - 'a'].result == 7);
    n_inside--;
  }
  if (openblas_get_num_threads() != count)
    fail_msg("order %s: after %c the count is %d, the host had set %d", order, e,
             openblas_get_num_threads(), count);
  assert_int_equal(fake.n_inside, n_inside);
}

static void try_order(const event *order)
{
  new_fake_blas(FAKE_PTHREADS);
  fake.during = stay_inside;
  count = fake.n_threads;
  for (const event *e = order; *e; e++)
    happen(*e, order);
  assert_int_equal(fake.n_calls, N_ACTORS);
  n_orders++;
}

/* ---- All of them ---- */

enum { MOST_EVENTS = 8 };

/* Puts each of what is left of `events` into the next place of `order` in turn; of one letter, the
 * large one comes first. A fork waits for those who are inside, who wait for us here: it happens
 * only while nobody is. */
static void try_orders(event *order, size_t n, event *left, int inside)
{
  if (*left == '\0') {
    try_order(order);
    return;
  }
  for (event *e = left; *e; e++) {
    event chosen = *e, rest[MOST_EVENTS + 1];
    bool ends = chosen == 'a' || chosen == 'b', begins = chosen == 'A' || chosen == 'B';
    if ((ends && strchr(left, chosen - 'a' + 'A')) || (chosen == 'f' && inside > 0))
      continue;
    snprintf(rest, sizeof rest, "%.*s%s", (int)(e - left), left, e + 1);
    order[n] = chosen;
    order[n + 1] = '\0';
    try_orders(order, n + 1, rest, inside + begins - ends);
  }
}

static void try_all(const char *events)
{
  event order[MOST_EVENTS + 1] = "", left[MOST_EVENTS + 1];
  snprintf(left, sizeof left, "%s", events);
  try_orders(order, 0, left, 0);
}

/* 6 events, of which two and two stand in a fixed order: 6! / 2! / 2! = 180. */
static void in_any_order_of_products_and_settings_the_count_is_what_was_set_last(void **state)
{
  (void)state;
  static const char *const sets[] = {"AaBb11", "AaBb13", "AaBb14", "AaBb34", "AaBb41", "AaBb31"};
  n_orders = 0;
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
    try_all(sets[i]);
  assert_int_equal(n_orders, 6 * 180);
}

/* ThreadSanitizer refuses threads in the child of a process that has some. */
#if !defined(__SANITIZE_THREAD__)
static void so_it_is_in_the_child_of_a_fork_at_any_place_of_the_order(void **state)
{
  (void)state;
  n_orders = n_forks = 0;
  try_all("AaBb1f");
  try_all("AaBb3f");
  try_all("AaB13fb");
  assert_true(n_orders > 0);
  assert_int_equal(n_forks, n_orders);
  print_message("# %d orders with a fork\n", n_orders);
}
#endif

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(in_any_order_of_products_and_settings_the_count_is_what_was_set_last),
#if !defined(__SANITIZE_THREAD__)
    cmocka_unit_test(so_it_is_in_the_child_of_a_fork_at_any_place_of_the_order),
#endif
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, start_actors, stop_actors);
}
