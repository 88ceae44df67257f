/* test_opening.c - where a model is opened from: paths that lead nowhere, options that are refused,
 * who lets go of what and when. */
#define _POSIX_C_SOURCE 200809L

#include "gpt2.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/small_model.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static small_model *small;
static gpt2_blob blobs[2]; /* its files, which small_load made */
static small_logits expected;

static int make_small(void **state)
{
  (void)state;
  small = small_new("");
  expected = small_evaluate(small);
  size_t size;
  free(build_safetensors(small->tensors, small->n, &size));
  blobs[0] =
      (gpt2_blob){.name = "config.json", .bytes = small->config, .size = strlen(small->config)};
  blobs[1] = (gpt2_blob){.name = "model.safetensors", .bytes = small->file, .size = size};
  return 0;
}

static int free_small(void **state)
{
  (void)state;
  small_free(small);
  return 0;
}

static void expect_works(gpt2_model *model)
{
  small_logits found = small_logits_of(model);
  assert_memory_equal(&found, &expected, sizeof found);
}

/* ---- Paths ---- */

/* The small model on disk; the weights may be called anything. */
static char *make_folder(const char *weights_name)
{
  char *folder = new_temporary_folder();
  write_temporary_file(folder, "config.json", blobs[0].bytes, (size_t)blobs[0].size);
  if (weights_name)
    write_temporary_file(folder, weights_name, blobs[1].bytes, (size_t)blobs[1].size);
  return folder;
}

/* Loading the folder's file fails, with words that hold the folder and both texts, and leaves
 * nothing behind. */
static void expect_path_fails(const char *folder, const char *name, gpt2_status status,
                              const char *text, const char *other_text)
{
  char path[4200];
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks};
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error error = NO_ERROR_YET;
  snprintf(path, sizeof path, "%s%s", folder, name);
  expect_failure(gpt2_load(path, &options, &model, &error), status, &error, text, other_text);
  assert_non_null(strstr(error.message, folder));
  assert_null(model);
  assert_int_equal(counter.n_live, 0);
}

static void a_path_that_leads_nowhere_is_named(void **state)
{
  (void)state;
  char *folder = make_folder(NULL);
  expect_path_fails(folder, "/none", GPT2_ERR_NOT_FOUND, "/none/config.json", "no such file");
  expect_path_fails(folder, "/none/", GPT2_ERR_NOT_FOUND, "/none/config.json", "no such file");
  expect_path_fails(folder, "/config.json/", GPT2_ERR_IO, "/config.json/config.json",
                    "not a folder");
  expect_path_fails(folder, "", GPT2_ERR_NOT_FOUND, "/model.safetensors", "no such file");
  expect_path_fails(folder, "/a.safetensors", GPT2_ERR_NOT_FOUND, "/a.safetensors", "no such file");
  expect_path_fails(folder, "/none/a.safetensors", GPT2_ERR_NOT_FOUND, "/none/config.json",
                    "no such file");
  remove_temporary_folder(folder);
  expect_path_fails("", "/nowhere.safetensors", GPT2_ERR_NOT_FOUND, "/config.json", "no such file");
  folder = new_temporary_folder();
  expect_path_fails(folder, "", GPT2_ERR_NOT_FOUND, "/config.json", "no such file");
  remove_temporary_folder(folder);
}

static void a_file_that_is_no_model_is_refused_with_what_is_one(void **state)
{
  (void)state;
  char *folder = make_folder(NULL);
  expect_path_fails(folder, "/config.json", GPT2_ERR_ARGUMENT, "/config.json: is a file",
                    "a .safetensors file in it");
  remove_temporary_folder(folder);
}

static void a_folder_may_be_called_like_a_file_of_weights(void **state)
{
  (void)state;
  char *folder = make_folder("model.safetensors"), name[4200];
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  snprintf(name, sizeof name, "%s.safetensors", folder);
  assert_int_equal(rename(folder, name), 0);
  expect_success(gpt2_load(name, NULL, &model, &error), &error);
  assert_int_equal(rename(name, folder), 0);
  expect_works(model);
  gpt2_model_free(model);
  remove_temporary_folder(folder);
}

