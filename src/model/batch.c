/* batch.c - a ragged batch: rows sorted by sequence, cut into passes, and what is kept of each row
 * afterwards. */
#include "model/batch.h"

#include <string.h>

#include "model/wanted.h"

/* ---- Memory ---- */

/* Replaces *array by room for n elements of `size` bytes; what was in it is lost. */
static bool renew(const batch *b, void **array, size_t n, size_t size)
{
  release(&b->allocator, *array);
  *array = allocate_array(&b->allocator, n, size);
  return *array != NULL;
}

gpt2_status batch_reserve(batch *b, size_t n_rows, gpt2_error *error)
{
  if (n_rows <= b->row_capacity)
    return GPT2_OK;
  b->row_capacity = 0;
  if (!renew(b, (void **)&b->segments, n_rows, sizeof *b->segments) ||
      !renew(b, (void **)&b->order, n_rows, sizeof *b->order) ||
      !renew(b, (void **)&b->rows, n_rows, sizeof *b->rows))
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for a batch of %zu rows", n_rows);
  b->row_capacity = n_rows;
  return GPT2_OK;
}

gpt2_status batch_reserve_rows(const batch *b, float **array, size_t *capacity, size_t rows,
                               size_t width, const char *what, gpt2_error *error)
{
  size_t row_size;
  if (rows <= *capacity)
    return GPT2_OK;
  *capacity = 0;
  if (!mul_size(&row_size, width, sizeof **array) || !renew(b, (void **)array, rows, row_size))
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for the %s of %zu rows", what,
                rows);
  *capacity = rows;
  return GPT2_OK;
}

void batch_free(batch *b)
{
  void *parts[] = {b->segments, b->order,        b->views,       b->rows,
                   b->panel,    b->panel_hidden, b->kept_logits, b->kept_hidden};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    release(&b->allocator, parts[i]);
  workspace_free(&b->workspace);
}

/* ---- Sorting rows by sequence ---- */

/* Puts the rows into order, segment by segment. */
static void sort_rows(const batch_job *job)
{
  batch *b = job->batch;
  for (size_t i = 0, first = 0; i < b->n_segments; i++) {
    b->segments[i].first = first;
    first += b->segments[i].n_rows;
    b->segments[i].n_rows = 0; /* counted again while placing */
  }
  for (size_t i = 0; i < job->n_rows; i++) {
    batch_segment *s = &b->segments[kv_cache_find(job->cache, job->rows[i].sequence)->segment];
    b->order[s->first + s->n_rows++] = i;
  }
}

/* Finds the segments, in the order in which their sequences first appear, and the rows of each. */
static gpt2_status find_segments(const batch_job *job, gpt2_error *error)
{
  batch *b = job->batch;
  b->number++;
  b->n_segments = 0;
  for (size_t i = 0; i < job->n_rows; i++) {
    kv_sequence *s = kv_cache_make(job->cache, job->rows[i].sequence);
    if (!s)
      return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for sequence %d",
                  (int)job->rows[i].sequence);
    if (s->batch != b->number) {
      s->batch = b->number;
      s->segment = b->n_segments++;
      b->segments[s->segment] = (batch_segment){.sequence = s};
    }
    b->segments[s->segment].n_rows++;
  }
  sort_rows(job);
  return GPT2_OK;
}

static gpt2_status check_lengths(const batch_job *job, gpt2_error *error)
{
  const batch *b = job->batch;
  size_t n_ctx = job->cache->n_ctx;
  for (size_t i = 0; i < b->n_segments; i++) {
    const batch_segment *s = &b->segments[i];
    if (s->n_rows > n_ctx - s->sequence->length)
      return fail(error, GPT2_ERR_CONTEXT_FULL, NO_OFFSET,
                  "sequence %d: has %zu tokens, %zu more do not fit the model's %zu positions",
                  (int)job->rows[b->order[s->first]].sequence, s->sequence->length, s->n_rows,
                  n_ctx);
  }
  return GPT2_OK;
}

/* ---- What rows want to be kept ---- */

static size_t count_flagged(const batch_job *job, uint32_t flag)
{
  size_t n = 0;
  for (size_t i = 0; i < job->n_rows; i++)
    n += (job->rows[i].flags & flag) != 0;
  return n;
}

static gpt2_status check_limits(const batch_job *job, gpt2_error *error)
{
  size_t n_logits = count_flagged(job, GPT2_ROW_LOGITS),
         n_hidden = count_flagged(job, GPT2_ROW_HIDDEN);
  if (n_logits > job->max_logit_rows)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "rows: %zu ask for their logits, max_logit_rows is %zu", n_logits,
                job->max_logit_rows);
  if (n_hidden > job->max_hidden_rows)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "rows: %zu ask for their hidden state, max_hidden_rows is %zu", n_hidden,
                job->max_hidden_rows);
  return GPT2_OK;
}

/* Gives each row that asks for it a place among the kept logits and hidden states. From here on the
 * views of the last batch are gone. */
static gpt2_status place_views(const batch_job *job, gpt2_error *error)
{
  batch *b = job->batch;
  size_t n_logits = 0, n_hidden = 0;
  b->n_rows = 0;
  if (job->n_rows > b->view_capacity) {
    b->view_capacity = 0;
    if (!renew(b, (void **)&b->views, job->n_rows, sizeof *b->views))
      return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for the views of %zu rows",
                  job->n_rows);
    b->view_capacity = job->n_rows;
  }
  for (size_t i = 0; i < job->n_rows; i++)
    b->views[i] = (row_view){
        .logits = job->rows[i].flags & GPT2_ROW_LOGITS ? n_logits++ : NOT_KEPT,
        .hidden = job->rows[i].flags & GPT2_ROW_HIDDEN ? n_hidden++ : NOT_KEPT,
    };
  gpt2_status status = batch_reserve_rows(b, &b->kept_logits, &b->logits_capacity, n_logits,
                                          (size_t)job->model->config.n_vocab, "logits", error);
  return status == GPT2_OK
             ? batch_reserve_rows(b, &b->kept_hidden, &b->hidden_capacity, n_hidden,
                                  (size_t)job->model->config.n_embd, "hidden states", error)
             : status;
}

