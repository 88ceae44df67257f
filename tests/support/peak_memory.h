/* peak_memory.h - how much memory was in use at most: of our hooks, and of jansson. */
#ifndef TESTS_SUPPORT_PEAK_MEMORY_H
#define TESTS_SUPPORT_PEAK_MEMORY_H

#include <stddef.h>

#include "gpt2.h"

/* Bytes as malloc takes them for a block: with what it keeps beside it, rounded up. */
typedef struct peak_memory {
  size_t live, peak;
} peak_memory;

/* From here on jansson's blocks are counted, too. One at a time, and one thread. */
void peak_open(peak_memory *memory);

gpt2_allocator peak_hooks(peak_memory *memory);

/* jansson gets malloc back; all must have been released. */
void peak_close(peak_memory *memory);

#endif
