/* test_blas_count.c - a host that sets the thread count of the BLAS library that is really there,
 * whenever it likes while contexts evaluate, always reads what it set last; and what the contexts
 * compute does not depend on it. Prompts reach BLAS with GPT2_CPU=scalar: meson.build runs this
 * with it, too. */
#define _GNU_SOURCE
#include "gpt2.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/opened.h"
#include "support/random_numbers.h"

enum { HANG_SECONDS = 200, N_USERS = 3, N_PROMPTS = 60, N_ROWS = 48, N_VOCAB = 301 };

/* Only OpenBLAS has these. */
__attribute__((weak)) int openblas_get_num_threads(void);
__attribute__((weak)) void openblas_set_num_threads(int n);

static void skip_without_count(void)
{
  if (!openblas_get_num_threads || !openblas_set_num_threads)
    skip(); /* the library in use has no thread count */
  int before = openblas_get_num_threads();
  openblas_set_num_threads(before + 1);
  bool counts = openblas_get_num_threads() == before + 1;
  openblas_set_num_threads(before);
  if (!counts)
    skip(); /* a serial OpenBLAS has no thread count */
}

/* ---- Contexts that evaluate prompts of many rows ---- */

static gpt2_model *model;
static float expected[N_VOCAB];
static _Atomic int n_busy, n_wrong;

static int open_all(void **state)
{
  (void)state;
  model = open_base_model(GPT2_TYPE_F32, NULL);
  return 0;
}

static int close_all(void **state)
{
  (void)state;
  gpt2_model_free(model);
  return 0;
}

static const float *evaluate_prompt(gpt2_context *context)
{
  gpt2_token tokens[N_ROWS];
  for (int i = 0; i < N_ROWS; i++)
    tokens[i] = i * 37 % N_VOCAB;
  must_succeed(gpt2_kv_clear(context), context);
  must_succeed(gpt2_eval(context, 0, tokens, N_ROWS, 0), context);
  return gpt2_logits(context, 0);
}

static void *evaluate_prompts(void *data)
{
  gpt2_context *context = open_context(model, *(const int *)data);
  for (int i = 0; i < N_PROMPTS; i++)
    n_wrong += memcmp(evaluate_prompt(context), expected, sizeof expected) != 0;
  gpt2_context_free(context);
  n_busy--;
  return NULL;
}

static void start_users(pthread_t *threads)
{
  static const int n_threads[N_USERS] = {1, 2, 3};
  gpt2_context *context = open_context(model, 1);
  memcpy(expected, evaluate_prompt(context), sizeof expected);
  gpt2_context_free(context);
  n_busy = N_USERS;
  n_wrong = 0;
  for (int i = 0; i < N_USERS; i++)
    assert_int_equal(
        pthread_create(&threads[i], NULL, evaluate_prompts, (void *)(uintptr_t)&n_threads[i]), 0);
}

static void join_users(const pthread_t *threads)
{
  for (int i = 0; i < N_USERS; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(n_wrong, 0);
}

/* ---- Tests ---- */

/* Never zero times: the users are started before. */
static void while_contexts_evaluate_the_count_is_what_the_host_set_last(void **state)
{
  (void)state;
  skip_without_count();
  pthread_t threads[N_USERS];
  random_numbers random = random_from_seed("counts");
  int before = openblas_get_num_threads(), n_sets = 0, n_lost = 0;
  start_users(threads);
  while (n_busy > 0) {
    int n = 1 + random_below(&random, 4);
    openblas_set_num_threads(n);
    for (int i = 0; i < 50; i++)
      n_lost += openblas_get_num_threads() != n;
    n_sets++;
  }
  openblas_set_num_threads(2);
  join_users(threads);
  assert_int_equal(openblas_get_num_threads(), 2);
  openblas_set_num_threads(before);
  print_message("# the count was set %d times\n", n_sets);
  assert_int_equal(n_lost, 0);
  assert_true(n_sets > 0);
}

static void no_count_changes_what_is_computed(void **state)
{
  (void)state;
  skip_without_count();
  int before = openblas_get_num_threads();
  for (int n = 1; n <= 4; n++) {
    gpt2_context *context = open_context(model, 2);
    openblas_set_num_threads(n);
    const float *found = evaluate_prompt(context);
    if (n == 1)
      memcpy(expected, found, sizeof expected);
    assert_memory_equal(found, expected, sizeof expected);
    assert_int_equal(openblas_get_num_threads(), n);
    gpt2_context_free(context);
  }
  openblas_set_num_threads(before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(while_contexts_evaluate_the_count_is_what_the_host_set_last),
      cmocka_unit_test(no_count_changes_what_is_computed),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, open_all, close_all);
}
