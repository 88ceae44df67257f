/* sized_structs.c - structs that tell their size, as programs of other versions have them. */
#include "support/sized_structs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/expect.h"
#include "support/fixture.h"

enum { MOST_SIZE = 4096, BEYOND = 40, UNTOUCHED = 0xa5 };

static bool is_error(const output *o)
{
  return strcmp(o->type, "gpt2_error") == 0;
}

/* ---- Filled ---- */

/* A struct of `size` bytes gets exactly what `whole` has there. In an error, the text is made to
 * end within it. */
static void check_filled(const output *o, const uint8_t *whole, uint32_t size)
{
  uint8_t given[MOST_SIZE];
  gpt2_error error = NO_ERROR_YET;
  memset(given, UNTOUCHED, sizeof given);
  memcpy(given, &size, sizeof size);
  assert_int_equal(o->fill(given, &error), GPT2_OK);
  assert_memory_equal(given, &size, sizeof size);
  size_t known = size < o->size ? size : o->size;
  if (is_error(o) && size < o->size && size > offsetof(gpt2_error, message))
    assert_int_equal(given[--known], 0);
  assert_memory_equal(given + sizeof size, whole + sizeof size, known - sizeof size);
  for (size_t i = o->size; i < size; i++)
    assert_int_equal(given[i], 0);
  for (size_t i = size; i < sizeof given; i++)
    assert_int_equal(given[i], UNTOUCHED);
}

void check_filled_sizes(const output *o)
{
  uint8_t whole[MOST_SIZE] = {0};
  memcpy(whole, &o->size, sizeof o->size);
  assert_int_equal(o->fill(whole, NULL), GPT2_OK);
  for (uint32_t size = sizeof size; size <= o->size + BEYOND; size++)
    check_filled(o, whole, size);
}

void check_unfilled_sizes(const output *o)
{
  for (uint32_t size = 0; size < sizeof size; size++) {
    uint8_t given[MOST_SIZE], before[MOST_SIZE];
    gpt2_error error = NO_ERROR_YET;
    memset(given, UNTOUCHED, sizeof given);
    memcpy(given, &size, sizeof size);
    memcpy(before, given, sizeof given);
    gpt2_status status = o->fill(given, &error);
    if (is_error(o))
      assert_int_equal(status, GPT2_OK);
    else
      expect_failure(status, GPT2_ERR_ARGUMENT, &error, o->name, "struct_size");
    assert_memory_equal(given, before, sizeof given);
  }
}

/* ---- Read ---- */

/* It lies at the very end of its memory, so that reading beyond it is noticed. */
static gpt2_status use_with_byte(const input *in, uint32_t size, uint8_t fill, uint32_t place,
                                 uint8_t byte, gpt2_error *error)
{
  uint8_t *given = malloc(size > sizeof size ? size : sizeof size);
  assert_non_null(given);
  memset(given, fill, size);
  memcpy(given, in->sound, size < in->size ? size : in->size);
  memcpy(given, &size, sizeof size);
  if (place > 0)
    given[place] = byte;
  gpt2_status status = in->use(given, error);
  free(given);
  return status;
}

gpt2_status use_sized(const input *in, uint32_t size, uint8_t fill, gpt2_error *error)
{
  return use_with_byte(in, size, fill, 0, 0, error);
}

static void check_newer(const input *in, uint32_t size)
{
  gpt2_error error = NO_ERROR_YET;
  expect_success(use_sized(in, size, 0, &error), &error);
  for (uint32_t place = in->size; place < size; place++)
    expect_failure(use_with_byte(in, size, 0, place, 1, &error), GPT2_ERR_UNSUPPORTED, &error,
                   in->name, "struct_size");
}

void check_read_sizes(const input *in)
{
  gpt2_error error = NO_ERROR_YET;
  for (const uint32_t *size = in->sizes; *size; size++)
    expect_success(use_sized(in, *size, 0, &error), &error);
  for (uint32_t more = 0; more <= BEYOND; more += more < 3 ? 1 : 12)
    check_newer(in, in->size + more);
  for (uint32_t size = 0; size < sizeof size; size++) {
    error = NO_ERROR_YET;
    expect_failure(use_sized(in, size, 0, &error), GPT2_ERR_ARGUMENT, &error, in->name,
                   "struct_size");
  }
}

/* ---- All of them ---- */

void must_be_all_sized_structs(const char *const *types, size_t n)
{
  static const char start[] = "\ntypedef struct ", mark[] = " {\n  uint32_t struct_size;";
  size_t size, n_found = 0;
  char *path = test_data_path("../include/gpt2.h"), *text = read_test_file(path, &size);
  for (const char *at = strstr(text, start); at; at = strstr(at + 1, start)) {
    const char *name = at + sizeof start - 1;
    size_t name_size = strcspn(name, " ;"), is_known = 0;
    if (strncmp(name + name_size, mark, sizeof mark - 1) != 0)
      continue;
    n_found++;
    for (size_t i = 0; i < n; i++)
      is_known |= strlen(types[i]) == name_size && memcmp(types[i], name, name_size) == 0;
    if (!is_known)
      fail_msg("%.*s is not tried with other sizes", (int)name_size, name);
  }
  assert_int_equal(n_found, n);
  free(text);
  free(path);
}
