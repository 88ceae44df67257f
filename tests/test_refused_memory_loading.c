/* test_refused_memory_loading.c - loading when any one allocation of the process is refused, ours,
 * the JSON parser's or the C library's: it fails with the reason, nothing is left (AddressSanitizer
 * looks), and the same load works afterwards. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/model_files.h"
#include "support/record.h"
#include "support/refusals.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void ignore_line(int32_t level, const char *message, void *user)
{
  (void)level, (void)message, (void)user;
}

static gpt2_status load(const door *d, const model_files *from, gpt2_model **model,
                        gpt2_error *error)
{
  gpt2_load_options options = {.struct_size = sizeof options, .log = ignore_line};
  *model = (gpt2_model *)error;
  return d->load(from, &options, model, error);
}

static void describe_and_free(gpt2_model *model, record *r)
{
  r->size = 0;
  describe_model(model, r);
  gpt2_model_free(model);
}

/* What the door gives when nothing is refused. */
static void load_undisturbed(const door *d, const model_files *from, record *r)
{
  gpt2_model *model;
  gpt2_error error = NO_ERROR_YET;
  expect_success(load(d, from, &model, &error), &error);
  describe_and_free(model, r);
}

/* A thread that the C library has no memory for is the system's refusal. */
static void expect_out_of_memory(gpt2_status status, const gpt2_error *error)
{
  if (status == GPT2_ERR_SYSTEM)
    expect_failure(status, GPT2_ERR_SYSTEM, error, "n_threads: the system refused thread", NULL);
  else
    expect_failure(status, GPT2_ERR_MEMORY, error, "out of memory", NULL);
}

/* Whether all is as it was is looked at after some of the failures: it takes as long as they do. */
enum { SOMETIMES = 8 };

/* How memory is refused: once, or from then on. */
typedef void (*refuser)(call_kind kind, int nth, int number);

/* Loads with the nth allocation refused; false when there were fewer. A load may go well when only
 * that one is: what cannot be parsed in pieces is parsed as a whole. */
static bool is_refused_an_allocation(const door *d, const model_files *from, refuser refuses,
                                     int nth, const record *expected)
{
  static record found;
  gpt2_model *model;
  gpt2_error error = NO_ERROR_YET;
  refuses(CALL_ALLOCATE, nth, ENOMEM);
  gpt2_status status = load(d, from, &model, &error);
  bool reached = end_refusal();
  assert_false(reached && status == GPT2_OK && refuses == refuse_from);
  if (status != GPT2_OK) {
    assert_true(reached);
    expect_out_of_memory(status, &error);
    assert_null(model);
  } else {
    expect_success(status, &error);
    describe_and_free(model, &found);
    expect_same(&found, expected);
  }
  if (nth % SOMETIMES == 0) {
    load_undisturbed(d, from, &found);
    expect_same(&found, expected);
  }
  return reached;
}

/* Refuses every allocation of the door in turn, and tells how many they were. */
static void check_door(const door *d, const model_files *from, refuser refuses)
{
  static record expected;
  int n = 0;
  load_undisturbed(d, from, &expected);
  while (n < 20000 && is_refused_an_allocation(d, from, refuses, n + 1, &expected))
    n++;
  if (n < 400 || n == 20000)
    fail_msg("%s: %d allocations were refused", d->name, n);
  print_message("# %s: each of %d allocations was refused\n", d->name, n);
}

/* Every step-th door. */
static void check_doors(bool sharded, int step, refuser refuses)
{
  model_files *files = make_little_files(sharded);
  for (int i = 0; i < N_DOORS; i += step)
    check_door(&doors[i], files, refuses);
  free_model_files(files);
}

static void whichever_allocation_a_load_is_refused_it_works_afterwards(void **state)
{
  (void)state;
  check_doors(false, 1, refuse);
}

static void so_does_a_load_of_shards_and_tokenizer_json(void **state)
{
  (void)state;
  check_doors(true, 5, refuse);
}

static void a_load_whose_memory_ends_anywhere_fails_and_works_afterwards(void **state)
{
  (void)state;
  check_doors(false, 4, refuse_from);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whichever_allocation_a_load_is_refused_it_works_afterwards),
      cmocka_unit_test(so_does_a_load_of_shards_and_tokenizer_json),
      cmocka_unit_test(a_load_whose_memory_ends_anywhere_fails_and_works_afterwards),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
