/* sampler.h - chooses the next token from logits. */
#ifndef GENERATE_SAMPLER_H
#define GENERATE_SAMPLER_H

#include "base/memory.h"

/* As gpt2_sampler_new; `name` is what messages call the options. */
gpt2_status sampler_new(const gpt2_sampler_options *options, const char *name,
                        gpt2_sampler **sampler, gpt2_error *error);

/* Makes room for draws from logits (n_vocab), which then allocate nothing. */
gpt2_status sampler_reserve(gpt2_sampler *sampler, size_t n_vocab, gpt2_error *error);

/* As gpt2_sampler_draw; `sampler` NULL is greedy. *greatest becomes the greatest logit. */
gpt2_status sampler_draw(gpt2_sampler *sampler, const float *logits, size_t n_vocab,
                         gpt2_token *token, float *greatest, gpt2_error *error);

/* As gpt2_sampler_accept, for a token in range; NULL is nothing. */
void sampler_accept(gpt2_sampler *sampler, gpt2_token token);

#endif
