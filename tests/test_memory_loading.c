/* test_memory_loading.c - loading with the host's memory hooks: every allocation comes through them
 * and goes back, and when any one of them is refused nothing is left, whatever the door. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/random_folder.h"
#include "support/record.h"
#include "support/strict_memory.h"
#include "support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Mapped F32 and two files of a tokenizer; widened F16 and tokenizer.json; so many tensors that the
 * lists of them grow, and no tokenizer. */
static const char *const fixtures[] = {"base", "extra_rows"};
static const random_sizes many_tensors = {
    .n_vocab = 256, .n_ctx = 16, .n_embd = 8, .n_head = 2, .n_layer = 6, .n_inner = 16, .seed = 5};
enum { N_FIXTURES = 2, N_FOLDERS = 3, N_FILES = 5 };
static const char *const file_names[N_FILES] = {"config.json", "model.safetensors", "vocab.json",
                                                "merges.txt", "tokenizer.json"};

/* A folder, and its files in memory. */
typedef struct model_files {
  char *folder;
  gpt2_blob blobs[N_FILES];
  size_t n_blobs;
} model_files;

static model_files files[N_FOLDERS];

typedef gpt2_status (*loader)(const model_files *from, gpt2_load_options *options,
                              gpt2_model **model, gpt2_error *error);

static gpt2_status load_folder(const model_files *from, gpt2_load_options *options,
                               gpt2_model **model, gpt2_error *error)
{
  return gpt2_load(from->folder, options, model, error);
}

static gpt2_status load_copy(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  options->flags = GPT2_LOAD_COPY;
  return gpt2_load(from->folder, options, model, error);
}

static gpt2_status load_file(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  char path[4096];
  snprintf(path, sizeof path, "%s/model.safetensors", from->folder);
  return gpt2_load(path, options, model, error);
}

static gpt2_status load_memory(const model_files *from, gpt2_load_options *options,
                               gpt2_model **model, gpt2_error *error)
{
  return gpt2_load_memory(from->blobs, from->n_blobs, options, model, error);
}

static host_source host;

/* A failure releases the source; a success keeps it until the model is gone. */
static gpt2_status load_source(const model_files *from, gpt2_load_options *options,
                               gpt2_model **model, gpt2_error *error)
{
  host = (host_source){.blobs = from->blobs, .n_blobs = from->n_blobs};
  gpt2_source source = host_callbacks(&host);
  gpt2_status status = gpt2_load_source(&source, options, model, error);
  assert_int_equal(host.n_released, status != GPT2_OK);
  assert_true(status == GPT2_OK || host.n_open == 0);
  return status;
}

/* Conversions, of what is mapped and of what is read, with threads that must not use the hooks. */
static gpt2_status load_q4_0(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  options->weights = GPT2_TYPE_Q4_0;
  options->n_threads = 3;
  options->flags = GPT2_LOAD_PREFAULT | GPT2_LOAD_HUGE_PAGES;
  return gpt2_load(from->folder, options, model, error);
}

static gpt2_status load_bf16(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  options->weights = GPT2_TYPE_BF16;
  options->n_threads = 2;
  return load_source(from, options, model, error);
}

static const loader loaders[] = {load_folder, load_copy, load_file, load_memory,
                                 load_source, load_q4_0, load_bf16};
enum { N_LOADERS = sizeof loaders / sizeof *loaders, N_AS_STORED = 5 };

/* Loads with the hooks; neither they nor the options are there any more afterwards. */
static gpt2_status load_strictly(loader load, const model_files *from, strict_memory *memory,
                                 gpt2_model **model, gpt2_error *error)
{
  gpt2_allocator hooks = strict_hooks(memory);
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks};
  *model = (gpt2_model *)memory;
  watch_malloc();
  gpt2_status status = load(from, &options, model, error);
  assert_int_equal(malloc_watched(), 0);
  memset(&hooks, 0xff, sizeof hooks);
  memset(&options, 0xff, sizeof options);
  return status;
}

static const gpt2_token prompt[] = {'O', 'n', 'c', 'e', 32, 200, 7, 'T', 'o', 'm'};
enum { N_PROMPT = sizeof prompt / sizeof *prompt };
static const char text[] = "Once upon a time, there were 3 bears.\n\n<|endoftext|>  \xc3\xa9\xff";

