/* arena.h - quick memory for tests that load thousands of models: hooks, and jansson's memory, from
 * one piece that is used anew for each. What is beside or behind a block, or has been released, is
 * out of bounds to AddressSanitizer, as with malloc. */
#ifndef TESTS_SUPPORT_ARENA_H
#define TESTS_SUPPORT_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "gpt2.h"

typedef struct arena {
  uint8_t *memory; /* (capacity) */
  size_t capacity, used;
  size_t n_live; /* blocks granted and not yet released, jansson's included */
} arena;

/* Takes the memory; from here on jansson's blocks come from the arena, too. One arena at a time,
 * and one thread. */
void arena_open(arena *a, size_t capacity);

/* Hooks that use the arena. A block that does not fit fails the test. */
gpt2_allocator arena_hooks(arena *a);

/* All must have been released: the memory may be used from its beginning again. */
void arena_reset(arena *a);

/* jansson gets malloc back. */
void arena_close(arena *a);

#endif
