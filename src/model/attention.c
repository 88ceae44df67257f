/* attention.c - softmax(causal(q . k / sqrt(d_head))) . v over the cache, never holding all scores
 * at once.
 *
 * A query tile is up to 64 consecutive rows of one sequence. The keys before the tile are seen by
 * all of its rows: they go through BLAS, some hundred at a time, with a running maximum and sum for
 * each row (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al.,
 * "FlashAttention", 2022). The keys of the tile itself are seen by some of its rows only: there
 * each row takes its own, up to itself, so a later token is never even read. A row that decodes is
 * a tile of one: it takes all its keys in that second way. */
#include "model/attention.h"

#include <math.h>
#include <string.h>

#include "kernels/blas.h"
#include "kernels/math.h"

enum {
  QUERY_TILE = 64,
  KEY_TILE = 256,
  MIN_PRODUCT_ROWS = 16 /* rows for which a product with the keys is worth gathering them */
};

/* One worker's scratch memory, and the state of the tile in work. */
typedef struct tile_state {
  const pass *of;
  const query_tile *tile;
  size_t layer, head;
  float scale;    /* of the scores */
  const float *q; /* (n_rows, d_head) with a stride of 3 n_embd */
  float *out;     /* (n_rows, d_head) with a stride of n_embd: sums of values, divided at the end */
  float *keys;    /* (KEY_TILE, d_head) */
  float *values;  /* (KEY_TILE, d_head) */
  float *scores;  /* (QUERY_TILE, KEY_TILE), or one row over all positions */
  float greatest[QUERY_TILE]; /* score of each row so far */
  double total[QUERY_TILE];   /* of e^(score - greatest) */
} tile_state;

static size_t scores_floats(const gpt2_model *model)
{
  size_t n_ctx = (size_t)model->config.n_ctx;
  return n_ctx > QUERY_TILE * KEY_TILE ? n_ctx : QUERY_TILE * KEY_TILE;
}

/* Rounded up so that two workers never share a cache line. */
size_t attention_scratch_floats(const gpt2_model *model)
{
  size_t line = MEMORY_ALIGNMENT / sizeof(float);
  size_t n = 2 * KEY_TILE * model_d_head(model) + scores_floats(model);
  return (n + line - 1) / line * line;
}

/* The tokens from `position` on that lie in one block, up to `end`: their number, and their keys
 * and values. */
static size_t run_at(const tile_state *s, size_t position, size_t end, const float **keys,
                     const float **values)
{
  const kv_cache *cache = s->of->cache;
  size_t within = position % KV_BLOCK_TOKENS, n = KV_BLOCK_TOKENS - within;
  const kv_block *b = s->tile->sequence->blocks[position / KV_BLOCK_TOKENS];
  *keys = kv_block_keys(cache, b, s->layer, s->head) + within * cache->d_head;
  *values = kv_block_values(cache, b, s->layer, s->head) + within * cache->d_head;
  return n < end - position ? n : end - position;
}

/* Turns n scores of a row into weights relative to its greatest score so far; if that has grown,
 * what was summed before is scaled down to it. */
static void absorb(tile_state *s, size_t row, float *scores, size_t n)
{
  const kernels *kernel = s->of->kernel;
  float greatest = kernel->maximum(scores, n);
  if (!(greatest <= s->greatest[row])) { /* a NaN passes, so that it shows */
    float factor = exp_f32(s->greatest[row] - greatest);
    kernel->scale(s->out + row * (size_t)s->of->model->config.n_embd, factor, s->of->cache->d_head);
    s->total[row] *= (double)factor;
    s->greatest[row] = greatest;
  }
  s->total[row] += kernel->exponentials(scores, s->greatest[row], n, scores);
}

/* Keys that every row of the tile sees: [position, position + n), by two products. */
static void attend_together(tile_state *s, size_t position, size_t n)
{
  size_t d_head = s->of->cache->d_head, n_embd = (size_t)s->of->model->config.n_embd;
  const float *keys, *values;
  for (size_t i = 0, run; i < n; i += run) {
    run = run_at(s, position + i, position + n, &keys, &values);
    memcpy(s->keys + i * d_head, keys, run * d_head * sizeof *keys);
    memcpy(s->values + i * d_head, values, run * d_head * sizeof *values);
  }
  blas_product(true, s->tile->n_rows, n, d_head, s->scale, s->q, 3 * n_embd, s->keys, d_head, 0.0f,
               s->scores, KEY_TILE);
  for (size_t row = 0; row < s->tile->n_rows; row++)
    absorb(s, row, s->scores + row * KEY_TILE, n);
  blas_product(false, s->tile->n_rows, d_head, n, 1.0f, s->scores, KEY_TILE, s->values, d_head,
               1.0f, s->out, n_embd);
}

