/* test_tensors.c - tensors are found by name, seen where they lie, and read as f32 from wherever
 * they are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors.h"
#include "formats/sort.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/random_numbers.h"
#include "support/safetensors_builder.h"

/* ---- Sorting ---- */

static bool before_by_value(const void *a, const void *b, const void *context)
{
  const int *key = context;
  return key[*(const size_t *)a] < key[*(const size_t *)b];
}

static void sorting_orders_any_array_and_loses_nothing(void **state)
{
  (void)state;
  enum { MOST = 200 };
  random_numbers random = random_from_seed(__func__);
  for (int n = 0; n <= MOST; n++) {
    int key[MOST + 1];
    size_t indices[MOST + 1], seen[MOST + 1] = {0};
    for (int i = 0; i < n; i++) {
      key[i] = random_below(&random, n); /* some are equal */
      indices[i] = (size_t)i;
    }
    sort(indices, (size_t)n, sizeof *indices, before_by_value, key);
    for (int i = 0; i < n; i++) {
      assert_true(i == 0 || key[indices[i - 1]] <= key[indices[i]]);
      assert_int_equal(seen[indices[i]]++, 0);
    }
  }
}

/* ---- The list ---- */

/* The tensors of a file in memory, or of a host without views. */
typedef struct opened {
  gpt2_blob blob;
  counting_allocator counter;
  gpt2_allocator hooks;
  host_source host;
  source *source;
  tensors list;
} opened;

static void open_tensors(opened *o, const uint8_t *bytes, size_t size, bool has_view)
{
  *o = (opened){.blob = {"m.safetensors", bytes, size, 0}};
  o->hooks = counting_hooks(&o->counter);
  o->host = (host_source){.blobs = &o->blob, .n_blobs = 1, .has_view = has_view};
  gpt2_source callbacks = host_callbacks(&o->host);
  assert_int_equal(source_open_callbacks(&o->hooks, &callbacks, false, &o->source, NULL), GPT2_OK);
  o->list.allocator = o->hooks;
  assert_int_equal(safetensors_add(o->source, "m.safetensors", &o->list, NULL), GPT2_OK);
  assert_int_equal(tensors_index(&o->list, NULL), GPT2_OK);
}

static void close_tensors(opened *o)
{
  tensors_free(&o->list);
  source_free(o->source);
  assert_int_equal(o->counter.n_live, 0);
  assert_int_equal(o->host.n_open, 0);
}

static void each_tensor_is_found_by_its_whole_name_only(void **state)
{
  (void)state;
  static const char *const names[] = {"wte.weight", "h.0", "h.10", "h.1",
                                      "A",          "zz",  "h",    "\xc3\xa9"};
  static const char *const others[] = {"", "h.", "h.0.", "h.100", "wte.weigh", "a", "zzz", "\xc3"};
  enum { N = sizeof names / sizeof *names };
  built_tensor built[N] = {{0}};
  for (size_t i = 0; i < N; i++)
    built[i] = (built_tensor){.name = names[i], .dtype = "U8", .rank = 1, .shape = {i}, .size = i};
  for (size_t n = 0; n <= N; n++) {
    size_t size;
    opened o;
    uint8_t *bytes = build_safetensors(built, n, &size);
    open_tensors(&o, bytes, size, true);
    for (size_t i = 0; i < N; i++) {
      const tensor *found = tensors_find(&o.list, names[i]);
      assert_int_equal(found != NULL, i < n);
      assert_true(!found || (strcmp(found->name, names[i]) == 0 && found->n == i));
      assert_null(tensors_find(&o.list, others[i]));
    }
    close_tensors(&o);
    free(bytes);
  }
}

static void one_name_in_two_files_is_refused(void **state)
{
  (void)state;
  static const built_tensor a[] = {{"x", "U8", 1, {1}, NULL, 1}, {"y", "U8", 1, {1}, NULL, 1}};
  gpt2_error error = NO_ERROR_YET;
  size_t size;
  uint8_t *bytes = build_safetensors(a, 2, &size);
  const gpt2_blob blobs[] = {{"one.safetensors", bytes, size, 0},
                             {"two.safetensors", bytes, size, 0}};
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  source *s;
  assert_int_equal(source_open_blobs(&hooks, blobs, 2, &s, NULL), GPT2_OK);
  tensors list = {.allocator = hooks};
  assert_int_equal(safetensors_add(s, "one.safetensors", &list, NULL), GPT2_OK);
  assert_int_equal(safetensors_add(s, "two.safetensors", &list, NULL), GPT2_OK);
  expect_failure(tensors_index(&list, &error), GPT2_ERR_FORMAT, &error, "one.safetensors",
                 "two.safetensors");
  expect_failure(GPT2_ERR_FORMAT, GPT2_ERR_FORMAT, &error, "tensor \"x\"", "expected it once");
  tensors_free(&list);
  tensors_free(&list); /* a second time is nothing */
  source_free(s);
  assert_int_equal(counter.n_live, 0);
  free(bytes);
}