static void a_path_that_is_missing_or_empty_is_refused(void **state)
{
  (void)state;
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_load("", NULL, &model, &error), GPT2_ERR_ARGUMENT, &error, "path", "empty");
  assert_null(model);
  model = (gpt2_model *)small;
  expect_failure(gpt2_load(NULL, NULL, &model, &error), GPT2_ERR_ARGUMENT, &error, "path", "NULL");
  assert_null(model);
  expect_failure(gpt2_load("x", NULL, NULL, &error), GPT2_ERR_ARGUMENT, &error, "model", "NULL");
  assert_int_equal(gpt2_load(NULL, NULL, NULL, NULL), GPT2_ERR_ARGUMENT);
}

static void a_weights_file_of_any_name_is_opened_with_the_config_beside_it(void **state)
{
  (void)state;
  char path[4200], *folder = make_folder("other.safetensors");
  snprintf(path, sizeof path, "%s/other.safetensors", folder);
  gpt2_model *model = open_model(path);
  expect_works(model);
  gpt2_model_free(model);
  int here = open(".", O_RDONLY | O_CLOEXEC);
  assert_true(here >= 0);
  assert_int_equal(chdir(folder), 0);
  gpt2_model *relative = NULL, *dotted = NULL;
  gpt2_status status = gpt2_load("other.safetensors", NULL, &relative, NULL);
  gpt2_status other = gpt2_load("./other.safetensors", NULL, &dotted, NULL);
  assert_int_equal(fchdir(here), 0); /* before anything can fail the test */
  close(here);
  assert_int_equal(status, GPT2_OK);
  assert_int_equal(other, GPT2_OK);
  expect_works(relative);
  expect_works(dotted);
  gpt2_model_free(relative);
  gpt2_model_free(dotted);
  remove_temporary_folder(folder);
}

static void what_happens_to_copied_files_afterwards_does_not_matter(void **state)
{
  (void)state;
  char path[4200], *folder = make_folder("model.safetensors");
  gpt2_load_options options = {.struct_size = sizeof options, .flags = GPT2_LOAD_COPY};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_load(folder, &options, &model, &error), &error);
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  assert_int_equal(truncate(path, 0), 0); /* a mapping would be a fatal signal now */
  expect_works(model);
  remove_temporary_folder(folder);
  expect_works(model);
  assert_int_equal(info_of(model).mapped_size, 0);
  gpt2_model_free(model);
}

static void a_source_that_is_copied_is_read_and_never_viewed(void **state)
{
  (void)state;
  for (int copied = 0; copied < 2; copied++) {
    host_source host = {.blobs = blobs, .n_blobs = 2, .has_view = true};
    gpt2_source source = host_callbacks(&host);
    gpt2_load_options options = {.struct_size = sizeof options,
                                 .flags = copied ? GPT2_LOAD_COPY : 0};
    gpt2_model *model = NULL;
    gpt2_error error = NO_ERROR_YET;
    expect_success(gpt2_load_source(&source, &options, &model, &error), &error);
    assert_int_equal(host.n_reads > 0, copied);
    assert_int_equal(info_of(model).mapped_size == 0, copied);
    assert_int_equal(info_of(model).allocated_size > 0, copied);
    expect_works(model);
    gpt2_model_free(model);
  }
}

/* ---- Options ---- */

static void flags_that_are_not_known_are_refused(void **state)
{
  (void)state;
  char *folder = make_folder("model.safetensors");
  host_source host = {.blobs = blobs, .n_blobs = 2};
  gpt2_source source = host_callbacks(&host);
  const uint32_t known = GPT2_LOAD_COPY | GPT2_LOAD_PREFAULT | GPT2_LOAD_HUGE_PAGES;
  for (int bit = 0, n_tried = 1; bit < 32; bit++) {
    if (known >> bit & 1)
      continue;
    gpt2_load_options options = {.struct_size = sizeof options,
                                 .flags = (uint32_t)1 << bit | GPT2_LOAD_COPY};
    char flags[16];
    gpt2_model *model = (gpt2_model *)small;
    gpt2_error error = NO_ERROR_YET;
    snprintf(flags, sizeof flags, "0x%x", (unsigned)options.flags);
    expect_failure(gpt2_load(folder, &options, &model, &error), GPT2_ERR_UNSUPPORTED, &error,
                   "options.flags", flags);
    expect_failure(gpt2_load_memory(blobs, 2, &options, &model, &error), GPT2_ERR_UNSUPPORTED,
                   &error, "options.flags", flags);
    expect_failure(gpt2_load_source(&source, &options, &model, &error), GPT2_ERR_UNSUPPORTED,
                   &error, "options.flags", flags);
    assert_null(model);
    assert_int_equal(host.n_released, n_tried++); /* it was taken over each time */
  }
  remove_temporary_folder(folder);
}

