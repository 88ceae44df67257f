/* bench_report.c - reads what gpt2-bench writes. */
#include "programs/bench_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void assert_success(const outcome *o)
{
  static const char warning[] = "gpt2-bench: OpenBLAS ";
  const char *newline = strchr(o->err, '\n');
  if (*o->err && (strncmp(o->err, warning, strlen(warning)) != 0 || !strstr(o->err, " kernels ") ||
                  !newline || newline[1]))
    fail_msg("on standard error: %s", o->err);
  assert_int_equal(o->status, 0);
}

json_t *next_line(char **text)
{
  json_error_t error;
  char *end = strchr(*text, '\n');
  assert_non_null(end);
  json_t *json = json_loadb(*text, (size_t)(end - *text), JSON_REJECT_DUPLICATES, &error);
  if (!json)
    fail_msg("%s: %s", error.text, *text);
  *text = end + 1;
  return json;
}

static void expect_run(const json_t *run)
{
  assert_true(json_string_length(json_object_get(run, "model")) > 0);
  assert_true(json_is_string(json_object_get(run, "compute")));
  assert_true(json_is_string(json_object_get(run, "kv")));
  assert_true(json_is_boolean(json_object_get(run, "prefault")));
  assert_true(json_is_boolean(json_object_get(run, "huge_pages")));
  assert_true(json_integer_value(json_object_get(run, "repeat")) > 0);
  assert_int_equal(json_object_size(run), 6);
}

void expect_machine(json_t *line)
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
  expect_run(json_object_get(line, "run"));
  assert_int_equal(json_object_size(line), 2);
  json_decref(line);
}

static void expect_text(const json_t *line, const char *key, const char *expected)
{
  json_t *value = json_object_get(line, key);
  if (expected)
    assert_string_equal(json_string_value(value), expected);
  else
    assert_true(json_is_null(value));
}

static void expect_integer(const json_t *line, const char *key, int expected)
{
  json_t *value = json_object_get(line, key);
  assert_true(json_is_integer(value));
  assert_int_equal(json_integer_value(value), expected);
}

/* A number above 0, or null. */
static void expect_positive(const json_t *line, const char *key, bool there)
{
  json_t *value = json_object_get(line, key);
  assert_true(there ? json_number_value(value) > 0 : json_is_null(value));
}

void expect_line(char **text, expected_line expected)
{
  json_t *line = next_line(text);
  expect_text(line, "what", expected.what);
  expect_text(line, "type", expected.type);
  expect_text(line, "unit", expected.unit);
  expect_integer(line, "threads", expected.threads);
  expect_integer(line, "rows", expected.rows);
  expect_integer(line, "context", expected.context);
  expect_positive(line, "value", true);
  expect_positive(line, "limit", expected.has_limit);
  expect_positive(line, "share", expected.has_limit);
  expect_positive(line, "ratio_f32", expected.has_ratio);
  assert_int_equal(json_object_size(line), 10);
  json_decref(line);
}
