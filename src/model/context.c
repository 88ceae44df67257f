/* context.c - one user's working memory on a model: its life, its errors, and the public functions
 * on it. */
#include "model/context.h"

#include "base/cpu.h"

enum { DEFAULT_LOGIT_ROWS = 64, DEFAULT_HIDDEN_ROWS = 1024 };

/* ---- Who may use it ---- */

gpt2_status context_begin(gpt2_context *context)
{
  if (!context)
    return GPT2_ERR_ARGUMENT;
  return atomic_exchange(&context->busy, true) ? GPT2_ERR_BUSY : GPT2_OK;
}

gpt2_status context_end(gpt2_context *context, gpt2_status status)
{
  atomic_store(&context->busy, false);
  return status;
}

void context_ref(gpt2_context *context)
{
  atomic_fetch_add(&context->n_references, 1);
}

bool context_stopped(gpt2_context *context)
{
  if (atomic_load(&context->cancelled) && atomic_exchange(&context->cancelled, false))
    return true;
  return context->options.abort_callback &&
         context->options.abort_callback(context->options.abort_user) != 0;
}

/* ---- What it is asked to evaluate ---- */

gpt2_status context_check_sequence(gpt2_context *context, int32_t sequence)
{
  if (sequence >= 0 && sequence < GPT2_MAX_SEQUENCES)
    return GPT2_OK;
  return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
              "sequence: is %d; sequences go from 0 to %d", (int)sequence, GPT2_MAX_SEQUENCES - 1);
}

static gpt2_status check_token(gpt2_context *context, const char *what, size_t row,
                               gpt2_token token)
{
  int32_t n_vocab = context->model->config.n_vocab;
  if (token >= 0 && token < n_vocab)
    return GPT2_OK;
  return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
              "%s %zu: is %d; the model's tokens go from 0 to %d", what, row, (int)token,
              (int)n_vocab - 1);
}

static gpt2_status check_row(gpt2_context *context, size_t i, const gpt2_row *row)
{
  const uint32_t known = GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN | GPT2_ROW_SCORE | GPT2_ROW_NO_NEXT;
  gpt2_status status = check_token(context, "token", i, row->token);
  if (status == GPT2_OK)
    status = context_check_sequence(context, row->sequence);
  if (status == GPT2_OK && (row->flags & GPT2_ROW_SCORE))
    status = check_token(context, "target", i, row->target);
  if (status == GPT2_OK && (row->flags & ~known))
    status = fail(&context->error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                  "flags: row %zu has unknown bits: 0x%x", i, (unsigned)row->flags);
  return status;
}

static bool stopped(void *user)
{
  return context_stopped(user);
}

gpt2_status context_eval(gpt2_context *context, const gpt2_row *rows, size_t n_rows)
{
  return batch_run(&(batch_job){.batch = &context->batch,
                                .model = context->model,
                                .cache = &context->cache,
                                .pool = context->pool,
                                .rows = rows,
                                .n_rows = n_rows,
                                .max_logit_rows = (size_t)context->options.max_logit_rows,
                                .max_hidden_rows = (size_t)context->options.max_hidden_rows,
                                .stopped = stopped,
                                .user = context},
                   &context->error);
}

const float *context_logits(const gpt2_context *context, int32_t sequence)
{
  const kv_sequence *s = kv_cache_find(&context->cache, sequence);
  return s && s->has_logits ? s->logits : NULL;
}

/* ---- Making and freeing ---- */

static gpt2_status read_options(gpt2_context_options *o, const gpt2_context_options *given,
                                gpt2_error *error)
{
  gpt2_status status = struct_read(o, sizeof *o, given, "options", error);
  if (status != GPT2_OK)
    return status;
  const struct {
    const char *name;
    int32_t value;
  } counts[] = {{"n_threads", o->n_threads},
                {"max_logit_rows", o->max_logit_rows},
                {"max_hidden_rows", o->max_hidden_rows}};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    if (counts[i].value < 0)
      return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "options.%s: is %d; 0 is the default",
                  counts[i].name, (int)counts[i].value);
  if (o->kv_type != 0 && o->kv_type != GPT2_TYPE_F32 && o->kv_type != GPT2_TYPE_F16)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "options.kv_type: is %d; keys and values are GPT2_TYPE_F32 or GPT2_TYPE_F16",
                (int)o->kv_type);
  if (o->reserved != 0)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "options.reserved: is not zero");
  if (o->n_threads > MAX_THREADS)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "options.n_threads: is %d, at most %d are allowed", (int)o->n_threads, MAX_THREADS);
  if (o->n_threads == 0) {
    int cores = cpu_cores();
    o->n_threads = cores < MAX_THREADS ? cores : MAX_THREADS;
  }
  if (o->max_logit_rows == 0)
    o->max_logit_rows = DEFAULT_LOGIT_ROWS;
  if (o->max_hidden_rows == 0)
    o->max_hidden_rows = DEFAULT_HIDDEN_ROWS;
  return GPT2_OK;
}

