/* kv_cache.c - the keys and values of the tokens that sequences have seen, in blocks of 16
 * tokens. */
#include "model/kv_cache.h"

#include <string.h>

void kv_cache_init(kv_cache *cache, const gpt2_allocator *allocator, size_t n_layer, size_t n_head,
                   size_t d_head, size_t n_ctx)
{
  *cache = (kv_cache){.allocator = *allocator,
                      .n_layer = n_layer,
                      .n_head = n_head,
                      .d_head = d_head,
                      .n_ctx = n_ctx};
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

static kv_block *block_new(kv_cache *cache)
{
  kv_block *b = cache->free_blocks;
  if (b) {
    cache->free_blocks = b->next_free;
    return b;
  }
  size_t n;
  if (!mul_size(&n, 2 * cache->n_layer * KV_BLOCK_TOKENS, cache->n_head * cache->d_head))
    return NULL;
  b = allocate_zeroed(&cache->allocator, sizeof *b);
  if (!b)
    return NULL;
  /* Zeroed: a reader of whole blocks then meets numbers in the rows that are not filled yet. */
  b->data = allocate_array(&cache->allocator, n, sizeof *b->data);
  if (!b->data) {
    release(&cache->allocator, b);
    return NULL;
  }
  return b;
}

gpt2_status kv_cache_reserve(kv_cache *cache, kv_sequence *s, size_t length, gpt2_error *error)
{
  while (s->n_blocks * KV_BLOCK_TOKENS < length) {
    kv_block *b = block_new(cache);
    if (!b)
      return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for the KV cache of %zu tokens",
                  length);
    s->blocks[s->n_blocks++] = b;
  }
  return GPT2_OK;
}

void kv_cache_truncate(kv_cache *cache, kv_sequence *s, size_t length)
{
  s->length = length;
  while (s->n_blocks > 0 && (s->n_blocks - 1) * KV_BLOCK_TOKENS >= length) {
    kv_block *b = s->blocks[--s->n_blocks];
    b->next_free = cache->free_blocks;
    cache->free_blocks = b;
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
  while (cache->free_blocks) {
    kv_block *b = cache->free_blocks;
    cache->free_blocks = b->next_free;
    release(&cache->allocator, b->data);
    release(&cache->allocator, b);
  }
}

void kv_cache_free(kv_cache *cache)
{
  kv_cache_clear(cache);
}
