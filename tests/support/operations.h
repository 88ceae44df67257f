/* operations.h - all that takes memory or threads of a model's user - contexts, evaluation, text,
 * decoders, samplers, generation, scoring - done again and again while one thing after the other is
 * refused. */
#ifndef TESTS_SUPPORT_OPERATIONS_H
#define TESTS_SUPPORT_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "gpt2.h"

/* What is refused, and how that is told. */
typedef struct refusing {
  void (*begin)(void *user, size_t nth); /* the nth of them from here on is refused; 0: none */
  bool (*end)(void *user);               /* no more; whether there was an nth */
  void (*expect)(gpt2_status status, const gpt2_error *error); /* fails for another failure */
  bool must_fail; /* a refusal fails the operation; or it may do without */
  bool is_memory; /* every operation asks for it */
  void *user;
} refusing;

/* For every operation and n = 1, 2, ... until it asks for no more: whatever is refused, the
 * operation fails as expected or gives the same result, to the bit; after a failure its context
 * goes on with another sequence, and the same call gives the same result. How often something was
 * refused. The model has bytes as tokens, 258 or more. */
size_t refuse_all_operations(gpt2_model *model, const gpt2_context_options *options,
                             const refusing *r, const gpt2_allocator *sampler_hooks);

#endif
