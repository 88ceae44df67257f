/* faults.c - one thing wrong with one file of a model, and what every way of loading must say. */
#include "support/faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/temporary_folder.h"

/* ---- The doors ---- */

/* What a door leads to: the files in memory, on disk, and behind a host's callbacks. */
typedef struct ways {
  const tiny_files *files;
  char *folder;
  host_source host;
  counting_allocator counter;
} ways;

typedef gpt2_status (*door)(ways *w, gpt2_load_options *options, gpt2_model **model,
                            gpt2_error *error);

static gpt2_status load_memory(ways *w, gpt2_load_options *options, gpt2_model **model,
                               gpt2_error *error)
{
  return gpt2_load_memory(w->files->blobs, w->files->n, options, model, error);
}

static gpt2_status load_mapped(ways *w, gpt2_load_options *options, gpt2_model **model,
                               gpt2_error *error)
{
  return gpt2_load(w->folder, options, model, error);
}

static gpt2_status load_copied(ways *w, gpt2_load_options *options, gpt2_model **model,
                               gpt2_error *error)
{
  options->flags = GPT2_LOAD_COPY;
  return gpt2_load(w->folder, options, model, error);
}

static gpt2_status load_host(ways *w, bool has_view, gpt2_load_options *options, gpt2_model **model,
                             gpt2_error *error)
{
  w->host = (host_source){.blobs = w->files->blobs, .n_blobs = w->files->n, .has_view = has_view};
  gpt2_source source = host_callbacks(&w->host);
  gpt2_status status = gpt2_load_source(&source, options, model, error);
  assert_int_equal(w->host.n_released, status != GPT2_OK);
  assert_true(status == GPT2_OK || w->host.n_open == 0);
  return status;
}

static gpt2_status load_read(ways *w, gpt2_load_options *options, gpt2_model **model,
                             gpt2_error *error)
{
  return load_host(w, false, options, model, error);
}

static gpt2_status load_viewed(ways *w, gpt2_load_options *options, gpt2_model **model,
                               gpt2_error *error)
{
  return load_host(w, true, options, model, error);
}

static gpt2_status load_host_copied(ways *w, gpt2_load_options *options, gpt2_model **model,
                                    gpt2_error *error)
{
  options->flags = GPT2_LOAD_COPY;
  return load_host(w, true, options, model, error);
}

/* The first of them need no disk. */
static const door doors[] = {load_memory,      load_read,   load_viewed,
                             load_host_copied, load_mapped, load_copied};
enum { N_DOORS = sizeof doors / sizeof *doors, N_QUICK = 2, N_TYPES = GPT2_TYPE_Q4_0 + 1 };

static char *write_folder(const tiny_files *files)
{
  char *folder = new_temporary_folder();
  for (size_t i = 0; i < files->n; i++)
    write_temporary_file(folder, files->blobs[i].name, files->blobs[i].bytes,
                         (size_t)files->blobs[i].size);
  return folder;
}

/* Calls `check` with what each way gives: a status and a model, or words. */
typedef void (*way_check)(gpt2_status status, gpt2_model *model, int32_t type,
                          const gpt2_error *error, void *user);

static void try_ways(const tiny_files *files, int n_doors, way_check check, void *user)
{
  ways w = {.files = files, .folder = n_doors > N_QUICK ? write_folder(files) : NULL};
  for (int32_t way = 0; way < n_doors * N_TYPES; way++) {
    int32_t type = way % N_TYPES;
    gpt2_allocator hooks = counting_hooks(&w.counter);
    gpt2_load_options options = {
        .struct_size = sizeof options, .allocator = &hooks, .n_threads = 1, .weights = type};
    gpt2_model *model = (gpt2_model *)&w;
    gpt2_error error = NO_ERROR_YET;
    gpt2_status status = doors[way / N_TYPES](&w, &options, &model, &error);
    check(status, model, type, &error, user);
    gpt2_model_free(model);
    assert_int_equal(w.counter.n_live, 0);
    assert_int_equal(w.host.n_open, 0);
  }
  if (w.folder)
    remove_temporary_folder(w.folder);
}

/* ---- What they must say ---- */

typedef struct expectation {
  gpt2_status status;
  const char *words, *other_words;
} expectation;

