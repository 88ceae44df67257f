/* test_interface.c - the numbers and words that programs rely on, and that therefore never change:
 * statuses, the version, the names of finishes. */
#include "gpt2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct known_status {
  gpt2_status status;
  const char *name, *sentence;
} known_status;

static const known_status in_header[] = {
#define KNOWN_STATUS(name, value, sentence) {value, "GPT2_" #name, sentence},
    GPT2_STATUS_MAP(KNOWN_STATUS)
#undef KNOWN_STATUS
};
enum { N_STATUSES = sizeof in_header / sizeof in_header[0] };

/* As they were when each was added: programs were compiled with them. */
static const known_status for_ever[] = {
    {0, "GPT2_OK", NULL},
    {-1, "GPT2_ERR_ARGUMENT", NULL},
    {-2, "GPT2_ERR_MEMORY", NULL},
    {-3, "GPT2_ERR_IO", NULL},
    {-4, "GPT2_ERR_NOT_FOUND", NULL},
    {-5, "GPT2_ERR_FORMAT", NULL},
    {-6, "GPT2_ERR_UNSUPPORTED", NULL},
    {-7, "GPT2_ERR_LIMIT", NULL},
    {-8, "GPT2_ERR_BUSY", NULL},
    {-9, "GPT2_ERR_CANCELLED", NULL},
    {-10, "GPT2_ERR_NO_LOGITS", NULL},
    {-11, "GPT2_ERR_NO_TOKENIZER", NULL},
    {-12, "GPT2_ERR_BUFFER_TOO_SMALL", NULL},
    {-13, "GPT2_ERR_CONTEXT_FULL", NULL},
    {-14, "GPT2_ERR_NON_FINITE", NULL},
    {-15, "GPT2_ERR_SYSTEM", NULL},
};

static void every_status_keeps_its_value(void **state)
{
  (void)state;
  assert_int_equal(sizeof in_header, sizeof for_ever);
  for (int i = 0; i < N_STATUSES; i++) {
    assert_string_equal(in_header[i].name, for_ever[i].name);
    assert_int_equal(in_header[i].status, for_ever[i].status);
  }
}

static void every_status_has_its_name_and_a_sentence_of_its_own(void **state)
{
  (void)state;
  for (int i = 0; i < N_STATUSES; i++) {
    assert_string_equal(gpt2_status_name(in_header[i].status), in_header[i].name);
    assert_string_equal(gpt2_status_text(in_header[i].status), in_header[i].sentence);
    assert_true(strlen(in_header[i].sentence) >= 5);
    for (int j = 0; j < i; j++)
      assert_string_not_equal(in_header[i].sentence, in_header[j].sentence);
  }
}

static void a_number_that_is_no_status_is_called_unknown(void **state)
{
  (void)state;
  static const gpt2_status unknown[] = {1, -N_STATUSES, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
    assert_string_equal(gpt2_status_name(unknown[i]), "GPT2_ERR_UNKNOWN");
    assert_string_equal(gpt2_status_text(unknown[i]), "unknown status");
  }
}

static void the_library_is_of_the_version_of_its_header(void **state)
{
  (void)state;
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", GPT2_VERSION_MAJOR, GPT2_VERSION_MINOR,
           GPT2_VERSION_PATCH);
  assert_string_equal(gpt2_version(), version);
}

static void build_info_tells_what_the_library_is_made_of(void **state)
{
  (void)state;
  gpt2_build build = {.struct_size = sizeof build};
  gpt2_error error = {.struct_size = sizeof error};
  assert_int_equal(gpt2_build_info(&build, &error), GPT2_OK);
  assert_string_equal(build.version, gpt2_version());
  assert_true(build.n_cpus >= 1);
  assert_true(strlen(build.compiler) > 0);
  assert_true(strlen(build.instruction_sets) > 0);
  assert_true(strlen(build.blas) > 0);
  assert_true(strcmp(build.blas_linkage, "system") == 0 ||
              strcmp(build.blas_linkage, "private") == 0);
  assert_string_equal(build.unicode, "16.0.0");
}

static void build_info_without_a_struct_or_a_size_is_refused(void **state)
{
  (void)state;
  gpt2_build build = {0};
  gpt2_error error = {.struct_size = sizeof error};
  assert_int_equal(gpt2_build_info(NULL, &error), GPT2_ERR_ARGUMENT);
  assert_non_null(strstr(error.message, "build"));
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_ERR_ARGUMENT);
}

static void finishes_keep_their_values_and_names(void **state)
{
  (void)state;
  static const char *const names[] = {"none", "length", "stop", "end", "context", "cancelled"};
  for (int32_t finish = 0; finish < 6; finish++)
    assert_string_equal(gpt2_finish_name(finish), names[finish]);
  assert_string_equal(gpt2_finish_name(-1), "none");
  assert_string_equal(gpt2_finish_name(6), "none");
  assert_int_equal(GPT2_FINISH_CANCELLED, 5);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_status_keeps_its_value),
      cmocka_unit_test(every_status_has_its_name_and_a_sentence_of_its_own),
      cmocka_unit_test(a_number_that_is_no_status_is_called_unknown),
      cmocka_unit_test(the_library_is_of_the_version_of_its_header),
      cmocka_unit_test(build_info_tells_what_the_library_is_made_of),
      cmocka_unit_test(build_info_without_a_struct_or_a_size_is_refused),
      cmocka_unit_test(finishes_keep_their_values_and_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
