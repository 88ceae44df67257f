/* test_bench_compare.c - gpt2-bench --compare: what an earlier run has to do with this one. */
#include "programs/bench_report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/temporary_folder.h"

#include <cmocka.h>

enum { PATH_SIZE = 4096 };

static char *folder, *model;

static int make_folders(void **state)
{
  (void)state;
  folder = new_temporary_folder();
  model = make_odd_model(160, true);
  return 0;
}

static int remove_folders(void **state)
{
  (void)state;
  remove_temporary_folder(folder);
  remove_temporary_folder(model);
  return 0;
}

/* Runs the bench beside an earlier run that wrote `old`. */
static outcome compare_with(const char *old, const char *form, const char *what)
{
  char path[PATH_SIZE];
  write_temporary_file(folder, "old.json", old, strlen(old));
  snprintf(path, sizeof path, "%s/old.json", folder);
  return RUN("bench", NULL, form, "--quick", "--repeat=1", "-t1", "--what", what, "-m", model,
             "--compare", path);
}

#define MACHINE "{\"machine\":{\"cpu\":\"another\"},\"run\":{}}\n"
#define OLD_LINE(what, type, threads, rows, context, value, unit, share)                           \
  "{\"what\":\"" what "\",\"type\":" type ",\"threads\":" threads ",\"rows\":" rows                \
  ",\"context\":" context ",\"value\":" value ",\"unit\":\"" unit                                  \
  "\",\"limit\":1,\"share\":" share "}\n"

static double number(const json_t *line, const char *key)
{
  json_t *value = json_object_get(line, key);
  assert_true(json_is_number(value));
  return json_number_value(value);
}

/* Printed with four digits. */
static void expect_near(double found, double expected)
{
  if (!(fabs(found / expected - 1) < 2e-3))
    fail_msg("%g, expected %g", found, expected);
}

/* A time is better the shorter it is, a rate the greater it is. */
static void a_line_tells_how_many_times_as_good_it_is_now(void **state)
{
  (void)state;
  outcome o =
      compare_with(MACHINE OLD_LINE("decode", "\"f32\"", "1", "1", "0", "1e6", "ms/token", "0.25")
                       OLD_LINE("encode", "null", "1", "0", "0", "0.5", "MB/s", "null"),
                   "--json", "decode,encode");
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  json_t *decode = next_line(&text), *encode = next_line(&text);
  assert_int_equal(json_object_size(decode), 12);
  expect_near(number(decode, "speedup"), 1e6 / number(decode, "value"));
  expect_near(number(decode, "earlier_share"), 0.25);
  expect_near(number(encode, "speedup"), number(encode, "value") / 0.5);
  assert_true(json_is_null(json_object_get(encode, "earlier_share")));
  json_decref(decode);
  json_decref(encode);
  free_outcome(&o);
}

/* Each of these differs in one thing from what is measured. */
static void other_lines_are_not_compared_with(void **state)
{
  (void)state;
  outcome o = compare_with(
      OLD_LINE("decode", "\"f16\"", "1", "1", "0", "7", "ms/token", "1")
          OLD_LINE("decode", "null", "1", "1", "0", "7", "ms/token", "1")
              OLD_LINE("decode", "\"f32\"", "2", "1", "0", "7", "ms/token", "1")
                  OLD_LINE("decode", "\"f32\"", "1", "2", "0", "7", "ms/token", "1")
                      OLD_LINE("decode", "\"f32\"", "1", "1", "80", "7", "ms/token", "1")
                          OLD_LINE("decode", "\"f32\"", "1", "1", "0", "7", "s/token", "1")
                              OLD_LINE("batch", "\"f32\"", "1", "1", "0", "7", "ms/token", "1"),
      "--json", "decode");
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  json_t *line = next_line(&text);
  assert_true(json_is_null(json_object_get(line, "speedup")));
  assert_true(json_is_null(json_object_get(line, "earlier_share")));
  json_decref(line);
  free_outcome(&o);
}

static void of_several_lines_the_last_counts(void **state)
{
  (void)state;
  outcome o =
      compare_with(OLD_LINE("decode", "\"f32\"", "1", "1", "0", "7", "ms/token", "0.5")
                       OLD_LINE("decode", "\"f32\"", "1", "1", "0", "9e9", "ms/token", "0.125"),
                   "--json", "decode");
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  json_t *line = next_line(&text);
  expect_near(number(line, "speedup"), 9e9 / number(line, "value"));
  expect_near(number(line, "earlier_share"), 0.125);
  json_decref(line);
  free_outcome(&o);
}

