/* test_memory_loading.c - loading with the host's memory hooks: every allocation comes through them
 * and goes back, and when any one of them is refused nothing is left, whatever the door. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/model_files.h"
#include "support/random_folder.h"
#include "support/record.h"
#include "support/strict_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Mapped F32 and two files of a tokenizer; widened F16 and tokenizer.json; so many tensors that the
 * lists of them grow, and no tokenizer; shards. */
static const char *const fixtures[] = {"base", "extra_rows"};
static const random_sizes many_tensors = {
    .n_vocab = 256, .n_ctx = 16, .n_embd = 8, .n_head = 2, .n_layer = 6, .n_inner = 16, .seed = 5};
enum { N_FIXTURES = 2, N_FOLDERS = 4 };

static model_files *files[N_FOLDERS];

/* Loads with the hooks; neither they nor the options are there any more afterwards. */
static gpt2_status load_strictly(const door *d, const model_files *from, strict_memory *memory,
                                 gpt2_model **model, gpt2_error *error)
{
  gpt2_allocator hooks = strict_hooks(memory);
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks};
  *model = (gpt2_model *)memory;
  watch_malloc();
  gpt2_status status = d->load(from, &options, model, error);
  assert_true(malloc_watched() == 0 || jansson_is_watched());
  memset(&hooks, 0xff, sizeof hooks);
  memset(&options, 0xff, sizeof options);
  return status;
}

/* Loads with the refused-th allocation refused; whether it was not reached. */
static bool loads_without(const door *d, const model_files *from, size_t refused,
                          const record *expected)
{
  static record found;
  strict_memory memory = {.refused = refused};
  gpt2_model *model;
  gpt2_error error = NO_ERROR_YET;
  gpt2_status status = load_strictly(d, from, &memory, &model, &error);
  if (status != GPT2_OK) {
    expect_failure(status, GPT2_ERR_MEMORY, &error, "memory", NULL);
    assert_null(model);
    assert_int_equal(memory.n_live, 0);
    return false;
  }
  expect_success(status, &error);
  assert_true(memory.n_calls < refused); /* no refusal was swallowed */
  memory.refused = 0;
  found.size = 0;
  describe_model(model, &found);
  expect_same(&found, expected);
  gpt2_model_free(model);
  assert_int_equal(memory.n_live, 0);
  return true;
}

/* What the door gives when nothing is refused. */
static void describe_loaded(const door *d, const model_files *from, record *r)
{
  strict_memory memory = {.refused = 0};
  gpt2_model *model;
  gpt2_error error = NO_ERROR_YET;
  expect_success(load_strictly(d, from, &memory, &model, &error), &error);
  r->size = 0;
  describe_model(model, r);
  gpt2_model_free(model);
}

static void whichever_allocation_is_refused_loading_fails_and_works_afterwards(void **state)
{
  (void)state;
  for (size_t f = 0; f < N_FOLDERS; f++) {
    static record as_stored, expected;
    describe_loaded(&doors[0], files[f], &as_stored);
    for (size_t d = 0; d < N_DOORS; d++) {
      size_t n = 0;
      describe_loaded(&doors[d], files[f], &expected);
      if (!doors[d].converts)
        expect_same(&expected, &as_stored);
      while (n < 1000 && !loads_without(&doors[d], files[f], n + 1, &expected))
        n++;
      assert_in_range(n, 40, 999);
    }
  }
}

static void hooks_of_which_one_is_missing_are_refused(void **state)
{
  (void)state;
  for (int missing = 0; missing < 2; missing++)
    for (size_t d = 0; d < N_DOORS; d++) {
      strict_memory memory = {0};
      gpt2_allocator hooks = strict_hooks(&memory);
      gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks};
      gpt2_model *model = (gpt2_model *)&memory;
      gpt2_error error = NO_ERROR_YET;
      if (missing)
        hooks.allocate = NULL;
      else
        hooks.release = NULL;
      expect_failure(doors[d].load(files[0], &options, &model, &error), GPT2_ERR_ARGUMENT, &error,
                     "allocator", "both");
      assert_null(model);
      assert_int_equal(memory.n_calls, 0);
    }
}

static void without_hooks_the_memory_is_mallocs(void **state)
{
  (void)state;
  gpt2_model *model = NULL;
  watch_malloc();
  gpt2_status status = gpt2_load(files[1]->folder, NULL, &model, NULL);
  assert_in_range(malloc_watched(), 40, 10000);
  assert_int_equal(status, GPT2_OK);
  gpt2_model_free(model);
}

static int read_files(void **state)
{
  (void)state;
  for (size_t f = 0; f < N_FIXTURES; f++) {
    char below[64];
    snprintf(below, sizeof below, "fixtures/models/%s", fixtures[f]);
    files[f] = read_model_files(test_data_path(below), false);
  }
  files[N_FIXTURES] = read_model_files(make_random_folder(&many_tensors), true);
  files[N_FIXTURES + 1] = make_little_files(true);
  return 0;
}

static int free_files(void **state)
{
  (void)state;
  for (size_t f = 0; f < N_FOLDERS; f++)
    free_model_files(files[f]);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whichever_allocation_is_refused_loading_fails_and_works_afterwards),
      cmocka_unit_test(hooks_of_which_one_is_missing_are_refused),
      cmocka_unit_test(without_hooks_the_memory_is_mallocs),
  };
  return cmocka_run_group_tests(tests, read_files, free_files);
}