/* ---- Passes ---- */

/* Puts rows [first, first + n_rows) of `order` into the workspace: their tokens, and the parts of
 * the segments that they are. */
static void fill_pass(const batch_job *job, pass *p, size_t first)
{
  const batch *b = job->batch;
  size_t end = first + p->n_rows;
  for (size_t i = first; i < end; i++)
    p->ws->tokens[i - first] = job->rows[b->order[i]].token;
  p->n_segments = 0;
  for (size_t i = 0; i < b->n_segments; i++) {
    const batch_segment *s = &b->segments[i];
    size_t from = s->first > first ? s->first : first;
    size_t to = s->first + s->n_rows < end ? s->first + s->n_rows : end;
    if (from < to)
      p->ws->segments[p->n_segments++] =
          (segment){.sequence = s->sequence,
                    .row = from - first,
                    .n_rows = to - from,
                    .position = s->sequence->length + (from - s->first)};
  }
}

static gpt2_status run_pass(const batch_job *job, size_t first, size_t n_rows, gpt2_error *error)
{
  wanted w;
  wanted_find(&w, job, first, n_rows);
  pass p = {.model = job->model,
            .cache = job->cache,
            .pool = job->pool,
            .ws = &job->batch->workspace,
            .kernel = kernels_in_use(),
            .n_rows = n_rows,
            .wanted = w.rows,
            .n_wanted = w.n,
            .stopped = job->stopped,
            .user = job->user};
  fill_pass(job, &p, first);
  gpt2_status status = forward(&p, error);
  return status == GPT2_OK ? wanted_unembed(&w, &p, error) : status;
}

/* Passes of nearly equal length, so that no small one is left over. */
static gpt2_status run_passes(const batch_job *job, gpt2_error *error)
{
  size_t n_passes = (job->n_rows + MAX_PASS_ROWS - 1) / MAX_PASS_ROWS;
  for (size_t i = 0; i < n_passes; i++) {
    size_t first = job->n_rows * i / n_passes, end = job->n_rows * (i + 1) / n_passes;
    gpt2_status status = run_pass(job, first, end - first, error);
    if (status != GPT2_OK)
      return status;
  }
  return GPT2_OK;
}

/* ---- All of it ---- */

/* Everything that may fail for want of memory or threads, before anything is computed. */
static gpt2_status prepare(const batch_job *job, gpt2_error *error)
{
  batch *b = job->batch;
  size_t pass_rows = job->n_rows < MAX_PASS_ROWS ? job->n_rows : MAX_PASS_ROWS;
  gpt2_status status = place_views(job, error);
  if (status == GPT2_OK)
    status = pool_start(job->pool, error);
  if (status == GPT2_OK)
    status =
        workspace_reserve(&b->workspace, job->model, pass_rows, pool_threads(job->pool), error);
  for (size_t i = 0; status == GPT2_OK && i < b->n_segments; i++) {
    kv_sequence *s = b->segments[i].sequence;
    status = kv_cache_reserve(job->cache, s, s->length + b->segments[i].n_rows, error);
    if (status != GPT2_OK || s->logits ||
        !wanted_next(job, b->segments[i].first + b->segments[i].n_rows - 1))
      continue;
    s->logits =
        allocate_array(&b->allocator, (size_t)job->model->config.n_vocab, sizeof *s->logits);
    if (!s->logits)
      status = fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for a sequence's logits");
  }
  return status;
}

/* The sequences are as long as what was evaluated. */
static void take_effect(const batch_job *job)
{
  batch *b = job->batch;
  for (size_t i = 0; i < b->n_segments; i++) {
    kv_sequence *s = b->segments[i].sequence;
    s->has_logits = wanted_next(job, b->segments[i].first + b->segments[i].n_rows - 1);
    s->pending = -1;
    s->length += b->segments[i].n_rows;
  }
  b->n_rows = job->n_rows;
}

void batch_forget(batch *b, kv_cache *cache, const gpt2_row *rows, size_t n_rows)
{
  b->n_rows = 0;
  for (size_t i = 0; i < n_rows; i++) {
    kv_sequence *s = kv_cache_find(cache, rows[i].sequence);
    if (!s)
      continue;
    s->has_logits = false;
    kv_cache_truncate(cache, s, s->length); /* gives back the blocks reserved for more */
  }
}

gpt2_status batch_run(const batch_job *job, gpt2_error *error)
{
  gpt2_status status = check_limits(job, error);
  if (status == GPT2_OK)
    status = batch_reserve(job->batch, job->n_rows, error);
  if (status == GPT2_OK)
    status = find_segments(job, error);
  if (status == GPT2_OK)
    status = check_lengths(job, error);
  if (status == GPT2_OK)
    status = prepare(job, error);
  if (status == GPT2_OK)
    status = run_passes(job, error);
  if (status == GPT2_OK)
    take_effect(job);
  else if (status != GPT2_ERR_LIMIT && status != GPT2_ERR_CONTEXT_FULL)
    batch_forget(job->batch, job->cache, job->rows, job->n_rows);
  return status;
}
