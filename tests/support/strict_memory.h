/* strict_memory.h - memory hooks that look closely, count, and can refuse; and a watch on who takes
 * memory beside them.
 *
 * A test that uses them is linked with functions of its own in front of malloc and its kin: it
 * stands in the table `wrapped` of tests/meson.build as it needs it. */
#ifndef TESTS_SUPPORT_STRICT_MEMORY_H
#define TESTS_SUPPORT_STRICT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "gpt2.h"

typedef struct strict_memory {
  size_t n_calls; /* allocations asked for */
  size_t n_live;  /* granted and not yet released */
  size_t refused; /* the number of the one call that is refused, from 1 on; 0: none */
} strict_memory;

/* Hooks that use `memory`, which must outlive them. What they grant is aligned as asked and no
 * better, is full of rubbish, and ends where it should; what they did not grant, or have taken back
 * already, fails the test. One thread at a time. */
gpt2_allocator strict_hooks(strict_memory *memory);

/* From here on calls of malloc, calloc, realloc and posix_memalign by the library or the test are
 * counted. */
void watch_malloc(void);

/* Ends that; how many there were. */
int malloc_watched(void);

/* Whether the linker has jansson before it (subprojects/jansson.wrap), so that its calls are
 * counted, too: it parses JSON with memory of malloc's. */
bool jansson_is_watched(void);

#endif
