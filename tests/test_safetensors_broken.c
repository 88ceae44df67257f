/* test_safetensors_broken.c - the header of a safetensors file is believed only as far as it is
 * true. */
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/expect.h"
#include "support/listed_tensors.h"
#include "support/safetensors_builder.h"

static gpt2_status list_header(const char *header, size_t data_size, gpt2_error *error)
{
  size_t size;
  uint8_t *bytes = build_safetensors_text(header, data_size, &size);
  gpt2_status status = list_bytes(bytes, size, NULL, error);
  free(bytes);
  return status;
}

#define ENTRY(name, dtype, shape, offsets)                                                         \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void a_header_that_is_not_true_is_refused_by_name(void **state)
{
  (void)state;
  static const struct {
    const char *header;
    size_t data_size;
    gpt2_status status;
    const char *text, *other_text;
  } cases[] = {
      /* the JSON */
      {"", 0, GPT2_ERR_FORMAT, "m.safetensors: the header does not start",
       "not a safetensors file"},
      {" {}", 0, GPT2_ERR_FORMAT, "m.safetensors: the header does not start", "{"},
      {"[]", 0, GPT2_ERR_FORMAT, "m.safetensors: the header does not start", "{"},
      {"{\"a\":", 0, GPT2_ERR_FORMAT, "m.safetensors: line 1, column 5", "cannot be parsed"},
      {"{} x", 0, GPT2_ERR_FORMAT, "m.safetensors: line 1, column 4", "end of file expected"},
      {"{" ENTRY("a", "U8", "[1]", "[0,1]") "," ENTRY("a", "U8", "[1]", "[1,2]") "}", 2,
       GPT2_ERR_FORMAT, "m.safetensors", "duplicate object key near '\"a\"'"},
      {"{\"__metadata__\":[]}", 0, GPT2_ERR_FORMAT,
       "m.safetensors: \"__metadata__\" is an array of 0", "object"},
      {"{\"__metadata__\":{\"n\":1}}", 0, GPT2_ERR_FORMAT,
       "m.safetensors: \"__metadata__\": \"n\" is 1", "a string"},
      {"{" ENTRY("", "U8", "[1]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "m.safetensors: a tensor's name is empty", NULL},
      {"{\"a\":7}", 0, GPT2_ERR_FORMAT, "m.safetensors: \"a\" is 7; expected an object", NULL},
      /* the type */
      {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, GPT2_ERR_FORMAT,
       "m.safetensors: tensor \"a\"", "\"dtype\" is missing"},
      {"{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, GPT2_ERR_FORMAT,
       "m.safetensors: tensor \"a\": \"dtype\" is 3", "an element type"},
      {"{" ENTRY("a", "Q8", "[1]", "[0,1]") "}", 1, GPT2_ERR_UNSUPPORTED,
       "m.safetensors: tensor \"a\"", "is \"Q8\""},
      {"{" ENTRY("a", "f32", "[1]", "[0,4]") "}", 4, GPT2_ERR_UNSUPPORTED,
       "m.safetensors: tensor \"a\"", "\"f32\""},
      /* the shape */
      {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, GPT2_ERR_FORMAT,
       "m.safetensors: tensor \"a\"", "\"shape\" is missing"},
      {"{" ENTRY("a", "U8", "1", "[0,1]") "}", 1, GPT2_ERR_FORMAT, "tensor \"a\": \"shape\" is 1",
       "an array"},
      {"{" ENTRY("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, GPT2_ERR_LIMIT,
       "m.safetensors: tensor \"a\" has 9 dimensions", "at most 8"},
      {"{" ENTRY("a", "U8", "[-1]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\": \"shape[]\" is -1", "integer"},
      {"{" ENTRY("a", "U8", "[1.0]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\": \"shape[]\" is 1.0", "integer"},
      {"{" ENTRY("a", "U8", "[1e0]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\": \"shape[]\" is 1.0", "integer"},
      {"{" ENTRY("a", "U8", "[\"1\"]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\": \"shape[]\" is \"1\"", NULL},
      {"{" ENTRY("a", "U8", "[9007199254740993]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "is 9007199254740993", "2^53"},
      {"{" ENTRY("a", "U8", "[18446744073709551617]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "\"shape[]\" is", "2^53"},
      {"{" ENTRY("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0, GPT2_ERR_FORMAT,
       "tensor \"a\"", "product of its shape does not fit"},
      {"{" ENTRY("a", "F32", "[2147483648,1073741824]", "[0,0]") "}", 0, GPT2_ERR_FORMAT,
       "tensor \"a\"", "2305843009213693952 elements of type F32"},
      {"{" ENTRY("a", "F4", "[3]", "[0,1]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\": 3 elements of type F4", "whole bytes"},
      /* the offsets */
      {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, GPT2_ERR_FORMAT,
       "m.safetensors: tensor \"a\"", "\"data_offsets\" is missing"},
      {"{" ENTRY("a", "U8", "[1]", "[0]") "}", 1, GPT2_ERR_FORMAT,
       "\"data_offsets\" is an array of 1", "two"},
      {"{" ENTRY("a", "U8", "[1]", "[0,1,1]") "}", 1, GPT2_ERR_FORMAT,
       "\"data_offsets\" is an array of 3", "two"},
      {"{" ENTRY("a", "U8", "[1]", "{}") "}", 1, GPT2_ERR_FORMAT, "\"data_offsets\" is an object",
       "two"},
      {"{" ENTRY("a", "U8", "[1]", "[-1,0]") "}", 1, GPT2_ERR_FORMAT, "\"data_offsets[]\" is -1",
       "2^53"},
      {"{" ENTRY("a", "U8", "[1]", "[0,1.0]") "}", 1, GPT2_ERR_FORMAT, "\"data_offsets[]\" is 1.0",
       "2^53"},
      {"{" ENTRY("a", "U8", "[1]", "[0,9223372036854775807]") "}", 1, GPT2_ERR_FORMAT,
       "\"data_offsets[]\" is", "2^53"},
      {"{" ENTRY("a", "U8", "[1]", "[1,0]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\" spans bytes 1 to 0", "1 bytes"},
      {"{" ENTRY("a", "U8", "[2]", "[0,2]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\" spans bytes 0 to 2", "its 1 bytes"},
      {"{" ENTRY("a", "F32", "[2]", "[0,7]") "}", 7, GPT2_ERR_FORMAT, "tensor \"a\" has 7 bytes",
       "need 8"},
      {"{" ENTRY("a", "U8", "[3]", "[0,3]") "," ENTRY("b", "F16", "[2]", "[3,5]") "}", 5,
       GPT2_ERR_FORMAT, "tensor \"b\" has 2 bytes", "need 4"},
      {"{" ENTRY("a", "F16", "[2]", "[0,8]") "}", 8, GPT2_ERR_FORMAT, "tensor \"a\" has 8 bytes",
       "need 4"},
      /* the data as a whole */
      {"{" ENTRY("a", "U8", "[1]", "[0,1]") "," ENTRY("b", "U8", "[1]", "[2,3]") "}", 3,
       GPT2_ERR_FORMAT, "m.safetensors: tensor \"b\" starts at byte 2", "expected 1"},
      {"{" ENTRY("a", "U8", "[2]", "[0,2]") "," ENTRY("b", "U8", "[2]", "[1,3]") "}", 3,
       GPT2_ERR_FORMAT, "m.safetensors: tensor \"b\" starts at byte 1", "expected 2"},
      {"{" ENTRY("a", "U8", "[2]", "[0,2]") "," ENTRY("b", "U8", "[2]", "[0,2]") "}", 2,
       GPT2_ERR_FORMAT, "m.safetensors: tensor \"b\" starts at byte 0", "expected 2"},
      {"{" ENTRY("a", "U8", "[1]", "[1,2]") "}", 2, GPT2_ERR_FORMAT,
       "tensor \"a\" starts at byte 1", "expected 0"},
      {"{" ENTRY("a", "U8", "[0]", "[1,1]") "}", 1, GPT2_ERR_FORMAT,
       "tensor \"a\" starts at byte 1", "expected 0"},
      {"{" ENTRY("a", "U8", "[1]", "[0,1]") "}", 2, GPT2_ERR_FORMAT,
       "m.safetensors: has 2 bytes of data", "byte 1"},
      {"{}", 1, GPT2_ERR_FORMAT, "m.safetensors: has 1 bytes of data", "end at byte 0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    expect_failure(list_header(cases[i].header, cases[i].data_size, &error), cases[i].status,
                   &error, cases[i].text, cases[i].other_text);
  }
  assert_int_equal(
      list_header("{" ENTRY("a", "U8", "[1]", "[0,1]") "," ENTRY("b", "U8", "[1]", "[1,2]") "}", 2,
                  NULL),
      GPT2_OK);
}

static void a_header_nested_too_deep_is_refused_with_its_place_in_the_file(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  char header[512] = "{\"__metadata__\":";
  for (int i = 0; i < 64; i++)
    strcat(header, "[");
  expect_failure(list_header(header, 0, &error), GPT2_ERR_LIMIT, &error,
                 "m.safetensors: is nested deeper", NULL);
  assert_int_equal(error.offset, 8 + 16 + 63); /* a position in the file, not in its header */
}

static void a_size_that_the_file_does_not_have_or_that_is_too_large_is_refused(void **state)
{
  (void)state;
  static const struct {
    uint64_t header_size;
    gpt2_status status;
    const char *text;
  } cases[] = {
      {3, GPT2_ERR_FORMAT, "its header needs 3"},
      {UINT64_MAX, GPT2_ERR_FORMAT, "its header needs 18446744073709551615"},
      {(uint64_t)1 << 32, GPT2_ERR_FORMAT, "its header needs 4294967296"},
      {SAFETENSORS_HEADER_LIMIT + 1, GPT2_ERR_FORMAT, "its header needs 16777217"},
      {0, GPT2_ERR_FORMAT, "not a safetensors file"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    uint8_t bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    for (int byte = 0; byte < 8; byte++)
      bytes[byte] = (uint8_t)(cases[i].header_size >> (8 * byte));
    expect_failure(list_bytes(bytes, sizeof bytes, NULL, &error), cases[i].status, &error,
                   "m.safetensors", cases[i].text);
  }
  gpt2_error error = NO_ERROR_YET;
  const uint8_t start[8] = {1, 0, 0,
                            1}; /* one byte more than the limit, and a file that has them */
  uint8_t *large = calloc(1, 8 + (16 << 20) + 1);
  assert_non_null(large);
  memcpy(large, start, sizeof start);
  expect_failure(list_bytes(large, 8 + (16 << 20) + 1, NULL, &error), GPT2_ERR_LIMIT, &error,
                 "m.safetensors: has a header of 16777217 bytes", "at most 16777216");
  free(large);
}

static void a_header_as_large_as_is_allowed_is_read(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  static const uint8_t start[] = {0, 0, 0, 1, 0, 0, 0, 0, '{', '}'};
  size_t size = 8 + SAFETENSORS_HEADER_LIMIT;
  uint8_t *bytes = malloc(size);
  assert_non_null(bytes);
  memset(bytes, ' ', size);
  memcpy(bytes, start, sizeof start);
  expect_success(list_bytes(bytes, size, NULL, &error), &error);
  free(bytes);
}

/* A file that has nothing wrong. */
static const built_tensor sound[] = {
    {"wte.weight", "F32", 2, {2, 2}, NULL, 16},
    {"half", "F16", 1, {3}, NULL, 6},
    {"empty", "F64", 2, {0, 7}, NULL, 0},
    {"h.0.attn.bias", "BOOL", 4, {1, 1, 2, 2}, NULL, 4},
};
enum { N_SOUND = sizeof sound / sizeof *sound, SOUND_DATA = 26 };

static void a_file_cut_at_any_byte_is_refused(void **state)
{
  (void)state;
  size_t size, n;
  uint8_t *bytes = build_safetensors(sound, N_SOUND, &size);
  for (size_t cut = 0; cut < size; cut++) {
    gpt2_error error = NO_ERROR_YET;
    uint8_t *part = malloc(cut ? cut : 1); /* so that a read beyond the end is noticed */
    memcpy(part, bytes, cut);
    expect_failure(list_bytes(part, cut, &n, &error), GPT2_ERR_FORMAT, &error, "m.safetensors",
                   NULL);
    free(part);
  }
  assert_int_equal(list_bytes(bytes, size, &n, NULL), GPT2_OK);
  assert_int_equal(n, N_SOUND);
  free(bytes);
}

static void no_byte_of_the_header_does_harm_whatever_its_value(void **state)
{
  (void)state;
  size_t size, n_refused = 0;
  uint8_t *bytes = build_safetensors(sound, N_SOUND, &size);
  size_t header_end = size - SOUND_DATA;
  for (size_t at = 0; at < header_end; at++) {
    const uint8_t before = bytes[at];
    for (int value = 0; value < 256; value++) {
      gpt2_error error = NO_ERROR_YET;
      bytes[at] = (uint8_t)value;
      gpt2_status status = list_bytes(bytes, size, NULL, &error);
      if (status == GPT2_OK)
        continue; /* another name, say */
      n_refused++;
      if (status != GPT2_ERR_FORMAT && status != GPT2_ERR_UNSUPPORTED && status != GPT2_ERR_LIMIT)
        fail_msg("byte %zu = %d: %s", at, value, error.message);
      expect_failure(status, status, &error, "m.safetensors", NULL);
    }
    bytes[at] = before;
  }
  assert_true(n_refused > header_end * 100);
  assert_int_equal(list_bytes(bytes, size, NULL, NULL), GPT2_OK);
  free(bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_header_that_is_not_true_is_refused_by_name),
      cmocka_unit_test(a_header_nested_too_deep_is_refused_with_its_place_in_the_file),
      cmocka_unit_test(a_size_that_the_file_does_not_have_or_that_is_too_large_is_refused),
      cmocka_unit_test(a_header_as_large_as_is_allowed_is_read),
      cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
      cmocka_unit_test(no_byte_of_the_header_does_harm_whatever_its_value),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
