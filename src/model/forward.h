/* forward.h - the forward pass of GPT-2 over a ragged piece of a batch. */
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "base/pool.h"
#include "model/kv_cache.h"
#include "model/model.h"

/* Rows of a pass: a longer batch is cut, so that the workspace is bounded. */
enum { MAX_PASS_ROWS = 512 };

/* Logits are computed for so many rows at a time: n_vocab times it is not too much memory. */
enum { LOGIT_PANEL_ROWS = 64 };

/* Consecutive rows of one sequence. */
typedef struct segment {
  kv_sequence *sequence;
  size_t row; /* its first row in the pass */
  size_t n_rows;
  size_t position; /* of that row in the sequence */
} segment;

/* Consecutive rows of a segment, whose attention one worker computes for one head. */
typedef struct query_tile {
  const kv_sequence *sequence;
  size_t row, n_rows, position;
} query_tile;

/* Memory for the activations of a pass: made for the largest so far and used again. */
typedef struct workspace {
  gpt2_allocator allocator;
  size_t n_rows;      /* that there is room for */
  gpt2_token *tokens; /* (n_rows) */
  segment *segments;  /* (n_rows): as many as there can be */
  query_tile *tiles;  /* (n_rows) */
  float *residual;    /* (n_rows, n_embd) */
  float *normed;      /* (n_rows, n_embd) */
  float *qkv;         /* (n_rows, 3 n_embd) */
  float *attended;    /* (n_rows, n_embd) */
  float *mlp;         /* (n_rows, n_inner) */
  float *scratch;     /* (n_threads, attention_scratch_floats) */
  void *products;     /* scratch memory of the matrix products, also that of the unembedding */
} workspace;

gpt2_status workspace_reserve(workspace *ws, const gpt2_model *model, size_t n_rows, int n_threads,
                              gpt2_error *error);
void workspace_free(workspace *ws);

/* One pass: rows whose tokens and segments the caller has filled in `ws`. */
typedef struct pass {
  const gpt2_model *model;
  kv_cache *cache; /* with blocks reserved for all rows */
  pool *pool;
  workspace *ws;
  const kernels *kernel;
  size_t n_rows, n_segments;
  const size_t *wanted; /* (n_wanted) the rows whose residual is wanted, ascending */
  size_t n_wanted;
  size_t n_tiles;              /* set by attention_prepare */
  bool (*stopped)(void *user); /* asked before every block */
  void *user;
} pass;

/* Runs all rows through all blocks, writing their keys and values to the cache; the residual stream
 * of the wanted rows stays in ws->residual (n_wanted, n_embd). GPT2_ERR_CANCELLED if stopped. */
gpt2_status forward(pass *p, gpt2_error *error);

/* The last layer norm of wanted rows: out (n, n_embd) is that of those with these numbers among
 * them. */
void forward_final_norm(const pass *p, const size_t *numbers, size_t n, float *out);

#endif
