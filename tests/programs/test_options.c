/* test_options.c - what all programs do alike: options, the model they choose, exit statuses,
 * standard output. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "programs/run.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpt2.h"

#include <cmocka.h>

static const char *const programs[] = {"generate", "tokenize", "score", "info", "bench"};

enum { N_PROGRAMS = sizeof programs / sizeof *programs };

static void help_goes_to_standard_output(void **state)
{
  (void)state;
  for (int i = 0; i < N_PROGRAMS; i++) {
    char usage[64];
    snprintf(usage, sizeof usage, "Usage: gpt2-%s ", programs[i]);
    outcome o = RUN(programs[i], NULL, "--help"), again = RUN(programs[i], NULL, "-h");
    assert_quiet_success(&o);
    assert_memory_equal(o.out, usage, strlen(usage));
    assert_non_null(strstr(o.out, "--model"));
    assert_string_equal(o.out, again.out);
    free_outcome(&o);
    free_outcome(&again);
  }
}

static void the_version_is_the_library_s(void **state)
{
  (void)state;
  for (int i = 0; i < N_PROGRAMS; i++) {
    char version[64];
    snprintf(version, sizeof version, "gpt2-%s %s\n", programs[i], gpt2_version());
    outcome o = RUN(programs[i], NULL, "--version");
    assert_quiet_success(&o);
    assert_string_equal(o.out, version);
    free_outcome(&o);
  }
}

static void an_unknown_option_is_named(void **state)
{
  (void)state;
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome o = RUN(programs[i], NULL, "--colour");
    ASSERT_FAILURE(&o, 2, programs[i], "--colour");
    free_outcome(&o);
    o = RUN(programs[i], NULL, "-Q");
    ASSERT_FAILURE(&o, 2, programs[i], "Q");
    free_outcome(&o);
    o = RUN(programs[i], NULL, "--model");
    ASSERT_FAILURE(&o, 2, programs[i], "--model");
    free_outcome(&o);
    o = RUN(programs[i], NULL, "--json=yes");
    ASSERT_FAILURE(&o, 2, programs[i], "--json");
    free_outcome(&o);
    o = RUN(programs[i], NULL, "--threads", "1025");
    ASSERT_FAILURE(&o, 2, programs[i], "--threads", "1025", "1024");
    free_outcome(&o);
  }
}

static void values_are_read_whole_and_in_their_range(void **state)
{
  (void)state;
  static const struct {
    const char *program, *option, *value;
  } cases[] = {
      {"generate", "--tokens", "-1"},
      {"generate", "--tokens", "1x"},
      {"generate", "--tokens", ""},
      {"generate", "--tokens", " 1"},
      {"generate", "--tokens", "+1"},
      {"generate", "--tokens", "1.5"},
      {"generate", "--tokens", "2147483648"},
      {"generate", "--tokens", "99999999999999999999"},
      {"generate", "--temperature", "-0.1"},
      {"generate", "--temperature", "nan"},
      {"generate", "--temperature", "inf"},
      {"generate", "--temperature", "1e39"},
      {"generate", "--temperature", "0,8"},
      {"generate", "--temperature", "0x1p1"},
      {"generate", "--temperature", ""},
      {"generate", "--temperature", "."},
      {"generate", "--top-k", "-1"},
      {"generate", "--top-k", "four"},
      {"generate", "--top-p", "1.01"},
      {"generate", "--top-p", "-0.5"},
      {"generate", "--seed", "-1"},
      {"generate", "--seed", "18446744073709551616"},
      {"generate", "--stop", ""},
      {"generate", "--threads", "-1"},
      {"score", "--stride", "0"},
      {"score", "--stride", "-5"},
      {"score", "--threads", "two"},
      {"generate", "--weights", "q5_0"},
      {"generate", "--compute", "quick"},
      {"score", "--weights", ""},
      {"info", "--weights", "F16"},
      {"info", "--compute", "1"},
      {"bench", "--repeat", "0"},
      {"bench", "--repeat", "1001"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    outcome o = RUN(cases[i].program, NULL, cases[i].option, cases[i].value, "--json");
    ASSERT_FAILURE(&o, 2, cases[i].program, cases[i].option);
    free_outcome(&o);
  }
}

static void the_greatest_values_are_taken(void **state)
{
  (void)state;
  outcome o =
      RUN("generate", NULL, "--greedy", "-n1", "--seed", "18446744073709551615", "--top-k",
          "2147483647", "--top-p", "1", "--temperature", "3.4e38", "--threads", "64", "Once");
  assert_quiet_success(&o);
  free_outcome(&o);
}

static void a_stop_string_has_a_greatest_size(void **state)
{
  (void)state;
  char text[4098];
  memset(text, 'x', sizeof text);
  text[4097] = 0;
  outcome o = RUN("generate", NULL, "--greedy", "-n1", "--stop", text, "Once");
  ASSERT_FAILURE(&o, 2, "generate", "--stop", "4097", "4096");
  free_outcome(&o);
  text[4096] = 0;
  o = RUN("generate", NULL, "--greedy", "-n1", "--stop", text, "Once");
  assert_quiet_success(&o);
  free_outcome(&o);
}

static void one_text_is_enough(void **state)
{
  (void)state;
  static const char *const takes_text[] = {"generate", "tokenize", "score"};
  for (int i = 0; i < 3; i++) {
    outcome o = RUN(takes_text[i], NULL, "Once", "upon");
    ASSERT_FAILURE(&o, 2, takes_text[i], "\"upon\"");
    free_outcome(&o);
  }
}

static void what_follows_two_dashes_is_a_text(void **state)
{
  (void)state;
  outcome o = RUN("tokenize", NULL, "--json", "--", "--json");
  assert_quiet_success(&o);
  assert_non_null(strstr(o.out, "\"pieces\":[\"-"));
  free_outcome(&o);
}

static void a_missing_model_is_named(void **state)
{
  (void)state;
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome o = RUN(programs[i], NULL, "-m", "/nowhere/model");
    ASSERT_FAILURE(&o, 1, programs[i], "/nowhere/model");
    free_outcome(&o);
    o = RUN(programs[i], NULL, "-m", "");
    ASSERT_FAILURE(&o, 2, programs[i], "--model", "is empty");
    free_outcome(&o);
  }
}

/* --model before GPT2_MODEL before the model that came along; an empty variable is none. */
static void the_model_is_chosen_in_order(void **state)
{
  (void)state;
  const setting named = {.model = "/nowhere/model"}, empty = {.model = ""};
  outcome o = RUN("tokenize", &named, "Once");
  ASSERT_FAILURE(&o, 1, "tokenize", "/nowhere/model");
  free_outcome(&o);
  o = RUN("tokenize", &named, "Once", "--model", default_model());
  assert_quiet_success(&o);
  free_outcome(&o);
  o = RUN("tokenize", &empty, "Once");
  assert_quiet_success(&o);
  free_outcome(&o);
}