/* ---- Elements ---- */

/* 5000 numbers that every type has exactly, so that reading takes more than one piece: multiples
 * of 1/4. */
enum { N_ELEMENTS = 5000 };

static double element(size_t i)
{
  return ((double)(i % 64) - 20) / 4;
}

/* The elements as the type stores them: a BF16 is the upper half of an F32, an F16 has 10 bits
 * of fraction. */
static void *stored(element_type type, size_t *size)
{
  uint8_t *bytes = calloc(N_ELEMENTS, 8);
  assert_non_null(bytes);
  *size = N_ELEMENTS * element_size(type);
  for (size_t i = 0; i < N_ELEMENTS; i++) {
    double value = element(i);
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    int exponent;
    double fraction = frexp(fabs(value), &exponent); /* in [1/2, 1) */
    uint16_t brain = (uint16_t)(bits >> 16);
    uint16_t half = (uint16_t)((value < 0) << 15);
    if (value != 0)
      half |= (uint16_t)((exponent + 14) << 10 | (int)((fraction - 0.5) * 2048));
    const void *from = type == ELEMENT_F32    ? (const void *)&single
                       : type == ELEMENT_F16  ? (const void *)&half
                       : type == ELEMENT_BF16 ? (const void *)&brain
                                              : (const void *)&value;
    memcpy(bytes + i * element_size(type), from, element_size(type));
  }
  return bytes;
}

static const char *const type_names[] = {
    [ELEMENT_F32] = "F32", [ELEMENT_F16] = "F16", [ELEMENT_BF16] = "BF16", [ELEMENT_F64] = "F64"};

/* Builds a file with a tensor "t" of the type, after `padding` bytes of another, and opens it. */
static uint8_t *open_elements(opened *o, element_type type, size_t padding, bool has_view)
{
  size_t data_size, size;
  void *data = stored(type, &data_size);
  const built_tensor built[] = {{"pad", "U8", 1, {padding}, NULL, padding},
                                {"t", type_names[type], 2, {50, 100}, data, data_size}};
  uint8_t *bytes = build_safetensors(built, 2, &size);
  free(data);
  open_tensors(o, bytes, size, has_view);
  return bytes;
}

static void every_type_reads_as_f32_from_any_source_at_any_alignment(void **state)
{
  (void)state;
  for (element_type type = 0; element_size(type) > 0; type++)
    for (size_t padding = 0; padding < 8; padding++)
      for (int has_view = 0; has_view < 2; has_view++) {
        gpt2_error error = NO_ERROR_YET;
        opened o;
        float values[N_ELEMENTS];
        uint8_t *bytes = open_elements(&o, type, padding, has_view);
        expect_success(tensor_read_f32(tensors_find(&o.list, "t"), 0, N_ELEMENTS, values, &error),
                       &error);
        for (size_t i = 0; i < N_ELEMENTS; i++)
          if (values[i] != (float)element(i))
            fail_msg("%s: element %zu", type_names[type], i);
        close_tensors(&o);
        free(bytes);
      }
}

static void a_part_of_a_tensor_is_read_as_it_is(void **state)
{
  (void)state;
  for (element_type type = 0; element_size(type) > 0; type++)
    for (int has_view = 0; has_view < 2; has_view++) {
      opened o;
      size_t data_size, size = element_size(type);
      uint8_t *bytes = open_elements(&o, type, 3, has_view), *data = stored(type, &data_size);
      const tensor *t = tensors_find(&o.list, "t");
      uint8_t *found = malloc(1000 * size); /* not one element more */
      assert_non_null(found);
      assert_int_equal(tensor_read(t, 4000, 1000, found, NULL), GPT2_OK);
      assert_memory_equal(found, data + 4000 * size, 1000 * size);
      assert_ptr_equal(tensor_bytes(t), has_view ? bytes + t->offset : NULL);
      if (has_view) { /* borrowed memory is never given back */
        tensor_forget(t, 0, N_ELEMENTS);
        assert_memory_equal(tensor_bytes(t), data, data_size);
      }
      free(found);
      free(data);
      close_tensors(&o);
      free(bytes);
    }
}

static void a_part_of_a_tensor_is_read_and_nothing_beside_it_is_written(void **state)
{
  (void)state;
  static const struct {
    size_t first, n;
  } parts[] = {{0, 0}, {0, 1}, {4999, 1}, {5000, 0}, {17, 4096}, {1, 4097}, {3000, 2000}};
  for (element_type type = 0; element_size(type) > 0; type++)
    for (int has_view = 0; has_view < 2; has_view++) {
      opened o;
      uint8_t *bytes = open_elements(&o, type, 3, has_view);
      for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        float *values = malloc(parts[p].n * sizeof(float) + 1); /* not one element more */
        assert_non_null(values);
        assert_int_equal(
            tensor_read_f32(tensors_find(&o.list, "t"), parts[p].first, parts[p].n, values, NULL),
            GPT2_OK);
        for (size_t i = 0; i < parts[p].n; i++)
          assert_true(values[i] == (float)element(parts[p].first + i));
        free(values);
      }
      close_tensors(&o);
      free(bytes);
    }
}

