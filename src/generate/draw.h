/* draw.h - one token from one row of logits: temperature, filters, a random number. */
#ifndef GENERATE_DRAW_H
#define GENERATE_DRAW_H

#include "base/memory.h"
#include "generate/select.h"

/* What draws work in. */
typedef struct draw_room {
  candidates few; /* what may be drawn, where that is little ... */
  float *weights; /* (n_weights) ... and of the whole vocabulary, where it may be much */
  size_t n_weights;
} draw_room;

/* Makes room for draws by these options from logits (n_vocab). */
gpt2_status draw_room_reserve(draw_room *room, const gpt2_allocator *allocator,
                              const gpt2_sampler_options *options, size_t n_vocab,
                              gpt2_error *error);
void draw_room_free(draw_room *room, const gpt2_allocator *allocator);

/* The token in whose share of the whole `random`, in [0, 1), falls, by logits (n_vocab); *greatest
 * is the greatest of them. NON_FINITE when they hold a NaN or +infinity, or nothing but -infinity.
 * Greedy draws need no room. */
gpt2_status draw_token(const gpt2_sampler_options *options, draw_room *room, const float *logits,
                       size_t n_vocab, double random, gpt2_token *token, float *greatest,
                       gpt2_error *error);

#endif