gpt2_status gpt2_context_new(gpt2_model *model, const gpt2_context_options *options,
                             gpt2_context **out, gpt2_error *error)
{
  gpt2_context_options read;
  if (out)
    *out = NULL;
  if (!model || !out)
    return fail_null(error, model ? "context" : "model");
  gpt2_status status = read_options(&read, options, error);
  if (status != GPT2_OK)
    return status;
  gpt2_context *c = allocate_zeroed(&model->allocator, sizeof *c);
  if (!c)
    return fail_memory(error, sizeof *c);
  atomic_store(&c->n_references, 1);
  c->allocator = model->allocator;
  c->model = gpt2_model_ref(model);
  c->options = read;
  c->error = (gpt2_error){.struct_size = sizeof c->error, .offset = NO_OFFSET};
  c->batch.allocator = c->batch.workspace.allocator = model->allocator;
  kv_cache_init(&c->cache, &model->allocator,
                read.kv_type == GPT2_TYPE_F16 ? ELEMENT_F16 : ELEMENT_F32,
                (size_t)model->config.n_layer, (size_t)model->config.n_head, model_d_head(model),
                (size_t)model->config.n_ctx);
  status = pool_new(&model->allocator, read.n_threads, read.parallel_for, read.parallel_for_user,
                    &c->pool, error);
  if (status != GPT2_OK) {
    gpt2_context_free(c);
    return status;
  }
  *out = c;
  return GPT2_OK;
}

void gpt2_context_free(gpt2_context *context)
{
  if (!context || atomic_fetch_sub(&context->n_references, 1) > 1)
    return;
  pool_free(context->pool);
  batch_free(&context->batch);
  kv_cache_free(&context->cache);
  gpt2_model *model = context->model;
  gpt2_allocator allocator = context->allocator;
  release(&allocator, context);
  gpt2_model_free(model);
}

const gpt2_error *gpt2_context_error(const gpt2_context *context)
{
  return context ? &context->error : NULL;
}

gpt2_model *gpt2_context_model(const gpt2_context *context)
{
  return context ? context->model : NULL;
}

int32_t gpt2_context_threads(const gpt2_context *context)
{
  return context ? context->options.n_threads : 0;
}

void gpt2_cancel(gpt2_context *context)
{
  if (context)
    atomic_store(&context->cancelled, true);
}

/* ---- Evaluation ---- */

gpt2_status gpt2_eval_batch(gpt2_context *context, const gpt2_row *rows, size_t n_rows)
{
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  if (!rows)
    status = fail_null(&context->error, "rows");
  else if (n_rows == 0)
    status = fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                  "n_rows: is 0; there is nothing to evaluate");
  else
    status = check_count("n_rows", n_rows, sizeof *rows, &context->error);
  for (size_t i = 0; status == GPT2_OK && i < n_rows; i++)
    status = check_row(context, i, &rows[i]);
  if (status == GPT2_OK)
    status = context_eval(context, rows, n_rows);
  return context_end(context, status);
}

static gpt2_status eval_tokens(gpt2_context *context, int32_t sequence, const gpt2_token *tokens,
                               size_t n_tokens, uint32_t flags)
{
  if (!tokens)
    return fail_null(&context->error, "tokens");
  if (n_tokens == 0)
    return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "n_tokens: is 0; there is nothing to evaluate");
  if (flags & GPT2_ROW_SCORE)
    return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "flags: GPT2_ROW_SCORE needs a target for each row: use gpt2_eval_batch");
  /* Before the rows are made: a count that cannot fit may be too large for that. */
  if (n_tokens > context->cache.n_ctx)
    return fail(&context->error, GPT2_ERR_CONTEXT_FULL, NO_OFFSET,
                "n_tokens: is %zu; the model has %zu positions", n_tokens, context->cache.n_ctx);
  gpt2_status status = GPT2_OK;
  for (size_t i = 0; status == GPT2_OK && i < n_tokens; i++)
    status = check_row(context, i,
                       &(gpt2_row){.token = tokens[i], .sequence = sequence, .flags = flags});
  if (status != GPT2_OK)
    return status;
  status = batch_reserve(&context->batch, n_tokens, &context->error);
  if (status != GPT2_OK) {
    batch_forget(&context->batch, &context->cache, &(gpt2_row){.sequence = sequence}, 1);
    return status;
  }
  gpt2_row *rows = context->batch.rows;
  for (size_t i = 0; i < n_tokens; i++)
    rows[i] = (gpt2_row){.token = tokens[i], .sequence = sequence, .flags = flags};
  return context_eval(context, rows, n_tokens);
}

gpt2_status gpt2_eval(gpt2_context *context, int32_t sequence, const gpt2_token *tokens,
                      size_t n_tokens, uint32_t flags)
{
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  return context_end(context, eval_tokens(context, sequence, tokens, n_tokens, flags));
}

