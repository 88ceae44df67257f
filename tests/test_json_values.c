/* test_json_values.c - values of JSON are taken only as the type they are; others are told with
 * file and key. */
#include <string.h>

#include "formats/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"

/* The tree of a text that must be sound. */
static json_t *parsed(const char *text)
{
  gpt2_error error = NO_ERROR_YET;
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  json_t *root;
  expect_success(json_parse(&hooks, text, strlen(text), "some.json", &root, &error), &error);
  return root;
}

static const char values[] =
    "{\"int\": 12, \"real\": 1000.0, \"exponent\": 1e3, \"negative\": -1, \"large\": "
    "9007199254740993,"
    "\"huge\": 100000000000000000000, \"text\": \"gpt2\", \"yes\": true, \"no\": false,"
    "\"null\": null, \"list\": [1, 2, 3], \"object\": {},"
    "\"long\": \"0123456789012345678901234567890123456789+\"}";

static void a_value_of_the_right_type_is_taken_and_a_missing_one_leaves_the_default(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  json_t *root = parsed(values);
  int64_t integer = 5;
  bool flag = false;
  double number = 5;
  const char *text = "default";
  expect_success(json_get_integer(root, "missing", 1, 12, "f", &integer, &error), &error);
  expect_success(json_get_bool(root, "missing", "f", &flag, &error), &error);
  expect_success(json_get_number(root, "missing", "f", &number, &error), &error);
  expect_success(json_get_string(root, "missing", "f", &text, &error), &error);
  assert_true(integer == 5 && !flag && number == 5);
  assert_string_equal(text, "default");
  expect_success(json_get_integer(root, "int", 12, 12, "f", &integer, &error), &error);
  expect_success(json_get_bool(root, "yes", "f", &flag, &error), &error);
  expect_success(json_get_number(root, "real", "f", &number, &error), &error);
  expect_success(json_get_string(root, "text", "f", &text, &error), &error);
  assert_true(integer == 12 && flag && number == 1000);
  assert_string_equal(text, "gpt2");
  expect_success(json_get_bool(root, "no", "f", &flag, &error), &error);
  expect_success(json_get_number(root, "int", "f", &number, &error), &error);
  assert_true(!flag && number == 12);
  json_decref(root);
}

static void only_an_integer_within_its_bounds_is_a_size(void **state)
{
  (void)state;
  static const struct {
    const char *key;
    gpt2_status status;
    const char *words;
  } cases[] = {
      {"real", GPT2_ERR_FORMAT, "\"real\" is 1000.0;"},
      {"exponent", GPT2_ERR_FORMAT, "\"exponent\" is 1000.0;"},
      {"negative", GPT2_ERR_FORMAT, "\"negative\" is -1;"},
      {"large", GPT2_ERR_LIMIT, "\"large\" is 9007199254740993;"},
      {"huge", GPT2_ERR_FORMAT, "\"huge\" is 1e20;"},
      {"text", GPT2_ERR_FORMAT, "\"text\" is \"gpt2\";"},
      {"yes", GPT2_ERR_FORMAT, "\"yes\" is true;"},
      {"null", GPT2_ERR_FORMAT, "\"null\" is null;"},
      {"list", GPT2_ERR_FORMAT, "\"list\" is an array of 3;"},
      {"object", GPT2_ERR_FORMAT, "\"object\" is an object;"},
      {"long", GPT2_ERR_FORMAT, "is \"0123456789012345678901234567890123456789\"...;"},
  };
  json_t *root = parsed(values);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    int64_t integer = 5;
    expect_failure(json_get_integer(root, cases[i].key, 0, 4096, "dir/f.json", &integer, &error),
                   cases[i].status, &error, cases[i].words, "expected an integer from 0 to 4096");
    assert_memory_equal(error.message, "dir/f.json: ", 12);
    assert_int_equal(integer, 5);
  }
  json_decref(root);
}

static void a_value_of_another_type_is_refused_with_file_and_key(void **state)
{
  (void)state;
  json_t *root = parsed(values);
  gpt2_error error = NO_ERROR_YET;
  bool flag = true;
  double number = 5;
  const char *text = "default";
  expect_failure(json_get_bool(root, "int", "f.json", &flag, &error), GPT2_ERR_FORMAT, &error,
                 "f.json: \"int\" is 12; expected true or false", NULL);
  expect_failure(json_get_number(root, "text", "f.json", &number, &error), GPT2_ERR_FORMAT, &error,
                 "f.json: \"text\" is \"gpt2\"; expected a number", NULL);
  expect_failure(json_get_string(root, "null", "f.json", &text, &error), GPT2_ERR_FORMAT, &error,
                 "f.json: \"null\" is null; expected a string", NULL);
  expect_failure(json_unexpected(NULL, "key", "a shape", "f.json", &error), GPT2_ERR_FORMAT, &error,
                 "f.json: \"key\" is missing; expected a shape", NULL);
  assert_true(flag && number == 5);
  assert_string_equal(text, "default");
  json_decref(root);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_value_of_the_right_type_is_taken_and_a_missing_one_leaves_the_default),
      cmocka_unit_test(only_an_integer_within_its_bounds_is_a_size),
      cmocka_unit_test(a_value_of_another_type_is_refused_with_file_and_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