static void blobs_that_are_missing_are_refused(void **state)
{
  (void)state;
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_load_memory(NULL, 2, NULL, &model, &error), GPT2_ERR_ARGUMENT, &error,
                 "blobs", "NULL");
  assert_null(model);
  expect_failure(gpt2_load_memory(NULL, 0, NULL, &model, &error), GPT2_ERR_NOT_FOUND, &error,
                 "config.json", NULL);
  expect_failure(gpt2_load_memory(blobs, 1, NULL, &model, &error), GPT2_ERR_NOT_FOUND, &error,
                 "model.safetensors", NULL);
  expect_failure(gpt2_load_memory(blobs, 2, NULL, NULL, &error), GPT2_ERR_ARGUMENT, &error, "model",
                 "NULL");
}

/* ---- A host's source is released once ---- */

/* Loads from the host what must fail: all is let go of, once. */
static void expect_source_fails(host_source *host, const gpt2_load_options *options,
                                gpt2_status status, const char *text)
{
  gpt2_source source = host_callbacks(host);
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_load_source(&source, options, &model, &error), status, &error, text, NULL);
  assert_null(model);
  assert_int_equal(host->n_open, 0);
  assert_int_equal(host->n_released, 1);
}

static void a_source_is_released_with_the_last_that_needs_it(void **state)
{
  (void)state;
  for (int has_view = 0; has_view < 2; has_view++) {
    host_source host = {.blobs = blobs, .n_blobs = 2, .has_view = has_view};
    gpt2_source source = host_callbacks(&host);
    gpt2_model *model = NULL;
    gpt2_error error = NO_ERROR_YET;
    expect_success(gpt2_load_source(&source, NULL, &model, &error), &error);
    memset(&source, 0xff, sizeof source); /* it was copied */
    gpt2_context *context = open_context(model, 1);
    gpt2_model_free(model);
    assert_int_equal(host.n_released, 0);
    expect_works(gpt2_context_model(context));
    gpt2_context_free(context);
    assert_int_equal(host.n_open, 0);
    assert_int_equal(host.n_released, 1);
  }
}

static void a_source_is_released_when_a_file_cannot_be_opened_or_is_missing(void **state)
{
  (void)state;
  for (int i = 0; i < 2; i++) {
    host_source broken = {.blobs = blobs, .n_blobs = 2, .broken_name = blobs[i].name};
    expect_source_fails(&broken, NULL, GPT2_ERR_IO, blobs[i].name);
    host_source missing = {.blobs = blobs + 1 - i, .n_blobs = 1};
    expect_source_fails(&missing, NULL, GPT2_ERR_NOT_FOUND, blobs[i].name);
  }
}

static void a_source_is_released_whichever_read_fails(void **state)
{
  (void)state;
  host_source sound = {.blobs = blobs, .n_blobs = 2};
  gpt2_source source = host_callbacks(&sound);
  gpt2_model *model = NULL;
  assert_int_equal(gpt2_load_source(&source, NULL, &model, NULL), GPT2_OK);
  gpt2_model_free(model);
  assert_in_range(sound.n_reads, SMALL_TENSORS, 10 * SMALL_TENSORS);
  for (int i = 1; i <= sound.n_reads; i++) {
    host_source host = {.blobs = blobs, .n_blobs = 2, .broken_read = i};
    expect_source_fails(&host, NULL, GPT2_ERR_IO, i == 1 ? "config.json" : "model.safetensors");
  }
}

static void a_source_is_released_when_a_file_is_damaged(void **state)
{
  (void)state;
  for (int i = 0; i < 2; i++)
    for (int has_view = 0; has_view < 2; has_view++) {
      gpt2_blob cut[2] = {blobs[0], blobs[1]};
      cut[i].size--;
      host_source host = {.blobs = cut, .n_blobs = 2, .has_view = has_view};
      expect_source_fails(&host, NULL, GPT2_ERR_FORMAT, blobs[i].name);
    }
}

