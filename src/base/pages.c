/* pages.c - what we ask of the system for whole pages of memory. */
#define _GNU_SOURCE
#include "base/pages.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* From Linux 5.14 on; older headers do not have the names. */
#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

static size_t page_size(void)
{
  return (size_t)sysconf(_SC_PAGESIZE);
}

static uint8_t *page_of(const void *memory)
{
  uintptr_t address = (uintptr_t)memory;
  return (uint8_t *)(address - address % page_size());
}

static void touch(const uint8_t *memory, size_t size)
{
  const volatile uint8_t *at = memory, *end = memory + size;
  for (; at < end; at = page_of((const void *)(uintptr_t)at) + page_size())
    (void)*at;
}

/* Where a kernel knows the advice and cannot follow it (a page that cannot be read, too little
 * memory), touching would only make a signal of that. */
void pages_prefault(const void *memory, size_t size)
{
#if defined(MADV_POPULATE_READ)
  uint8_t *first = page_of(memory);
  bool known = madvise(first, 0, MADV_POPULATE_READ) == 0; /* no pages at all: is it valid? */
  if (known && size > 0)
    madvise(first, (size_t)((const uint8_t *)memory + size - first), MADV_POPULATE_READ);
  if (known)
    return;
#endif
  touch(memory, size);
}

void pages_commit(void *memory, size_t size)
{
#if defined(MADV_POPULATE_WRITE)
  uint8_t *first = page_of(memory);
  if (size > 0)
    madvise(first, (size_t)((uint8_t *)memory + size - first), MADV_POPULATE_WRITE);
#else
  (void)memory, (void)size;
#endif
}

void pages_prefer_huge(const void *memory, size_t size)
{
#if defined(MADV_HUGEPAGE)
  if (size > 0) {
    uint8_t *first = page_of(memory);
    madvise(first, (size_t)((const uint8_t *)memory + size - first), MADV_HUGEPAGE);
  }
#else
  (void)memory, (void)size;
#endif
}

void *pages_allocate(const gpt2_allocator *allocator, size_t size)
{
  if (size < HUGE_PAGE_SIZE)
    return allocate(allocator, size);
  void *memory = allocate_aligned(allocator, size, HUGE_PAGE_SIZE);
  if (memory)
    pages_prefer_huge(memory, size);
  return memory;
}

void pages_forget(const void *memory, size_t size)
{
#if defined(MADV_DONTNEED)
  uint8_t *first = page_of((const uint8_t *)memory + page_size() - 1);
  uint8_t *end = page_of((const uint8_t *)memory + size + page_size() - 1);
  if (end > first)
    madvise(first, (size_t)(end - first), MADV_DONTNEED);
#else
  (void)memory, (void)size;
#endif
}