/* The programs run where they were built, so it is the repository's. */
static void without_a_name_the_model_that_came_along_is_taken(void **state)
{
  (void)state;
  outcome o = RUN("info", NULL, "--json");
  assert_quiet_success(&o);
  json_t *json = json_of(&o);
  char *folder = realpath(default_model(), NULL);
  assert_string_equal(json_string_value(json_object_get(json, "model")), folder);
  free(folder);
  json_decref(json);
  free_outcome(&o);
}

static void a_file_inside_a_folder_is_a_model_too(void **state)
{
  (void)state;
  char path[4096];
  snprintf(path, sizeof path, "%s/model.safetensors", default_model());
  outcome o = RUN("tokenize", NULL, "Once", "--model", path);
  assert_quiet_success(&o);
  assert_string_equal(o.out, "2145\n");
  free_outcome(&o);
}

static outcome run_small(const char *program, const setting *given)
{
  if (strcmp(program, "info") == 0)
    return RUN(program, given, "--json");
  if (strcmp(program, "bench") == 0)
    return RUN(program, given, "--json", "--what=sample", "--repeat=1");
  if (strcmp(program, "generate") == 0)
    return RUN(program, given, "--greedy", "-n3", "Once");
  return RUN(program, given, "Once");
}

static void a_full_disk_is_an_error(void **state)
{
  (void)state;
  int full = open("/dev/full", O_WRONLY);
  assert_true(full >= 0);
  const setting given = {.output_to = full};
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome o = run_small(programs[i], &given);
    ASSERT_FAILURE(&o, 1, programs[i], "standard output", "No space left");
    free_outcome(&o);
  }
  outcome help = RUN("info", &given, "--help");
  ASSERT_FAILURE(&help, 1, "info", "standard output");
  free_outcome(&help);
  close(full);
}

static void a_closed_standard_output_is_an_error(void **state)
{
  (void)state;
  const setting given = {.close_output = true};
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome o = run_small(programs[i], &given);
    ASSERT_FAILURE(&o, 1, programs[i], "standard output");
    free_outcome(&o);
  }
}

static void a_closed_pipe_ends_all_quietly(void **state)
{
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  close(ends[0]);
  const setting given = {.output_to = ends[1]};
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome o = run_small(programs[i], &given);
    assert_quiet_success(&o);
    free_outcome(&o);
  }
  close(ends[1]);
}

