/* counting_allocator.c - memory hooks that count, and that can refuse. */
#include "support/counting_allocator.h"

#include <stdlib.h>

static void *count_allocate(size_t size, size_t alignment, void *user)
{
  counting_allocator *counter = user;
  void *memory = NULL;
  if (++counter->n_calls == counter->refused || posix_memalign(&memory, alignment, size) != 0)
    return NULL;
  counter->n_live++;
  return memory;
}

static void count_release(void *memory, void *user)
{
  counting_allocator *counter = user;
  counter->n_live--;
  free(memory);
}

gpt2_allocator counting_hooks(counting_allocator *counter)
{
  return (gpt2_allocator){.struct_size = sizeof(gpt2_allocator),
                          .allocate = count_allocate,
                          .release = count_release,
                          .user = counter};
}
