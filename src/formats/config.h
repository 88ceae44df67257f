/* config.h - the numbers that say which GPT-2 it is. */
#ifndef FORMATS_CONFIG_H
#define FORMATS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The greatest sizes that are accepted: far beyond those of any GPT-2, and small enough that no
 * product of them can wrap (config.c proves it). */
enum {
  MAX_VOCAB = 1 << 24,
  MAX_CTX = 1 << 24,
  MAX_EMBD = 1 << 20,
  MAX_INNER = 1 << 24,
  MAX_LAYERS = 1024,
  MAX_EOS_TOKENS = 16 /* end tokens that a config may name */
};

typedef struct config {
  int32_t n_vocab; /* rows of wte */
  int32_t n_ctx;   /* rows of wpe */
  int32_t n_embd;
  int32_t n_head; /* divides n_embd */
  int32_t n_layer;
  int32_t n_inner;    /* width of the MLP */
  int32_t activation; /* GPT2_ACTIVATION_... */
  float layer_norm_epsilon;
  bool scale_attn;          /* scores / sqrt(d_head) */
  bool scale_attn_by_layer; /* and / (layer + 1) */
  bool tie_word_embeddings; /* the file says that lm_head is wte */
  int32_t bos_token;        /* -1: none. May be beyond n_vocab: then it is not used */
  int32_t n_eos_tokens;
  int32_t eos_tokens[MAX_EOS_TOKENS]; /* never negative; may be beyond n_vocab, as above */
} config;

/* Refuses what no GPT-2 can have: sizes that are zero or huge, a width that the heads do not
 * divide, an epsilon that is negative or not finite. `file` is for the message. */
gpt2_status config_check(const config *c, const char *file, gpt2_error *error);

#endif
