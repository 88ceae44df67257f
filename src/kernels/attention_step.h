/* attention_step.h - what the kernels of attention work on.
 *
 * Attention takes the tokens that a query sees in runs, and keeps a running maximum and sum
 * (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al.,
 * "FlashAttention", 2022): so nobody ever holds all scores. */
#ifndef KERNELS_ATTENTION_STEP_H
#define KERNELS_ATTENTION_STEP_H

#include <stdbool.h>
#include <stddef.h>

/* Tokens whose keys, or values, lie together. Keys lie the other way round than values, so that a
 * register has the same element of several tokens' keys. A kernel that streams may ask the memory
 * for as many blocks ahead as ATTENTION_AHEAD. */
enum { ATTENTION_BLOCK = 16, ATTENTION_AHEAD = 8 };

/* A step: the queries of some rows, for one head, take a run of tokens into account. A row has the
 * same bits whatever rows stand beside it. */
typedef struct attention_step {
  size_t n_rows, d_head;
  size_t n_tokens; /* of the run, at least 1, that the first row sees; and the others, if not ... */
  bool causal;     /* ... each sees one more than the row before it */

  const float *q;          /* (n_rows, d_head) times the scale of the scores */
  const void *const *keys; /* each (d_head, ATTENTION_BLOCK); ATTENTION_AHEAD more addresses ... */
  const void *const *values; /* each (ATTENTION_BLOCK, d_head); ... of what will be read next */

  float *scores;       /* (n_rows, score_stride): then the weights */
  size_t score_stride; /* at least the tokens of the last row in whole blocks */
  float *greatest;     /* (n_rows) score so far; -infinity at first */
  float *factor;       /* (n_rows) */
  double *total;       /* (n_rows) of the weights */
  float *out;          /* (n_rows, d_head) */
} attention_step;

/* Tokens of the run that a row sees. */
static inline size_t attention_tokens(const attention_step *step, size_t row)
{
  return step->n_tokens + (step->causal ? row : 0);
}
#endif
