/* counting_allocator.h - memory hooks that count, and that can refuse. */
#ifndef TESTS_SUPPORT_COUNTING_ALLOCATOR_H
#define TESTS_SUPPORT_COUNTING_ALLOCATOR_H

#include <stddef.h>

#include "gpt2.h"

typedef struct counting_allocator {
  _Atomic size_t n_calls; /* allocations asked for */
  _Atomic size_t n_live;  /* granted and not yet released */
  size_t refused;         /* the number of the one call that is refused, from 1 on; 0: none */
} counting_allocator;

/* Hooks that use `counter`, which must outlive them. Any thread. */
gpt2_allocator counting_hooks(counting_allocator *counter);

#endif