static void people_are_told_in_words(void **state)
{
  (void)state;
  outcome o = compare_with(OLD_LINE("decode", "\"f32\"", "1", "1", "0", "1e6", "ms/token", "0.25"),
                           "--quick", "decode,encode");
  assert_success(&o);
  char *decode = strstr(o.out, "\ndecode "), *encode = strstr(o.out, "\nencode ");
  assert_non_null(decode);
  assert_non_null(encode);
  char *words = strstr(decode, "x as good as before (share then 25%)\n");
  assert_true(words && words < encode);
  assert_null(strstr(encode, "before"));
  free_outcome(&o);
}

/* What this program writes, it reads. */
static void a_run_compares_with_its_own_report(void **state)
{
  (void)state;
  outcome first = RUN("bench", NULL, "--json", "--quick", "--repeat=1", "-t1", "-m", model);
  assert_success(&first);
  outcome o = compare_with(first.out, "--json", "read,decode,encode");
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  for (int i = 0; i < 3; i++) {
    json_t *line = next_line(&text);
    assert_true(number(line, "speedup") > 0);
    json_decref(line);
  }
  free_outcome(&first);
  free_outcome(&o);
}

static void a_file_that_is_none_is_refused_with_its_line(void **state)
{
  (void)state;
  static const char good[] = MACHINE OLD_LINE("decode", "null", "1", "1", "0", "7", "ms", "null");
  static const struct {
    const char *after, *place, *word;
  } cases[] = {
      {"\n", ":3: ", "--compare"},
      {"what type threads\n", ":3: ", "--compare"},
      {"{\"what\":\"decode\"", ":3: ", "--compare"},
      {"[]\n", ":3: ", "\"what\""},
      {OLD_LINE("decode", "7", "1", "1", "0", "7", "ms", "1"), ":3: ", "\"type\""},
      {OLD_LINE("decode", "null", "-1", "1", "0", "7", "ms", "1"), ":3: ", "\"threads\""},
      {OLD_LINE("decode", "null", "1", "1.5", "0", "7", "ms", "1"), ":3: ", "\"rows\""},
      {OLD_LINE("decode", "null", "1", "1", "4294967296", "7", "ms", "1"), ":3: ", "\"context\""},
      {OLD_LINE("decode", "null", "1", "1", "0", "0", "ms", "1"), ":3: ", "\"value\""},
      {OLD_LINE("decode", "null", "1", "1", "0", "null", "ms", "1"), ":3: ", "\"value\""},
      {"{\"what\":\"x\",\"type\":null,\"threads\":1,\"rows\":1,\"context\":1,\"value\":1}",
       ":3: ", "\"unit\""},
      {"{\"what\":\"x\",\"what\":\"x\"}", ":3: ", "--compare"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char old[1000];
    snprintf(old, sizeof old, "%s%s", good, cases[i].after);
    outcome o = compare_with(old, "--json", "decode");
    ASSERT_FAILURE(&o, 1, "bench", "/old.json", cases[i].place, cases[i].word);
    free_outcome(&o);
  }
}

static void a_file_without_measurements_is_refused(void **state)
{
  (void)state;
  outcome o = compare_with("", "--json", "decode");
  ASSERT_FAILURE(&o, 1, "bench", "/old.json", "no measurement");
  free_outcome(&o);
  o = compare_with(MACHINE, "--json", "decode");
  ASSERT_FAILURE(&o, 1, "bench", "/old.json", "no measurement");
  free_outcome(&o);
  o = RUN("bench", NULL, "--compare", "/nowhere/old.json");
  ASSERT_FAILURE(&o, 1, "bench", "/nowhere/old.json");
  free_outcome(&o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_tells_how_many_times_as_good_it_is_now),
      cmocka_unit_test(other_lines_are_not_compared_with),
      cmocka_unit_test(of_several_lines_the_last_counts),
      cmocka_unit_test(people_are_told_in_words),
      cmocka_unit_test(a_run_compares_with_its_own_report),
      cmocka_unit_test(a_file_that_is_none_is_refused_with_its_line),
      cmocka_unit_test(a_file_without_measurements_is_refused),
  };
  return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
