/* test_tokenize.c - gpt2-tokenize: text to ids and back, as the documents promise it. */
#include "programs/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/temporary_folder.h"

#include <cmocka.h>

/* The program writes exactly these bytes, and nothing else. */
static void expect_bytes(outcome o, const char *expected, size_t size)
{
  assert_quiet_success(&o);
  assert_int_equal(o.out_size, size);
  assert_memory_equal(o.out, expected, size);
  free_outcome(&o);
}

static void expect(outcome o, const char *expected)
{
  expect_bytes(o, expected, strlen(expected));
}

/* The ids stand in the model's README. */
static void text_becomes_ids_on_one_line(void **state)
{
  (void)state;
  expect(RUN("tokenize", NULL, "Once upon a time"), "2145 694 258 512\n");
}

static void standard_input_is_the_text_without_operand_or_with_a_dash(void **state)
{
  (void)state;
  const setting given = {.input = "Once upon a time"};
  expect(RUN("tokenize", &given, "-t1"), "2145 694 258 512\n");
  expect(RUN("tokenize", &given, "-"), "2145 694 258 512\n");
}

static void options_may_stand_behind_the_operand(void **state)
{
  (void)state;
  expect(RUN("tokenize", NULL, "<|endoftext|>", "--special"), "4095\n");
}

static void special_tokens_are_text_unless_asked_for(void **state)
{
  (void)state;
  outcome o = RUN("tokenize", NULL, "<|endoftext|>");
  assert_quiet_success(&o);
  assert_null(strstr(o.out, "4095"));
  assert_non_null(strchr(o.out, ' '));
  free_outcome(&o);
}

static void an_empty_text_is_an_empty_line(void **state)
{
  (void)state;
  expect(RUN("tokenize", NULL, ""), "\n");
  expect(RUN("tokenize", NULL, "--"), "\n");
}

/* Several inputs: each NUL ends one; what follows the last counts unless it is empty. */
static void null_separates_inputs(void **state)
{
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
    const char *lines;
  } cases[] = {
      {"Once\0 time", 10, "2145\n512\n"},
      {"Once\0 time\0", 11, "2145\n512\n"},
      {"Once\0\0 time", 11, "2145\n\n512\n"},
      {"\0", 1, "\n"},
      {"\0\0", 2, "\n\n"},
      {"Once", 4, "2145\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const setting given = {.input = cases[i].bytes, .input_size = cases[i].size};
    expect(RUN("tokenize", &given, "-0"), cases[i].lines);
    expect(RUN("tokenize", &given, "--null"), cases[i].lines);
  }
  expect(RUN("tokenize", NULL, "-0"), "");
  expect(RUN("tokenize", NULL, "-0", "Once"), "2145\n");
}

/* Without --null a NUL and a line break are bytes like any other. */
static void standard_input_is_one_text_as_it_is(void **state)
{
  (void)state;
  const setting given = {.input = " Once\0\n\nupon \n", .input_size = 14};
  outcome ids = RUN("tokenize", &given, "-");
  assert_quiet_success(&ids);
  assert_ptr_equal(strchr(ids.out, '\n'), ids.out + ids.out_size - 1);
  const setting back = {.input = ids.out};
  expect_bytes(RUN("tokenize", &back, "--decode"), given.input, given.input_size);
  free_outcome(&ids);
}

static void ids_decode_to_bytes_with_nothing_added(void **state)
{
  (void)state;
  const setting given = {.input = "\n 2145\t694\r\n258\f\v512  "};
  expect(RUN("tokenize", &given, "--decode"), "Once upon a time");
  expect(RUN("tokenize", NULL, "--decode", "2145 694"), "Once upon");
  expect(RUN("tokenize", NULL, "--decode"), "");
}

static void with_null_each_line_decodes_to_one_output(void **state)
{
  (void)state;
  const setting given = {.input = "2145 694\n\n258\n512"};
  static const char expected[] = "Once upon\0\0 a\0 time";
  expect_bytes(RUN("tokenize", &given, "--decode", "--null"), expected, sizeof expected);
}

