/* strict_memory.c - memory hooks that look closely, count, and can refuse. */
#define _POSIX_C_SOURCE 200809L

#include "support/strict_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- The watch: with --wrap the linker gives every call of malloc to __wrap_malloc ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

static bool watching;
static int n_watched;

void watch_malloc(void)
{
  watching = true;
  n_watched = 0;
}

int malloc_watched(void)
{
  watching = false;
  return n_watched;
}

bool jansson_is_watched(void)
{
#if defined(JANSSON_INSIDE)
  return true;
#else
  return false;
#endif
}

void *__wrap_malloc(size_t size)
{
  n_watched += watching;
  return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
  n_watched += watching;
  return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
  n_watched += watching;
  return __real_realloc(memory, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
  n_watched += watching;
  return __real_posix_memalign(memory, alignment, size);
}

/* ---- The hooks ---- */

enum { GRANTED = 0x6772616e };

/* Stands right before a block. */
typedef struct block_head {
  void *start;
  size_t size;
  int mark; /* GRANTED until it is released */
} block_head;

/* Twice the alignment for the head leaves the block at an odd multiple of what was asked for. */
static void *strict_allocate(size_t size, size_t alignment, void *user)
{
  strict_memory *memory = user;
  void *start = NULL;
  assert_true(size > 0);
  assert_true(alignment >= sizeof(block_head) && (alignment & (alignment - 1)) == 0);
  if (++memory->n_calls == memory->refused)
    return NULL;
  assert_int_equal(__real_posix_memalign(&start, 2 * alignment, alignment + size), 0);
  const block_head head = {.start = start, .size = size, .mark = GRANTED};
  uint8_t *block = (uint8_t *)start + alignment;
  memcpy(block - sizeof head, &head, sizeof head);
  memset(block, 0xa5, size);
  memory->n_live++;
  return block;
}

static void strict_release(void *block, void *user)
{
  strict_memory *memory = user;
  block_head head;
  assert_non_null(block);
  memcpy(&head, (uint8_t *)block - sizeof head, sizeof head);
  assert_int_equal(head.mark, GRANTED);
  memset((uint8_t *)block - sizeof head, 0x5a, sizeof head + head.size);
  memory->n_live--;
  free(head.start);
}

gpt2_allocator strict_hooks(strict_memory *memory)
{
  return (gpt2_allocator){.struct_size = sizeof(gpt2_allocator),
                          .allocate = strict_allocate,
                          .release = strict_release,
                          .user = memory};
}
