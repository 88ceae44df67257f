/* test_context_fork.c - the children of a process go on with the contexts that were idle when it
 * forked, and their children with theirs: all compute what the parent does, to the bit, and the
 * parent has lost nothing. meson.build runs it with GPT2_CPU=scalar, too: then OpenBLAS multiplies
 * prompts. ThreadSanitizer refuses threads in the child of a process that has some: it does not see
 * this. */
#define _GNU_SOURCE
#include "gpt2.h"
#include "support/pools.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/counting_allocator.h"
#include "support/opened.h"

/* A child that hangs is ended by its alarm, and fails the test. */
enum { HANG_SECONDS = 200, CHILDS_SECONDS = 30, SEED = 11, N_CONTEXTS = 4 };

static record expected, found;

static int find_expected(void **state)
{
  (void)state;
  gpt2_model *model = open_base_model(GPT2_TYPE_F32, NULL);
  gpt2_context *context = open_context(model, 1);
  work_in_context(context, SEED, &expected);
  gpt2_context_free(context);
  gpt2_model_free(model);
  return 0;
}

static bool works(gpt2_context *context)
{
  found.size = 0;
  work_in_context(context, SEED, &found);
  return found.size == expected.size && memcmp(found.bytes, expected.bytes, found.size) == 0;
}

/* ---- A parent ---- */

/* Contexts of 1, 2, 3 and 1 threads; the last was never used. */
typedef struct family {
  counting_allocator counter;
  gpt2_allocator hooks;
  gpt2_model *model;
  gpt2_context *contexts[N_CONTEXTS];
} family;

static int n_threads_of(int i)
{
  return 1 + i % 3;
}

static void found_family(family *f)
{
  *f = (family){.hooks = counting_hooks(&f->counter)};
  f->model = open_base_model(GPT2_TYPE_F32, &f->hooks);
  for (int i = 0; i < N_CONTEXTS; i++)
    f->contexts[i] = open_context(f->model, n_threads_of(i));
  for (int i = 0; i + 1 < N_CONTEXTS; i++)
    assert_true(works(f->contexts[i]));
}

static void end_family(family *f)
{
  for (int i = 0; i < N_CONTEXTS; i++)
    gpt2_context_free(f->contexts[i]);
  gpt2_model_free(f->model);
  assert_int_equal(f->counter.n_live, 0);
}

/* ---- Children ---- */

typedef bool life(family *f, int generation);

static pid_t bear(life *live, family *f, int generation)
{
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(CHILDS_SECONDS);
    _exit(live(f, generation) ? 0 : 1);
  }
  return child;
}

static bool lived_well(pid_t child)
{
  int status = -1;
  return waitpid(child, &status, 0) == child && status == 0;
}

static bool has_threads(int n)
{
  for (int i = 0; i < 1000 && n_threads_of_process() != n; i++)
    nap(5);
  return n_threads_of_process() == n;
}

static bool free_all(family *f, int generation)
{
  (void)generation;
  for (int i = 0; i < N_CONTEXTS; i++)
    gpt2_context_free(f->contexts[i]);
  gpt2_model_free(f->model);
  return has_threads(1) && f->counter.n_live == 0;
}

/* Each context has the threads that it asked for, and when all is freed, none is left, nor any
 * memory. */
static bool go_on(family *f, int generation)
{
  (void)generation;
  int n_threads = 1;
  bool well = true;
  for (int i = 0; i < N_CONTEXTS; i++) {
    n_threads += n_threads_of(i) - 1;
    well = well && works(f->contexts[i]) && works(f->contexts[i]);
  }
  return well && has_threads(n_threads) && free_all(f, generation);
}

/* Works, bears one like itself, and works again meanwhile. */
static bool have_children(family *f, int generation)
{
  if (generation == 3)
    return go_on(f, generation);
  if (!works(f->contexts[1]))
    return false;
  pid_t child = bear(have_children, f, generation + 1);
  bool well = works(f->contexts[1]) && works(f->contexts[2]);
  return lived_well(child) && well && go_on(f, generation);
}

/* ---- Tests ---- */

