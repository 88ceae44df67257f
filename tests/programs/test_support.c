/* test_support.c - what the programs share: numbers that read back, UTF-8, the progress bar. */
#include "support/json.h"
#include "support/progress.h"
#include "support/random_numbers.h"
#include "support/terminal.h"
#include "support/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_float(float value, const char *expected)
{
  buffer json = {0};
  write_float(&json, value);
  buffer_add(&json, "", 1);
  if (expected)
    assert_string_equal(json.bytes, expected);
  else if (strtof(json.bytes, NULL) != value)
    fail_msg("%s was written for %a", json.bytes, (double)value);
  buffer_free(&json);
}

static void expect_double(double value, const char *expected)
{
  buffer json = {0};
  write_double(&json, value);
  buffer_add(&json, "", 1);
  if (expected)
    assert_string_equal(json.bytes, expected);
  else if (strtod(json.bytes, NULL) != value)
    fail_msg("%s was written for %a", json.bytes, value);
  buffer_free(&json);
}

static void numbers_are_as_short_as_they_can_be(void **state)
{
  (void)state;
  expect_float(0.1f, "0.1");
  expect_float(0, "0");
  expect_float(-2.5f, "-2.5");
  expect_float((float)16777217, "16777216");
  expect_float(INFINITY, "null");
  expect_float(NAN, "null");
  expect_double(0.1, "0.1");
  expect_double(-INFINITY, "null");
}

static void every_float_reads_back(void **state)
{
  (void)state;
  random_numbers random = {20240229};
  static const float extremes[] = {1e-45f,         1.17549421e-38f, 1.17549435e-38f,
                                   3.40282347e38f, 1.00000012f,     8388608.5f};
  for (size_t i = 0; i < sizeof extremes / sizeof *extremes; i++)
    expect_float(extremes[i], NULL);
  for (int i = 0; i < 20000; i++) {
    expect_float((float)(random_normal(&random) * pow(10, i % 70 - 40)), NULL);
    expect_double(random_normal(&random) * pow(10, i % 600 - 300), NULL);
  }
}

static void strings_are_escaped(void **state)
{
  (void)state;
  static const char bytes[] = "a\"\\\b\n\r\t\0\x1f\x7f\xc3\xa9\xf0\x9f\x99\x82";
  buffer json = {0};
  assert_true(write_string(&json, bytes, sizeof bytes - 1));
  buffer_add(&json, "", 1);
  assert_string_equal(json.bytes,
                      "\"a\\\"\\\\\\u0008\\n\\r\\t\\u0000\\u001f\\u007f\xc3\xa9\xf0\x9f\x99\x82\"");
  buffer_free(&json);
}

/* The examples of the Unicode Standard, section 3.9, tables 3-8 to 3-11: one U+FFFD for each
 * maximal subpart. */
static void what_is_not_utf8_is_replaced_as_unicode_recommends(void **state)
{
  (void)state;
  static const struct {
    const char *bytes;
    int n_replaced;
  } cases[] = {
      {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82", 8},
      {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf", 8},
      {"\xf4\x91\x92\x93\xff", 5},
      {"\x80\xbf", 2},
      {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf", 4},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    buffer json = {0};
    assert_false(write_string(&json, cases[i].bytes, strlen(cases[i].bytes)));
    assert_int_equal(json.size, 2 + 3 * cases[i].n_replaced);
    buffer_free(&json);
  }
}

static void only_parts_of_characters_get_bytes(void **state)
{
  (void)state;
  buffer json = {0};
  json_pieces pieces = {0};
  write_piece(&json, &pieces, "a", 1);
  write_piece_bytes(&json, &pieces);
  write_piece(&json, &pieces, "a", 1);
  write_piece(&json, &pieces, "\xe2\x82", 2);
  write_piece_bytes(&json, &pieces);
  buffer_add(&json, "", 1);
  assert_string_equal(json.bytes, "\"a\"\"a\"\"\xef\xbf\xbd\",\"bytes\":[null,[226,130]]");
  buffer_free(&json);
}

/* Standard error becomes a terminal while `act` runs; what is shown there. */
static void shown_on_terminal(void (*act)(void), char *shown, size_t capacity)
{
  terminal t = open_terminal();
  int before = dup(STDERR_FILENO);
  assert_true(before >= 0);
  dup2(t.written, STDERR_FILENO);
  act();
  fflush(stderr);
  dup2(before, STDERR_FILENO);
  close(before);
  close_terminal(t, shown, capacity);
}

static void work_for(double seconds)
{
  progress bar;
  progress_start(&bar, false);
  double end = clock_seconds() + seconds;
  for (size_t i = 0; clock_seconds() < end; i++) {
    progress_update(&bar, 1, 2);
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
  }
  progress_end(&bar);
}

static void work_briefly(void)
{
  work_for(0.3);
}

static void work_long(void)
{
  work_for(1.3);
}

static void a_bar_is_shown_and_removed_when_work_lasts(void **state)
{
  (void)state;
  char shown[4096];
  shown_on_terminal(work_briefly, shown, sizeof shown);
  assert_string_equal(shown, "");
  shown_on_terminal(work_long, shown, sizeof shown);
  assert_non_null(strstr(shown, "\r[####"));
  assert_non_null(strstr(shown, "]  50%"));
  assert_string_equal(shown + strlen(shown) - 4, "\r\033[K");
}

/* cmocka prints to what may be a terminal; here standard error is a file. */
static void no_bar_is_written_to_a_file(void **state)
{
  (void)state;
  FILE *file = tmpfile();
  int before = dup(STDERR_FILENO);
  assert_true(file && before >= 0);
  dup2(fileno(file), STDERR_FILENO);
  work_long();
  dup2(before, STDERR_FILENO);
  close(before);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  assert_int_equal(ftell(file), 0);
  fclose(file);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_as_short_as_they_can_be),
      cmocka_unit_test(every_float_reads_back),
      cmocka_unit_test(strings_are_escaped),
      cmocka_unit_test(what_is_not_utf8_is_replaced_as_unicode_recommends),
      cmocka_unit_test(only_parts_of_characters_get_bytes),
      cmocka_unit_test(a_bar_is_shown_and_removed_when_work_lasts),
      cmocka_unit_test(no_bar_is_written_to_a_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
