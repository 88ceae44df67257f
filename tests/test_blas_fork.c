/* test_blas_fork.c - a process that is forked while its threads multiply finds the BLAS library at
 * rest in its child: seen by a fake one. */
#define _GNU_SOURCE
#include "kernels/blas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/fake_blas.h"

enum { HANG_SECONDS = 100 };

/* One product of 1 by 1, by blas.c. */
static float multiply(float a, float b)
{
  float c = 1;
  blas_product(false, 1, 1, 1, 1.0f, &a, 1, &b, 1, 1.0f, &c, 1);
  return c;
}

static void *multiply_once(void *data)
{
  (void)data;
  multiply(2, 3);
  return NULL;
}

/* Forks; the child must be able to multiply, and find the count as it is here. Its status: the
 * number of those who were inside when it was forked, if so. */
static int fork_and_multiply(void)
{
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    int n_inside = fake.n_inside;
    fake.held = false;
    bool right = multiply(2, 3) == 7;
    _exit(right && fake.n_threads == 4 ? n_inside : 100);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status == 0 ? 0 : WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *let_go_soon(void *data)
{
  (void)data;
  usleep(100000);
  fake.held = false;
  return NULL;
}

static void check_fork_while_inside(int parallel, bool leaves)
{
  pthread_t other, releaser;
  new_fake_blas(parallel);
  fake.held = true;
  assert_int_equal(pthread_create(&other, NULL, multiply_once, NULL), 0);
  await_inside(1);
  if (leaves)
    assert_int_equal(pthread_create(&releaser, NULL, let_go_soon, NULL), 0);
  assert_int_equal(fork_and_multiply(), leaves ? 0 : 1);
  if (leaves)
    pthread_join(releaser, NULL);
  fake.held = false;
  pthread_join(other, NULL);
  assert_int_equal(multiply(2, 3), 7);
  assert_int_equal(fake.n_threads, 4);
}

static void a_fork_waits_until_nobody_is_inside(void **state)
{
  (void)state;
  check_fork_while_inside(FAKE_PTHREADS, true);
  check_fork_while_inside(FAKE_SERIAL, true);
}

static _Atomic bool enough;

static void *multiply_on_and_on(void *data)
{
  (void)data;
  while (!enough)
    multiply_once(NULL);
  return NULL;
}

static void nobody_goes_inside_while_a_fork_waits(void **state)
{
  (void)state;
  enum { N = 4 };
  pthread_t threads[N];
  new_fake_blas(FAKE_PTHREADS);
  fake.slow = true;
  enough = false;
  for (int i = 0; i < N; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, multiply_on_and_on, NULL), 0);
  await_inside(1);
  for (int i = 0; i < 5; i++)
    assert_int_equal(fork_and_multiply(), 0);
  enough = true;
  for (int i = 0; i < N; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(fake.n_threads, 4);
}

static void one_who_never_leaves_holds_up_no_fork_and_its_child_can_multiply(void **state)
{
  (void)state;
  check_fork_while_inside(FAKE_PTHREADS, false);
  check_fork_while_inside(FAKE_SERIAL, false);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_fork_waits_until_nobody_is_inside),
      cmocka_unit_test(nobody_goes_inside_while_a_fork_waits),
      cmocka_unit_test(one_who_never_leaves_holds_up_no_fork_and_its_child_can_multiply),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
