/* fenced.c - memory between two pages that nobody may touch. */
#define _GNU_SOURCE
#include "support/fenced.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static size_t page_size(void)
{
  return (size_t)sysconf(_SC_PAGESIZE);
}

fenced fence(size_t size)
{
  size_t page = page_size(), room = (size + page - 1) / page * page;
  char *pages = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(pages != MAP_FAILED);
  assert_int_equal(mprotect(pages + page, room, PROT_READ | PROT_WRITE), 0);
  return (fenced){pages, room};
}

void unfence(fenced f)
{
  assert_int_equal(munmap(f.pages, f.room + 2 * page_size()), 0);
}

void *behind_fence(fenced f, size_t size)
{
  assert_true(size <= f.room);
  return f.pages + page_size();
}

void *before_fence(fenced f, size_t size)
{
  assert_true(size <= f.room);
  return f.pages + page_size() + f.room - size;
}
