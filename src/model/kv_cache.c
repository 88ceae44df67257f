/* kv_cache.c - the keys and values of the tokens that sequences have seen, in blocks of 16 tokens,
 * as f32 or f16. */
#include "model/kv_cache.h"

#include <string.h>

#include "base/pages.h"

void kv_cache_init(kv_cache *cache, const gpt2_allocator *allocator, element_type type,
                   size_t n_layer, size_t n_head, size_t d_head, size_t n_ctx)
{
  *cache = (kv_cache){.allocator = *allocator,
                      .type = type,
                      .n_layer = n_layer,
                      .n_head = n_head,
                      .d_head = d_head,
                      .n_ctx = n_ctx,
                      .run_size = KV_BLOCK_TOKENS * d_head * element_size(type)};
}

kv_sequence *kv_cache_find(const kv_cache *cache, int32_t sequence)
{
  kv_sequence **page = cache->pages[sequence / KV_PAGE];
  return page ? page[sequence % KV_PAGE] : NULL;
}

/* ---- Sequences ---- */

static void sequence_free(const gpt2_allocator *allocator, kv_sequence *s)
{
  if (!s)
    return;
  release(allocator, s->blocks);
  release(allocator, s->logits);
  release(allocator, s);
}

static kv_sequence *sequence_new(const kv_cache *cache)
{
  kv_sequence *s = allocate_zeroed(&cache->allocator, sizeof *s);
  if (!s)
    return NULL;
  s->pending = -1;
  s->blocks = allocate_array(
      &cache->allocator, (cache->n_ctx + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS, sizeof *s->blocks);
  if (!s->blocks) {
    sequence_free(&cache->allocator, s);
    return NULL;
  }
  return s;
}

kv_sequence *kv_cache_make(kv_cache *cache, int32_t sequence)
{
  kv_sequence ***page = &cache->pages[sequence / KV_PAGE];
  if (!*page)
    *page = allocate_array(&cache->allocator, KV_PAGE, sizeof **page);
  if (!*page)
    return NULL;
  kv_sequence **s = &(*page)[sequence % KV_PAGE];
  if (!*s)
    *s = sequence_new(cache);
  return *s;
}

/* ---- Blocks ---- */

static void give_back(kv_cache *cache, kv_block *b)
{
  b->next_free = cache->free_blocks;
  cache->free_blocks = b;
  cache->n_free++;
}

/* A long prompt gets its blocks in one piece, which is a matter of a few huge pages. */
static bool add_slab(kv_cache *cache, size_t n_blocks)
{
  size_t block_size, size, list_size;
  if (!mul_size(&block_size, 2 * cache->n_layer * cache->n_head, cache->run_size) ||
      !mul_size(&size, block_size, n_blocks) || !mul_size(&list_size, n_blocks, sizeof(kv_block)) ||
      !add_size(&list_size, list_size, sizeof(kv_slab)))
    return false;
  kv_slab *slab = allocate_zeroed(&cache->allocator, list_size);
  if (!slab)
    return false;
  slab->data = pages_allocate(&cache->allocator, size);
  if (!slab->data) {
    release(&cache->allocator, slab);
    return false;
  }
  slab->next = cache->slabs;
  cache->slabs = slab;
  for (size_t i = n_blocks; i-- > 0;) { /* the first one is taken first */
    slab->blocks[i] = (kv_block){.data = slab->data + i * block_size, .fresh = true};
    give_back(cache, &slab->blocks[i]);
  }
  return true;
}

gpt2_status kv_cache_reserve(kv_cache *cache, kv_sequence *s, size_t length, gpt2_error *error)
{
  size_t n_blocks = (length + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;
  size_t n_more = n_blocks > s->n_blocks ? n_blocks - s->n_blocks : 0;
  if (n_more > cache->n_free && !add_slab(cache, n_more - cache->n_free))
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for the KV cache of %zu tokens",
                length);
  for (; n_more > 0; n_more--, cache->n_free--) {
    kv_block *b = cache->free_blocks;
    cache->free_blocks = b->next_free;
    s->blocks[s->n_blocks++] = b;
  }
  return GPT2_OK;
}

void kv_cache_truncate(kv_cache *cache, kv_sequence *s, size_t length)
{
  s->length = length;
  while (s->n_blocks > 0 && (s->n_blocks - 1) * KV_BLOCK_TOKENS >= length) {
    kv_block *b = s->blocks[--s->n_blocks];
    b->fresh = false;
    give_back(cache, b);
  }
}

void kv_cache_drop(kv_cache *cache, int32_t sequence)
{
  kv_sequence *s = kv_cache_find(cache, sequence);
  if (!s)
    return;
  kv_cache_truncate(cache, s, 0);
  cache->pages[sequence / KV_PAGE][sequence % KV_PAGE] = NULL;
  sequence_free(&cache->allocator, s);
}

void kv_cache_clear(kv_cache *cache)
{
  for (int32_t page = 0; page < KV_PAGES; page++) {
    for (int32_t i = 0; cache->pages[page] && i < KV_PAGE; i++)
      kv_cache_drop(cache, page * KV_PAGE + i);
    release(&cache->allocator, cache->pages[page]);
    cache->pages[page] = NULL;
  }
  while (cache->slabs) {
    kv_slab *slab = cache->slabs;
    cache->slabs = slab->next;
    release(&cache->allocator, slab->data);
    release(&cache->allocator, slab);
  }
  cache->free_blocks = NULL;
  cache->n_free = 0;
}

void kv_cache_free(kv_cache *cache)
{
  kv_cache_clear(cache);
}

/* ---- Keys and values ---- */

/* One key (d_head), whose elements stand a block apart. */
static void put_key(const kv_cache *cache, void *run, size_t token, const float *key)
{
  const kernels *kernel = kernels_in_use();
  uint16_t halves[64];
  enum { PIECE = sizeof halves / sizeof *halves };
  if (cache->type == ELEMENT_F32) {
    float *to = (float *)run + token;
    for (size_t i = 0; i < cache->d_head; i++)
      to[i * KV_BLOCK_TOKENS] = key[i];
    return;
  }
  uint16_t *to = (uint16_t *)run + token;
  for (size_t i = 0; i < cache->d_head; i += PIECE) {
    size_t n = cache->d_head - i < PIECE ? cache->d_head - i : PIECE;
    kernel->from_f32[cache->type](halves, key + i, n);
    for (size_t k = 0; k < n; k++)
      to[(i + k) * KV_BLOCK_TOKENS] = halves[k];
  }
}

/* Readers take whole blocks of keys and drop what is not there: it is cleared because arithmetic on
 * what memory happens to hold may be slow, and so that a block's pages are all there from its first
 * token on. */
void kv_block_put(const kv_cache *cache, const kv_block *b, size_t layer, size_t head, size_t first,
                  size_t n, const float *keys, const float *values, size_t stride)
{
  const kernels *kernel = kernels_in_use();
  void *key_run = kv_block_keys(cache, b, layer, head);
  uint8_t *value_run = kv_block_values(cache, b, layer, head);
  size_t value_size = cache->run_size / KV_BLOCK_TOKENS;
  if (b->fresh && first == 0 && n < KV_BLOCK_TOKENS) {
    memset(key_run, 0, cache->run_size);
    memset(value_run, 0, cache->run_size);
  }
  for (size_t i = 0; i < n; i++) {
    put_key(cache, key_run, first + i, keys + i * stride);
    kernel->from_f32[cache->type](value_run + (first + i) * value_size, values + i * stride,
                                  cache->d_head);
  }
}

void kv_block_ask(const kv_cache *cache, const kv_block *b, size_t layer, size_t head)
{
  const uint8_t *run = kv_block_keys(cache, b, layer, head);
  for (size_t at = 0; at < cache->run_size; at += MEMORY_ALIGNMENT)
    __builtin_prefetch(run + at, 1);
}
