/* test_safetensors.c - the tensors of a safetensors file are listed, from any source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/listed_tensors.h"
#include "support/safetensors_builder.h"
#include "support/temporary_folder.h"

static gpt2_status list_header(const char *header, size_t data_size, gpt2_error *error)
{
  size_t size;
  uint8_t *bytes = build_safetensors_text(header, data_size, &size);
  gpt2_status status = list_bytes(bytes, size, NULL, error);
  free(bytes);
  return status;
}

/* ---- What is there ---- */

static const float four[4] = {1, 2, 3, 4};

/* Every known type, an empty tensor, one without dimensions and one of as many as are allowed. */
static const built_tensor sound[] = {
    {"wte.weight", "F32", 2, {2, 2}, four, 16},
    {"half", "F16", 1, {3}, NULL, 6},
    {"brain", "BF16", 2, {1, 5}, NULL, 10},
    {"double", "F64", 0, {0}, NULL, 8},
    {"empty", "F32", 2, {0, 7}, NULL, 0},
    {"h.0.attn.bias", "BOOL", 4, {1, 1, 2, 2}, NULL, 4},
    {"bytes", "U8", 8, {1, 1, 1, 1, 1, 1, 1, 3}, NULL, 3},
    {"i8", "I8", 1, {2}, NULL, 2},
    {"i16", "I16", 1, {2}, NULL, 4},
    {"u16", "U16", 1, {2}, NULL, 4},
    {"i32", "I32", 1, {2}, NULL, 8},
    {"u32", "U32", 1, {2}, NULL, 8},
    {"i64", "I64", 1, {2}, NULL, 16},
    {"u64", "U64", 1, {2}, NULL, 16},
    {"c64", "C64", 1, {2}, NULL, 16},
    {"e4m3", "F8_E4M3", 1, {2}, NULL, 2},
    {"e5m2", "F8_E5M2", 1, {2}, NULL, 2},
    {"e8m0", "F8_E8M0", 1, {2}, NULL, 2},
    {"e4m3fnuz", "F8_E4M3FNUZ", 1, {2}, NULL, 2},
    {"e5m2fnuz", "F8_E5M2FNUZ", 1, {2}, NULL, 2},
    {"e2m3", "F6_E2M3", 1, {4}, NULL, 3},
    {"e3m2", "F6_E3M2", 1, {4}, NULL, 3},
    {"f4", "F4", 1, {2}, NULL, 1},
};
enum { N_SOUND = sizeof sound / sizeof *sound };

static element_type expected_type(const char *dtype)
{
  static const char *const computed[] = {
      [ELEMENT_F32] = "F32", [ELEMENT_F16] = "F16", [ELEMENT_BF16] = "BF16", [ELEMENT_F64] = "F64"};
  for (size_t type = 0; type < sizeof computed / sizeof *computed; type++)
    if (strcmp(computed[type], dtype) == 0)
      return (element_type)type;
  return N_ELEMENT_TYPES;
}

static void every_type_and_shape_is_listed_with_its_place(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  size_t size;
  uint8_t *bytes = build_safetensors(sound, N_SOUND, &size);
  const gpt2_blob blob = {"m.safetensors", bytes, size, 0};
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  source *s;
  tensors list;
  assert_int_equal(source_open_blobs(&hooks, &blob, 1, &s, NULL), GPT2_OK);
  expect_success(list_tensors(s, &list, &error), &error);
  assert_int_equal(list.n, N_SOUND);
  uint64_t at = size;
  for (size_t i = 0; i < N_SOUND; i++)
    at -= sound[i].size; /* where the data starts */
  for (size_t i = 0; i < N_SOUND; i++) {
    const tensor *t = tensors_find(&list, sound[i].name);
    assert_non_null(t);
    assert_int_equal(t->type, expected_type(sound[i].dtype));
    assert_string_equal(t->type_name, sound[i].dtype);
    assert_int_equal(t->rank, sound[i].rank);
    assert_memory_equal(t->shape, sound[i].shape, (size_t)t->rank * sizeof *t->shape);
    assert_int_equal(t->size, sound[i].size);
    assert_int_equal(t->offset, at);
    assert_ptr_equal(t->from, list.files[0]);
    assert_false(t->used);
    at += sound[i].size;
  }
  assert_memory_equal(bytes + tensors_find(&list, "wte.weight")->offset, four, sizeof four);
  assert_int_equal(tensors_find(&list, "double")->n, 1);
  assert_int_equal(tensors_find(&list, "empty")->n, 0);
  tensors_free(&list);
  source_free(s);
  free(bytes);
}

