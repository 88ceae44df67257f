/* test_faults_safetensors.c - whatever is wrong with a file of weights is refused by name, through
 * every door and whatever the weights are to be kept in. */
#include "support/faults.h"
#include "support/opened.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define W                          "model.safetensors"
#define WTE                        W ": tensor \"wte.weight\""
#define REFUSED(from, to, ...)     FAULT_PLAIN, W, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define UNSUPPORTED(from, to, ...) FAULT_PLAIN, W, from, to, GPT2_ERR_UNSUPPORTED, __VA_ARGS__
#define MISSING(from, to, ...)     FAULT_PLAIN, W, from, to, GPT2_ERR_NOT_FOUND, __VA_ARGS__
#define BEYOND(from, to, ...)      FAULT_PLAIN, W, from, to, GPT2_ERR_LIMIT, __VA_ARGS__

static const fault faults[] = {
    /* sizes that overflow */
    {"a_shape_whose_product_overflows_is_refused",
     REFUSED("[7,2]", "[4294967296,4294967297]", WTE ": the product of its shape", "64 bits")},
    {"a_shape_whose_product_wraps_to_the_right_size_is_refused",
     REFUSED("[7,2]", "[2,9007199254740992,1024,7]", WTE ": the product of its shape", "64 bits")},
    {"a_tensor_whose_bits_overflow_is_refused",
     REFUSED("[7,2]", "[2147483648,1073741824]", WTE ": 2305843009213693952 elements",
             "do not make whole bytes")},
    {"offsets_that_would_overflow_when_added_are_refused",
     REFUSED("[0,56]", "[9007199254740936,9007199254740992]", WTE " spans bytes 9007199254740936",
             "of its 332 bytes")},
    /* numbers that are no sizes */
    {"a_negative_length_is_refused",
     REFUSED("[7,2]", "[-7,-2]", WTE, "\"shape[]\" is -7; expected an integer")},
    {"a_real_length_is_refused", REFUSED("[7,2]", "[7.0,2]", WTE, "\"shape[]\" is 7.0")},
    {"a_length_with_an_exponent_is_refused",
     REFUSED("[7,2]", "[7e0,2]", WTE, "\"shape[]\" is 7.0")},
    {"a_length_above_2_to_the_53_is_refused",
     REFUSED("[7,2]", "[9007199254740993,0]", WTE, "9007199254740993; expected an integer")},
    {"a_length_above_2_to_the_64_is_refused",
     REFUSED("[7,2]", "[18446744073709551623,2]", WTE, "2^53")},
    {"a_length_in_quotes_is_refused", REFUSED("[7,2]", "[\"7\",2]", WTE, "\"shape[]\" is \"7\"")},
    {"a_length_that_is_null_is_refused", REFUSED("[7,2]", "[7,null]", WTE, "\"shape[]\" is null")},
    {"a_shape_that_is_no_list_is_refused", REFUSED("[7,2]", "14", WTE, "\"shape\" is 14")},
    {"a_negative_offset_is_refused",
     REFUSED("[0,56]", "[-56,0]", WTE, "\"data_offsets[]\" is -56")},
    {"an_offset_with_an_exponent_is_refused",
     REFUSED("[0,56]", "[0,56e0]", WTE, "\"data_offsets[]\" is 56.0")},
    {"an_offset_above_2_to_the_53_is_refused",
     REFUSED("[0,56]", "[0,9007199254740993]", WTE, "\"data_offsets[]\" is 9007199254740993")},
    {"one_offset_is_refused", REFUSED("[0,56]", "[56]", WTE, "an array of 1; expected an array")},
    {"three_offsets_are_refused",
     REFUSED("[0,56]", "[0,56,56]", WTE, "an array of 3; expected an array of two")},
    /* dimensions */
    {"five_dimensions_are_refused",
     REFUSED("[7,2]", "[7,1,1,1,2]", W ": tensor wte.weight has shape (7, 1, 1, 1, 2)", "(7, 2)")},
    {"nine_dimensions_are_refused",
     BEYOND("[7,2]", "[7,1,1,1,1,1,1,1,2]", WTE " has 9 dimensions", "at most 8")},
    {"no_dimension_is_refused",
     REFUSED("\"shape\":[6]", "\"shape\":[]", W ": tensor \"h.0.attn.c_attn.bias\" has 24 bytes",
             "need 4")},
    {"a_dimension_of_zero_is_refused",
     REFUSED("[7,2]", "[0,2]", WTE " has 56 bytes of data", "need 0")},
    {"an_empty_tensor_leaves_a_hole_and_is_refused",
     REFUSED("[7,2],\"data_offsets\":[0,56]", "[0,2],\"data_offsets\":[0,0]",
             W ": tensor \"wpe.weight\" starts at byte 56", "expected 0")},
    /* shapes that disagree */
    {"a_shape_that_its_data_is_too_short_for_is_refused",
     REFUSED("[7,2]", "[7,3]", WTE " has 56 bytes of data", "need 84")},
    {"a_shape_that_its_data_is_too_long_for_is_refused",
     REFUSED("[7,2]", "[7,1]", WTE " has 56 bytes of data", "need 28")},
    {"a_transposed_shape_is_refused",
     REFUSED("[2,6]", "[6,2]", W ": tensor h.0.attn.c_attn.weight has shape (6, 2)", "(2, 6)")},
    {"a_matrix_in_place_of_a_vector_is_refused",
     REFUSED("[6]", "[1,6]", W ": tensor h.0.attn.c_attn.bias has shape (1, 6)", "asks for (6)")},
    {"a_vector_in_place_of_a_matrix_is_refused",
     REFUSED("[7,2]", "[14]", W ": tensor wte.weight has shape (14)", "asks for (7, 2)")},
    /* data */
    {"data_past_the_end_is_refused",
     REFUSED("[2],\"data_offsets\":[324,332]", "[4],\"data_offsets\":[324,340]",
             W ": tensor \"ln_f.bias\" spans bytes 324 to 340", "332 bytes")},
    {"data_that_ends_before_it_begins_is_refused",
     REFUSED("[0,56]", "[56,0]", WTE " spans bytes 56 to 0", NULL)},
    {"overlapping_data_is_refused",
     REFUSED("[56,80]", "[48,72]", W ": tensor \"wpe.weight\" starts at byte 48", "expected 56")},
    {"shared_data_is_refused",
     REFUSED("[88,96]", "[80,88]", W ": tensor \"h.0.ln_1.weight\" starts at byte 80",
             "expected 88")},
    {"a_hole_in_the_data_is_refused",
     REFUSED("[56,80]", "[64,88]", W ": tensor \"wpe.weight\" starts at byte 64", "expected 56")},
    {"data_behind_the_last_tensor_is_refused",
     REFUSED("", "x", W ": has 333 bytes of data", "end at byte 332")},
    /* types */
    {"an_unknown_type_is_refused",
     UNSUPPORTED("F32", "Q4_K", WTE ": \"dtype\" is \"Q4_K\"", "does not know")},
    {"a_type_of_the_same_width_is_refused",
     UNSUPPORTED("F32", "I32", W ": tensor \"wte.weight\" has elements of type I32", "F16")},
    {"a_narrower_type_is_refused", REFUSED("F32", "F16", WTE " has 56 bytes of data", "need 28")},
    {"a_wider_type_is_refused", REFUSED("F32", "F64", WTE " has 56 bytes of data", "need 112")},
    {"a_type_of_less_than_a_byte_is_refused",
     REFUSED("F32\",\"shape\":[7,2]", "F4\",\"shape\":[7,1]", WTE ": 7 elements of type F4",
             "whole bytes")},
    {"a_type_that_is_a_number_is_refused", REFUSED("\"F32\"", "32", WTE, "\"dtype\" is 32")},
    {"a_missing_type_is_refused", REFUSED("\"dtype\":\"F32\",", "", WTE, "\"dtype\" is missing")},
    {"a_missing_shape_is_refused", REFUSED("\"shape\":[7,2],", "", WTE, "\"shape\" is missing")},
    {"missing_offsets_are_refused",
     REFUSED(",\"data_offsets\":[0,56]", "", WTE, "\"data_offsets\" is missing")},
    /* names */
    {"an_empty_name_is_refused", REFUSED("wte.weight", "", W ": a tensor's name is empty", NULL)},
    {"a_duplicate_name_is_refused",
     REFUSED("wpe.weight", "wte.weight", W ": line 1", "duplicate object key")},
    {"a_duplicate_name_in_other_letters_is_refused",
     REFUSED("wpe.weight", "w\\u0074e.weight", W ": line 1", "duplicate object key")},
    {"a_missing_tensor_is_refused",
     MISSING("wpe.weight", "vpe.weight", W ": has no tensor wpe.weight", NULL)},
    {"a_tensor_of_a_layer_too_many_is_refused",
     MISSING("h.0.ln_2.bias", "h.1.ln_2.bias", W ": has no tensor h.0.ln_2.bias", NULL)},
    /* the header */
    {"metadata_that_is_no_object_is_refused",
     REFUSED("{", "{\"__metadata__\":[],", W ": \"__metadata__\" is an array", "an object")},
    {"metadata_that_is_no_text_is_refused",
     REFUSED("{", "{\"__metadata__\":{\"format\":1},", W ": \"__metadata__\": \"format\" is 1",
             "a string")},
    {"a_header_that_does_not_begin_with_a_bracket_is_refused",
     REFUSED("{", " {", W ": the header does not start with \"{\"", "not a safetensors file")},
};

