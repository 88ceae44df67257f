/* arena.c - quick memory for tests that load thousands of models. */
#include "support/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define CLOSE(at, size)  __asan_poison_memory_region(at, size)
#define OPEN(at, size)   __asan_unpoison_memory_region(at, size)
#define TOUCHES_WHATEVER __attribute__((no_sanitize_address))
#else
#define CLOSE(at, size) ((void)(at), (void)(size))
#define OPEN(at, size)  ((void)(at), (void)(size))
#define TOUCHES_WHATEVER
#endif

/* Between blocks, and at least; a block's size stands right before it, out of bounds. */
enum { GAP = 32 };

TOUCHES_WHATEVER static void write_size(uint8_t *block, size_t size)
{
  ((size_t *)(void *)block)[-1] = size;
}

TOUCHES_WHATEVER static size_t read_size(const uint8_t *block)
{
  return ((const size_t *)(const void *)block)[-1];
}

static void *arena_take(size_t size, size_t alignment, void *user)
{
  arena *a = user;
  uintptr_t start = (uintptr_t)a->memory + a->used + GAP;
  size_t at = (size_t)((start + alignment - 1) / alignment * alignment - (uintptr_t)a->memory);
  if (at > a->capacity || size > a->capacity - at)
    fail_msg("the arena has no room for %zu bytes more", size);
  uint8_t *block = a->memory + at;
  write_size(block, size);
  OPEN(block, size);
  a->used = at + size;
  a->n_live++;
  return block;
}

static void arena_release(void *block, void *user)
{
  arena *a = user;
  a->n_live--;
  CLOSE(block, read_size(block));
}

gpt2_allocator arena_hooks(arena *a)
{
  return (gpt2_allocator){.struct_size = sizeof(gpt2_allocator),
                          .allocate = arena_take,
                          .release = arena_release,
                          .user = a};
}

/* ---- jansson's ---- */

static arena *of_jansson;

static void *json_take(size_t size)
{
  return arena_take(size, 16, of_jansson);
}

static void json_release(void *block)
{
  if (block)
    arena_release(block, of_jansson);
}

void arena_open(arena *a, size_t capacity)
{
  *a = (arena){.memory = malloc(capacity), .capacity = capacity};
  assert_non_null(a->memory);
  CLOSE(a->memory, capacity);
  of_jansson = a;
  json_set_alloc_funcs(json_take, json_release);
}

void arena_reset(arena *a)
{
  assert_int_equal(a->n_live, 0);
  a->used = 0;
}

void arena_close(arena *a)
{
  json_set_alloc_funcs(malloc, free);
  OPEN(a->memory, a->capacity);
  free(a->memory);
}
