/* forward.c - the forward pass of GPT-2, as the model is drawn:
 *
 *     embed: residual = wte[token] + wpe[position]
 *     for each block:
 *       attention: residual += attn_proj(softmax(causal(q.k / sqrt(d_head))) . v) on ln_1(residual)
 *       mlp:       residual += mlp_proj(gelu(mlp_fc(ln_2(residual))))
 *     logits = ln_f(residual) . wte^T
 *
 * Radford et al., "Language models are unsupervised multitask learners", 2019; pre-norm blocks of
 * Vaswani et al., "Attention is all you need", 2017. Products see the rows of all sequences at
 * once, attention one sequence at a time. */
#include "model/forward.h"

#include <string.h>

#include "base/pages.h"
#include "model/attention.h"

/* Rows that a worker takes at once where rows do not touch each other: one row of decoding stays on
 * its thread. */
enum { ROWS_PER_TILE = 4 };

/* A step that is done row by row. */
typedef struct row_step {
  const pass *of;
  void (*row)(const struct row_step *step, size_t row);
  const norm *norm; /* of a layer norm */
} row_step;

static void run_rows(void *data, size_t tile, int worker)
{
  (void)worker;
  const row_step *step = data;
  size_t end = (tile + 1) * ROWS_PER_TILE;
  if (end > step->of->n_rows)
    end = step->of->n_rows;
  for (size_t row = tile * ROWS_PER_TILE; row < end; row++)
    step->row(step, row);
}

static void for_each_row(row_step *step)
{
  const pass *p = step->of;
  pool_run(p->pool, (p->n_rows + ROWS_PER_TILE - 1) / ROWS_PER_TILE, pool_threads(p->pool),
           run_rows, step);
}

/* ---- embed ---- */

static const segment *segment_of(const pass *p, size_t row)
{
  size_t low = 0, high = p->n_segments; /* the last segment that does not begin after the row */
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (p->ws->segments[middle].row <= row)
      low = middle;
    else
      high = middle;
  }
  return &p->ws->segments[low];
}

static size_t position_of(const pass *p, size_t row, const kv_sequence **sequence)
{
  const segment *s = segment_of(p, row);
  *sequence = s->sequence;
  return s->position + (row - s->row);
}

/* Reads something of every page of wpe that the tokens of a block will need. With the first of them
 * the block's own pages come, too; so those that follow find all there. */
static void meet_positions(const gpt2_model *model, size_t position)
{
  enum { PAGE = 4096 };
  size_t n_left = (size_t)model->config.n_ctx - position;
  size_t row_size = (size_t)model->config.n_embd * element_size(model->wpe.type);
  size_t size = row_size * (n_left < KV_BLOCK_TOKENS ? n_left : KV_BLOCK_TOKENS);
  const volatile uint8_t *rows = (const uint8_t *)model->wpe.data + position * row_size;
  for (size_t at = 0; at < size; at += PAGE)
    (void)rows[at];
  (void)rows[size - 1];
}

/* residual = wte[token] + wpe[position]; the token itself goes to the cache as well. */
static void embed_row(const row_step *step, size_t row)
{
  const pass *p = step->of;
  size_t n_embd = (size_t)p->model->config.n_embd;
  gpt2_token token = p->ws->tokens[row];
  const kv_sequence *sequence;
  size_t position = position_of(p, row, &sequence);
  if (position % KV_BLOCK_TOKENS == 0)
    meet_positions(p->model, position);
  sequence->blocks[position / KV_BLOCK_TOKENS]->tokens[position % KV_BLOCK_TOKENS] = token;
  float *residual = p->ws->residual + row * n_embd;
  float *of_position = p->ws->normed + row * n_embd; /* not in use yet */
  matrix_row(&p->model->wte, (size_t)token, residual);
  matrix_row(&p->model->wpe, position, of_position);
  p->kernel->add(residual, of_position, n_embd);
}

static void embed(const pass *p)
{
  for_each_row(&(row_step){.of = p, .row = embed_row});
}