/* ---- What a text in the place of another cannot say ---- */

/* The header's size, which the file does not have. */
static void expect_size_refused(uint64_t header_size, gpt2_status status, const char *words)
{
  tiny_files *files = fault_files(FAULT_PLAIN);
  uint8_t *bytes = (uint8_t *)(uintptr_t)tiny_file(files, W)->bytes;
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(header_size >> (8 * i));
  expect_refused(files, status, W, words);
  tiny_free(files);
}

static void a_header_size_that_overflows_when_added_is_refused(void **state)
{
  (void)state;
  expect_size_refused(UINT64_MAX, GPT2_ERR_FORMAT, "its header needs 18446744073709551615");
  expect_size_refused(UINT64_MAX - 7, GPT2_ERR_FORMAT, "its header needs 18446744073709551608");
}

static void a_header_longer_than_the_rest_of_the_file_is_refused(void **state)
{
  (void)state;
  tiny_files *files = fault_files(FAULT_PLAIN);
  uint64_t rest = tiny_file(files, W)->size - 8;
  tiny_free(files);
  expect_size_refused(rest + 1, GPT2_ERR_FORMAT, "after the first 8");
  expect_size_refused(rest, GPT2_ERR_FORMAT, "cannot be parsed"); /* the data is no JSON */
}