static void tensors_are_listed_in_the_order_of_their_data(void **state)
{
  (void)state;
  static const char header[] = "{\"c\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]},"
                               "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                               "\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[3,3]},"
                               "\"y\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[3,3]},"
                               "\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[5,5]}}";
  static const char *const order[] = {"b", "y", "z", "c", "x"};
  size_t size;
  uint8_t *bytes = build_safetensors_text(header, 5, &size);
  const gpt2_blob blob = {"m.safetensors", bytes, size, 0};
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  source *s;
  tensors list;
  assert_int_equal(source_open_blobs(&hooks, &blob, 1, &s, NULL), GPT2_OK);
  assert_int_equal(list_tensors(s, &list, NULL), GPT2_OK);
  assert_int_equal(list.n, 5);
  for (size_t i = 0; i < 5; i++)
    assert_string_equal(list.tensor[i].name, order[i]);
  tensors_free(&list);
  source_free(s);
  free(bytes);
}

static void a_second_file_is_listed_after_the_first_in_its_own_order(void **state)
{
  (void)state;
  static const char header[] = "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]},"
                               "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
  static const char *const order[] = {"wte.weight", "half", "brain", "a", "b"};
  size_t sizes[2];
  uint8_t *bytes[2] = {build_safetensors(sound, 3, &sizes[0]),
                       build_safetensors_text(header, 3, &sizes[1])};
  const gpt2_blob blobs[] = {{"one", bytes[0], sizes[0], 0}, {"two", bytes[1], sizes[1], 0}};
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  source *s;
  assert_int_equal(source_open_blobs(&hooks, blobs, 2, &s, NULL), GPT2_OK);
  tensors list = {.allocator = hooks};
  assert_int_equal(safetensors_add(s, "one", &list, NULL), GPT2_OK);
  assert_int_equal(safetensors_add(s, "two", &list, NULL), GPT2_OK);
  assert_int_equal(list.n, 5);
  for (size_t i = 0; i < 5; i++) {
    assert_string_equal(list.tensor[i].name, order[i]);
    assert_ptr_equal(list.tensor[i].from, list.files[i >= 3]);
  }
  tensors_free(&list);
  source_free(s);
  free(bytes[0]);
  free(bytes[1]);
}

static void a_file_may_hold_no_tensor_metadata_and_trailing_spaces(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  expect_success(list_header("{}", 0, &error), &error);
  expect_success(list_header("{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\"}}    ", 0, &error),
                 &error);
  expect_success(
      list_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"more\":1}}", 1,
                  &error),
      &error);
  expect_success(
      list_header(
          "{\"a\":{\"dtype\":\"U8\",\"shape\":[9007199254740992,0],\"data_offsets\":[0,0]}}", 0,
          &error),
      &error);
}

/* ---- Other sources ---- */

