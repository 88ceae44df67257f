/* test_pool_lifetime.c - threads and memory that are refused, pools freed at any stage, and the
 * children of a fork. */
#define _GNU_SOURCE
#include "support/pools.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/refused_threads.h"

/* A hang is a failure, too: the alarm ends the program. */
enum { HANG_SECONDS = 100 };

/* ---- Failures ---- */

static void a_refused_thread_is_named_and_the_pool_can_be_started_later(void **state)
{
  (void)state;
  gpt2_allocator allocator;
  gpt2_error error = NO_ERROR_YET;
  assert_int_equal(allocator_read(&allocator, NULL, NULL), GPT2_OK);
  int before = n_threads_of_process();
  for (int refused = 1; refused <= 4; refused++) {
    pool *p = NULL;
    char words[64];
    snprintf(words, sizeof words, "refused thread %d of 5", refused + 1);
    assert_int_equal(pool_new(&allocator, 5, NULL, NULL, &p, NULL), GPT2_OK);
    refuse_thread(refused);
    expect_failure(pool_start(p, &error), GPT2_ERR_SYSTEM, &error, "n_threads", words);
    refuse_thread(0);
    expect_threads(before);
    assert_int_equal(pool_start(p, NULL), GPT2_OK);
    hold_meeting(p, 5);
    pool_free(p);
  }
}

static void refused_memory_leaves_nothing_behind(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_error error = NO_ERROR_YET;
  pool *p = NULL;
  for (counter.refused = 1; counter.refused <= 2; counter.refused++) {
    counter.n_calls = 0;
    expect_failure(pool_new(&hooks, 3, NULL, NULL, &p, &error), GPT2_ERR_MEMORY, &error,
                   "out of memory", NULL);
    assert_null(p);
    assert_int_equal(counter.n_live, 0);
  }
  counter.n_calls = 0;
  assert_int_equal(pool_new(&hooks, 3, NULL, NULL, &p, &error), GPT2_OK);
  pool_free(p);
  assert_int_equal(counter.n_live, 0);
}

static void a_pool_may_be_freed_at_any_stage(void **state)
{
  (void)state;
  gpt2_allocator allocator;
  pool *p = NULL;
  int before = n_threads_of_process();
  pool_free(NULL);
  assert_int_equal(allocator_read(&allocator, NULL, NULL), GPT2_OK);
  assert_int_equal(pool_new(&allocator, 4, NULL, NULL, &p, NULL), GPT2_OK);
  expect_threads(before); /* none until they are needed */
  pool_free(p);
  for (int i = 0; i < 50; i++)
    pool_free(new_pool(4));
  expect_threads(before);
}

/* ---- fork ---- */

/* ThreadSanitizer refuses threads in the child of a process that has some. */
#if !defined(__SANITIZE_THREAD__)

/* Whether `use` comes to its end in a child of this process: status 0 within seconds. */
static bool works_in_child(void (*use)(pool *p), pool *p)
{
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    use(p);
    _exit(0);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void start_and_meet(pool *p)
{
  meeting m = {.n_expected = 3};
  if (pool_start(p, NULL) != GPT2_OK)
    _exit(1);
  pool_run(p, 3, 3, meet, &m);
  pool_free(p);
}

static void start_and_fork_again(pool *p)
{
  meeting m = {.n_expected = 3};
  if (pool_start(p, NULL) != GPT2_OK)
    _exit(1);
  pool_run(p, 3, 3, meet, &m);
  _exit(works_in_child(start_and_meet, p) ? 0 : 1);
}

static void the_child_of_a_fork_gets_threads_of_its_own(void **state)
{
  (void)state;
  pool *p = new_pool(3);
  hold_meeting(p, 3);
  assert_true(works_in_child(start_and_meet, p));
  nap(20); /* now they sleep */
  assert_true(works_in_child(start_and_meet, p));
  assert_true(works_in_child(start_and_fork_again, p));
  hold_meeting(p, 3);
  pool_free(p);
}

static void the_child_of_a_fork_can_free_a_pool_that_it_never_used(void **state)
{
  (void)state;
  pool *p = new_pool(3);
  assert_true(works_in_child(pool_free, p));
  hold_meeting(p, 3);
  nap(20);
  assert_true(works_in_child(pool_free, p));
  hold_meeting(p, 3);
  pool_free(p);
}

#endif

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_refused_thread_is_named_and_the_pool_can_be_started_later),
    cmocka_unit_test(refused_memory_leaves_nothing_behind),
    cmocka_unit_test(a_pool_may_be_freed_at_any_stage),
#if !defined(__SANITIZE_THREAD__)
    cmocka_unit_test(the_child_of_a_fork_gets_threads_of_its_own),
    cmocka_unit_test(the_child_of_a_fork_can_free_a_pool_that_it_never_used),
#endif
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
