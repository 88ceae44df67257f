/* test_refused_system.c - loads and calls when the system refuses any one of the things that they
 * ask for: files to be opened, examined, mapped or read, memory to be mapped, threads. They say
 * which, leave nothing open or mapped, and work afterwards; what is only advice or knowledge of the
 * machine they do without. */
#define _POSIX_C_SOURCE 200809L
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/model_files.h"
#include "support/operations.h"
#include "support/opened.h"
#include "support/record.h"
#include "support/refusals.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- Loads ---- */

typedef struct refused_call {
  call_kind kind;
  const char *name;
  int number;       /* errno */
  bool is_for_file; /* it belongs to one of the model's; but for mappings, some of which are not */
  bool is_needed;
  const char *words; /* about a file */
} refused_call;

static const refused_call refused_calls[] = {
    {CALL_OPEN, "open", EMFILE, true, true, "cannot be opened: too many open files"},
    {CALL_OPEN, "open", EACCES, true, true, "cannot be opened: permission denied"},
    {CALL_EXAMINE, "fstat", EIO, true, true, "cannot be examined: input/output error"},
    {CALL_MAP, "mmap", ENOMEM, true, true, "cannot be mapped: out of memory"},
    {CALL_READ_AT, "pread", EIO, true, true, "cannot be read: input/output error"},
    {CALL_THREAD, "pthread_create", EAGAIN, false, true, NULL},
    {CALL_CONSULT, "open below /proc and /sys", EMFILE, false, false, NULL},
    {CALL_LOOK, "stat", EIO, false, false, NULL},
    {CALL_READ, "read", EIO, false, false, NULL},
    {CALL_ADVISE, "madvise", EINVAL, false, false, NULL},
    {CALL_AFFINITY, "sched_getaffinity", EPERM, false, false, NULL},
};
enum { N_REFUSED_CALLS = sizeof refused_calls / sizeof *refused_calls };

/* The lowest descriptor that is free: the same again when none was left open. */
static int free_descriptor(void)
{
  int descriptor = dup(STDERR_FILENO);
  assert_true(descriptor >= 0);
  close(descriptor);
  return descriptor;
}

/* Whether the words begin with a file in the folder; it need not be there, if it was looked for. */
static bool names_a_file(const model_files *files, const char *words)
{
  size_t size = strlen(files->folder);
  const char *name = words + size + 1, *end = strstr(words, ": ");
  return strncmp(words, files->folder, size) == 0 && words[size] == '/' && end > name &&
         !memchr(name, '/', (size_t)(end - name));
}

/* Fails the test unless the words are what a load should say. */
static void expect_words(const refused_call *c, const model_files *files, gpt2_status status,
                         const char *words)
{
  if (c->kind == CALL_THREAD && status == GPT2_ERR_SYSTEM && strstr(words, "refused thread "))
    return;
  if (c->kind == CALL_MAP && status == GPT2_ERR_MEMORY && strstr(words, "out of memory"))
    return; /* the page by which a fork is noticed */
  if (c->is_for_file && status == GPT2_ERR_IO && strstr(words, c->words) &&
      names_a_file(files, words))
    return;
  fail_msg("%s: %s", gpt2_status_name(status), words);
}

/* A model that was loaded all the same: complete, or without a tokenizer for that reason. */
static void expect_loaded(const refused_call *c, const model_files *files, gpt2_model *model,
                          bool reached, const record *expected)
{
  static record found;
  gpt2_info info = info_of(model);
  gpt2_token token;
  size_t n;
  if (info.tokenizer_status == GPT2_OK) {
    assert_false(reached && c->is_needed && c->is_for_file);
    found.size = 0;
    describe_model(model, &found);
    expect_same(&found, expected);
    return;
  }
  gpt2_error error = NO_ERROR_YET;
  assert_true(reached && c->is_needed);
  expect_words(c, files, info.tokenizer_status, info.tokenizer_message);
  expect_failure(gpt2_encode(model, "a", 1, 0, &token, 1, &n, &error), GPT2_ERR_NO_TOKENIZER,
                 &error, info.tokenizer_message, NULL);
}

