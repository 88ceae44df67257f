/* attention.c - softmax(causal(q . k / sqrt(d_head))) . v over the cache, never holding all scores
 * at once.
 *
 * A query tile is up to 64 consecutive rows of one sequence, which do not cross a multiple of 64 in
 * it. It takes the keys that any of its rows may see 256 at a time, with a running maximum and sum
 * for each row (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et
 * al., "FlashAttention", 2022). Where these steps begin depends on nothing but the position in the
 * sequence, so a row has the same bits however its sequence was handed to us. The last step of a
 * tile is causal: each of its rows sees one token more than the row before, and what a row does not
 * see is not read. */
#include "model/attention.h"

#include <math.h>
#include <string.h>

enum {
  QUERY_TILE = 64,
  KEY_TILE = 256, /* a multiple of QUERY_TILE, so that only the last step of a tile is causal */
  KEY_BLOCKS = KEY_TILE / KV_BLOCK_TOKENS,
  WIDEN_ROWS = 8 /* that make it worth widening halves once for all of them */
};

/* Scores (QUERY_TILE, KEY_TILE), queries and sums of values (QUERY_TILE, d_head) each, widened keys
 * and values (KEY_TILE, d_head) each; rounded up so that two workers never share a cache line. */
size_t attention_scratch_floats(const gpt2_model *model)
{
  size_t line = MEMORY_ALIGNMENT / sizeof(float);
  size_t n = QUERY_TILE * KEY_TILE + 2 * (QUERY_TILE + KEY_TILE) * model_d_head(model);
  return round_up(n, line);
}

/* The tile in work, and what its rows know so far. */
typedef struct tile_state {
  const pass *of;
  const query_tile *tile;
  size_t layer, head;
  float *q, *scores, *out, *wide; /* of the worker's scratch memory */
  const void *keys[KEY_BLOCKS + ATTENTION_AHEAD], *values[KEY_BLOCKS + ATTENTION_AHEAD];
  float greatest[QUERY_TILE], factor[QUERY_TILE];
  double total[QUERY_TILE];
} tile_state;

static float score_scale(const gpt2_model *model, size_t layer)
{
  double scale = model->config.scale_attn ? 1.0 / sqrt((double)model_d_head(model)) : 1.0;
  return (float)(model->config.scale_attn_by_layer ? scale / (double)(layer + 1) : scale);
}

/* Gathers the queries, which stand 3 n_embd apart: in the cache they would push each other out. */
static void begin(tile_state *s, int worker)
{
  const pass *p = s->of;
  size_t d_head = p->cache->d_head, n_embd = (size_t)p->model->config.n_embd;
  float scale = score_scale(p->model, s->layer);
  s->scores = p->ws->scratch + (size_t)worker * attention_scratch_floats(p->model);
  s->q = s->scores + QUERY_TILE * KEY_TILE;
  s->out = s->q + QUERY_TILE * d_head;
  s->wide = s->out + QUERY_TILE * d_head;
  for (size_t row = 0; row < s->tile->n_rows; row++) {
    const float *q = p->ws->qkv + (s->tile->row + row) * 3 * n_embd + s->head * d_head;
    memcpy(s->q + row * d_head, q, d_head * sizeof *q);
    s->greatest[row] = -INFINITY;
    s->total[row] = 0.0;
  }
  p->kernel->scale(s->q, scale, s->tile->n_rows * d_head);
  memset(s->out, 0, s->tile->n_rows * d_head * sizeof *s->out);
}

/* The blocks of tokens [position, end), and what will be read after them: the keys are followed by
 * the values, and those by the keys of the next step. */
