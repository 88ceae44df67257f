/* test_base.c - errors in words, memory with checked sizes, UTF-8, and the cursor. */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"

/* cmocka's fail() is a macro; a name in brackets is the function. */

/* ---- Errors ---- */

static void failing_fills_the_error_and_returns_its_status(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  gpt2_status status = (fail)(&error, GPT2_ERR_FORMAT, 7, "%s: has %d heads", "config.json", 3);
  expect_failure(status, GPT2_ERR_FORMAT, &error, NULL, NULL);
  assert_string_equal(error.message, "config.json: has 3 heads");
  assert_int_equal(error.offset, 7);
  assert_int_equal(error.struct_size, sizeof error);
}

static void failing_without_an_error_struct_still_returns_the_status(void **state)
{
  (void)state;
  assert_int_equal((fail)(NULL, GPT2_ERR_IO, 0, "nobody reads this"), GPT2_ERR_IO);
}

static void a_shorter_error_struct_is_filled_as_far_as_it_goes(void **state)
{
  (void)state;
  for (size_t size = 0; size <= sizeof(gpt2_error); size++) {
    gpt2_error error;
    memset(&error, 0x55, sizeof error);
    error.struct_size = (uint32_t)size;
    assert_int_equal((fail)(&error, GPT2_ERR_LIMIT, 9, "a sentence of some words"), GPT2_ERR_LIMIT);
    for (size_t i = size < sizeof error.struct_size ? sizeof error.struct_size : size;
         i < sizeof error; i++)
      assert_int_equal(((uint8_t *)&error)[i], 0x55);
    if (size >= offsetof(gpt2_error, offset))
      assert_int_equal(error.status, GPT2_ERR_LIMIT);
    size_t room = size > offsetof(gpt2_error, message) ? size - offsetof(gpt2_error, message) : 0;
    assert_true(room == 0 || memchr(error.message, '\0', room));
  }
}

static void a_message_is_printable_utf8_whatever_names_it_shows(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  (fail)(&error, GPT2_ERR_FORMAT, 0, "a%cb\n\xff \xc3\xa9 \xe2\x82 \x7f", 27);
  assert_string_equal(error.message, "a?b?? \xc3\xa9 ?? ?");
}

static void a_message_never_ends_in_half_a_character(void **state)
{
  (void)state;
  char text[sizeof((gpt2_error *)0)->message + 8];
  for (size_t i = 0; i + 2 < sizeof text; i += 2)
    memcpy(text + i, "\xc3\xa9", 3);
  for (uint32_t size = offsetof(gpt2_error, message) + 1; size <= sizeof(gpt2_error); size++) {
    gpt2_error error = {.struct_size = size};
    (fail)(&error, GPT2_ERR_FORMAT, 0, "%s", text);
    const uint8_t *at = (const uint8_t *)error.message;
    for (size_t left = strlen(error.message), n; left > 0; left -= n, at += n) {
      n = utf8_character(at, left);
      assert_true(n > 0);
    }
  }
}

static void every_status_has_its_own_name_and_sentence(void **state)
{
  (void)state;
  static const gpt2_status statuses[] = {
#define VALUE(name, value, sentence) value,
      GPT2_STATUS_MAP(VALUE)
#undef VALUE
  };
  enum { N = sizeof statuses / sizeof *statuses };
  assert_string_equal(gpt2_status_name(GPT2_ERR_FORMAT), "GPT2_ERR_FORMAT");
  assert_string_equal(gpt2_status_name(1), "GPT2_ERR_UNKNOWN");
  assert_string_equal(gpt2_status_text(1), "unknown status");
  for (size_t a = 0; a < N; a++)
    for (size_t b = 0; b < a; b++) {
      assert_string_not_equal(gpt2_status_name(statuses[a]), gpt2_status_name(statuses[b]));
      assert_string_not_equal(gpt2_status_text(statuses[a]), gpt2_status_text(statuses[b]));
    }
}

static void errno_is_told_in_words(void **state)
{
  (void)state;
  assert_string_equal(errno_text(ENOENT), "no such file or directory");
  assert_string_equal(errno_text(EACCES), "permission denied");
  assert_string_equal(errno_text(-12345), "the system refused");
}

/* ---- Structs of callers ---- */

typedef struct sample {
  uint32_t struct_size;
  int32_t a, b;
} sample;