static void check_lives(life *live, long milliseconds_of_rest)
{
  family f;
  found_family(&f);
  assert_true(lived_well(bear(free_all, &f, 1))); /* OpenBLAS ends threads of its own at a fork */
  int before = n_threads_of_process();
  for (int i = 0; i < 3; i++) {
    assert_true(works(f.contexts[1]));
    nap(milliseconds_of_rest);
    assert_true(lived_well(bear(live, &f, 1)));
    expect_threads(before);
    for (int k = 0; k + 1 < N_CONTEXTS; k++)
      assert_true(works(f.contexts[k]));
  }
  end_family(&f);
}

static void a_child_goes_on_with_all_idle_contexts_whose_threads_sleep(void **state)
{
  (void)state;
  check_lives(go_on, 30);
}

static void so_it_does_while_they_still_look_out_for_work(void **state)
{
  (void)state;
  check_lives(go_on, 0);
}

static void so_do_its_children_and_theirs(void **state)
{
  (void)state;
  check_lives(have_children, 0);
}

static void a_child_may_free_what_it_never_used(void **state)
{
  (void)state;
  check_lives(free_all, 0);
  check_lives(free_all, 30);
}

static void parent_and_children_work_at_the_same_time(void **state)
{
  (void)state;
  enum { N = 4 };
  family f;
  pid_t children[N];
  found_family(&f);
  for (int i = 0; i < N; i++) {
    children[i] = bear(go_on, &f, 1);
    assert_true(works(f.contexts[i % 3]));
  }
  for (int i = 0; i < N; i++)
    assert_true(lived_well(children[i]));
  end_family(&f);
}

/* ---- Forks beside threads that work ---- */

typedef struct worker {
  pthread_t thread;
  gpt2_context *context;
  family *family;
  int n_wrong;
} worker;

static void *work_on(void *data)
{
  worker *w = data;
  record *mine = malloc(sizeof *mine);
  for (int i = 0; i < 20; i++) {
    mine->size = 0;
    work_in_context(w->context, SEED, mine);
    w->n_wrong += memcmp(mine->bytes, expected.bytes, expected.size) != 0;
  }
  free(mine);
  return NULL;
}

static bool use_one(family *f, int generation)
{
  bool well = works(f->contexts[generation]) && works(f->contexts[generation]);
  gpt2_context_free(f->contexts[generation]);
  return well && has_threads(1);
}

static void *bear_many(void *data)
{
  worker *w = data;
  for (int i = 0; i < 15; i++)
    w->n_wrong += !lived_well(bear(use_one, w->family, i % 3));
  return NULL;
}

/* AddressSanitizer's own locks do not survive a fork beside threads that allocate. */
static void skip_with_address_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__)
  skip();
#endif
}

static void check_forks_beside(int n_forking)
{
  skip_with_address_sanitizer();
  family f;
  worker workers[3] = {{.n_wrong = 0}}, busy = {.n_wrong = 0};
  found_family(&f);
  busy.context = open_context(f.model, 2);
  assert_int_equal(pthread_create(&busy.thread, NULL, work_on, &busy), 0);
  for (int i = 0; i < n_forking; i++) {
    workers[i].family = &f;
    assert_int_equal(pthread_create(&workers[i].thread, NULL, bear_many, &workers[i]), 0);
  }
  for (int i = 0; i < n_forking; i++) {
    pthread_join(workers[i].thread, NULL);
    assert_int_equal(workers[i].n_wrong, 0);
  }
  pthread_join(busy.thread, NULL);
  assert_int_equal(busy.n_wrong, 0);
  gpt2_context_free(busy.context);
  end_family(&f);
}

static void a_child_goes_on_though_another_thread_evaluated_when_it_was_born(void **state)
{
  (void)state;
  check_forks_beside(1);
}

static void several_threads_may_fork_at_the_same_time(void **state)
{
  (void)state;
  check_forks_beside(3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_child_goes_on_with_all_idle_contexts_whose_threads_sleep),
      cmocka_unit_test(so_it_does_while_they_still_look_out_for_work),
      cmocka_unit_test(so_do_its_children_and_theirs),
      cmocka_unit_test(a_child_may_free_what_it_never_used),
      cmocka_unit_test(parent_and_children_work_at_the_same_time),
      cmocka_unit_test(a_child_goes_on_though_another_thread_evaluated_when_it_was_born),
      cmocka_unit_test(several_threads_may_fork_at_the_same_time),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, find_expected, NULL);
}