static void every_source_lists_the_same_tensors_without_reading_the_data(void **state)
{
  (void)state;
  size_t size;
  uint8_t *bytes = build_safetensors(sound, N_SOUND, &size);
  const gpt2_blob blob = {"m.safetensors", bytes, size, 0};
  char *folder = new_temporary_folder();
  write_temporary_file(folder, "m.safetensors", bytes, size);
  for (int choice = 0; choice < 4; choice++) {
    gpt2_error error = NO_ERROR_YET;
    counting_allocator counter = {0};
    gpt2_allocator hooks = counting_hooks(&counter);
    host_source host = {.blobs = &blob, .n_blobs = 1, .has_view = choice == 3};
    gpt2_source callbacks = host_callbacks(&host);
    source *s;
    tensors list;
    if (choice < 2)
      expect_success(source_open_folder(&hooks, folder, choice == 1, &s, &error), &error);
    else
      expect_success(source_open_callbacks(&hooks, &callbacks, false, &s, &error), &error);
    expect_success(list_tensors(s, &list, &error), &error);
    assert_int_equal(list.n, N_SOUND);
    assert_int_equal(host.n_reads, choice == 2 ? 2 : 0); /* the header's size, and the header */
    for (size_t i = 0; i < N_SOUND; i++)
      assert_non_null(tensors_find(&list, sound[i].name));
    tensors_free(&list);
    source_free(s);
    assert_int_equal(counter.n_live, 0);
  }
  remove_temporary_folder(folder);
  free(bytes);
}

static void a_source_that_fails_anywhere_is_named_and_leaves_nothing_behind(void **state)
{
  (void)state;
  size_t size;
  uint8_t *bytes = build_safetensors(sound, N_SOUND, &size);
  const gpt2_blob blob = {"m.safetensors", bytes, size, 0};
  for (int broken_read = 1; broken_read <= 3; broken_read++) {
    gpt2_error error = NO_ERROR_YET;
    counting_allocator counter = {0};
    gpt2_allocator hooks = counting_hooks(&counter);
    host_source host = {.blobs = &blob, .n_blobs = 1, .broken_read = broken_read};
    gpt2_source callbacks = host_callbacks(&host);
    source *s;
    tensors list;
    assert_int_equal(source_open_callbacks(&hooks, &callbacks, false, &s, NULL), GPT2_OK);
    gpt2_status status = list_tensors(s, &list, &error);
    if (broken_read <= 2)
      expect_failure(status, GPT2_ERR_IO, &error, "m.safetensors", "read_at answered 5");
    else
      expect_success(status, &error);
    tensors_free(&list); /* also what failed: it is zeroed */
    source_free(s);
    assert_int_equal(counter.n_live, 0);
    assert_int_equal(host.n_open, 0);
  }
  free(bytes);
}

static void any_refused_allocation_is_an_error(void **state)
{
  (void)state;
  size_t size, refused = 0;
  uint8_t *bytes = build_safetensors(sound, N_SOUND, &size);
  const gpt2_blob blob = {"m.safetensors", bytes, size, 0};
  gpt2_status status = GPT2_ERR_MEMORY;
  while (status != GPT2_OK) {
    gpt2_error error = NO_ERROR_YET;
    counting_allocator counter = {0};
    gpt2_allocator hooks = counting_hooks(&counter);
    source *s;
    tensors list;
    assert_int_equal(source_open_blobs(&hooks, &blob, 1, &s, NULL), GPT2_OK);
    counter.refused = counter.n_calls + ++refused;
    status = list_tensors(s, &list, &error);
    if (status != GPT2_OK)
      expect_failure(status, GPT2_ERR_MEMORY, &error, "out of memory", NULL);
    tensors_free(&list);
    source_free(s);
    assert_int_equal(counter.n_live, 0);
  }
  assert_true(refused > N_SOUND);
  free(bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_shape_is_listed_with_its_place),
      cmocka_unit_test(tensors_are_listed_in_the_order_of_their_data),
      cmocka_unit_test(a_second_file_is_listed_after_the_first_in_its_own_order),
      cmocka_unit_test(a_file_may_hold_no_tensor_metadata_and_trailing_spaces),
      cmocka_unit_test(every_source_lists_the_same_tensors_without_reading_the_data),
      cmocka_unit_test(a_source_that_fails_anywhere_is_named_and_leaves_nothing_behind),
      cmocka_unit_test(any_refused_allocation_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