static void a_struct_of_any_size_is_read_as_far_as_both_know_it(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  struct {
    sample s;
    int32_t unknown[2];
  } given = {{sizeof given.s, 1, 2}, {0, 0}};
  sample known;
  expect_success(struct_read(&known, sizeof known, &given, "sample", &error), &error);
  assert_true(known.a == 1 && known.b == 2);
  given.s.struct_size = offsetof(sample, b); /* an older caller */
  expect_success(struct_read(&known, sizeof known, &given, "sample", &error), &error);
  assert_true(known.a == 1 && known.b == 0);
  given.s.struct_size = sizeof given; /* a newer one, which uses nothing new */
  expect_success(struct_read(&known, sizeof known, &given, "sample", &error), &error);
  assert_true(known.a == 1 && known.b == 2);
  expect_success(struct_read(&known, sizeof known, NULL, "sample", &error), &error);
  assert_true(known.a == 0 && known.b == 0);
}

static void a_struct_with_fields_that_we_do_not_know_is_refused(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  struct {
    sample s;
    int32_t unknown[2];
  } given = {{sizeof given, 1, 2}, {0, 1}};
  sample known;
  expect_failure(struct_read(&known, sizeof known, &given, "sample", &error), GPT2_ERR_UNSUPPORTED,
                 &error, "sample: struct_size is 20", "beyond 12");
  given.unknown[1] = 0;
  assert_int_equal(struct_read(&known, sizeof known, &given, "sample", &error), GPT2_OK);
}

static void a_struct_without_its_size_is_refused(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  sample given = {0, 1, 2}, known;
  expect_failure(struct_read(&known, sizeof known, &given, "sample", &error), GPT2_ERR_ARGUMENT,
                 &error, "sample: struct_size is 0", "sizeof");
  error = NO_ERROR_YET;
  expect_failure(struct_write(&given, &known, sizeof known, "sample", &error), GPT2_ERR_ARGUMENT,
                 &error, "sample: struct_size is 0", "sizeof");
  error = NO_ERROR_YET;
  expect_failure(struct_write(NULL, &known, sizeof known, "sample", &error), GPT2_ERR_ARGUMENT,
                 &error, "sample: is NULL", NULL);
}

static void a_struct_is_filled_as_far_as_it_goes_and_zeroed_beyond(void **state)
{
  (void)state;
  const sample known = {sizeof known, 1, 2};
  struct {
    sample s;
    int32_t unknown[2];
  } given = {{offsetof(sample, b), 8, 8}, {8, 8}};
  assert_int_equal(struct_write(&given, &known, sizeof known, "sample", NULL), GPT2_OK);
  assert_true(given.s.a == 1 && given.s.b == 8 && given.s.struct_size == offsetof(sample, b));
  given.s.struct_size = offsetof(sample, b) + sizeof(int32_t[2]); /* one field more than we know */
  assert_int_equal(struct_write(&given, &known, sizeof known, "sample", NULL), GPT2_OK);
  assert_true(given.s.b == 2 && given.unknown[0] == 0 && given.unknown[1] == 8);
}

/* ---- Memory ---- */

static void sizes_that_do_not_fit_are_noticed(void **state)
{
  (void)state;
  size_t size;
  uint64_t number;
  assert_true(mul_size(&size, 3, 5) && size == 15);
  assert_true(add_size(&size, SIZE_MAX - 1, 1) && size == SIZE_MAX);
  assert_false(mul_size(&size, SIZE_MAX / 2 + 1, 2));
  assert_false(add_size(&size, SIZE_MAX, 1));
  assert_true(mul_u64(&number, UINT64_MAX, 1) && number == UINT64_MAX);
  assert_true(add_u64(&number, UINT64_MAX, 0) && number == UINT64_MAX);
  assert_false(mul_u64(&number, (uint64_t)1 << 32, (uint64_t)1 << 32));
  assert_false(add_u64(&number, UINT64_MAX, 1));
}

