/* kv_cache.h - the keys and values of the tokens that sequences have seen, in blocks of 16 tokens,
 * as f32 or f16.
 *
 * A block holds, for every layer and head, its tokens' keys together, and their values, so that
 * attention reads a sequence as a list of runs. Blocks given back are kept for the next sequence
 * that grows. */
#ifndef MODEL_KV_CACHE_H
#define MODEL_KV_CACHE_H

#include "base/memory.h"
#include "kernels/kernels.h"

enum { KV_BLOCK_TOKENS = ATTENTION_BLOCK };

typedef struct kv_block {
  gpt2_token tokens[KV_BLOCK_TOKENS];
  struct kv_block *next_free;
  uint8_t *data; /* (n_layer, keys and values: 2, n_head, a run of one head) */
  bool fresh;    /* nothing has been put there yet */
} kv_block;

/* Blocks that were asked for at once: one piece of memory. */
typedef struct kv_slab {
  struct kv_slab *next;
  uint8_t *data; /* of all blocks */
  kv_block blocks[];
} kv_slab;

/* A sequence, and what a context knows of it besides. */
typedef struct kv_sequence {
  size_t length;     /* tokens in the cache */
  size_t n_blocks;   /* enough for them, or more after a failed evaluation */
  kv_block **blocks; /* room for a whole context */
  float *logits;     /* (n_vocab) next-token logits, or NULL */
  bool has_logits;
  gpt2_token pending; /* drawn but not evaluated yet; -1: none */
  uint64_t batch;     /* the last batch that it had rows in, and ... */
  size_t segment;     /* ... its number there */
} kv_sequence;

/* One sequence more than callers can name: scoring works in it. */
enum {
  KV_SCORING = GPT2_MAX_SEQUENCES,
  KV_PAGE = 256,
  KV_PAGES = GPT2_MAX_SEQUENCES / KV_PAGE + 1
};

typedef struct kv_cache {
  gpt2_allocator allocator;
  element_type type; /* of keys and values: F32 or F16 */
  size_t n_layer, n_head, d_head, n_ctx;
  size_t run_size;               /* bytes of the keys, or of the values, of one head in a block */
  kv_sequence **pages[KV_PAGES]; /* of KV_PAGE sequences each, made when first used */
  kv_slab *slabs;
  kv_block *free_blocks; /* (n_free) */
  size_t n_free;
} kv_cache;

void kv_cache_init(kv_cache *cache, const gpt2_allocator *allocator, element_type type,
                   size_t n_layer, size_t n_head, size_t d_head, size_t n_ctx);
void kv_cache_free(kv_cache *cache);

/* The sequence of that number, in range; NULL if it was never used. */
kv_sequence *kv_cache_find(const kv_cache *cache, int32_t sequence);

/* The same, made if need be; NULL when there is no memory. */
kv_sequence *kv_cache_make(kv_cache *cache, int32_t sequence);

/* Makes sure that blocks for `length` <= n_ctx tokens are there. */
gpt2_status kv_cache_reserve(kv_cache *cache, kv_sequence *s, size_t length, gpt2_error *error);

/* Forgets all but the first `length` tokens; blocks that are not needed any more go to the free
 * ones. */
void kv_cache_truncate(kv_cache *cache, kv_sequence *s, size_t length);

/* Empties a sequence and frees all that it has. */
void kv_cache_drop(kv_cache *cache, int32_t sequence);

/* Drops all sequences and gives the memory back. */
void kv_cache_clear(kv_cache *cache);

/* The runs of a head: keys (d_head, KV_BLOCK_TOKENS), and values (KV_BLOCK_TOKENS, d_head). */
static inline void *kv_block_keys(const kv_cache *cache, const kv_block *b, size_t layer,
                                  size_t head)
{
  return b->data + (layer * 2 * cache->n_head + head) * cache->run_size;
}

static inline void *kv_block_values(const kv_cache *cache, const kv_block *b, size_t layer,
                                    size_t head)
{
  return b->data + ((layer * 2 + 1) * cache->n_head + head) * cache->run_size;
}

/* Puts keys and values (n, d_head) of a head, with a stride, to tokens [first, first + n) of the
 * block. Who puts the first one into a fresh block clears the others. */
void kv_block_put(const kv_cache *cache, const kv_block *b, size_t layer, size_t head, size_t first,
                  size_t n, const float *keys, const float *values, size_t stride);

/* Asks the memory for the keys of a head, to which something will be put: the key of one token
 * touches every line of them. */
void kv_block_ask(const kv_cache *cache, const kv_block *b, size_t layer, size_t head);

#endif
