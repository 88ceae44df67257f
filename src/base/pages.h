/* pages.h - what we ask of the system for whole pages of memory.
 *
 * All of it is advice: where the system does not take it nothing changes but speed and memory. */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include "base/memory.h"

/* What memory that is to have huge pages is aligned to. */
enum { HUGE_PAGE_SIZE = 2 << 20 };

/* Memory that is going to be written soon and as a whole: where it is large, in huge pages, which
 * the system finds faster. NULL when it is refused. */
void *pages_allocate(const gpt2_allocator *allocator, size_t size);

/* Has every page of [memory, memory + size) in memory, so that nobody waits for it later. The bytes
 * are read at most. */
void pages_prefault(const void *memory, size_t size);

/* The same for memory of our own that is going to be written: sooner than page by page. */
void pages_commit(void *memory, size_t size);

/* Asks for huge pages where they fit. */
void pages_prefer_huge(const void *memory, size_t size);

/* Gives pages of a mapping of a file that is only read back to the system: those that begin in
 * [memory, memory + size). They come again when they are used. */
void pages_forget(const void *memory, size_t size);

#endif
