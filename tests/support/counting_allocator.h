/* counting_allocator.h - memory hooks that count, and that can refuse. */
#ifndef TESTS_SUPPORT_COUNTING_ALLOCATOR_H
#define TESTS_SUPPORT_COUNTING_ALLOCATOR_H

#include <stddef.h>

#include "gpt2.h"

typedef struct counting_allocator {
  size_t n_calls; /* allocations asked for */
  size_t n_live;  /* granted and not yet released */
  size_t refused; /* the number of the one call that is refused, from 1 on; 0: none */
} counting_allocator;

/* Hooks that use `counter`, which must outlive them. One thread at a time. */
gpt2_allocator counting_hooks(counting_allocator *counter);

#endif
