/* test_json.c - JSON is parsed within limits, and what is wrong with it is told with file, place
 * and key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/comma_locale.h"
#include "support/counting_allocator.h"
#include "support/expect.h"

static gpt2_status parse(const char *text, size_t size, json_t **out, gpt2_error *error)
{
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  char *exact = malloc(size + !size); /* so that a read beyond the end is noticed */
  assert_non_null(exact);
  memcpy(exact, text, size);
  gpt2_status status = json_parse(&hooks, exact, size, "some.json", out, error);
  free(exact);
  assert_int_equal(counter.n_live, 0); /* whatever happens, only jansson's tree stays */
  return status;
}

/* The tree of a text that must be sound. */
static json_t *parsed(const char *text)
{
  gpt2_error error = NO_ERROR_YET;
  json_t *root;
  expect_success(parse(text, strlen(text), &root, &error), &error);
  return root;
}

static void broken_text_is_refused_with_file_and_place(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int64_t offset;
    const char *words;
  } cases[] = {
      {"", 0, "line 1, column 0: cannot be parsed"},
      {" \n ", 3, "line 2, column 1: cannot be parsed"},
      {"{", 1, "near end of file"},
      {"{\"a\": [1, 2}", 12, "column 12"},
      {"{\"a\": 1,}", 9, "near '}'"},
      {"{\"a\": 1}\n x", 11, "line 2, column 2"},
      {"{'a': 1}", 2, "column 2"},
      {"{\"a\": 12", 8, "near end of file"},
      {"{\"a\": 01}", 7, "near '0'"},
      {"{\"a\": NaN}", 9, "NaN"},
      {"{\"a\": 1e999}", 11, "real number overflow"},
      {"{\"a\": 1, \"b\": 2, \"a\": 3}", 20, "duplicate object key near '\"a\"'"},
      {"{\"a\": \"\xff\"}", 7, "unable to decode byte 0xff"},
      {"{\"\xc3(\": 1}", 2, "unable to decode byte 0xc3"},
      {"{\"a\": \"\xed\xa0\x80\"}", 7, "unable to decode byte 0xed"},
      {"{\"a\": \"\\ud83d!\"}", 15, "invalid Unicode '\\uD83D'"},
      {"{\"a\": \"\\udc00\"}", 14, "invalid Unicode '\\uDC00'"},
      {"{\"a", 3, "premature end of input"},
      {"{\"a\\", 4, "invalid escape"},
      {"{\"a\": \"\n\"}", 7, "unexpected newline"},
      {"{\"a\": \"\x01\"}", 7, "control character 0x1"},
      {"\xef\xbb\xbf{}", 3, "column 1"},
      {"{\"a\": 1} // one", 10, "end of file expected"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    json_t *root;
    expect_failure(parse(cases[i].text, strlen(cases[i].text), &root, &error), GPT2_ERR_FORMAT,
                   &error, "some.json: line ", cases[i].words);
    assert_int_equal(error.offset, cases[i].offset);
    assert_null(root);
  }
}

static void what_is_no_object_is_refused(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  json_t *root;
  expect_failure(parse("[1, 2]", 6, &root, &error), GPT2_ERR_FORMAT, &error,
                 "some.json: holds an array of 2", "expected an object");
  assert_null(root);
}

static void strings_with_nul_are_refused_as_unsupported(void **state)
{
  (void)state;
  static const char *const texts[] = {"{\"a\": \"gpt2\\u0000x\"}", "{\"a\\u0000b\": 1}"};
  for (size_t i = 0; i < 2; i++) {
    gpt2_error error = NO_ERROR_YET;
    json_t *root;
    expect_failure(parse(texts[i], strlen(texts[i]), &root, &error), GPT2_ERR_UNSUPPORTED, &error,
                   "some.json", "\\u0000");
    assert_null(root);
  }
}

/* {"a": [[[...]]]}, nested `depth` deep, with brackets in a string that must not count. */
static char *nested(int depth)
{
  char *text = malloc(256 + 2 * (size_t)depth);
  assert_non_null(text);
  int n = sprintf(text, "{\"[[[[\\\"{{{{\": ");
  for (int i = 1; i < depth; i++)
    text[n++] = '[';
  for (int i = 1; i < depth; i++)
    text[n++] = ']';
  strcpy(text + n, depth > 1 ? "}" : "0}");
  return text;
}

static void nesting_is_limited_before_parsing(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  json_t *root;
  char *sound = nested(JSON_DEPTH_LIMIT), *deep = nested(JSON_DEPTH_LIMIT + 1),
       *abyss = nested(1000000);
  json_decref(parsed(sound));
  expect_failure(parse(deep, strlen(deep), &root, &error), GPT2_ERR_LIMIT, &error,
                 "some.json: is nested deeper than 64", NULL);
  assert_int_equal(deep[error.offset], '[');
  assert_int_equal(parse(abyss, strlen(abyss), &root, NULL), GPT2_ERR_LIMIT);
  assert_null(root);
  free(sound);
  free(deep);
  free(abyss);
}

