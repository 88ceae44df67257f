/* reference.h - GPT-2 in double precision, written to be read: the oracle that the library is
 * tested against.
 *
 * Nothing here is fast and nothing is shared with the library. reference_load.c reads a Hugging
 * Face folder into plain arrays of doubles; gpt2.c is the model. All matrices are row-major; those
 * of a linear layer are (in, out), as the files have them. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { REFERENCE_GELU_TANH, REFERENCE_GELU_ERF, REFERENCE_RELU } reference_activation;

typedef struct reference_config {
  int n_vocab, n_ctx, n_embd, n_head, n_layer, n_inner;
  reference_activation activation;
  double layer_norm_epsilon;
  bool scale_attn_weights;              /* divide attention scores by sqrt(d_head) */
  bool scale_attn_by_inverse_layer_idx; /* and by the layer's number, counted from 1 */
  bool tie_word_embeddings;
} reference_config;

typedef struct reference_linear {
  double *weight; /* (n_in, n_out); of a layer norm (n_embd) */
  double *bias;   /* (n_out) */
} reference_linear;

typedef struct reference_block {
  reference_linear ln_1;
  reference_linear attn_qkv;  /* (n_embd, 3 * n_embd) */
  reference_linear attn_proj; /* (n_embd, n_embd) */
  reference_linear ln_2;
  reference_linear mlp_fc;   /* (n_embd, n_inner) */
  reference_linear mlp_proj; /* (n_inner, n_embd) */
} reference_block;

typedef struct reference_model {
  reference_config config;
  double *wte;            /* (n_vocab, n_embd) */
  double *wpe;            /* (n_ctx, n_embd) */
  reference_block *block; /* (n_layer) */
  reference_linear ln_f;
  double *unembedding; /* (n_vocab, n_embd): wte itself when tied */
} reference_model;

/* Reads the folder; NULL after a sentence on stderr when it cannot be used. */
reference_model *reference_load(const char *folder);
void reference_free(reference_model *model);

/* The last hidden states, after ln_f, of tokens (n, at most n_ctx) at the positions from 0: hidden
 * (n, n_embd). */
void reference_hidden(const reference_model *model, const int32_t *tokens, int n, double *hidden);

/* The logits (n_vocab) that follow from one hidden state (n_embd). */
void reference_unembed(const reference_model *model, const double *hidden, double *logits);

/* Both at once for all rows: logits (n, n_vocab). */
void reference_logits(const reference_model *model, const int32_t *tokens, int n, double *logits);

/* Zeroed memory for `count` doubles; ends the program when there is none. */
double *reference_doubles(size_t count);

#endif
