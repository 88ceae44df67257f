/* score_row.h - how one row of logits judges one token. */
#ifndef MODEL_SCORE_ROW_H
#define MODEL_SCORE_ROW_H

#include <stdbool.h>

#include "kernels/kernels.h"
#include "gpt2.h"

/* Log-probability, rank and entropy (nats) of `target` by logits (n_vocab); token is set, position
 * is not. False when the logits hold a NaN or +infinity, or nothing but -infinity. */
bool score_row(const kernels *kernel, const float *logits, size_t n_vocab, gpt2_token target,
               gpt2_token_score *score);

/* Only the log-probability of a token, by logits (n_vocab) whose greatest is known and finite. */
float row_logprob(const kernels *kernel, const float *logits, size_t n_vocab, float greatest,
                  gpt2_token token);

#endif