static void all_memory_is_aligned_and_given_back_through_the_hooks(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator given = counting_hooks(&counter), hooks;
  assert_int_equal(allocator_read(&hooks, &given, NULL), GPT2_OK);
  void *memory[] = {allocate(&hooks, 0), allocate(&hooks, 1), allocate_zeroed(&hooks, 100),
                    allocate_array(&hooks, 7, 9), duplicate(&hooks, "word", 4)};
  assert_int_equal(counter.n_live, 5);
  for (size_t i = 0; i < 5; i++) {
    assert_non_null(memory[i]);
    assert_int_equal((uintptr_t)memory[i] % MEMORY_ALIGNMENT, 0);
  }
  for (int i = 0; i < 63; i++)
    assert_int_equal(((char *)memory[3])[i], 0);
  assert_string_equal(memory[4], "word");
  for (size_t i = 0; i < 5; i++)
    release(&hooks, memory[i]);
  release(&hooks, NULL);
  assert_int_equal(counter.n_live, 0);
}

static void an_array_too_large_for_a_size_is_refused_without_asking(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  assert_null(allocate_array(&hooks, SIZE_MAX / 2, 4));
  assert_null(duplicate(&hooks, "", SIZE_MAX));
  assert_int_equal(counter.n_calls, 0);
}

static void a_growing_array_keeps_its_elements_also_when_it_cannot_grow(void **state)
{
  (void)state;
  counting_allocator counter = {.refused = 3};
  gpt2_allocator hooks = counting_hooks(&counter);
  void *array = NULL;
  assert_true(grow_array(&hooks, &array, 0, 2, sizeof(int)));
  memcpy(array, ((const int[]){11, 22}), 2 * sizeof(int));
  assert_true(grow_array(&hooks, &array, 2, 4, sizeof(int)));
  void *before = array;
  assert_false(grow_array(&hooks, &array, 4, 8, sizeof(int)));
  assert_ptr_equal(array, before);
  assert_memory_equal(array, ((const int[]){11, 22, 0, 0}), 4 * sizeof(int));
  assert_int_equal(counter.n_live, 1);
  release(&hooks, array);
}

static void half_an_allocator_is_refused(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  counting_allocator counter = {0};
  gpt2_allocator given = counting_hooks(&counter), hooks;
  given.release = NULL;
  expect_failure(allocator_read(&hooks, &given, &error), GPT2_ERR_ARGUMENT, &error, "allocator",
                 "both be set, or neither");
  assert_int_equal(allocator_read(&hooks, NULL, NULL), GPT2_OK); /* malloc's */
  void *memory = allocate(&hooks, 10);
  assert_int_equal((uintptr_t)memory % MEMORY_ALIGNMENT, 0);
  release(&hooks, memory);
}

/* ---- UTF-8 ---- */

/* The bytes of a code point, written without looking at utf8.c; surrogates come out as three
 * bytes, too. */
static size_t encode(uint32_t code, uint8_t bytes[4])
{
  size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const uint8_t lead[5] = {0, 0x00, 0xc0, 0xe0, 0xf0};
  for (size_t i = n - 1; i > 0; i--, code >>= 6)
    bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
  bytes[0] = (uint8_t)(lead[n] | code);
  return n;
}

static void every_code_point_but_the_surrogates_is_a_character(void **state)
{
  (void)state;
  for (uint32_t code = 0; code < 0x110000; code++) {
    uint8_t bytes[5] = {0};
    uint32_t decoded = UINT32_MAX;
    size_t n = encode(code, bytes), expected = code >= 0xd800 && code < 0xe000 ? 0 : n;
    bytes[n] = 0x80; /* what follows does not matter */
    if (utf8_character(bytes, n + 1) != expected || utf8_decode(bytes, n, &decoded) != expected)
      fail_msg("U+%04X: not %zu bytes", (unsigned)code, expected);
    assert_int_equal(decoded, expected ? code : UINT32_MAX);
    for (size_t cut = 1; cut < n; cut++) {
      assert_int_equal(utf8_character(bytes, cut), 0);
      size_t incomplete = utf8_incomplete(bytes, cut);
      /* The second byte of a surrogate tells already that it is none. */
      assert_int_equal(incomplete, expected == 0 && cut > 1 ? 0 : cut);
    }
    assert_int_equal(utf8_incomplete(bytes, n), 0);
  }
}

static void what_utf8_forbids_is_neither_a_character_nor_the_start_of_one(void **state)
{
  (void)state;
  static const char *const wrong[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3(",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x28\xa1",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80",
                                      "\xfe",
                                      "\xff\xff",
                                      "\xe2\x82("};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    uint32_t code_point = 1;
    assert_int_equal(utf8_character((const uint8_t *)wrong[i], strlen(wrong[i])), 0);
    assert_int_equal(utf8_decode((const uint8_t *)wrong[i], strlen(wrong[i]), &code_point), 0);
    assert_int_equal(utf8_incomplete((const uint8_t *)wrong[i], strlen(wrong[i])), 0);
  }
}

