/* all_work.h - all that a host does with a model, on any thread: what it gives is recorded byte by
 * byte, so that it can be compared to the bit. */
#ifndef TESTS_SUPPORT_ALL_WORK_H
#define TESTS_SUPPORT_ALL_WORK_H

#include "gpt2.h"
#include "support/record.h"

/* A model with a tokenizer, for these: fixtures/models/base, 301 tokens, 128 positions. Weights as
 * a GPT2_TYPE_; allocator may be NULL. */
gpt2_model *open_base_model(int32_t weights, const gpt2_allocator *allocator);

/* Text to tokens and back, at once and token by token, a sampler of its own, and what the model
 * says of itself. */
void work_with_model(gpt2_model *model, uint64_t seed, record *r);

/* Prompts of many rows, single tokens, batches of several sequences, cuts, scores, samples and
 * generations. The context's sequences are dropped at first. */
void work_in_context(gpt2_context *context, uint64_t seed, record *r);

/* Both, in a new context; r is emptied before. What fails ends the test, on whichever thread. */
void do_all_work(gpt2_model *model, const gpt2_context_options *options, uint64_t seed, record *r);

#endif