static void a_header_that_ends_inside_a_text_is_refused(void **state)
{
  (void)state;
  expect_size_refused(3, GPT2_ERR_FORMAT, "premature end of input");
}

static void a_header_of_no_size_is_refused(void **state)
{
  (void)state;
  expect_size_refused(0, GPT2_ERR_FORMAT, "does not start with");
}

/* The last tensor is empty, and so is its data: nothing but its shape is wrong. */
static void a_tensor_of_no_elements_is_refused_where_the_config_asks_for_some(void **state)
{
  (void)state;
  built_tensor tensors[TINY_TENSORS];
  float values[TINY_TENSORS][TINY_MOST_ELEMENTS];
  size_t size;
  tiny_tensors(tensors, values);
  tensors[TINY_TENSORS - 1].shape[0] = tensors[TINY_TENSORS - 1].size = 0;
  uint8_t *bytes = build_safetensors(tensors, TINY_TENSORS, &size);
  tiny_files *files = fault_files(FAULT_PLAIN);
  tiny_set(files, W, bytes, size);
  expect_refused(files, GPT2_ERR_FORMAT, W ": tensor ln_f.bias has shape (0)", "asks for (2)");
  tiny_free(files);
  free(bytes);
}

/* A name of any length is a name; in the message there is room for its beginning. */
static void a_name_that_is_longer_than_any_message_is_refused_in_a_whole_one(void **state)
{
  (void)state;
  enum { LENGTH = 100000 };
  char *name = malloc(LENGTH + 1);
  assert_non_null(name);
  memset(name, 'x', LENGTH);
  memcpy(name + LENGTH - 8, "\":1,\"wte", 8);
  tiny_files *files = fault_files(FAULT_PLAIN);
  tiny_edit(files, W, "wte", name, LENGTH);
  expect_refused(files, GPT2_ERR_FORMAT, W ": \"xxxxxxxx", NULL);
  tiny_free(files);
  free(name);
}

/* ---- What is odd, and no fault ---- */

static void check_same(gpt2_model *model, int32_t type, void *user)
{
  float(*expected)[TINY_VOCAB] = user;
  const gpt2_token text[TINY_CTX] = {1, 6, 3};
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_eval(context, 0, text, TINY_CTX, 0), context);
  const float *logits = gpt2_logits(context, 0);
  if (expected[type][0] == 0)
    memcpy(expected[type], logits, sizeof expected[type]);
  assert_memory_equal(logits, expected[type], sizeof expected[type]);
  gpt2_context_free(context);
}

/* The header may have any length, and with it the data any alignment. */
static void tensors_that_are_not_aligned_give_the_same_to_the_bit(void **state)
{
  (void)state;
  static const char bracket[] = "{       ";
  float expected[GPT2_TYPE_Q4_0 + 1][TINY_VOCAB] = {{0}};
  for (size_t n = 0; n <= 7; n++) {
    tiny_files *files = fault_files(FAULT_PLAIN);
    tiny_edit(files, W, "{", bracket, 1 + n);
    load_every_way(files, check_same, expected);
    tiny_free(files);
  }
}

int main(void)
{
  enum { N_FAULTS = sizeof faults / sizeof *faults };
  const struct CMUnitTest others[] = {
      cmocka_unit_test(a_header_size_that_overflows_when_added_is_refused),
      cmocka_unit_test(a_header_longer_than_the_rest_of_the_file_is_refused),
      cmocka_unit_test(a_header_that_ends_inside_a_text_is_refused),
      cmocka_unit_test(a_header_of_no_size_is_refused),
      cmocka_unit_test(a_tensor_of_no_elements_is_refused_where_the_config_asks_for_some),
      cmocka_unit_test(a_name_that_is_longer_than_any_message_is_refused_in_a_whole_one),
      cmocka_unit_test(tensors_that_are_not_aligned_give_the_same_to_the_bit),
  };
  struct CMUnitTest tests[N_FAULTS + sizeof others / sizeof *others];
  fault_tests(faults, N_FAULTS, tests);
  memcpy(tests + N_FAULTS, others, sizeof others);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
