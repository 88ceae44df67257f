/* collect.h - finds the few of many logits that may be drawn, in one or two fast looks at all. */
#ifndef GENERATE_COLLECT_H
#define GENERATE_COLLECT_H

#include "base/memory.h"
#include "generate/select.h"

/* Room that the k greatest of n_vocab logits take to find. */
size_t top_k_capacity(size_t k, size_t n_vocab);

/* Makes room for `capacity` candidates; if there was less, those that were there are gone. */
gpt2_status candidates_reserve(candidates *c, const gpt2_allocator *allocator, size_t capacity,
                               gpt2_error *error);
void candidates_free(candidates *c, const gpt2_allocator *allocator);

/* The greatest logit, or NaN if there is one. On the way, *threshold becomes one that at least k of
 * them exceed, or all that are no -infinity. Needs top_k_capacity. */
float collect_maximum(candidates *c, const float *logits, size_t n_vocab, size_t k,
                      float *threshold);

/* The k greatest logits, all of which exceed the threshold; -infinity is left out. Needs
 * top_k_capacity. */
void collect_top_k(candidates *c, const float *logits, size_t n_vocab, size_t k, float threshold);

/* All logits that exceed the threshold, or the first `most` of them; false if there are more. Needs
 * room for `most`. `logits` may be c->values. */
bool collect_greater(candidates *c, const float *logits, size_t n_vocab, float threshold,
                     size_t most);

/* A threshold that the value exceeds, and all that rounding could take for it. */
float little_less(double value);

#endif