static void siblings_are_not_nesting(void **state)
{
  (void)state;
  char text[1024] = "{\"a\": [";
  for (int i = 0; i < 100; i++)
    strcat(text, i ? ",[]" : "[]");
  strcat(text, "]}");
  json_t *root = parsed(text);
  assert_int_equal(json_array_size(json_object_get(root, "a")), 100);
  json_decref(root);
}

static void a_text_beyond_the_size_limit_is_not_even_looked_at(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  json_t *root;
  expect_failure(json_parse(&hooks, "{}", (size_t)JSON_FILE_LIMIT + 1, "some.json", &root, &error),
                 GPT2_ERR_LIMIT, &error, "some.json: has 67108865 bytes", "at most 67108864");
}

static void integers_beyond_64_bits_become_reals_and_spoil_nothing_else(void **state)
{
  (void)state;
  static const char text[] =
      "{\"max\": 1000000000000000019884624838656, \"min\": [-12345678901234567890],"
      "\"int64\": 9223372036854775807, \"exact\": 123456789012345678,"
      "\"text\": \"1000000000000000019884624838656 \\\" 1000000000000000000000\","
      "\"real\": 0.1000000000000000019884624838656, \"exponent\": 1e-00000000000000000000005,"
      "\"long_real\": 1000000000000000000000.5, \"n\":12}";
  json_t *root = parsed(text);
  assert_true(json_real_value(json_object_get(root, "max")) == 1e30);
  assert_true(json_real_value(json_array_get(json_object_get(root, "min"), 0)) ==
              -1.2345678901234567e19);
  assert_true(json_real_value(json_object_get(root, "int64")) == 9.2233720368547758e18);
  assert_true(json_integer_value(json_object_get(root, "exact")) == 123456789012345678);
  assert_string_equal(json_string_value(json_object_get(root, "text")),
                      "1000000000000000019884624838656 \" 1000000000000000000000");
  assert_true(json_real_value(json_object_get(root, "real")) == 0.1000000000000000019884624838656);
  assert_true(json_real_value(json_object_get(root, "exponent")) == 1e-5);
  assert_true(json_real_value(json_object_get(root, "long_real")) == 1e21);
  assert_true(json_integer_value(json_object_get(root, "n")) == 12);
  json_decref(root);
}

static void integers_of_every_length_keep_their_magnitude(void **state)
{
  (void)state;
  for (int n_digits = 1; n_digits <= 300; n_digits++) {
    char text[512];
    int at = sprintf(text, "{\"a\": 4");
    memset(text + at, '0', (size_t)n_digits - 1);
    strcpy(text + at + n_digits - 1, "}");
    json_t *root = parsed(text);
    char digits[512];
    sprintf(digits, "4e%d", n_digits - 1);
    double value = json_number_value(json_object_get(root, "a")), expected = strtod(digits, NULL);
    assert_true(value == expected);
    json_decref(root);
  }
}

static void an_integer_beyond_all_reals_is_refused(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  json_t *root;
  char text[512] = "{\"a\": ";
  memset(text + 6, '9', 400);
  strcpy(text + 406, "}");
  expect_failure(parse(text, strlen(text), &root, &error), GPT2_ERR_FORMAT, &error, "some.json",
                 "real number overflow");
}

static void numbers_do_not_follow_the_locale(void **state)
{
  (void)state;
  if (!use_comma_locale())
    skip();
  json_t *root =
      parsed("{\"a\": 0.25, \"b\": 1e-05, \"c\": 1000000000000000019884624838656, \"d\": 1.5}");
  gpt2_error error = NO_ERROR_YET;
  assert_true(json_real_value(json_object_get(root, "a")) == 0.25);
  assert_true(json_real_value(json_object_get(root, "b")) == 1e-5);
  assert_true(json_real_value(json_object_get(root, "c")) == 1e30);
  int64_t size = 0;
  expect_failure(json_get_integer(root, "d", 1, 9, "some.json", &size, &error), GPT2_ERR_FORMAT,
                 &error, "\"d\" is 1.5; expected", NULL);
  leave_comma_locale();
  json_decref(root);
}

/* ---- Files ---- */

static const gpt2_blob sound_blob = {"sound.json", "{\"a\": 1}", 8, 0};

static source *source_of(const gpt2_allocator *hooks, const gpt2_blob *blobs, size_t n_blobs)
{
  source *s;
  assert_int_equal(source_open_blobs(hooks, blobs, n_blobs, &s, NULL), GPT2_OK);
  return s;
}

static void a_file_is_read_by_name_and_closed(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_error error = NO_ERROR_YET;
  source *s = source_of(&hooks, &sound_blob, 1);
  size_t before = counter.n_live;
  json_t *root;
  expect_success(json_read(s, "sound.json", &root, &error), &error);
  assert_int_equal(counter.n_live, before);
  assert_int_equal(json_integer_value(json_object_get(root, "a")), 1);
  json_decref(root);
  json_document document;
  expect_success(json_open(s, "sound.json", &document, &error), &error);
  assert_string_equal(document.name, "sound.json");
  assert_int_equal(json_integer_value(json_object_get(document.root, "a")), 1);
  json_close(&document);
  source_free(s);
  assert_int_equal(counter.n_live, 0);
}

