/* test_memory.c - all that a model does with the host's memory hooks: every allocation comes
 * through them and goes back, and when any one of them is refused the call says so, loses nothing,
 * and gives the same when it is made again, to the bit. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/operations.h"
#include "support/strict_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Whether the BLAS is linked into the test: its own calls of malloc are then watched, too. */
static bool blas_is_inside(void)
{
  gpt2_build build = {.struct_size = sizeof build};
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_OK);
  return strcmp(build.blas_linkage, "private") == 0;
}

static void refuse_hook(void *user, size_t nth)
{
  strict_memory *memory = user;
  memory->refused = nth ? memory->n_calls + nth : 0;
  watch_malloc();
}

static bool end_hook(void *user)
{
  strict_memory *memory = user;
  assert_true(malloc_watched() == 0 || blas_is_inside());
  bool reached = memory->refused > 0 && memory->n_calls >= memory->refused;
  memory->refused = 0;
  return reached;
}

static void expect_out_of_memory(gpt2_status status, const gpt2_error *error)
{
  expect_failure(status, GPT2_ERR_MEMORY, error, "memory", NULL);
}

/* Weights of one type, and contexts on them. */
static void check_type(int32_t weights, const gpt2_context_options *options)
{
  strict_memory memory = {0};
  gpt2_allocator hooks = strict_hooks(&memory);
  gpt2_load_options load = {
      .struct_size = sizeof load, .allocator = &hooks, .weights = weights, .n_threads = 1};
  const refusing r = {refuse_hook, end_hook, expect_out_of_memory, true, true, &memory};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  char *folder = test_data_path("fixtures/models/base");
  expect_success(gpt2_load(folder, &load, &model, &error), &error);
  free(folder);
  size_t n_live = memory.n_live;
  assert_true(refuse_all_operations(model, options, &r, &hooks) > 80);
  assert_int_equal(memory.n_live, n_live);
  gpt2_model_free(model);
  assert_int_equal(memory.n_live, 0);
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
