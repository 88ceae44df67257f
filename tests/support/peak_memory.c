/* peak_memory.c - how much memory was in use at most. */
#include "support/peak_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/* A block's size stands right before it, and behind the padding that its alignment asks for. */
enum { HEAD = 16 };

/* What glibc takes: a size of 8 bytes before the block, multiples of 16, and 32 at least. */
static size_t taken(size_t size)
{
  size_t whole = (size + 8 + 15) / 16 * 16;
  return whole < 32 ? 32 : whole;
}

static void *peak_take(size_t size, size_t alignment, void *user)
{
  peak_memory *memory = user;
  void *start = NULL;
  size_t head = alignment > HEAD ? alignment : HEAD;
  assert_int_equal(posix_memalign(&start, head, head + size), 0);
  size_t *about = (size_t *)(void *)((uint8_t *)start + head - HEAD);
  about[0] = size;
  about[1] = head;
  memory->live += taken(size);
  if (memory->live > memory->peak)
    memory->peak = memory->live;
  return (uint8_t *)start + head;
}

static void peak_release(void *block, void *user)
{
  const size_t *about = (const size_t *)(void *)((uint8_t *)block - HEAD);
  ((peak_memory *)user)->live -= taken(about[0]);
  free((uint8_t *)block - about[1]);
}

gpt2_allocator peak_hooks(peak_memory *memory)
{
  return (gpt2_allocator){.struct_size = sizeof(gpt2_allocator),
                          .allocate = peak_take,
                          .release = peak_release,
                          .user = memory};
}

static peak_memory *of_jansson;

static void *json_take(size_t size)
{
  return peak_take(size, HEAD, of_jansson);
}

static void json_release(void *block)
{
  if (block)
    peak_release(block, of_jansson);
}

void peak_open(peak_memory *memory)
{
  *memory = (peak_memory){.live = 0};
  of_jansson = memory;
  json_set_alloc_funcs(json_take, json_release);
}

void peak_close(peak_memory *memory)
{
  json_set_alloc_funcs(malloc, free);
  assert_int_equal(memory->live, 0);
}