static void a_file_that_is_missing_broken_or_too_large_is_named(void **state)
{
  (void)state;
  const gpt2_blob blobs[] = {{"broken.json", "{", 1, 0},
                             {"large.json", "{}", (uint64_t)JSON_FILE_LIMIT + 1, 0},
                             sound_blob};
  static const struct {
    const char *name;
    gpt2_status status;
    const char *words;
  } cases[] = {{"missing.json", GPT2_ERR_NOT_FOUND, "missing.json"},
               {"broken.json", GPT2_ERR_FORMAT, "broken.json: line 1"},
               {"large.json", GPT2_ERR_LIMIT, "large.json: has 67108865 bytes"}};
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  source *s = source_of(&hooks, blobs, 3);
  size_t before = counter.n_live;
  json_t *root;
  for (size_t i = 0; i < 3; i++) {
    gpt2_error error = NO_ERROR_YET;
    expect_failure(json_read(s, cases[i].name, &root, &error), cases[i].status, &error,
                   cases[i].words, NULL);
    assert_null(root);
    assert_int_equal(counter.n_live, before);
  }
  assert_int_equal(json_read(s, "sound.json", &root, NULL), GPT2_OK);
  json_decref(root);
  source_free(s);
}

/* ---- Memory ---- */

static int allocations_left;

static void *refusing_malloc(size_t size)
{
  if (allocations_left-- > 0)
    return malloc(size);
  errno = ENOMEM; /* as malloc does */
  return NULL;
}

/* The parser takes memory by malloc; only here is it given hooks, which it has one set of for
 * the whole process. */
static void any_allocation_that_the_parser_is_refused_is_an_error(void **state)
{
  (void)state;
  static const char text[] =
      "{\"name\": [1, 2.5, \"a string of more than sixteen bytes \\u00e9\", true, null],"
      "\"other\": {\"a\": {}, \"b\": 10000000000000000000000}}";
  gpt2_status status = GPT2_ERR_MEMORY;
  int granted = 0;
  json_set_alloc_funcs(refusing_malloc, free);
  for (; status != GPT2_OK; granted++) {
    gpt2_error error = NO_ERROR_YET;
    json_t *root;
    allocations_left = granted;
    status = parse(text, strlen(text), &root, &error);
    if (status != GPT2_OK)
      expect_failure(status, GPT2_ERR_MEMORY, &error, "some.json: out of memory", NULL);
    json_decref(root);
  }
  json_set_alloc_funcs(malloc, free);
  assert_true(granted > 10);
}

static void any_allocation_of_our_own_that_is_refused_is_an_error(void **state)
{
  (void)state;
  static const char text[] = "{\"a\": 10000000000000000000000}";
  const gpt2_blob blob = {"long.json", text, sizeof text - 1, 0};
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  source *s = source_of(&hooks, &blob, 1);
  size_t before = counter.n_live;
  gpt2_status status = GPT2_ERR_MEMORY;
  int n_refused = 0;
  for (; status != GPT2_OK; n_refused++) {
    gpt2_error error = NO_ERROR_YET;
    json_t *root;
    counter.refused = counter.n_calls + (size_t)n_refused + 1;
    status = json_read(s, "long.json", &root, &error);
    if (status != GPT2_OK)
      expect_failure(status, GPT2_ERR_MEMORY, &error, "out of memory", NULL);
    assert_int_equal(counter.n_live, before);
    json_decref(root);
  }
  assert_int_equal(n_refused, 4); /* the file, its name and the copy; then nothing is refused */
  source_free(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(broken_text_is_refused_with_file_and_place),
      cmocka_unit_test(what_is_no_object_is_refused),
      cmocka_unit_test(strings_with_nul_are_refused_as_unsupported),
      cmocka_unit_test(nesting_is_limited_before_parsing),
      cmocka_unit_test(siblings_are_not_nesting),
      cmocka_unit_test(a_text_beyond_the_size_limit_is_not_even_looked_at),
      cmocka_unit_test(integers_beyond_64_bits_become_reals_and_spoil_nothing_else),
      cmocka_unit_test(integers_of_every_length_keep_their_magnitude),
      cmocka_unit_test(an_integer_beyond_all_reals_is_refused),
      cmocka_unit_test(numbers_do_not_follow_the_locale),
      cmocka_unit_test(a_file_is_read_by_name_and_closed),
      cmocka_unit_test(a_file_that_is_missing_broken_or_too_large_is_named),
      cmocka_unit_test(any_allocation_that_the_parser_is_refused_is_an_error),
      cmocka_unit_test(any_allocation_of_our_own_that_is_refused_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
