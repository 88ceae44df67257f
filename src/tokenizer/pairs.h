/* pairs.h - the rank of every pair of tokens that a vocabulary merges.
 *
 * A hash table with linear probing, at most half full. Tokens are given by their place in the
 * vocabulary. */
#ifndef TOKENIZER_PAIRS_H
#define TOKENIZER_PAIRS_H

#include "base/memory.h"

/* Of a pair that is not merged: all ones, so that it swallows any other rank in an `or`. */
enum { NO_RANK = (1 << 25) - 1 };

typedef struct pair_slot {
  uint32_t left, right; /* places */
  uint32_t rank;        /* NO_RANK: the slot is empty */
} pair_slot;

typedef struct pair_table {
  pair_slot *slots; /* (mask + 1) */
  size_t mask;
  int shift;
  uint64_t multiplier; /* see hash.h */
} pair_table;

/* Makes an empty table for n pairs. */
gpt2_status pair_table_init(pair_table *t, const gpt2_allocator *allocator, size_t n,
                            gpt2_error *error);

/* Sets a pair's rank, also of one that has a rank already. */
void pair_table_set(pair_table *t, uint32_t left, uint32_t right, uint32_t rank);

void pair_table_free(pair_table *t, const gpt2_allocator *allocator);

/* In the header because encoding does little else. */
static inline size_t pair_hash(const pair_table *t, uint32_t left, uint32_t right)
{
  return (size_t)(((uint64_t)left << 32 | right) * t->multiplier >> t->shift);
}

/* The pair's rank, or NO_RANK. What it finds cannot be foreseen, so no branch depends on it: only on
 * whether another pair is in the way. */
static inline uint32_t pair_rank(const pair_table *t, uint32_t left, uint32_t right)
{
  for (size_t at = pair_hash(t, left, right);; at = (at + 1) & t->mask) {
    const pair_slot *slot = &t->slots[at];
    uint32_t other = ((slot->left ^ left) | (slot->right ^ right)) != 0;
    uint32_t rank = slot->rank | ((0u - other) & NO_RANK);
    if (!(other & (slot->rank != NO_RANK)))
      return rank;
  }
}

#endif