/* ---- The cursor ---- */

static void numbers_are_read_as_little_endian(void **state)
{
  (void)state;
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  cursor c = cursor_over(bytes, sizeof bytes);
  assert_int_equal(cursor_u8(&c), 1);
  assert_int_equal(cursor_u32(&c), 0x05040302);
  assert_int_equal(cursor_u64(&c), 0x0d0c0b0a09080706);
  assert_int_equal(cursor_position(&c), 13);
  assert_int_equal(cursor_left(&c), 0);
  assert_false(c.failed);
}

static void a_cursor_that_failed_reads_nothing_more(void **state)
{
  (void)state;
  const uint8_t bytes[] = {1, 2, 3, 4, 5};
  cursor c = cursor_over(bytes, sizeof bytes);
  assert_int_equal(cursor_u32(&c), 0x04030201);
  assert_int_equal(cursor_u32(&c), 0);
  assert_true(c.failed);
  size_t size;
  assert_int_equal(cursor_u8(&c), 0); /* although there is one */
  assert_null(cursor_take(&c, 1));
  assert_null(cursor_line(&c, &size));
  assert_int_equal(cursor_position(&c), 4);
}

static void no_size_is_too_large_to_be_refused(void **state)
{
  (void)state;
  cursor c = cursor_over("abc", 3), empty = cursor_over(NULL, 0);
  assert_memory_equal(cursor_take(&c, 2), "ab", 2);
  assert_null(cursor_take(&c, UINT64_MAX));
  assert_non_null(cursor_take(&empty, 0));
  assert_null(cursor_take(&empty, 1));
}

static void lines_end_with_lf_or_crlf_or_the_text(void **state)
{
  (void)state;
  static const char *const expected[] = {"one", "", "two", "a\rb", "\r"};
  cursor c = cursor_over("one\n\ntwo\r\na\rb\n\r", 15);
  size_t size;
  for (size_t i = 0; i < 5; i++) {
    const uint8_t *line = cursor_line(&c, &size);
    assert_non_null(line);
    assert_int_equal(size, strlen(expected[i]));
    assert_memory_equal(line, expected[i], size);
  }
  assert_null(cursor_line(&c, &size));
  assert_false(c.failed);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(failing_fills_the_error_and_returns_its_status),
      cmocka_unit_test(failing_without_an_error_struct_still_returns_the_status),
      cmocka_unit_test(a_shorter_error_struct_is_filled_as_far_as_it_goes),
      cmocka_unit_test(a_message_is_printable_utf8_whatever_names_it_shows),
      cmocka_unit_test(a_message_never_ends_in_half_a_character),
      cmocka_unit_test(every_status_has_its_own_name_and_sentence),
      cmocka_unit_test(errno_is_told_in_words),
      cmocka_unit_test(a_struct_of_any_size_is_read_as_far_as_both_know_it),
      cmocka_unit_test(a_struct_with_fields_that_we_do_not_know_is_refused),
      cmocka_unit_test(a_struct_without_its_size_is_refused),
      cmocka_unit_test(a_struct_is_filled_as_far_as_it_goes_and_zeroed_beyond),
      cmocka_unit_test(sizes_that_do_not_fit_are_noticed),
      cmocka_unit_test(all_memory_is_aligned_and_given_back_through_the_hooks),
      cmocka_unit_test(an_array_too_large_for_a_size_is_refused_without_asking),
      cmocka_unit_test(a_growing_array_keeps_its_elements_also_when_it_cannot_grow),
      cmocka_unit_test(half_an_allocator_is_refused),
      cmocka_unit_test(every_code_point_but_the_surrogates_is_a_character),
      cmocka_unit_test(what_utf8_forbids_is_neither_a_character_nor_the_start_of_one),
      cmocka_unit_test(numbers_are_read_as_little_endian),
      cmocka_unit_test(a_cursor_that_failed_reads_nothing_more),
      cmocka_unit_test(no_size_is_too_large_to_be_refused),
      cmocka_unit_test(lines_end_with_lf_or_crlf_or_the_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