static void elements_beyond_the_last_are_refused(void **state)
{
  (void)state;
  static const struct {
    uint64_t first, n;
  } parts[] = {{0, 5001}, {5000, 1}, {5001, 0}, {UINT64_MAX, 1}, {1, UINT64_MAX}};
  opened o;
  float value = 7;
  uint8_t *bytes = open_elements(&o, ELEMENT_F16, 0, true);
  const tensor *t = tensors_find(&o.list, "t");
  for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
    gpt2_error error = NO_ERROR_YET;
    expect_failure(tensor_read_f32(t, parts[p].first, parts[p].n, &value, &error),
                   GPT2_ERR_ARGUMENT, &error, "m.safetensors: tensor \"t\"", "has 5000 elements");
    expect_failure(tensor_read(t, parts[p].first, parts[p].n, &value, &error), GPT2_ERR_ARGUMENT,
                   &error, "m.safetensors: tensor \"t\"", "has 5000 elements");
    assert_true(value == 7);
  }
  assert_int_equal(tensor_read_f32(t, 4999, 1, &value, NULL), GPT2_OK);
  assert_true(value == (float)element(4999));
  close_tensors(&o);
  free(bytes);
}

static void a_type_that_we_do_not_compute_with_is_listed_but_not_read(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  opened o;
  float value;
  uint8_t *bytes = open_elements(&o, ELEMENT_F32, 5, true);
  const tensor *t = tensors_find(&o.list, "pad");
  assert_null(tensor_view(t));
  expect_success(tensor_check_type(tensors_find(&o.list, "t"), &error), &error);
  expect_failure(tensor_read_f32(t, 0, 1, &value, &error), GPT2_ERR_UNSUPPORTED, &error,
                 "m.safetensors: tensor \"pad\"", "of type U8");
  expect_failure(tensor_check_type(t, &error), GPT2_ERR_UNSUPPORTED, &error,
                 "m.safetensors: tensor \"pad\"", "of type U8");
  close_tensors(&o);
  free(bytes);
}

static void a_tensor_is_seen_in_place_where_it_is_in_memory_and_aligned(void **state)
{
  (void)state;
  for (element_type type = 0; element_size(type) > 0; type++)
    for (size_t padding = 0; padding < 8; padding++) {
      opened o;
      uint8_t *bytes = open_elements(&o, type, padding, true);
      const tensor *t = tensors_find(&o.list, "t");
      bool is_aligned = (uintptr_t)(bytes + t->offset) % element_size(type) == 0;
      assert_ptr_equal(tensor_view(t), is_aligned ? bytes + t->offset : NULL);
      assert_int_equal(is_aligned, padding % element_size(type) == 0);
      close_tensors(&o);
      free(bytes);
      bytes = open_elements(&o, type, padding, false);
      assert_null(tensor_view(tensors_find(&o.list, "t")));
      close_tensors(&o);
      free(bytes);
    }
}

static void a_read_that_fails_is_told_and_may_be_repeated(void **state)
{
  (void)state;
  for (element_type type = 0; element_size(type) > 0; type++) {
    gpt2_error error = NO_ERROR_YET;
    opened o;
    float values[N_ELEMENTS];
    uint8_t *bytes = open_elements(&o, type, 0, false);
    const tensor *t = tensors_find(&o.list, "t");
    /* F32 is read at once; of the others the second piece fails. */
    o.host.broken_read = o.host.n_reads + (type == ELEMENT_F32 ? 1 : 2);
    expect_failure(tensor_read_f32(t, 0, N_ELEMENTS, values, &error), GPT2_ERR_IO, &error,
                   "m.safetensors", "read_at answered 5");
    assert_int_equal(tensor_read_f32(t, 0, N_ELEMENTS, values, NULL), GPT2_OK);
    assert_true(values[N_ELEMENTS - 1] == (float)element(N_ELEMENTS - 1));
    close_tensors(&o);
    free(bytes);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sorting_orders_any_array_and_loses_nothing),
      cmocka_unit_test(each_tensor_is_found_by_its_whole_name_only),
      cmocka_unit_test(one_name_in_two_files_is_refused),
      cmocka_unit_test(every_type_reads_as_f32_from_any_source_at_any_alignment),
      cmocka_unit_test(a_part_of_a_tensor_is_read_as_it_is),
      cmocka_unit_test(a_part_of_a_tensor_is_read_and_nothing_beside_it_is_written),
      cmocka_unit_test(elements_beyond_the_last_are_refused),
      cmocka_unit_test(a_type_that_we_do_not_compute_with_is_listed_but_not_read),
      cmocka_unit_test(a_tensor_is_seen_in_place_where_it_is_in_memory_and_aligned),
      cmocka_unit_test(a_read_that_fails_is_told_and_may_be_repeated),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
