/* test_structs.c - structs of older and newer programs: those about models and contexts. A smaller
 * one works for ever, a larger one if what this library does not know is zero. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/sized_structs.h"
#include "support/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static small_model *small;

static int open_small(void **state)
{
  (void)state;
  small = small_new("");
  return 0;
}

static int close_small(void **state)
{
  (void)state;
  small_free(small);
  return 0;
}

/* ---- Structs that the library fills ---- */

static gpt2_model *described;

static gpt2_status fill_info(void *given, gpt2_error *error)
{
  return gpt2_model_info(described, given, error);
}

static gpt2_status fill_build(void *given, gpt2_error *error)
{
  return gpt2_build_info(given, error);
}

/* The error that loading from nowhere fills. */
static gpt2_status fill_error(void *given, gpt2_error *error)
{
  (void)error;
  gpt2_model *model;
  return gpt2_load("/nowhere at all", NULL, &model, given) == GPT2_ERR_NOT_FOUND ? GPT2_OK : -100;
}

static const output outputs[] = {{"gpt2_info", "info", sizeof(gpt2_info), fill_info},
                                 {"gpt2_build", "build", sizeof(gpt2_build), fill_build},
                                 {"gpt2_error", "error", sizeof(gpt2_error), fill_error}};
enum { N_OUTPUTS = sizeof outputs / sizeof *outputs };

static void a_struct_of_any_size_is_filled_so_far_and_zeroed_beyond(void **state)
{
  (void)state;
  described = small_open(small);
  for (size_t i = 0; i < N_OUTPUTS; i++)
    check_filled_sizes(&outputs[i]);
  gpt2_model_free(described);
}

static void a_struct_to_be_filled_without_its_size_is_refused_and_not_written(void **state)
{
  (void)state;
  described = small_open(small);
  for (size_t i = 0; i < N_OUTPUTS; i++)
    check_unfilled_sizes(&outputs[i]);
  gpt2_model_free(described);
}

/* ---- Structs that the library reads ---- */

/* Frees what the call gave; a failure gives nothing. */
static gpt2_status freed(gpt2_status status, gpt2_model *model)
{
  assert_int_equal(status == GPT2_OK, model != NULL);
  gpt2_model_free(model);
  return status;
}

static gpt2_status use_load_options(const void *given, gpt2_error *error)
{
  gpt2_model *model = (gpt2_model *)small;
  gpt2_status status = small_load(small, given, &model, error);
  return freed(status, model);
}

static gpt2_status use_allocator(const void *given, gpt2_error *error)
{
  return use_load_options(
      &(gpt2_load_options){.struct_size = sizeof(gpt2_load_options), .allocator = given}, error);
}

static gpt2_status use_sampler_allocator(const void *given, gpt2_error *error)
{
  gpt2_sampler_options options = {.struct_size = sizeof options, .allocator = given};
  gpt2_sampler *sampler = NULL;
  gpt2_status status = gpt2_sampler_new(&options, &sampler, error);
  gpt2_sampler_free(sampler);
  return status;
}

static gpt2_status use_context_options(const void *given, gpt2_error *error)
{
  gpt2_context *context = (gpt2_context *)small;
  gpt2_model *model = small_open(small);
  gpt2_status status = gpt2_context_new(model, given, &context, error);
  assert_int_equal(status == GPT2_OK, context != NULL);
  gpt2_context_free(context);
  gpt2_model_free(model);
  return status;
}

/* A source that has the small model's files; it needs no user pointer. */
static int32_t open_file(const char *name, void **file, uint64_t *size, void *user)
{
  (void)user;
  *file = strcmp(name, "config.json") == 0 ? small->config : NULL;
  *size = strlen(small->config);
  return *file ? GPT2_SOURCE_FOUND : GPT2_SOURCE_MISSING;
}

static int32_t read_file(void *file, uint64_t offset, void *buffer, size_t size, void *user)
{
  (void)user;
  memcpy(buffer, (const char *)file + offset, size);
  return 0;
}