/* Keys [position, end) for one row, run by run. */
static void attend_alone(tile_state *s, size_t row, size_t position, size_t end)
{
  const kernels *kernel = s->of->kernel;
  size_t d_head = s->of->cache->d_head, n_embd = (size_t)s->of->model->config.n_embd;
  const float *q = s->q + row * 3 * n_embd, *keys, *values;
  float *out = s->out + row * n_embd;
  for (size_t at = position, run; at < end; at += run) {
    run = run_at(s, at, end, &keys, &values);
    kernel->scores[ELEMENT_F32](q, keys, run, d_head, s->scale, s->scores + (at - position));
  }
  absorb(s, row, s->scores, end - position);
  for (size_t at = position, run; at < end; at += run) {
    run = run_at(s, at, end, &keys, &values);
    kernel->weighted_sum[ELEMENT_F32](s->scores + (at - position), values, run, d_head, out);
  }
}

static float score_scale(const gpt2_model *model, size_t layer)
{
  double scale = model->config.scale_attn ? 1.0 / sqrt((double)model_d_head(model)) : 1.0;
  return (float)(model->config.scale_attn_by_layer ? scale / (double)(layer + 1) : scale);
}

static void begin(tile_state *s, const pass *p, const query_tile *tile, size_t layer, size_t head,
                  int worker)
{
  size_t d_head = p->cache->d_head, n_embd = (size_t)p->model->config.n_embd;
  float *scratch = p->ws->scratch + (size_t)worker * attention_scratch_floats(p->model);
  s->of = p;
  s->tile = tile;
  s->layer = layer;
  s->head = head;
  s->scale = score_scale(p->model, layer);
  s->q = p->ws->qkv + tile->row * 3 * n_embd + head * d_head;
  s->out = p->ws->attended + tile->row * n_embd + head * d_head;
  s->keys = scratch;
  s->values = s->keys + KEY_TILE * d_head;
  s->scores = s->values + KEY_TILE * d_head;
  for (size_t row = 0; row < tile->n_rows; row++) {
    s->greatest[row] = -INFINITY;
    s->total[row] = 0.0;
    memset(s->out + row * n_embd, 0, d_head * sizeof *s->out);
  }
}

/* How many keys go through products: those before the tile, if it has rows enough. */
static size_t keys_together(const query_tile *tile)
{
  return tile->n_rows >= MIN_PRODUCT_ROWS ? tile->position : 0;
}

typedef struct layer_work {
  pass *of;
  size_t layer;
} layer_work;

static void run_tile(void *data, size_t index, int worker)
{
  const layer_work *work = data;
  const pass *p = work->of;
  size_t n_head = p->cache->n_head;
  const query_tile *tile = &p->ws->tiles[index / n_head];
  tile_state s;
  begin(&s, p, tile, work->layer, index % n_head, worker);
  size_t together = keys_together(tile);
  for (size_t at = 0; at < together; at += KEY_TILE)
    attend_together(&s, at, together - at < KEY_TILE ? together - at : KEY_TILE);
  for (size_t row = 0; row < tile->n_rows; row++) {
    attend_alone(&s, row, together, tile->position + row + 1);
    p->kernel->scale(s.out + row * (size_t)p->model->config.n_embd, (float)(1.0 / s.total[row]),
                     p->cache->d_head);
  }
}

/* The last tile comes first: it has the most keys, so the longest work is not left to the end. */
void attention_prepare(pass *p)
{
  p->n_tiles = 0;
  p->products_in_attention = false;
  for (size_t i = p->n_segments; i-- > 0;) {
    const segment *s = &p->ws->segments[i];
    for (size_t end = s->n_rows; end > 0;) {
      size_t begin_row = (end - 1) / QUERY_TILE * QUERY_TILE;
      query_tile *tile = &p->ws->tiles[p->n_tiles++];
      *tile = (query_tile){.sequence = s->sequence,
                           .row = s->row + begin_row,
                           .n_rows = end - begin_row,
                           .position = s->position + begin_row};
      p->products_in_attention |= keys_together(tile) > 0;
      end = begin_row;
    }
  }
}

void attention_run(pass *p, size_t layer)
{
  layer_work work = {.of = p, .layer = layer};
  size_t n_tiles = p->n_tiles * p->cache->n_head;
  if (!p->products_in_attention) {
    pool_run(p->pool, n_tiles, pool_threads(p->pool), run_tile, &work);
    return;
  }
  blas_enter();
  pool_run(p->pool, n_tiles, blas_max_workers(), run_tile, &work);
  blas_leave();
}