/* Loads with the nth call refused; whether there was one. */
static bool is_refused_a_call(const door *d, const model_files *files, const refused_call *c,
                              int nth, const record *expected)
{
  gpt2_load_options options = {.struct_size = sizeof options};
  gpt2_model *model = (gpt2_model *)&options;
  gpt2_error error = NO_ERROR_YET;
  int descriptor = free_descriptor(), mappings = n_mappings();
  refuse(c->kind, nth, c->number);
  gpt2_status status = d->load(files, &options, &model, &error);
  bool reached = end_refusal();
  if (status == GPT2_OK) {
    expect_success(status, &error);
    expect_loaded(c, files, model, reached, expected);
    gpt2_model_free(model);
  } else {
    assert_true(reached && c->is_needed);
    assert_int_equal(error.status, status);
    expect_words(c, files, status, error.message);
    assert_null(model);
  }
  assert_int_equal(free_descriptor(), descriptor);
  assert_int_equal(n_mappings(), mappings);
  return reached;
}

static void load_undisturbed(const door *d, const model_files *files, record *r)
{
  gpt2_load_options options = {.struct_size = sizeof options};
  gpt2_model *model;
  gpt2_error error = NO_ERROR_YET;
  expect_success(d->load(files, &options, &model, &error), &error);
  r->size = 0;
  describe_model(model, r);
  gpt2_model_free(model);
}

/* Refuses every call in turn; how many there were. */
static int refuse_all_calls(const door *d, const model_files *files, const refused_call *c)
{
  static record expected, afterwards;
  int n = 0;
  load_undisturbed(d, files, &expected);
  while (n < 1000 && is_refused_a_call(d, files, c, n + 1, &expected))
    n++;
  assert_in_range(n, 0, 999);
  load_undisturbed(d, files, &afterwards);
  expect_same(&afterwards, &expected);
  return n;
}

static void check_doors(bool sharded)
{
  model_files *files = make_little_files(sharded);
  for (int c = 0; c < N_REFUSED_CALLS; c++) {
    int n = 0;
    for (int d = 0; d < N_DOORS; d++)
      n += refuse_all_calls(&doors[d], files, &refused_calls[c]);
    print_message("# %s: %d calls were refused\n", refused_calls[c].name, n);
    assert_true(n >= 5);
  }
  free_model_files(files);
}

static void whichever_call_a_load_is_refused_it_is_told_and_works_afterwards(void **state)
{
  (void)state;
  check_doors(false);
}

static void so_is_a_load_of_shards_and_tokenizer_json(void **state)
{
  (void)state;
  check_doors(true);
}

/* ---- Calls on a model ---- */

static void refuse_kind(void *user, size_t nth)
{
  const refused_call *c = user;
  refuse(c->kind, (int)nth, c->number);
}

static bool end_kind(void *user)
{
  (void)user;
  return end_refusal();
}

static void expect_thread_or_page(gpt2_status status, const gpt2_error *error)
{
  bool thread = status == GPT2_ERR_SYSTEM;
  expect_failure(status, thread ? GPT2_ERR_SYSTEM : GPT2_ERR_MEMORY, error,
                 thread ? "n_threads: the system refused thread" : "out of memory", NULL);
}

static void check_type(int32_t weights, int32_t kv_type)
{
  const gpt2_context_options options = {
      .struct_size = sizeof options, .n_threads = 3, .kv_type = kv_type};
  gpt2_load_options load = {.struct_size = sizeof load, .weights = weights, .n_threads = 1};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  char *folder = test_data_path("fixtures/models/base");
  expect_success(gpt2_load(folder, &load, &model, &error), &error);
  free(folder);
  for (int i = 0; i < N_REFUSED_CALLS; i++) {
    refused_call call = refused_calls[i];
    const refusing r = {refuse_kind, end_kind, expect_thread_or_page, call.is_needed && !call.words,
                        false,       &call};
    int mappings = n_mappings();
    size_t n = refuse_all_operations(model, &options, &r, NULL);
    assert_true(call.kind != CALL_THREAD || n >= 10);
    assert_int_equal(n_mappings(), mappings);
  }
  gpt2_model_free(model);
}

static void whichever_call_a_context_is_refused_it_goes_on_afterwards(void **state)
{
  (void)state;
  for (int32_t weights = GPT2_TYPE_F32; weights <= GPT2_TYPE_Q4_0; weights++)
    check_type(weights, weights % 2 ? GPT2_TYPE_F16 : GPT2_TYPE_F32);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whichever_call_a_load_is_refused_it_is_told_and_works_afterwards),
      cmocka_unit_test(so_is_a_load_of_shards_and_tokenizer_json),
      cmocka_unit_test(whichever_call_a_context_is_refused_it_goes_on_afterwards),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
