/* wanted.c - which rows of a pass want logits or hidden states, and what they get. */
#include "model/wanted.h"

#include <string.h>

#include "model/score_row.h"

/* ---- Who wants what ---- */

static bool is_last_of_segment(const batch *b, size_t at)
{
  for (size_t low = 0, high = b->n_segments;;) { /* segments are sorted by `first` */
    size_t middle = (low + high) / 2;
    const batch_segment *s = &b->segments[middle];
    if (at < s->first)
      high = middle;
    else if (at >= s->first + s->n_rows)
      low = middle + 1;
    else
      return at == s->first + s->n_rows - 1;
  }
}

static const gpt2_row *row_at(const batch_job *job, size_t at)
{
  return &job->rows[job->batch->order[at]];
}

bool wanted_next(const batch_job *job, size_t at)
{
  return !(row_at(job, at)->flags & GPT2_ROW_NO_NEXT) && is_last_of_segment(job->batch, at);
}

static bool wants_logits(const batch_job *job, size_t at)
{
  return (row_at(job, at)->flags & (GPT2_ROW_LOGITS | GPT2_ROW_SCORE)) || wanted_next(job, at);
}

void wanted_find(wanted *w, const batch_job *job, size_t first, size_t n_rows)
{
  w->job = job;
  w->first = first;
  w->n = w->n_logits = 0;
  for (size_t i = 0; i < n_rows; i++) {
    bool logits = wants_logits(w->job, w->first + i);
    if (logits)
      w->numbers[w->n_logits++] = w->n;
    if (logits || row_at(w->job, w->first + i)->flags & GPT2_ROW_HIDDEN)
      w->rows[w->n++] = i;
  }
  for (size_t i = 0, last = w->n_logits; i < w->n; i++)
    if (!wants_logits(w->job, w->first + w->rows[i]))
      w->numbers[last++] = i;
}

/* The place in `order` of the i-th of the numbers. */
static size_t place_of(const wanted *w, size_t i)
{
  return w->first + w->rows[w->numbers[i]];
}

/* ---- After a pass ---- */

/* Hands one row of the panel to all who want it. */
static void deliver_logits(void *data, size_t index, int worker)
{
  (void)worker;
  const wanted *w = data;
  const batch_job *job = w->job;
  batch *b = job->batch;
  size_t n_vocab = (size_t)job->model->config.n_vocab, at = place_of(w, w->panel + index);
  const gpt2_row *row = row_at(job, at);
  row_view *view = &b->views[b->order[at]];
  const float *logits = w->logits + index * n_vocab;
  if (view->logits != NOT_KEPT)
    memcpy(b->kept_logits + view->logits * n_vocab, logits, n_vocab * sizeof *logits);
  if (row->flags & GPT2_ROW_SCORE)
    view->non_finite = !score_row(w->pass->kernel, logits, n_vocab, row->target, &view->score);
  view->score.position = (int64_t)b->order[at];
  float *next = kv_cache_find(job->cache, row->sequence)->logits;
  if (wanted_next(job, at) && next != logits)
    memcpy(next, logits, n_vocab * sizeof *logits);
}

/* Memory for the logits of a panel: that of the sequence, where one row is all that wants some. */
static gpt2_status find_panel(wanted *w, gpt2_error *error)
{
  const batch_job *job = w->job;
  batch *b = job->batch;
  if (w->n_logits == 1 && wanted_next(job, place_of(w, 0))) {
    w->logits = kv_cache_find(job->cache, row_at(job, place_of(w, 0))->sequence)->logits;
    return GPT2_OK;
  }
  gpt2_status status =
      batch_reserve_rows(b, &b->panel, &b->panel_rows, smaller(w->n_logits, LOGIT_PANEL_ROWS),
                         (size_t)job->model->config.n_vocab, "logits", error);
  w->logits = b->panel;
  return status;
}

gpt2_status wanted_unembed(wanted *w, const pass *p, gpt2_error *error)
{
  const batch_job *job = w->job;
  batch *b = job->batch;
  size_t n_embd = (size_t)job->model->config.n_embd;
  gpt2_status status = batch_reserve_rows(b, &b->panel_hidden, &b->hidden_rows, w->n, n_embd,
                                          "last hidden states", error);
  if (status == GPT2_OK)
    status = find_panel(w, error);
  if (status != GPT2_OK)
    return status;
  w->pass = p;
  forward_final_norm(p, w->numbers, w->n, b->panel_hidden);
  for (size_t i = 0; i < w->n; i++) {
    const row_view *view = &b->views[b->order[place_of(w, i)]];
    const float *hidden = b->panel_hidden + i * n_embd;
    if (view->hidden != NOT_KEPT)
      memcpy(b->kept_hidden + view->hidden * n_embd, hidden, n_embd * sizeof *hidden);
  }
  for (w->panel = 0; w->panel < w->n_logits; w->panel += LOGIT_PANEL_ROWS) {
    if (job->stopped(job->user))
      return fail(error, GPT2_ERR_CANCELLED, NO_OFFSET, "cancelled before the logits");
    size_t n = smaller(w->n_logits - w->panel, LOGIT_PANEL_ROWS);
    matmul(job->pool, &(product){.weight = &job->model->unembed,
                                 .x = b->panel_hidden + w->panel * n_embd,
                                 .n_rows = n,
                                 .y = w->logits,
                                 .scratch = b->workspace.products});
    pool_run(job->pool, n, pool_threads(job->pool), deliver_logits, w);
  }
  return GPT2_OK;
}