static const kv_sequence *find_sequence(const gpt2_context *context, int32_t sequence)
{
  if (!context || sequence < 0 || sequence >= GPT2_MAX_SEQUENCES)
    return NULL;
  return kv_cache_find(&context->cache, sequence);
}

const float *gpt2_logits(const gpt2_context *context, int32_t sequence)
{
  return find_sequence(context, sequence) ? context_logits(context, sequence) : NULL;
}

const float *gpt2_row_logits(const gpt2_context *context, size_t row)
{
  if (!context || row >= context->batch.n_rows || context->batch.views[row].logits == NOT_KEPT)
    return NULL;
  return context->batch.kept_logits +
         context->batch.views[row].logits * (size_t)context->model->config.n_vocab;
}

const float *gpt2_row_hidden(const gpt2_context *context, size_t row)
{
  if (!context || row >= context->batch.n_rows || context->batch.views[row].hidden == NOT_KEPT)
    return NULL;
  return context->batch.kept_hidden +
         context->batch.views[row].hidden * (size_t)context->model->config.n_embd;
}

static gpt2_status read_score(gpt2_context *context, size_t row, gpt2_token_score *score)
{
  const batch *b = &context->batch;
  if (!score)
    return fail_null(&context->error, "score");
  if (row >= b->n_rows)
    return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "row: is %zu; the last batch has %zu rows", row, b->n_rows);
  if (b->views[row].non_finite)
    return fail(&context->error, GPT2_ERR_NON_FINITE, NO_OFFSET,
                "row %zu: its logits are not finite", row);
  if (b->views[row].score.rank == 0)
    return fail(&context->error, GPT2_ERR_NO_LOGITS, NO_OFFSET,
                "row %zu: did not ask for GPT2_ROW_SCORE", row);
  *score = b->views[row].score;
  return GPT2_OK;
}

gpt2_status gpt2_row_score(gpt2_context *context, size_t row, gpt2_token_score *score)
{
  gpt2_status status = context_begin(context);
  return status == GPT2_OK ? context_end(context, read_score(context, row, score)) : status;
}

/* ---- The KV cache ---- */

size_t gpt2_kv_length(const gpt2_context *context, int32_t sequence)
{
  const kv_sequence *s = find_sequence(context, sequence);
  return s ? s->length : 0;
}

static gpt2_status read_tokens(gpt2_context *context, int32_t sequence, gpt2_token *tokens,
                               size_t capacity, size_t *n_tokens)
{
  gpt2_status status = context_check_sequence(context, sequence);
  if (status != GPT2_OK)
    return status;
  if (!n_tokens || (!tokens && capacity > 0))
    return fail_null(&context->error, n_tokens ? "tokens" : "n_tokens");
  const kv_sequence *s = find_sequence(context, sequence);
  *n_tokens = s ? s->length : 0;
  if (*n_tokens > capacity)
    return fail(&context->error, GPT2_ERR_BUFFER_TOO_SMALL, NO_OFFSET,
                "capacity: is %zu, sequence %d has %zu tokens", capacity, (int)sequence, *n_tokens);
  for (size_t i = 0; i < *n_tokens; i++)
    tokens[i] = s->blocks[i / KV_BLOCK_TOKENS]->tokens[i % KV_BLOCK_TOKENS];
  return GPT2_OK;
}

gpt2_status gpt2_kv_tokens(gpt2_context *context, int32_t sequence, gpt2_token *tokens,
                           size_t capacity, size_t *n_tokens)
{
  gpt2_status status = context_begin(context);
  return status == GPT2_OK
             ? context_end(context, read_tokens(context, sequence, tokens, capacity, n_tokens))
             : status;
}

static gpt2_status truncate(gpt2_context *context, int32_t sequence, size_t length)
{
  gpt2_status status = context_check_sequence(context, sequence);
  if (status != GPT2_OK)
    return status;
  size_t now = gpt2_kv_length(context, sequence);
  if (length > now)
    return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "length: is %zu, sequence %d has %zu tokens", length, (int)sequence, now);
  kv_sequence *s = kv_cache_find(&context->cache, sequence);
  if (!s)
    return GPT2_OK;
  s->pending = -1;
  s->has_logits = s->has_logits && length == now;
  kv_cache_truncate(&context->cache, s, length);
  return GPT2_OK;
}

gpt2_status gpt2_kv_truncate(gpt2_context *context, int32_t sequence, size_t length)
{
  gpt2_status status = context_begin(context);
  return status == GPT2_OK ? context_end(context, truncate(context, sequence, length)) : status;
}

gpt2_status gpt2_kv_drop(gpt2_context *context, int32_t sequence)
{
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  status = context_check_sequence(context, sequence);
  if (status == GPT2_OK)
    kv_cache_drop(&context->cache, sequence);
  return context_end(context, status);
}

gpt2_status gpt2_kv_clear(gpt2_context *context)
{
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  kv_cache_clear(&context->cache);
  return context_end(context, GPT2_OK);
}