static void check_refused(gpt2_status status, gpt2_model *model, int32_t type,
                          const gpt2_error *error, void *user)
{
  (void)type;
  const expectation *e = user;
  expect_failure(status, e->status, error, e->words, e->other_words);
  assert_null(model);
}

void expect_refused(const tiny_files *files, gpt2_status status, const char *words,
                    const char *other_words)
{
  expectation e = {status, words, other_words};
  try_ways(files, N_DOORS, check_refused, &e);
}

static void check_no_tokenizer(gpt2_status status, gpt2_model *model, int32_t type,
                               const gpt2_error *error, void *user)
{
  (void)type;
  const expectation *e = user;
  expect_success(status, error);
  gpt2_info info = info_of(model);
  gpt2_error why = NO_ERROR_YET;
  size_t n;
  assert_false(info.flags & GPT2_INFO_TOKENIZER);
  assert_int_equal(info.tokenizer_status, e->status);
  if (!strstr(info.tokenizer_message, e->words))
    fail_msg("\"%s\"; expected \"%s\"", info.tokenizer_message, e->words);
  expect_failure(gpt2_encode(model, "a", 1, 0, NULL, 0, &n, &why), GPT2_ERR_NO_TOKENIZER, &why,
                 e->words, e->other_words);
  must_evaluate_a_token(model);
}

void expect_no_tokenizer(const tiny_files *files, gpt2_status status, const char *words,
                         const char *other_words)
{
  expectation e = {status, words, other_words};
  try_ways(files, N_DOORS, check_no_tokenizer, &e);
}

typedef struct visit {
  void (*check)(gpt2_model *model, int32_t type, void *user);
  void *user;
} visit;

static void check_loaded(gpt2_status status, gpt2_model *model, int32_t type,
                         const gpt2_error *error, void *user)
{
  const visit *v = user;
  expect_success(status, error);
  v->check(model, type, v->user);
}

void load_every_way(const tiny_files *files,
                    void (*check)(gpt2_model *model, int32_t type, void *user), void *user)
{
  visit v = {check, user};
  try_ways(files, N_DOORS, check_loaded, &v);
}

void load_every_type(const tiny_files *files,
                     void (*check)(gpt2_model *model, int32_t type, void *user), void *user)
{
  visit v = {check, user};
  try_ways(files, N_QUICK, check_loaded, &v);
}

/* ---- A table of faults ---- */

tiny_files *fault_files(fault_model model)
{
  static void (*const add[])(tiny_files *) = {
      [FAULT_PLAIN] = tiny_add_tokenizer_json,          [FAULT_SHARDED] = tiny_add_tokenizer_json,
      [FAULT_TOKENIZER_JSON] = tiny_add_tokenizer_json, [FAULT_VOCABULARY] = tiny_add_vocabulary,
      [FAULT_OLDER] = tiny_add_older_side_files,        [FAULT_NEWER] = tiny_add_newer_side_file};
  tiny_files *files = model == FAULT_SHARDED ? tiny_new_sharded() : tiny_new();
  add[model](files);
  return files;
}

/* The same files without the fault load, with a tokenizer that works. */
static void expect_sound(fault_model kind)
{
  tiny_files *files = fault_files(kind);
  gpt2_model *model = NULL;
  gpt2_token tokens[2];
  size_t n;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_load_memory(files->blobs, files->n, NULL, &model, &error), &error);
  expect_success(gpt2_encode(model, "ab", 2, 0, tokens, 2, &n, &error), &error);
  assert_true(n == 1 && tokens[0] == 2);
  must_evaluate_a_token(model);
  gpt2_model_free(model);
  tiny_free(files);
}

static void check_fault(void **state)
{
  const fault *f = *state;
  tiny_files *files = fault_files(f->model);
  bool is_tokenizers = f->model >= FAULT_TOKENIZER_JSON;
  tiny_edit(files, f->file, f->from, f->to, strlen(f->to));
  (is_tokenizers ? expect_no_tokenizer : expect_refused)(files, f->status, f->words,
                                                         f->other_words);
  tiny_free(files);
  expect_sound(f->model);
}

void fault_tests(const fault *faults, size_t n, struct CMUnitTest *tests)
{
  for (size_t i = 0; i < n; i++)
    tests[i] = (struct CMUnitTest){.name = faults[i].test,
                                   .test_func = check_fault,
                                   .initial_state = (void *)(uintptr_t)&faults[i]};
}