static void null_inputs_survive_the_way_there_and_back(void **state)
{
  (void)state;
  static const char bytes[] = "one\ntwo\0\0 three \0\xff\xfe\0";
  const setting given = {.input = bytes, .input_size = sizeof bytes - 1};
  outcome ids = RUN("tokenize", &given, "-0");
  assert_quiet_success(&ids);
  const setting back = {.input = ids.out};
  expect_bytes(RUN("tokenize", &back, "-0", "--decode"), bytes, sizeof bytes - 1);
  free_outcome(&ids);
}

static void a_bad_id_is_named(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "4096", "-1", "+1", "1x", "abc", "1,2", "0x10", "99999999999999999999", "1.0"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[64], quoted[64];
    snprintf(text, sizeof text, "2145 %s 694", bad[i]);
    snprintf(quoted, sizeof quoted, "\"%s\"", bad[i]);
    const setting given = {.input = text};
    outcome o = RUN("tokenize", &given, "--decode");
    ASSERT_FAILURE(&o, 1, "tokenize", quoted, "number 2");
    free_outcome(&o);
  }
}

/* Lines before the bad one stand. */
static void a_bad_id_does_not_undo_what_was_before(void **state)
{
  (void)state;
  const setting given = {.input = "2145\nx\n694\n"};
  outcome o = RUN("tokenize", &given, "--decode", "-0");
  assert_int_equal(o.status, 1);
  assert_int_equal(o.out_size, 5);
  assert_memory_equal(o.out, "Once", 5);
  assert_non_null(strstr(o.err, "\"x\""));
  free_outcome(&o);
}

static void bytes_that_are_not_utf8_survive(void **state)
{
  (void)state;
  char bytes[512];
  for (int i = 0; i < 256; i++) {
    bytes[2 * i] = (char)i;
    bytes[2 * i + 1] = (char)(255 - i);
  }
  const setting given = {.input = bytes, .input_size = sizeof bytes};
  outcome ids = RUN("tokenize", &given, "-");
  assert_quiet_success(&ids);
  const setting back = {.input = ids.out};
  expect_bytes(RUN("tokenize", &back, "--decode"), bytes, sizeof bytes);
  free_outcome(&ids);
}

static void a_large_input_survives(void **state)
{
  (void)state;
  size_t size = 3000000;
  char *bytes = malloc(size);
  assert_non_null(bytes);
  for (size_t i = 0; i < size; i++)
    bytes[i] = "A fox ran, 12 times; round\n"[i % 27];
  const setting given = {.input = bytes, .input_size = size};
  outcome ids = RUN("tokenize", &given, "-");
  assert_quiet_success(&ids);
  const setting back = {.input = ids.out};
  expect_bytes(RUN("tokenize", &back, "--decode"), bytes, size);
  free_outcome(&ids);
  free(bytes);
}

static void json_has_ids_and_pieces(void **state)
{
  (void)state;
  outcome o = RUN("tokenize", NULL, "--json", "Once upon");
  assert_quiet_success(&o);
  assert_string_equal(o.out, "{\"ids\":[2145,694],\"pieces\":[\"Once\",\" upon\"]}\n");
  free_outcome(&o);
  expect(RUN("tokenize", NULL, "--json", ""), "{\"ids\":[],\"pieces\":[]}\n");
  expect(RUN("tokenize", NULL, "--json", "--decode", "2145 694"),
         "{\"ids\":[2145,694],\"pieces\":[\"Once\",\" upon\"]}\n");
}

static void json_is_one_line_for_each_input(void **state)
{
  (void)state;
  const setting given = {.input = "Once\0\0Once", .input_size = 10};
  expect(RUN("tokenize", &given, "--json", "-0"), "{\"ids\":[2145],\"pieces\":[\"Once\"]}\n"
                                                  "{\"ids\":[],\"pieces\":[]}\n"
                                                  "{\"ids\":[2145],\"pieces\":[\"Once\"]}\n");
}

