/* model.h - a loaded GPT-2: its weights, by the names of the paper's code, and what came with
 * them. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdatomic.h>

#include "formats/config.h"
#include "formats/tensors.h"
#include "kernels/matmul.h"
#include "tokenizer/tokenizer.h"

typedef struct norm {
  const float *weight, *bias; /* (n_embd) */
} norm;

typedef struct linear {
  matrix weight;     /* (n_in, n_out), or transposed: it says which */
  const float *bias; /* (n_out) */
} linear;

typedef struct block {
  norm ln_1;
  linear attn_qkv;  /* n_embd to 3 n_embd: query, key, value */
  linear attn_proj; /* n_embd to n_embd */
  norm ln_2;
  linear mlp_fc;   /* n_embd to n_inner */
  linear mlp_proj; /* n_inner to n_embd */
} block;

struct gpt2_model {
  _Atomic size_t n_references;
  gpt2_allocator allocator;
  config config;

  matrix wte;    /* (n_vocab, n_embd): a row for each token */
  matrix wpe;    /* (n_ctx, n_embd): a row for each position */
  block *blocks; /* (n_layer) */
  norm ln_f;
  matrix unembed; /* (n_vocab, n_embd): wte itself, or lm_head */
  bool tied;      /* it is wte */

  source *source;  /* where the files are from ... */
  tensors tensors; /* ... and what is in them; weights may point into their views */
  void *memory;    /* (memory_size) weights in memory of our own */
  size_t memory_size;
  uint64_t mapped_size, allocated_size; /* bytes of weights there, and in ours */
  uint64_t n_parameters;
  size_t n_ignored;
  const char **ignored; /* (n_ignored) names of tensors that are of no use to us */

  tokenizer *tokenizer; /* NULL: none, and then why */
  gpt2_error tokenizer_error;
  gpt2_token bos_token; /* -1: none */
  int32_t n_eos_tokens;
  gpt2_token eos_tokens[MAX_EOS_TOKENS]; /* those of the config that are in range */
};

static inline size_t model_d_head(const gpt2_model *model)
{
  return (size_t)(model->config.n_embd / model->config.n_head);
}

/* Whether `token` ends a text. */
bool model_is_eos(const gpt2_model *model, gpt2_token token);

#endif