static void a_closed_standard_input_matters_only_to_who_reads_it(void **state)
{
  (void)state;
  static const char *const takes_text[] = {"generate", "tokenize", "score"};
  const setting given = {.close_input = true};
  for (int i = 0; i < 3; i++) {
    outcome o = RUN(takes_text[i], &given, "--json");
    ASSERT_FAILURE(&o, 1, takes_text[i], "standard input");
    free_outcome(&o);
  }
  outcome o = RUN("tokenize", &given, "Once");
  assert_quiet_success(&o);
  assert_string_equal(o.out, "2145\n");
  free_outcome(&o);
}

static void a_folder_is_no_standard_input(void **state)
{
  (void)state;
  int folder = open("/", O_RDONLY);
  assert_true(folder >= 0);
  const setting given = {.input_from = folder};
  outcome o = RUN("tokenize", &given, "-");
  ASSERT_FAILURE(&o, 1, "tokenize", "standard input");
  free_outcome(&o);
  o = RUN("tokenize", &given, "-0");
  ASSERT_FAILURE(&o, 1, "tokenize", "standard input");
  free_outcome(&o);
  close(folder);
}

static void a_closed_standard_error_costs_only_the_words(void **state)
{
  (void)state;
  const setting silent = {.close_errors = true};
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome plain = run_small(programs[i], NULL), o = run_small(programs[i], &silent);
    assert_quiet_success(&o);
    if (strcmp(programs[i], "bench") != 0)
      assert_string_equal(o.out, plain.out);
    free_outcome(&plain);
    free_outcome(&o);
    o = RUN(programs[i], &silent, "-m", "/nowhere/model");
    assert_int_equal(o.status, 1);
    assert_string_equal(o.out, "");
    free_outcome(&o);
  }
}

static void with_all_streams_closed_a_program_fails_in_silence(void **state)
{
  (void)state;
  const setting none = {.close_input = true, .close_output = true, .close_errors = true};
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome o = run_small(programs[i], &none);
    assert_int_equal(o.status, 1);
    assert_string_equal(o.out, "");
    assert_string_equal(o.err, "");
    free_outcome(&o);
  }
}

/* Numbers have a point, whatever the locale says. What bench measures is never the same. */
static void a_decimal_comma_changes_nothing(void **state)
{
  (void)state;
  const setting comma_locale = {.comma_locale = true};
  for (int i = 0; i < N_PROGRAMS; i++) {
    outcome plain = run_small(programs[i], NULL), comma = run_small(programs[i], &comma_locale);
    assert_int_equal(comma.status, 0);
    assert_string_equal(plain.err, comma.err);
    if (strcmp(programs[i], "bench") != 0)
      assert_string_equal(plain.out, comma.out);
    free_outcome(&plain);
    free_outcome(&comma);
  }
  outcome plain = RUN("score", NULL, "--json", "Once upon a time");
  outcome comma = RUN("score", &comma_locale, "--json", "Once upon a time");
  outcome story = RUN("generate", &comma_locale, "--temperature", "0.0", "-n1", "Once");
  outcome wrong = RUN("generate", &comma_locale, "--temperature", "0,5", "-n1", "Once");
  assert_quiet_success(&story);
  assert_string_equal(plain.out, comma.out);
  ASSERT_FAILURE(&wrong, 2, "generate", "--temperature", "0,5");
  free_outcome(&plain);
  free_outcome(&comma);
  free_outcome(&story);
  free_outcome(&wrong);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(help_goes_to_standard_output),
      cmocka_unit_test(the_version_is_the_library_s),
      cmocka_unit_test(an_unknown_option_is_named),
      cmocka_unit_test(values_are_read_whole_and_in_their_range),
      cmocka_unit_test(the_greatest_values_are_taken),
      cmocka_unit_test(a_stop_string_has_a_greatest_size),
      cmocka_unit_test(one_text_is_enough),
      cmocka_unit_test(what_follows_two_dashes_is_a_text),
      cmocka_unit_test(a_missing_model_is_named),
      cmocka_unit_test(the_model_is_chosen_in_order),
      cmocka_unit_test(without_a_name_the_model_that_came_along_is_taken),
      cmocka_unit_test(a_file_inside_a_folder_is_a_model_too),
      cmocka_unit_test(a_full_disk_is_an_error),
      cmocka_unit_test(a_closed_standard_output_is_an_error),
      cmocka_unit_test(a_closed_pipe_ends_all_quietly),
      cmocka_unit_test(a_closed_standard_input_matters_only_to_who_reads_it),
      cmocka_unit_test(a_folder_is_no_standard_input),
      cmocka_unit_test(a_closed_standard_error_costs_only_the_words),
      cmocka_unit_test(with_all_streams_closed_a_program_fails_in_silence),
      cmocka_unit_test(a_decimal_comma_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
