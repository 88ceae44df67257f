/* context.h - one user's working memory on a model. */
#ifndef MODEL_CONTEXT_H
#define MODEL_CONTEXT_H

#include <stdatomic.h>

#include "model/batch.h"

struct gpt2_context {
  _Atomic size_t n_references;
  gpt2_allocator allocator; /* the model's */
  gpt2_model *model;
  pool *pool;
  gpt2_context_options options;
  gpt2_error error;       /* the last failure */
  _Atomic bool busy;      /* some thread is in a call */
  _Atomic bool cancelled; /* gpt2_cancel was called */
  kv_cache cache;
  batch batch; /* the last one, and memory for the next */
};

/* Every call that uses a context stands between these two: the second caller at a time gets
 * GPT2_ERR_BUSY, and must not call context_end. NULL is GPT2_ERR_ARGUMENT. */
gpt2_status context_begin(gpt2_context *context);
gpt2_status context_end(gpt2_context *context, gpt2_status status);

/* A generation keeps its context alive. */
void context_ref(gpt2_context *context);

/* Whether the running operation should stop; a gpt2_cancel is thereby used up. */
bool context_stopped(gpt2_context *context);

/* Evaluates rows, of the scoring sequence too. The error is in context->error. */
gpt2_status context_eval(gpt2_context *context, const gpt2_row *rows, size_t n_rows);

/* The next-token logits (n_vocab) of a sequence in range, or NULL. */
const float *context_logits(const gpt2_context *context, int32_t sequence);

/* Says that `sequence` is out of range, if it is. */
gpt2_status context_check_sequence(gpt2_context *context, int32_t sequence);

#endif
