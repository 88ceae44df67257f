/* trie.h - finds which tokens a text begins with.
 *
 * A tree of bytes: a node stands for the bytes on the way to it, and knows the token that they are,
 * if any. Its edges are in one hash table. Nodes are numbered from the root, 0, in the order in
 * which they came. */
#ifndef TOKENIZER_TRIE_H
#define TOKENIZER_TRIE_H

#include "base/memory.h"

#define NO_TOKEN UINT32_MAX /* the place of none */

enum { TRIE_ROOT = 0, MAX_TRIE_NODES = 1 << 28 };

typedef struct trie {
  const gpt2_allocator *allocator;
  uint64_t *edges; /* (mask + 1) node << 36 | byte << 28 | child; 0: the slot is empty */
  size_t mask;
  int shift;
  uint64_t multiplier; /* see hash.h */
  uint32_t *tokens;    /* (n_nodes) the place of the token that ends at a node, or NO_TOKEN */
  size_t n_nodes, capacity;
} trie;

/* Makes an empty one, with room for about n tokens until it must grow. Keeps `allocator` itself. */
gpt2_status trie_init(trie *t, const gpt2_allocator *allocator, size_t n, gpt2_error *error);

/* Adds a token by its bytes. */
gpt2_status trie_add(trie *t, const char *bytes, size_t size, uint32_t place, gpt2_error *error);

void trie_free(trie *t);

/* The slot of an edge, or the one that it would have. (In the header because encoding does little
 * else.) */
static inline uint64_t *trie_slot(const trie *t, uint32_t node, uint8_t byte)
{
  uint64_t key = (uint64_t)node << 8 | byte;
  size_t at = (size_t)(key * t->multiplier >> t->shift);
  while (t->edges[at] != 0 && t->edges[at] >> 28 != key)
    at = (at + 1) & t->mask;
  return &t->edges[at];
}

/* The node that a byte leads to, or TRIE_ROOT when there is none. */
static inline uint32_t trie_step(const trie *t, uint32_t node, uint8_t byte)
{
  return (uint32_t)(*trie_slot(t, node, byte) & (MAX_TRIE_NODES - 1));
}

/* The node of all these bytes, starting from another one; TRIE_ROOT when there is none, or no
 * bytes. */
uint32_t trie_walk(const trie *t, uint32_t node, const char *bytes, size_t size);

#endif