/* What the model says of itself, its tokens for a text, and its logits. */
static void describe(gpt2_model *model, record *r)
{
  gpt2_token tokens[sizeof text];
  size_t n_tokens;
  gpt2_info info = info_of(model);
  info.mapped_size = info.allocated_size = 0; /* how it was loaded is no matter */
  memset(info.tokenizer_message, 0, sizeof info.tokenizer_message); /* it names the folder */
  keep(r, &info, sizeof info);
  gpt2_status status = gpt2_encode(model, text, sizeof text - 1, GPT2_ENCODE_SPECIAL, tokens,
                                   sizeof text, &n_tokens, NULL);
  assert_int_equal(status, info.flags & GPT2_INFO_TOKENIZER ? GPT2_OK : GPT2_ERR_NO_TOKENIZER);
  if (status == GPT2_OK)
    keep(r, tokens, n_tokens * sizeof *tokens);
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_eval(context, 0, prompt, N_PROMPT, 0), context);
  keep(r, gpt2_logits(context, 0), (size_t)info.n_vocab * sizeof(float));
  gpt2_context_free(context);
}

/* Loads with the refused-th allocation refused; whether it was not reached. */
static bool loads_without(loader load, const model_files *from, size_t refused,
                          const record *expected)
{
  static record found;
  strict_memory memory = {.refused = refused};
  gpt2_model *model;
  gpt2_error error = NO_ERROR_YET;
  gpt2_status status = load_strictly(load, from, &memory, &model, &error);
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
  describe(model, &found);
  expect_same(&found, expected);
  gpt2_model_free(model);
  assert_int_equal(memory.n_live, 0);
  return true;
}

/* What the loader gives when nothing is refused. */
static void describe_loaded(loader load, const model_files *from, record *r)
{
  strict_memory memory = {.refused = 0};
  gpt2_model *model;
  gpt2_error error = NO_ERROR_YET;
  expect_success(load_strictly(load, from, &memory, &model, &error), &error);
  r->size = 0;
  describe(model, r);
  gpt2_model_free(model);
}

static void whichever_allocation_is_refused_loading_fails_and_works_afterwards(void **state)
{
  (void)state;
  for (size_t f = 0; f < N_FOLDERS; f++) {
    static record as_stored, expected;
    describe_loaded(load_folder, &files[f], &as_stored);
    for (size_t l = 0; l < N_LOADERS; l++) {
      size_t n = 0;
      describe_loaded(loaders[l], &files[f], &expected);
      if (l < N_AS_STORED)
        expect_same(&expected, &as_stored);
      while (n < 1000 && !loads_without(loaders[l], &files[f], n + 1, &expected))
        n++;
      assert_in_range(n, 40, 999);
    }
  }
}

static void hooks_of_which_one_is_missing_are_refused(void **state)
{
  (void)state;
  for (int missing = 0; missing < 2; missing++)
    for (size_t l = 0; l < N_LOADERS; l++) {
      strict_memory memory = {0};
      gpt2_allocator hooks = strict_hooks(&memory);
      gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks};
      gpt2_model *model = (gpt2_model *)&memory;
      gpt2_error error = NO_ERROR_YET;
      if (missing)
        hooks.allocate = NULL;
      else
        hooks.release = NULL;
      expect_failure(loaders[l](&files[0], &options, &model, &error), GPT2_ERR_ARGUMENT, &error,
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
  gpt2_status status = gpt2_load(files[1].folder, NULL, &model, NULL);
  assert_in_range(malloc_watched(), 40, 10000);
  assert_int_equal(status, GPT2_OK);
  gpt2_model_free(model);
}

/* Those of the files that the folder has. */
static void read_blobs(model_files *into)
{
  for (int i = 0; i < N_FILES; i++) {
    char path[4096];
    size_t size;
    snprintf(path, sizeof path, "%s/%s", into->folder, file_names[i]);
    FILE *there = fopen(path, "rb");
    if (!there)
      continue;
    fclose(there);
    gpt2_blob *blob = &into->blobs[into->n_blobs++];
    blob->name = file_names[i];
    blob->bytes = read_test_file(path, &size);
    blob->size = size;
  }
  assert_in_range(into->n_blobs, 2, N_FILES);
}

static int read_files(void **state)
{
  (void)state;
  for (size_t f = 0; f < N_FOLDERS; f++) {
    char below[64];
    if (f < N_FIXTURES) {
      snprintf(below, sizeof below, "fixtures/models/%s", fixtures[f]);
      files[f].folder = test_data_path(below);
    } else {
      files[f].folder = make_random_folder(&many_tensors);
    }
    read_blobs(&files[f]);
  }
  return 0;
}

static int free_files(void **state)
{
  (void)state;
  for (size_t f = 0; f < N_FOLDERS; f++) {
    for (size_t i = 0; i < files[f].n_blobs; i++)
      free((void *)(uintptr_t)files[f].blobs[i].bytes);
    if (f < N_FIXTURES)
      free(files[f].folder);
    else
      remove_temporary_folder(files[f].folder);
  }
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
