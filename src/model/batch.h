/* batch.h - a ragged batch: rows sorted by sequence, cut into passes, and what is kept of each row
 * afterwards. */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include "model/forward.h"

/* The rows of one sequence in a batch. */
typedef struct batch_segment {
  kv_sequence *sequence;
  size_t first; /* in `order` */
  size_t n_rows;
} batch_segment;

/* What a row asked for: indices into the batch's kept logits and hidden states, or NOT_KEPT. */
typedef struct row_view {
  size_t logits, hidden;
  gpt2_token_score score; /* rank 0: not scored */
  bool non_finite;        /* it should have been scored, but the logits are no numbers */
} row_view;

#define NOT_KEPT SIZE_MAX

/* Everything here is grown when a batch needs more and used again. */
typedef struct batch {
  gpt2_allocator allocator;
  uint64_t number; /* of the batch, so that a sequence knows whether it has a segment in it */

  size_t row_capacity;
  size_t n_segments;
  batch_segment *segments; /* (row_capacity) */
  size_t *order;           /* (row_capacity) rows in the caller's numbering, sorted by segment */
  gpt2_row *rows;          /* (row_capacity) for callers who have no rows, such as gpt2_eval */

  size_t n_rows, view_capacity;
  row_view *views; /* (n_rows) in the caller's numbering: what is left of the last batch */

  workspace workspace;
  float *panel; /* (panel_rows, n_vocab) */
  size_t panel_rows;
  float *panel_hidden; /* (MAX_PASS_ROWS or fewer, n_embd) normed rows that are wanted */
  size_t hidden_rows;
  float *kept_logits; /* (logits_capacity, n_vocab) */
  size_t logits_capacity;
  float *kept_hidden; /* (hidden_capacity, n_embd) */
  size_t hidden_capacity;
} batch;

/* What evaluating a batch needs to know. */
typedef struct batch_job {
  batch *batch;
  const gpt2_model *model;
  kv_cache *cache;
  pool *pool;
  const gpt2_row *rows; /* (n_rows) checked */
  size_t n_rows;
  size_t max_logit_rows, max_hidden_rows;
  bool (*stopped)(void *user);
  void *user;
} batch_job;

/* Evaluates all rows, or none: LIMIT and CONTEXT_FULL change nothing; after any other failure the
 * sequences are as long as before, and batch_forget has been called. */
gpt2_status batch_run(const batch_job *job, gpt2_error *error);

/* Makes room for `n_rows` rows; the views of the last batch stay. */
gpt2_status batch_reserve(batch *b, size_t n_rows, gpt2_error *error);

/* Room for `rows` rows of `width` floats in *array, of which *capacity are there; what was in it is
 * lost. */
gpt2_status batch_reserve_rows(const batch *b, float **array, size_t *capacity, size_t rows,
                               size_t width, const char *what, gpt2_error *error);

/* What a failed evaluation leaves: no next-token logits of its sequences, and no views. */
void batch_forget(batch *b, kv_cache *cache, const gpt2_row *rows, size_t n_rows);

void batch_free(batch *b);

#endif