static void a_source_is_released_when_the_options_are_refused(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_allocator half_hooks = hooks, odd_hooks = hooks;
  half_hooks.release = NULL;
  odd_hooks.reserved = 1;
  const gpt2_load_options without_size = {.flags = 0},
                          half = {.struct_size = sizeof half, .allocator = &half_hooks},
                          odd = {.struct_size = sizeof odd, .allocator = &odd_hooks};
  host_source host = {.blobs = blobs, .n_blobs = 2}, other = host, third = host;
  expect_source_fails(&host, &without_size, GPT2_ERR_ARGUMENT, "options");
  expect_source_fails(&other, &half, GPT2_ERR_ARGUMENT, "allocator");
  expect_source_fails(&third, &odd, GPT2_ERR_UNSUPPORTED, "allocator.reserved");
  assert_int_equal(host.n_reads + other.n_reads + third.n_reads, 0);
  assert_int_equal(counter.n_calls, 0);
}

static void a_source_that_is_itself_refused_is_not_taken_over(void **state)
{
  (void)state;
  host_source host = {.blobs = blobs, .n_blobs = 2};
  gpt2_source sound = host_callbacks(&host), source = sound;
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_load_source(NULL, NULL, &model, &error), GPT2_ERR_ARGUMENT, &error, "source",
                 "NULL");
  assert_null(model);
  expect_failure(gpt2_load_source(&sound, NULL, NULL, &error), GPT2_ERR_ARGUMENT, &error, "model",
                 "NULL");
  source.struct_size = 0;
  expect_failure(gpt2_load_source(&source, NULL, &model, &error), GPT2_ERR_ARGUMENT, &error,
                 "source", "struct_size");
  source = sound;
  source.open = NULL;
  expect_failure(gpt2_load_source(&source, NULL, &model, &error), GPT2_ERR_ARGUMENT, &error,
                 "source.open", "NULL");
  source = sound;
  source.read_at = NULL;
  expect_failure(gpt2_load_source(&source, NULL, &model, &error), GPT2_ERR_ARGUMENT, &error,
                 "source.read_at", "NULL");
  source = sound;
  source.reserved = 1;
  expect_failure(gpt2_load_source(&source, NULL, &model, &error), GPT2_ERR_UNSUPPORTED, &error,
                 "source.reserved", "zero");
  assert_int_equal(host.n_released, 0);
  error = NO_ERROR_YET;
  expect_success(gpt2_load_source(&sound, NULL, &model, &error), &error);
  gpt2_model_free(model);
  assert_int_equal(host.n_released, 1);
}

/* ---- References ---- */

static void a_model_lives_as_long_as_the_last_reference(void **state)
{
  (void)state;
  enum { N = 5 };
  host_source host = {.blobs = blobs, .n_blobs = 2};
  gpt2_source source = host_callbacks(&host);
  gpt2_model *model = NULL;
  assert_int_equal(gpt2_load_source(&source, NULL, &model, NULL), GPT2_OK);
  for (int i = 0; i < N; i++)
    assert_ptr_equal(gpt2_model_ref(model), model);
  for (int i = 0; i < N; i++) {
    gpt2_model_free(model);
    assert_int_equal(host.n_released, 0);
  }
  expect_works(model);
  assert_int_equal(host.n_released, 0);
  gpt2_model_free(model);
  assert_int_equal(host.n_released, 1);
  assert_null(gpt2_model_ref(NULL));
  gpt2_model_free(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_path_that_leads_nowhere_is_named),
      cmocka_unit_test(a_file_that_is_no_model_is_refused_with_what_is_one),
      cmocka_unit_test(a_folder_may_be_called_like_a_file_of_weights),
      cmocka_unit_test(a_path_that_is_missing_or_empty_is_refused),
      cmocka_unit_test(a_weights_file_of_any_name_is_opened_with_the_config_beside_it),
      cmocka_unit_test(what_happens_to_copied_files_afterwards_does_not_matter),
      cmocka_unit_test(a_source_that_is_copied_is_read_and_never_viewed),
      cmocka_unit_test(flags_that_are_not_known_are_refused),
      cmocka_unit_test(blobs_that_are_missing_are_refused),
      cmocka_unit_test(a_source_is_released_with_the_last_that_needs_it),
      cmocka_unit_test(a_source_is_released_when_a_file_cannot_be_opened_or_is_missing),
      cmocka_unit_test(a_source_is_released_whichever_read_fails),
      cmocka_unit_test(a_source_is_released_when_a_file_is_damaged),
      cmocka_unit_test(a_source_is_released_when_the_options_are_refused),
      cmocka_unit_test(a_source_that_is_itself_refused_is_not_taken_over),
      cmocka_unit_test(a_model_lives_as_long_as_the_last_reference),
  };
  return cmocka_run_group_tests(tests, make_small, free_small);
}