/* ---- attention ---- */

/* normed = norm(residual) */
static void norm_row(const row_step *step, size_t row)
{
  const pass *p = step->of;
  size_t n_embd = (size_t)p->model->config.n_embd;
  p->kernel->layer_norm(p->ws->residual + row * n_embd, step->norm->weight, step->norm->bias,
                        p->model->config.layer_norm_epsilon, n_embd, p->ws->normed + row * n_embd);
}

static void normalize(const pass *p, const norm *weights)
{
  for_each_row(&(row_step){.of = p, .row = norm_row, .norm = weights});
}

/* y (n_rows, n_out) = x . weight + bias, or added to what y holds. */
static void apply(const pass *p, const linear *l, const float *x, float *y, bool accumulate,
                  void (*activation)(float *, size_t))
{
  if (p->n_rows == 0) /* none is wanted */
    return;
  matmul(p->pool, &(product){.weight = &l->weight,
                             .bias = l->bias,
                             .x = x,
                             .n_rows = p->n_rows,
                             .y = y,
                             .accumulate = accumulate,
                             .activation = activation,
                             .scratch = p->ws->products});
}

/* After the keys and values of the last block, only the wanted rows go on: the first n_wanted of
 * the workspace from then on. */
static void keep_wanted_rows(pass *p)
{
  size_t n_embd = (size_t)p->model->config.n_embd;
  float *residual = p->ws->residual, *q = p->ws->qkv;
  for (size_t i = 0; i < p->n_wanted; i++) {
    size_t row = p->wanted[i];
    memmove(residual + i * n_embd, residual + row * n_embd, n_embd * sizeof *residual);
    memmove(q + i * 3 * n_embd, q + row * 3 * n_embd, n_embd * sizeof *q);
  }
  attention_prepare(p, p->wanted, p->n_wanted);
  p->n_rows = p->n_wanted;
}

/* Where no tile needs what another one puts into the cache, each puts its own. */
static void attention(pass *p, const block *b, size_t layer)
{
  workspace *ws = p->ws;
  bool narrows = layer + 1 == p->cache->n_layer && p->n_wanted < p->n_rows;
  bool apart = !narrows && p->n_tiles == p->n_segments;
  normalize(p, &b->ln_1);
  apply(p, &b->attn_qkv, ws->normed, ws->qkv, false, NULL);
  if (!apart)
    attention_remember(p, layer);
  if (narrows)
    keep_wanted_rows(p);
  attention_run(p, layer, apart);
  apply(p, &b->attn_proj, ws->attended, ws->residual, true, NULL);
}

/* ---- mlp ---- */

static void mlp(const pass *p, const block *b)
{
  workspace *ws = p->ws;
  normalize(p, &b->ln_2);
  apply(p, &b->mlp_fc, ws->normed, ws->mlp, false,
        p->kernel->activation[p->model->config.activation]);
  apply(p, &b->mlp_proj, ws->mlp, ws->residual, true, NULL);
}

/* ---- all of it ---- */

gpt2_status forward(pass *p, gpt2_error *error)
{
  attention_prepare(p, NULL, p->n_rows);
  embed(p);
  for (size_t layer = 0; layer < (size_t)p->model->config.n_layer; layer++) {
    if (p->stopped(p->user))
      return fail(error, GPT2_ERR_CANCELLED, NO_OFFSET, "cancelled before block %zu of %d",
                  layer + 1, (int)p->model->config.n_layer);
    const block *b = &p->model->blocks[layer];
    attention(p, b, layer);
    mlp(p, b);
  }
  return GPT2_OK;
}

typedef struct final_norm {
  const pass *of;
  const size_t *numbers;
  size_t n;
  float *out;
} final_norm;

