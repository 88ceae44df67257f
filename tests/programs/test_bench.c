/* test_bench.c - gpt2-bench: what its report looks like. How fast anything is, is not tested. */
#include "programs/run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/temporary_folder.h"

#include <cmocka.h>

/* A model that is quickly measured. */
static char *small_model;

static int make_model(void **state)
{
  (void)state;
  small_model = make_odd_model(160, true);
  return 0;
}

static int remove_model(void **state)
{
  (void)state;
  remove_temporary_folder(small_model);
  return 0;
}

/* Takes the next line off `text`. */
static json_t *next_line(char **text)
{
  json_error_t error;
  char *end = strchr(*text, '\n');
  assert_non_null(end);
  json_t *json = json_loadb(*text, (size_t)(end - *text), 0, &error);
  if (!json)
    fail_msg("%s: %s", error.text, *text);
  *text = end + 1;
  return json;
}

static void expect_machine(json_t *line)
{
  json_t *machine = json_object_get(line, "machine");
  static const char *const texts[] = {"cpu", "isa", "blas"};
  static const char *const rates[] = {"read_gb_s", "sgemm_gflop_s", "cores"};
  for (size_t i = 0; i < 3; i++) {
    assert_true(json_string_length(json_object_get(machine, texts[i])) > 0);
    assert_true(json_number_value(json_object_get(machine, rates[i])) > 0);
  }
  assert_non_null(json_object_get(machine, "blas_core"));
  assert_int_equal(json_object_size(machine), 7);
  json_decref(line);
}

static void expect_line(json_t *line, const char *what, int rows, int context, const char *unit,
                        bool has_limit)
{
  assert_string_equal(json_string_value(json_object_get(line, "what")), what);
  assert_int_equal(json_integer_value(json_object_get(line, "rows")), rows);
  assert_int_equal(json_integer_value(json_object_get(line, "context")), context);
  assert_string_equal(json_string_value(json_object_get(line, "unit")), unit);
  assert_true(json_integer_value(json_object_get(line, "threads")) > 0);
  assert_non_null(json_object_get(line, "type"));
  double value = json_number_value(json_object_get(line, "value"));
  double limit = json_number_value(json_object_get(line, "limit"));
  double share = json_number_value(json_object_get(line, "share"));
  assert_true(value > 0);
  assert_true(has_limit == json_is_number(json_object_get(line, "limit")));
  assert_true(has_limit == json_is_number(json_object_get(line, "share")));
  assert_true(has_limit ? limit > 0 && share > 0 : limit == 0);
  assert_int_equal(json_object_size(line), 9);
  json_decref(line);
}

static void each_measurement_is_a_line_of_json(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--quick", "--repeat=1", "-t1", "-m", small_model);
  assert_quiet_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  expect_line(next_line(&text), "decode", 1, 0, "ms/token", true);
  expect_line(next_line(&text), "batch", 8, 0, "ms/token", true);
  expect_line(next_line(&text), "prefill", 128, 0, "ms", true);
  expect_line(next_line(&text), "sample", 1, 0, "us/token", false);
  expect_line(next_line(&text), "load", 1, 0, "ms", false);
  expect_line(next_line(&text), "memory", 1, 0, "MB", true);
  expect_line(next_line(&text), "encode", 0, 0, "MB/s", false);
  expect_line(next_line(&text), "decode_text", 0, 0, "MB/s", false);
  assert_string_equal(text, "");
  free_outcome(&o);
}

static void decode_is_measured_in_an_empty_a_half_and_a_full_context(void **state)
{
  (void)state;
  outcome o =
      RUN("bench", NULL, "--json", "--what", "decode,prefill", "--repeat", "1", "-m", small_model);
  assert_quiet_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  expect_line(next_line(&text), "decode", 1, 0, "ms/token", true);
  expect_line(next_line(&text), "decode", 1, 80, "ms/token", true);
  expect_line(next_line(&text), "decode", 1, 159, "ms/token", true);
  expect_line(next_line(&text), "prefill", 16, 0, "ms", true);
  expect_line(next_line(&text), "prefill", 128, 0, "ms", true);
  assert_string_equal(text, "");
  free_outcome(&o);
}

static void a_text_of_the_users_is_encoded(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--what=encode", "--repeat=1", "--text",
                  TEST_DATA_DIR "/data/val.txt");
  assert_quiet_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  expect_line(next_line(&text), "encode", 0, 0, "MB/s", false);
  free_outcome(&o);
  outcome missing =
      RUN("bench", NULL, "--what=encode", "--repeat=1", "--text", "/nowhere/text", "--json");
  assert_int_equal(missing.status, 1);
  assert_non_null(strstr(missing.err, "/nowhere/text"));
  free_outcome(&missing);
}

static void people_get_a_table(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--what=decode", "--quick", "--repeat=1", "-m", small_model);
  assert_quiet_success(&o);
  assert_non_null(strstr(o.out, "\nwhat "));
  assert_non_null(strstr(o.out, "\ndecode "));
  free_outcome(&o);
}

static void an_unknown_measurement_is_wrong_usage(void **state)
{
  (void)state;
  static const char *const bad[] = {"speed", "decode,", "decode,speed", "decod", ""};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    outcome o = RUN("bench", NULL, "--what", bad[i]);
    ASSERT_FAILURE(&o, 2, "bench", "--what");
    free_outcome(&o);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_measurement_is_a_line_of_json),
      cmocka_unit_test(decode_is_measured_in_an_empty_a_half_and_a_full_context),
      cmocka_unit_test(a_text_of_the_users_is_encoded),
      cmocka_unit_test(people_get_a_table),
      cmocka_unit_test(an_unknown_measurement_is_wrong_usage),
  };
  return cmocka_run_group_tests(tests, make_model, remove_model);
}
