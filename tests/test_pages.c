/* test_pages.c - pages that are asked for are in memory, those that are forgotten come again, and
 * advice that cannot be followed does no harm. */
#define _GNU_SOURCE
#include "base/pages.h"
#include "base/source.h"
#include "support/expect.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_PAGES = 200 };

static size_t page_size(void)
{
  return (size_t)sysconf(_SC_PAGESIZE);
}

static uint8_t byte_of(size_t i)
{
  return (uint8_t)(i * 7 + i / 4096);
}

/* Whether a page is in this process's memory: the highest bit of its entry in the kernel's map
 * (Documentation/admin-guide/mm/pagemap.rst). */
static bool is_present(const uint8_t *address)
{
  uint64_t entry = 0;
  int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  assert_true(map >= 0);
  off_t at = (off_t)((uintptr_t)address / page_size() * sizeof entry);
  assert_int_equal(pread(map, &entry, sizeof entry, at), sizeof entry);
  close(map);
  return entry >> 63;
}

static size_t n_present(const uint8_t *memory, size_t first, size_t n)
{
  size_t present = 0;
  for (size_t page = first; page < first + n; page++)
    present += is_present(memory + page * page_size());
  return present;
}

static uint8_t *map_pages(int protection)
{
  void *pages = mmap(NULL, N_PAGES * page_size(), protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(pages != MAP_FAILED);
  return pages;
}

static void memory_of_our_own_has_the_pages_that_are_asked_for(void **state)
{
  (void)state;
  for (int commit = 0; commit < 2; commit++) {
    uint8_t *pages = map_pages(PROT_READ | PROT_WRITE), *from = pages + 10 * page_size() + 100;
    assert_int_equal(n_present(pages, 0, N_PAGES), 0);
    if (commit)
      pages_commit(from, 20 * page_size());
    else
      pages_prefault(from, 20 * page_size());
    assert_int_equal(n_present(pages, 10, 21), 21); /* the first and the last in part */
    assert_int_equal(n_present(pages, 0, N_PAGES), 21);
    for (size_t i = 0; i < N_PAGES * page_size(); i++)
      assert_int_equal(pages[i], 0);
    munmap(pages, N_PAGES * page_size());
  }
}

static void nothing_is_asked_for_a_size_of_zero(void **state)
{
  (void)state;
  uint8_t *pages = map_pages(PROT_READ | PROT_WRITE);
  pages_prefault(pages + 5, 0);
  pages_commit(pages + 5, 0);
  pages_prefer_huge(pages + 5, 0);
  pages_forget(pages + 5, 0);
  assert_int_equal(n_present(pages, 0, N_PAGES), 0);
  munmap(pages, N_PAGES * page_size());
}

static void pages_that_cannot_be_read_are_left_alone(void **state)
{
  (void)state;
  uint8_t *pages = map_pages(PROT_NONE);
  pages_prefault(pages, N_PAGES * page_size());
  pages_commit(pages, N_PAGES * page_size());
  pages_prefer_huge(pages, N_PAGES * page_size());
  munmap(pages, N_PAGES * page_size());
  pages_prefer_huge(pages, N_PAGES * page_size()); /* nothing is there any more */
}

/* ---- Files ---- */

static char *folder;
static gpt2_allocator allocator;

static int make_file(void **state)
{
  (void)state;
  size_t size = N_PAGES * page_size() + 100;
  uint8_t *bytes = malloc(size);
  assert_non_null(bytes);
  for (size_t i = 0; i < size; i++)
    bytes[i] = byte_of(i);
  folder = new_temporary_folder();
  write_temporary_file(folder, "file", bytes, size);
  free(bytes);
  return allocator_read(&allocator, NULL, NULL);
}

static int remove_file(void **state)
{
  (void)state;
  remove_temporary_folder(folder);
  return 0;
}

static file *open_file(bool copy, source **s)
{
  gpt2_error error = NO_ERROR_YET;
  file *f;
  expect_success(source_open_folder(&allocator, folder, copy, s, &error), &error);
  expect_success(source_file(*s, "file", &f, &error), &error);
  return f;
}

static void expect_bytes(file *f)
{
  gpt2_error error = NO_ERROR_YET;
  uint8_t *bytes = malloc((size_t)f->size);
  assert_non_null(bytes);
  expect_success(file_read(f, 0, bytes, (size_t)f->size, &error), &error);
  for (size_t i = 0; i < f->size; i++)
    assert_int_equal(bytes[i], byte_of(i));
  free(bytes);
}

static void what_is_forgotten_of_a_mapped_file_goes_and_comes_again(void **state)
{
  (void)state;
  source *s;
  file *f = open_file(false, &s);
  size_t page = page_size(), around = (64 << 10) / page; /* what the kernel may have read beside */
  pages_prefault(f->view, (size_t)f->size);
  assert_int_equal(n_present(f->view, 0, N_PAGES), N_PAGES);
  file_forget(f, 100 * page + 50, 20 * page);
  assert_int_equal(n_present(f->view, 101, 20), 0); /* those that begin in the range */
  assert_int_equal(n_present(f->view, 121, N_PAGES - 121), N_PAGES - 121);
  assert_int_equal(n_present(f->view, 0, 100 - around), 100 - around);
  expect_bytes(f);
  file_forget(f, 0, f->size);
  assert_int_equal(n_present(f->view, 0, N_PAGES), 0);
  file_prefer_huge_pages(f);
  expect_bytes(f);
  file_close(f);
  source_free(s);
}

static void a_file_that_is_read_has_nothing_to_forget(void **state)
{
  (void)state;
  source *s;
  file *f = open_file(true, &s);
  assert_null(f->view);
  file_forget(f, 0, f->size);
  file_prefer_huge_pages(f);
  expect_bytes(f);
  file_close(f);
  source_free(s);
}

/* The bytes are the caller's, and are not read again from anywhere. */
static void memory_that_is_borrowed_is_never_forgotten(void **state)
{
  (void)state;
  size_t size = N_PAGES * page_size();
  uint8_t *pages = map_pages(PROT_READ | PROT_WRITE);
  for (size_t i = 0; i < size; i++)
    pages[i] = byte_of(i);
  const gpt2_blob blob = {"file", pages, size, 0};
  gpt2_error error = NO_ERROR_YET;
  source *s;
  file *f;
  expect_success(source_open_blobs(&allocator, &blob, 1, &s, &error), &error);
  expect_success(source_file(s, "file", &f, &error), &error);
  file_forget(f, 0, size);
  file_prefer_huge_pages(f);
  expect_bytes(f);
  file_close(f);
  source_free(s);
  munmap(pages, size);
}

/* Where touching would be a signal. */
static void a_file_that_has_been_shortened_is_prefaulted_without_harm(void **state)
{
  (void)state;
  char path[4200];
  snprintf(path, sizeof path, "%s/other", folder);
  write_temporary_file(folder, "other", "x", 1);
  assert_int_equal(truncate(path, (off_t)(10 * page_size())), 0);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  void *map = mmap(NULL, 10 * page_size(), PROT_READ, MAP_PRIVATE, descriptor, 0);
  assert_true(map != MAP_FAILED);
  assert_int_equal(truncate(path, 0), 0);
  enum { POPULATE_READ = 22 }; /* before Linux 5.14 it is not known, and the pages are touched */
  bool known = madvise(map, 0, POPULATE_READ) == 0;
  if (known)
    pages_prefault(map, 10 * page_size());
  munmap(map, 10 * page_size());
  close(descriptor);
  if (!known)
    skip();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_of_our_own_has_the_pages_that_are_asked_for),
      cmocka_unit_test(nothing_is_asked_for_a_size_of_zero),
      cmocka_unit_test(pages_that_cannot_be_read_are_left_alone),
      cmocka_unit_test(what_is_forgotten_of_a_mapped_file_goes_and_comes_again),
      cmocka_unit_test(a_file_that_is_read_has_nothing_to_forget),
      cmocka_unit_test(memory_that_is_borrowed_is_never_forgotten),
      cmocka_unit_test(a_file_that_has_been_shortened_is_prefaulted_without_harm),
  };
  return cmocka_run_group_tests(tests, make_file, remove_file);
}
