/* context_state.h - all that can be seen of a context, so that a test can say that nothing has
 * changed. */
#ifndef TESTS_SUPPORT_CONTEXT_STATE_H
#define TESTS_SUPPORT_CONTEXT_STATE_H

#include <stdint.h>

#include "gpt2.h"

typedef struct context_state {
  uint8_t *bytes;
  size_t size, capacity;
} context_state;

/* The lengths, tokens and next-token logits of some sequences (0 to 7 and the last ones), and the
 * views of the rows of the last batch. */
context_state state_of(gpt2_context *context);
void free_state(context_state *state);

/* Fails the test if something has changed; `what` says after which call. Frees the state. */
void must_be_unchanged(gpt2_context *context, context_state *before, const char *what);

/* Logits (n_vocab) that the caller frees: a copy of a view, which must be there. */
float *copy_logits(const gpt2_context *context, const float *view);

/* Fails the test unless the sequence's next-token logits are those, to the bit. */
void must_have_logits(const gpt2_context *context, int32_t sequence, const float *expected);

#endif
