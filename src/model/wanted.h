/* wanted.h - which rows of a pass want logits or hidden states, and what they get. */
#ifndef MODEL_WANTED_H
#define MODEL_WANTED_H

#include "model/batch.h"

/* Whether the row at that place in `order` wants the logits of what follows its sequence. */
bool wanted_next(const batch_job *job, size_t at);

/* The rows of a pass that want something, in their order and by number: the numbers of those that
 * want logits come first, so that their panel is contiguous. */
typedef struct wanted {
  const batch_job *job;
  const pass *pass;
  size_t first; /* of the pass, in `order` */
  size_t n, n_logits;
  size_t rows[MAX_PASS_ROWS];    /* of the pass, ascending */
  size_t numbers[MAX_PASS_ROWS]; /* in `rows` */
  size_t panel;                  /* the first number of the panel in work */
  float *logits;                 /* (LOGIT_PANEL_ROWS or fewer, n_vocab) of the panel */
} wanted;

/* Finds them in the pass of n_rows <= MAX_PASS_ROWS rows that begins at `first`. */
void wanted_find(wanted *w, const batch_job *job, size_t first, size_t n_rows);

/* logits = ln_f(residual) . wte^T, for the rows that want them, and what is made of them. */
gpt2_status wanted_unembed(wanted *w, const pass *p, gpt2_error *error);

#endif