static void run_final_norm(void *data, size_t tile, int worker)
{
  (void)worker;
  const final_norm *f = data;
  const pass *p = f->of;
  size_t n_embd = (size_t)p->model->config.n_embd;
  for (size_t i = tile * ROWS_PER_TILE; i < f->n && i < (tile + 1) * ROWS_PER_TILE; i++)
    p->kernel->layer_norm(p->ws->residual + f->numbers[i] * n_embd, p->model->ln_f.weight,
                          p->model->ln_f.bias, p->model->config.layer_norm_epsilon, n_embd,
                          f->out + i * n_embd);
}

void forward_final_norm(const pass *p, const size_t *numbers, size_t n, float *out)
{
  final_norm f = {.of = p, .numbers = numbers, .n = n, .out = out};
  pool_run(p->pool, (n + ROWS_PER_TILE - 1) / ROWS_PER_TILE, pool_threads(p->pool), run_final_norm,
           &f);
}

/* ---- Workspace ---- */

void workspace_free(workspace *ws)
{
  void *parts[] = {ws->tokens, ws->segments, ws->tiles, ws->residual, ws->normed,
                   ws->qkv,    ws->attended, ws->mlp,   ws->scratch,  ws->products};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    release(&ws->allocator, parts[i]);
  *ws = (workspace){.allocator = ws->allocator};
}

/* The scratch memory of the greatest product. */
static bool products_size(const gpt2_model *model, size_t n_rows, int n_threads, size_t *size)
{
  size_t one, logit_rows = n_rows < LOGIT_PANEL_ROWS ? n_rows : LOGIT_PANEL_ROWS;
  if (!matmul_scratch(&model->unembed, logit_rows, n_threads, size))
    return false;
  for (int32_t layer = 0; layer < model->config.n_layer; layer++) {
    const block *b = &model->blocks[layer];
    const linear *of_block[] = {&b->attn_qkv, &b->attn_proj, &b->mlp_fc, &b->mlp_proj};
    for (size_t i = 0; i < sizeof of_block / sizeof *of_block; i++) {
      if (!matmul_scratch(&of_block[i]->weight, n_rows, n_threads, &one))
        return false;
      *size = one > *size ? one : *size;
    }
  }
  return true;
}

/* Activations are written before they are read: they need no zeros. */
static float *floats(const gpt2_allocator *allocator, size_t n, size_t width)
{
  size_t size;
  return mul_size(&size, n, width) && mul_size(&size, size, sizeof(float))
             ? pages_allocate(allocator, size)
             : NULL;
}

gpt2_status workspace_reserve(workspace *ws, const gpt2_model *model, size_t n_rows, int n_threads,
                              gpt2_error *error)
{
  if (n_rows <= ws->n_rows)
    return GPT2_OK;
  const gpt2_allocator *a = &ws->allocator;
  size_t n_embd = (size_t)model->config.n_embd, n_inner = (size_t)model->config.n_inner;
  size_t capacity = 1; /* powers of two: a text that grows does not move at every token */
  while (capacity < n_rows)
    capacity *= 2;
  workspace_free(ws);
  ws->tokens = allocate_array(a, capacity, sizeof *ws->tokens);
  ws->segments = allocate_array(a, capacity, sizeof *ws->segments);
  ws->tiles = allocate_array(a, capacity, sizeof *ws->tiles);
  ws->residual = floats(a, capacity, n_embd);
  ws->normed = floats(a, capacity, n_embd);
  ws->qkv = floats(a, capacity, 3 * n_embd);
  ws->attended = floats(a, capacity, n_embd);
  ws->mlp = floats(a, capacity, n_inner);
  ws->scratch = floats(a, (size_t)n_threads, attention_scratch_floats(model));
  size_t size;
  if (products_size(model, capacity, n_threads, &size))
    ws->products = allocate(a, size);
  if (!ws->tokens || !ws->segments || !ws->tiles || !ws->residual || !ws->normed || !ws->qkv ||
      !ws->attended || !ws->mlp || !ws->scratch || !ws->products) {
    workspace_free(ws);
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for the activations of %zu rows",
                n_rows);
  }
  ws->n_rows = capacity;
  return GPT2_OK;
}