static void find_blocks(tile_state *s, size_t position, size_t end)
{
  const kv_cache *cache = s->of->cache;
  kv_block *const *blocks = s->tile->sequence->blocks + position / KV_BLOCK_TOKENS;
  size_t n = (end - position + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;
  size_t n_left =
      (s->tile->position + s->tile->n_rows - position + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;
  for (size_t i = 0; i < n; i++) {
    s->keys[i] = kv_block_keys(cache, blocks[i], s->layer, s->head);
    s->values[i] = kv_block_values(cache, blocks[i], s->layer, s->head);
  }
  for (size_t i = 0; i < ATTENTION_AHEAD; i++) {
    s->keys[n + i] = s->values[i < n ? i : n - 1];
    s->values[n + i] =
        n + i < n_left ? kv_block_keys(cache, blocks[n + i], s->layer, s->head) : s->values[n - 1];
  }
}

/* Replaces blocks of keys and values by f32 ones: to the same bits, as halves are widened
 * exactly. */
static void widen_blocks(tile_state *s, size_t n)
{
  const kv_cache *cache = s->of->cache;
  size_t size = KV_BLOCK_TOKENS * cache->d_head;
  float *wide = s->wide;
  for (size_t i = 0; i < n; i++, wide += 2 * size) {
    s->of->kernel->to_f32[cache->type](wide, s->keys[i], size);
    s->of->kernel->to_f32[cache->type](wide + size, s->values[i], size);
    s->keys[i] = wide;
    s->values[i] = wide + size;
  }
}

/* Tokens [position, end); of a causal step, the first row sees but n_tokens of them. */
static void take_step(tile_state *s, size_t position, size_t end, size_t n_tokens)
{
  const pass *p = s->of;
  element_type type = p->cache->type;
  find_blocks(s, position, end);
  if (type != ELEMENT_F32 && s->tile->n_rows >= WIDEN_ROWS) {
    widen_blocks(s, (end - position + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS);
    type = ELEMENT_F32;
  }
  attention_step step = {.n_rows = s->tile->n_rows,
                         .d_head = p->cache->d_head,
                         .n_tokens = n_tokens,
                         .causal = position + n_tokens < end,
                         .q = s->q,
                         .keys = s->keys,
                         .values = s->values,
                         .scores = s->scores,
                         .score_stride = KEY_TILE,
                         .greatest = s->greatest,
                         .factor = s->factor,
                         .total = s->total,
                         .out = s->out};
  p->kernel->scores[type](&step);
  p->kernel->softmax(&step);
  p->kernel->weighted_sum[type](&step);
}

static void finish(const tile_state *s)
{
  const pass *p = s->of;
  size_t d_head = p->cache->d_head, n_embd = (size_t)p->model->config.n_embd;
  for (size_t row = 0; row < s->tile->n_rows; row++) {
    float *attended = p->ws->attended + (s->tile->row + row) * n_embd + s->head * d_head;
    memcpy(attended, s->out + row * d_head, d_head * sizeof *attended);
    p->kernel->scale(attended, (float)(1.0 / s->total[row]), d_head);
  }
}

/* ---- The tiles of a layer ---- */

/* Puts the keys and values of a tile's rows into its sequence's cache, block by block. */
static void remember(const pass *p, const query_tile *tile, size_t layer, size_t head)
{
  size_t n_embd = (size_t)p->model->config.n_embd;
  for (size_t row = 0, n; row < tile->n_rows; row += n) {
    size_t position = tile->position + row, first = position % KV_BLOCK_TOKENS;
    const kv_block *b = tile->sequence->blocks[position / KV_BLOCK_TOKENS];
    const float *keys =
        p->ws->qkv + (tile->row + row) * 3 * n_embd + n_embd + head * p->cache->d_head;
    n = KV_BLOCK_TOKENS - first < tile->n_rows - row ? KV_BLOCK_TOKENS - first : tile->n_rows - row;
    kv_block_put(p->cache, b, layer, head, first, n, keys, keys + n_embd, 3 * n_embd);
  }
}

static void attend(const pass *p, const query_tile *tile, size_t layer, size_t head, int worker)
{
  tile_state s; /* most of it is written step by step */
  s.of = p;
  s.tile = tile;
  s.layer = layer;
  s.head = head;
  size_t end = tile->position + tile->n_rows, at = 0;
  begin(&s, worker);
  for (; at + KEY_TILE <= tile->position; at += KEY_TILE)
    take_step(&s, at, at + KEY_TILE, KEY_TILE);
  take_step(&s, at, end, tile->position + 1 - at);
  finish(&s);
}

typedef struct layer_work {
  const pass *of;
  size_t layer;
  bool remembers, attends;
} layer_work;

/* Tiles of one head follow each other: they read the same keys and values. The last tile comes
 * first: it has the most keys, so the longest work is not left to the end. */
static const query_tile *tile_at(const pass *p, size_t index, size_t *head)
{
  *head = index / p->n_tiles;
  return &p->ws->tiles[p->n_tiles - 1 - index % p->n_tiles];
}

/* The keys that this worker is likely to put next, if the others are as fast. In q8_0 a token
 * takes 1% longer without it, and 32 sequences 3%. */
static void ask_for_next(const layer_work *work, size_t index)
{
  const pass *p = work->of;
  size_t head, next = index + (size_t)pool_threads(p->pool);
  if (next >= p->n_tiles * p->cache->n_head)
    return;
  const query_tile *tile = tile_at(p, next, &head);
  kv_block_ask(p->cache, tile->sequence->blocks[tile->position / KV_BLOCK_TOKENS], work->layer,
               head);
}

static void run_tile(void *data, size_t index, int worker)
{
  const layer_work *work = data;
  const pass *p = work->of;
  size_t head;
  const query_tile *tile = tile_at(p, index, &head);
  if (work->remembers) {
    ask_for_next(work, index);
    remember(p, tile, work->layer, head);
  }
  if (work->attends)
    attend(p, tile, work->layer, head, worker);
}

static void run_tiles(layer_work *work)
{
  const pass *p = work->of;
  pool_run(p->pool, p->n_tiles * p->cache->n_head, pool_threads(p->pool), run_tile, work);
}

void attention_remember(const pass *p, size_t layer)
{
  run_tiles(&(layer_work){.of = p, .layer = layer, .remembers = true});
}

void attention_run(const pass *p, size_t layer, bool own)
{
  run_tiles(&(layer_work){.of = p, .layer = layer, .remembers = own, .attends = true});
}

/* ---- Planning ---- */

/* A row goes to the tile of the row before it, or begins one. */
static void add_row(pass *p, size_t row, const kv_sequence *sequence, size_t position)
{
  query_tile *last = &p->ws->tiles[p->n_tiles];
  if (p->n_tiles > 0 && position % QUERY_TILE != 0 && last[-1].sequence == sequence &&
      last[-1].position + last[-1].n_rows == position) {
    last[-1].n_rows++;
    return;
  }
  *last = (query_tile){.sequence = sequence, .row = row, .n_rows = 1, .position = position};
  p->n_tiles++;
}

void attention_prepare(pass *p, const size_t *rows, size_t n)
{
  const segment *s = p->ws->segments;
  p->n_tiles = 0;
  for (size_t i = 0; i < n; i++) {
    size_t row = rows ? rows[i] : i;
    while (row >= s->row + s->n_rows)
      s++;
    add_row(p, i, s->sequence, s->position + (row - s->row));
  }
}
