/* test_source_failures.c - what is told when the system refuses to examine, map or read a file of a
 * folder, and that the folder can be used again afterwards. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/source.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/temporary_folder.h"

static const char greeting[] = "hello, world";
enum { GREETING_SIZE = sizeof greeting - 1 };

/* ---- A system that refuses ---- */

/* Not zero: what each of the calls fails with; of reading, the call that fails, the first being
 * number 1, and how many bytes the others give at most. */
static struct {
  int examining, mapping, reading, failing_read, n_reads;
  size_t most;
} refusal;

/* meson asks for 64-bit file offsets, so these are the names that the library calls. */
int __real_fstat64(int descriptor, struct stat *about);
int __wrap_fstat64(int descriptor, struct stat *about);
void *__real_mmap64(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int descriptor, off_t offset);
ssize_t __real_pread64(int descriptor, void *to, size_t size, off_t offset);
ssize_t __wrap_pread64(int descriptor, void *to, size_t size, off_t offset);

/* Sets errno when there is something to fail with. */
static bool fails_with(int number)
{
  errno = number != 0 ? number : errno;
  return number != 0;
}

int __wrap_fstat64(int descriptor, struct stat *about)
{
  return fails_with(refusal.examining) ? -1 : __real_fstat64(descriptor, about);
}

void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int descriptor, off_t offset)
{
  return fails_with(refusal.mapping)
             ? MAP_FAILED
             : __real_mmap64(at, size, protection, flags, descriptor, offset);
}

ssize_t __wrap_pread64(int descriptor, void *to, size_t size, off_t offset)
{
  if (++refusal.n_reads == refusal.failing_read && fails_with(refusal.reading))
    return -1;
  size_t n = refusal.most > 0 && size > refusal.most ? refusal.most : size;
  return __real_pread64(descriptor, to, n, offset);
}

/* ---- A folder ---- */

typedef struct folder {
  counting_allocator counter;
  gpt2_allocator hooks;
  char *path;
  source *source;
} folder;

static void open_folder(folder *f, bool copy)
{
  gpt2_error error = NO_ERROR_YET;
  memset(&refusal, 0, sizeof refusal);
  *f = (folder){.path = new_temporary_folder()};
  f->hooks = counting_hooks(&f->counter);
  write_temporary_file(f->path, "greeting", greeting, GREETING_SIZE);
  expect_success(source_open_folder(&f->hooks, f->path, copy, &f->source, &error), &error);
}

/* The file has its bytes; nothing is left behind. */
static void check_and_close_folder(folder *f)
{
  gpt2_error error = NO_ERROR_YET;
  const uint8_t *bytes;
  file *found;
  memset(&refusal, 0, sizeof refusal);
  expect_success(source_file(f->source, "greeting", &found, &error), &error);
  expect_success(file_bytes(found, GREETING_SIZE, &bytes, &error), &error);
  assert_memory_equal(bytes, greeting, GREETING_SIZE);
  file_close(found);
  source_free(f->source);
  assert_int_equal(f->counter.n_live, 0);
  remove_temporary_folder(f->path);
}

/* The lowest descriptor that is free: the same again when none was left open. */
static int free_descriptor(void)
{
  int descriptor = dup(STDERR_FILENO);
  assert_true(descriptor >= 0);
  close(descriptor);
  return descriptor;
}

/* ---- Failures ---- */

static void expect_refused(folder *f, const char *what, const char *reason)
{
  gpt2_error error = NO_ERROR_YET;
  file *found;
  int descriptor = free_descriptor();
  expect_failure(source_file(f->source, "greeting", &found, &error), GPT2_ERR_IO, &error, what,
                 reason);
  assert_non_null(strstr(error.message, f->path));
  assert_null(found);
  assert_int_equal(free_descriptor(), descriptor);
}

static void a_file_that_cannot_be_examined_is_named_with_the_reason(void **state)
{
  (void)state;
  for (int copy = 0; copy < 2; copy++) {
    folder f;
    open_folder(&f, copy);
    refusal.examining = EIO;
    expect_refused(&f, "greeting: cannot be examined", errno_text(EIO));
    check_and_close_folder(&f);
  }
}

static void a_file_that_cannot_be_mapped_is_named_with_the_reason(void **state)
{
  (void)state;
  folder f;
  open_folder(&f, false);
  refusal.mapping = ENODEV;
  expect_refused(&f, "greeting: cannot be mapped", errno_text(ENODEV));
  check_and_close_folder(&f);
}

static void a_file_that_cannot_be_read_is_named_with_the_reason(void **state)
{
  (void)state;
  folder f;
  for (int failing = 1; failing <= 3; failing++) {
    gpt2_error error = NO_ERROR_YET;
    char buffer[GREETING_SIZE];
    file *found;
    open_folder(&f, true);
    refusal.most = 5; /* bytes: three reads for the file */
    refusal.failing_read = failing;
    refusal.reading = EIO;
    expect_success(source_file(f.source, "greeting", &found, &error), &error);
    expect_failure(file_read(found, 0, buffer, sizeof buffer, &error), GPT2_ERR_IO, &error,
                   "greeting: cannot be read", errno_text(EIO));
    assert_non_null(strstr(error.message, f.path));
    assert_int_equal(refusal.n_reads, failing);
    file_close(found);
    check_and_close_folder(&f);
  }
}

static void reading_goes_on_after_a_signal_and_after_part_of_what_was_asked_for(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  char buffer[GREETING_SIZE];
  file *found;
  folder f;
  open_folder(&f, true);
  refusal.most = 5;
  refusal.failing_read = 2;
  refusal.reading = EINTR;
  expect_success(source_file(f.source, "greeting", &found, &error), &error);
  expect_success(file_read(found, 0, buffer, sizeof buffer, &error), &error);
  assert_memory_equal(buffer, greeting, sizeof buffer);
  assert_int_equal(refusal.n_reads, 4);
  file_close(found);
  check_and_close_folder(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_that_cannot_be_examined_is_named_with_the_reason),
      cmocka_unit_test(a_file_that_cannot_be_mapped_is_named_with_the_reason),
      cmocka_unit_test(a_file_that_cannot_be_read_is_named_with_the_reason),
      cmocka_unit_test(reading_goes_on_after_a_signal_and_after_part_of_what_was_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
