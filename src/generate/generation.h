/* generation.h - a text that is being continued: what its making and its use have in common. */
#ifndef GENERATE_GENERATION_H
#define GENERATE_GENERATION_H

#include "generate/stop.h"
#include "model/context.h"
#include "tokenizer/stream.h"

struct gpt2_generation {
  gpt2_context *context; /* which it keeps alive */
  uint32_t flags;        /* GPT2_GENERATE_... */
  int32_t sequence;
  int32_t max_tokens;    /* 0: no limit */
  gpt2_sampler *sampler; /* the caller's, or own_sampler; NULL: greedy */
  gpt2_sampler *own_sampler;
  gpt2_token *prompt; /* (n_prompt) */
  size_t n_prompt;
  bool prompt_is_due; /* it is still to be evaluated */
  stream stream;      /* bytes of tokens to whole characters, and these ... */
  stop_finder stops;  /* ... to text that holds no stop string */
  int32_t n_drawn;
  int32_t finish; /* GPT2_FINISH_... */
};

/* As gpt2_generation_new, between context_begin and context_end. */
gpt2_status generation_new(gpt2_context *context, const char *prompt, size_t size,
                           const gpt2_generate_options *options, gpt2_generation **generation);

static inline gpt2_error *generation_error(const gpt2_generation *g)
{
  return &g->context->error;
}

#endif