/* What a piece is: its bytes where they are given, else its string. */
static size_t add_piece(json_t *piece, json_t *bytes, char *to)
{
  if (json_is_null(bytes) || !bytes) {
    memcpy(to, json_string_value(piece), json_string_length(piece));
    return json_string_length(piece);
  }
  assert_non_null(strstr(json_string_value(piece), "\xef\xbf\xbd"));
  for (size_t i = 0; i < json_array_size(bytes); i++)
    to[i] = (char)json_integer_value(json_array_get(bytes, i));
  return json_array_size(bytes);
}

/* Control characters, quotes, characters in parts (the model knows no accents), bytes that are
 * none. */
static void json_pieces_give_every_byte_back(void **state)
{
  (void)state;
  static const char bytes[] =
      "\"a\\b\" \x01\x1f\x7f\t\n\r\0\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x99\x82 \xff\xc3 end";
  const setting given = {.input = bytes, .input_size = sizeof bytes - 1};
  outcome o = RUN("tokenize", &given, "--json");
  assert_quiet_success(&o);
  json_t *json = json_of(&o);
  json_t *pieces = json_object_get(json, "pieces"), *parts = json_object_get(json, "bytes");
  assert_int_equal(json_array_size(pieces), json_array_size(json_object_get(json, "ids")));
  assert_int_equal(json_array_size(pieces), json_array_size(parts));
  char back[sizeof bytes * 4];
  size_t size = 0;
  for (size_t i = 0; i < json_array_size(pieces); i++)
    size += add_piece(json_array_get(pieces, i), json_array_get(parts, i), back + size);
  assert_int_equal(size, sizeof bytes - 1);
  assert_memory_equal(back, bytes, size);
  json_decref(json);
  free_outcome(&o);
}

/* One U+FFFD for the beginning of a character, one for each byte that begins none. */
static void parts_of_characters_are_replaced_as_unicode_recommends(void **state)
{
  (void)state;
  static const struct {
    const char *id, *line;
  } cases[] = {
      {"0", "{\"ids\":[0],\"pieces\":[\"!\"]}\n"},
      {"127", "{\"ids\":[127],\"pieces\":[\"\xef\xbf\xbd\"],\"bytes\":[[195]]}\n"},
      {"102 0", "{\"ids\":[102,0],\"pieces\":[\"\xef\xbf\xbd\",\"!\"],\"bytes\":[[169],null]}\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    expect(RUN("tokenize", NULL, "--json", "--decode", cases[i].id), cases[i].line);
}

static void a_model_without_tokenizer_is_refused(void **state)
{
  (void)state;
  char *folder = make_odd_model(16, false);
  outcome o = RUN("tokenize", NULL, "Once", "-m", folder);
  ASSERT_FAILURE(&o, 1, "tokenize", "tokenizer");
  free_outcome(&o);
  remove_temporary_folder(folder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_becomes_ids_on_one_line),
      cmocka_unit_test(standard_input_is_the_text_without_operand_or_with_a_dash),
      cmocka_unit_test(options_may_stand_behind_the_operand),
      cmocka_unit_test(special_tokens_are_text_unless_asked_for),
      cmocka_unit_test(an_empty_text_is_an_empty_line),
      cmocka_unit_test(null_separates_inputs),
      cmocka_unit_test(standard_input_is_one_text_as_it_is),
      cmocka_unit_test(ids_decode_to_bytes_with_nothing_added),
      cmocka_unit_test(with_null_each_line_decodes_to_one_output),
      cmocka_unit_test(null_inputs_survive_the_way_there_and_back),
      cmocka_unit_test(a_bad_id_is_named),
      cmocka_unit_test(a_bad_id_does_not_undo_what_was_before),
      cmocka_unit_test(bytes_that_are_not_utf8_survive),
      cmocka_unit_test(a_large_input_survives),
      cmocka_unit_test(json_has_ids_and_pieces),
      cmocka_unit_test(json_is_one_line_for_each_input),
      cmocka_unit_test(json_pieces_give_every_byte_back),
      cmocka_unit_test(parts_of_characters_are_replaced_as_unicode_recommends),
      cmocka_unit_test(a_model_without_tokenizer_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
