/* calls_model.h - the model whose calls are fuzzed, and what it must compute. */
#ifndef TESTS_FUZZ_CALLS_MODEL_H
#define TESTS_FUZZ_CALLS_MODEL_H

#include "fuzz/fuzz.h"

/* Positions that end inside the second block of the KV cache; tokens of one byte, of parts of a
 * character, of several; two without text. */
enum {
  CALLS_CTX = 18,
  CALLS_EMBD = 6,
  CALLS_HEADS = 2,
  CALLS_LAYERS = 2,
  CALLS_INNER = 5,
  CALLS_TEXT_TOKENS = 16,
  CALLS_VOCAB = 18,
  CALLS_END = 14 /* begins and ends texts */
};

/* The bytes of a token, as a string. */
extern const char *const calls_texts[CALLS_VOCAB];

/* Loads it; the caller owns it. */
gpt2_model *calls_load(const gpt2_allocator *allocator);

/* The next-token logits (CALLS_VOCAB) after tokens (n > 0), by a context that has seen nothing
 * else, and held to double precision. They stay until many others were asked for; those of shorter
 * texts are computed with those of longer ones, so who needs both begins with the longest. */
const float *calls_logits(const gpt2_token *tokens, size_t n, int32_t kv_type);

/* By how much any other way to the same logits may differ from them. */
float calls_tolerance(const float *logits, int32_t kv_type);

/* The natural log-probability of a token. */
double calls_logprob(const float *logits, gpt2_token token);

#endif
