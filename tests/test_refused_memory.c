/* test_refused_memory.c - a model in use when any one allocation of the process is refused, ours,
 * BLAS's or the C library's: the call fails with the reason, or does without; nothing is left, the
 * context goes on, and the same call gives the same afterwards, to the bit. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/operations.h"
#include "support/refusals.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void refuse_allocation(void *user, size_t nth)
{
  (void)user;
  refuse(CALL_ALLOCATE, (int)nth, ENOMEM);
}

static bool end_allocation(void *user)
{
  (void)user;
  return end_refusal();
}

/* A thread that the C library has no memory for is the system's refusal. */
static void expect_out_of_memory(gpt2_status status, const gpt2_error *error)
{
  if (status == GPT2_ERR_SYSTEM)
    expect_failure(status, GPT2_ERR_SYSTEM, error, "n_threads: the system refused thread", NULL);
  else
    expect_failure(status, GPT2_ERR_MEMORY, error, "memory", NULL);
}

static void check_type(int32_t weights, const gpt2_context_options *options)
{
  gpt2_load_options load = {.struct_size = sizeof load, .weights = weights, .n_threads = 1};
  const refusing r = {refuse_allocation, end_allocation, expect_out_of_memory, false, true, NULL};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  char *folder = test_data_path("fixtures/models/base");
  expect_success(gpt2_load(folder, &load, &model, &error), &error);
  free(folder);
  size_t n = refuse_all_operations(model, options, &r, NULL);
  assert_true(n > 80);
  print_message("# weights of type %d: %zu allocations were refused\n", (int)weights, n);
  gpt2_model_free(model);
}

static void whichever_allocation_is_refused_the_same_call_gives_the_same_afterwards(void **state)
{
  (void)state;
  const gpt2_context_options options = {.struct_size = sizeof options, .n_threads = 1};
  for (int32_t weights = GPT2_TYPE_F32; weights <= GPT2_TYPE_Q4_0; weights++)
    check_type(weights, &options);
}

static void so_it_does_with_halves_for_keys_and_three_threads(void **state)
{
  (void)state;
  const gpt2_context_options options = {
      .struct_size = sizeof options, .n_threads = 3, .kv_type = GPT2_TYPE_F16};
  for (int32_t weights = GPT2_TYPE_F32; weights <= GPT2_TYPE_Q4_0; weights++)
    check_type(weights, &options);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whichever_allocation_is_refused_the_same_call_gives_the_same_afterwards),
      cmocka_unit_test(so_it_does_with_halves_for_keys_and_three_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