/* The config is read; that there are no weights shows that it was. */
static gpt2_status use_source(const void *given, gpt2_error *error)
{
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error inner = NO_ERROR_YET;
  gpt2_model_free(small_open(small)); /* writes the config */
  gpt2_status status = gpt2_load_source(given, NULL, &model, &inner);
  freed(status, model);
  if (status == GPT2_ERR_NOT_FOUND && strstr(inner.message, "model.safetensors"))
    return GPT2_OK;
  *error = inner;
  return status;
}

static void *take_memory(size_t size, size_t alignment, void *user)
{
  (void)user;
  void *memory = NULL;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

static void give_memory(void *memory, void *user)
{
  (void)user;
  free(memory);
}

static const gpt2_load_options load_options = {.struct_size = sizeof load_options,
                                               .weights = GPT2_TYPE_Q8_0,
                                               .compute = GPT2_COMPUTE_EXACT,
                                               .n_threads = 2};
static const gpt2_context_options context_options = {.struct_size = sizeof context_options};
static const gpt2_allocator allocator = {
    .struct_size = sizeof allocator, .allocate = take_memory, .release = give_memory};
static const gpt2_source source = {
    .struct_size = sizeof source, .open = open_file, .read_at = read_file};

#define FIELD(type, field) offsetof(type, field)
static const input inputs[] = {
    {"gpt2_load_options",
     "options",
     &load_options,
     sizeof load_options,
     {FIELD(gpt2_load_options, flags), FIELD(gpt2_load_options, allocator),
      FIELD(gpt2_load_options, log), FIELD(gpt2_load_options, log_user),
      FIELD(gpt2_load_options, weights), FIELD(gpt2_load_options, compute),
      FIELD(gpt2_load_options, n_threads)},
     use_load_options},
    {"gpt2_context_options",
     "options",
     &context_options,
     sizeof context_options,
     {FIELD(gpt2_context_options, n_threads), FIELD(gpt2_context_options, max_logit_rows),
      FIELD(gpt2_context_options, max_hidden_rows), FIELD(gpt2_context_options, parallel_for),
      FIELD(gpt2_context_options, abort_callback)},
     use_context_options},
    {"gpt2_allocator",
     "allocator",
     &allocator,
     sizeof allocator,
     {FIELD(gpt2_allocator, reserved), FIELD(gpt2_allocator, allocate),
      FIELD(gpt2_allocator, user)},
     use_allocator},
    {"gpt2_allocator",
     "allocator",
     &allocator,
     sizeof allocator,
     {FIELD(gpt2_allocator, reserved), FIELD(gpt2_allocator, allocate),
      FIELD(gpt2_allocator, user)},
     use_sampler_allocator},
    {"gpt2_source",
     "source",
     &source,
     sizeof source,
     {FIELD(gpt2_source, view), FIELD(gpt2_source, close), FIELD(gpt2_source, release),
      FIELD(gpt2_source, user)},
     use_source},
};
#undef FIELD
enum { N_INPUTS = sizeof inputs / sizeof *inputs };

static void a_struct_of_any_version_is_read_if_nothing_unknown_is_set(void **state)
{
  (void)state;
  for (size_t i = 0; i < N_INPUTS; i++)
    check_read_sizes(&inputs[i]);
}

static void a_source_without_its_functions_is_refused_by_their_names(void **state)
{
  (void)state;
  const input *in = &inputs[N_INPUTS - 1];
  gpt2_error error = NO_ERROR_YET;
  expect_failure(use_sized(in, offsetof(gpt2_source, open), 0, &error), GPT2_ERR_ARGUMENT, &error,
                 "source.open", "NULL");
  expect_failure(use_sized(in, offsetof(gpt2_source, read_at), 0, &error), GPT2_ERR_ARGUMENT,
                 &error, "source.read_at", "NULL");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_struct_of_any_size_is_filled_so_far_and_zeroed_beyond),
      cmocka_unit_test(a_struct_to_be_filled_without_its_size_is_refused_and_not_written),
      cmocka_unit_test(a_struct_of_any_version_is_read_if_nothing_unknown_is_set),
      cmocka_unit_test(a_source_without_its_functions_is_refused_by_their_names),
  };
  return cmocka_run_group_tests(tests, open_small, close_small);
}
