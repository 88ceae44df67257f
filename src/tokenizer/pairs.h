/* pairs.h - the rank of every pair of tokens that a vocabulary merges.
 *
 * A hash table with linear probing, at most half full. Tokens are given by their place in the
 * vocabulary. */
#ifndef TOKENIZER_PAIRS_H
#define TOKENIZER_PAIRS_H

#include "base/memory.h"

#define NO_RANK UINT32_MAX /* of a pair that is not merged */

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
static inline pair_slot *pair_slot_of(const pair_table *t, uint32_t left, uint32_t right)
{
  uint64_t key = (uint64_t)left << 32 | right;
  size_t at = (size_t)(key * t->multiplier >> t->shift);
  pair_slot *slot = &t->slots[at];
  while (slot->rank != NO_RANK && (slot->left != left || slot->right != right)) {
    at = (at + 1) & t->mask;
    slot = &t->slots[at];
  }
  return slot;
}

/* The pair's rank, or NO_RANK. */
static inline uint32_t pair_rank(const pair_table *t, uint32_t left, uint32_t right)
{
  return pair_slot_of(t, left, right)->rank;
}

#endif
