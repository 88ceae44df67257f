/* test_refused_memory.c - a model in use when any one allocation of the process is refused, ours,
 * BLAS's or the C library's: the call fails with the reason, or does without; nothing is left, the
 * context goes on, and the same call gives the same afterwards, to the bit. */
#include "gpt2.h"
#include "support/context_state.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/operations.h"
#include "support/refusals.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void refuse_kind(void *user, size_t nth)
{
  refuse(*(const call_kind *)user, (int)nth, ENOMEM);
}

static bool end_kind(void *user)
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

static size_t refuse_all(call_kind kind, int32_t weights, const gpt2_context_options *options)
{
  gpt2_load_options load = {.struct_size = sizeof load, .weights = weights, .n_threads = 1};
  const refusing r = {refuse_kind,           end_kind, expect_out_of_memory, false,
                      kind == CALL_ALLOCATE, &kind};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  char *folder = test_data_path("fixtures/models/base");
  expect_success(gpt2_load(folder, &load, &model, &error), &error);
  free(folder);
  size_t n = refuse_all_operations(model, options, &r, NULL);
  gpt2_model_free(model);
  return n;
}

static void check_type(int32_t weights, const gpt2_context_options *options)
{
  size_t n = refuse_all(CALL_ALLOCATE, weights, options);
  assert_true(n > 80);
  print_message("# weights of type %d: %zu allocations were refused\n", (int)weights, n);
}

/* Without vector instructions, where BLAS multiplies, everything takes long: one type does. */
static int32_t last_type(void)
{
  gpt2_build build = {.struct_size = sizeof build};
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_OK);
  return strcmp(build.instruction_sets, "scalar") == 0 ? GPT2_TYPE_F32 : GPT2_TYPE_Q4_0;
}

static void whichever_allocation_is_refused_the_same_call_gives_the_same_afterwards(void **state)
{
  (void)state;
  const gpt2_context_options options = {.struct_size = sizeof options, .n_threads = 1};
  for (int32_t weights = GPT2_TYPE_F32; weights <= last_type(); weights++)
    check_type(weights, &options);
}

static void so_it_does_with_halves_for_keys_and_three_threads(void **state)
{
  (void)state;
  const gpt2_context_options options = {
      .struct_size = sizeof options, .n_threads = 3, .kv_type = GPT2_TYPE_F16};
  for (int32_t weights = GPT2_TYPE_F32; weights <= last_type(); weights++)
    check_type(weights, &options);
}

static void whichever_mapping_is_refused_the_same_call_gives_the_same_afterwards(void **state)
{
  (void)state;
  const gpt2_context_options options = {.struct_size = sizeof options, .n_threads = 3};
  size_t n = refuse_all(CALL_MAP, GPT2_TYPE_F32, &options);
  print_message("# %zu mappings were refused\n", n);
  assert_true(n > 0);
}

/* OpenBLAS maps a buffer when one more thread than ever is inside, and has other ways when it must
 * not. It keeps them, so this comes first; how many threads meet there is chance. */
static void blas_does_without_the_mappings_that_it_is_refused(void **state)
{
  (void)state;
  static gpt2_token tokens[120];
  char *folder = test_data_path("../examples/models/tales");
  gpt2_model *model = open_model(folder);
  gpt2_context *context = open_context(model, 3);
  for (int i = 0; i < 120; i++)
    tokens[i] = 11 * i;
  must_succeed(gpt2_eval(context, 0, tokens, 1, 0), context); /* starts the threads */
  refuse_from(CALL_MAP, 1, ENOMEM);
  gpt2_status status = gpt2_eval(context, 1, tokens, 120, 0);
  end_refusal();
  print_message("# %d mappings were refused\n", calls_counted());
  must_succeed(status, context);
  must_succeed(gpt2_eval(context, 2, tokens, 120, 0), context);
  must_have_logits(context, 2, gpt2_logits(context, 1));
  gpt2_context_free(context);
  gpt2_model_free(model);
  free(folder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blas_does_without_the_mappings_that_it_is_refused),
      cmocka_unit_test(whichever_mapping_is_refused_the_same_call_gives_the_same_afterwards),
      cmocka_unit_test(whichever_allocation_is_refused_the_same_call_gives_the_same_afterwards),
      cmocka_unit_test(so_it_does_with_halves_for_keys_and_three_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
