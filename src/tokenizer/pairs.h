/* pairs.h - the rank of every pair of tokens that a vocabulary merges.
 *
 * Tokens are given by their place in the vocabulary. Each left token has a row: a hash table with
 * linear probing, at most half full, of its right tokens. So the many questions about the few
 * tokens that a text consists of stay within a few rows, and those about tokens that begin no pair
 * need no row at all. */
#ifndef TOKENIZER_PAIRS_H
#define TOKENIZER_PAIRS_H

#include "base/memory.h"

enum {
  MAX_MERGES = 1 << 24,
  NO_RANK = MAX_MERGES /* of a pair that is not merged: greater than any rank */
};

typedef struct merge {
  uint32_t left, right, made; /* places */
} merge;

typedef struct pair_row {
  uint32_t start, mask; /* in the slots: mask + 1 of them */
} pair_row;

typedef struct pair_slot {
  uint32_t right, rank; /* NO_RANK: the slot is empty */
} pair_slot;

typedef struct pair_table {
  pair_row *rows; /* (n_tokens + 1) the last is that of no token */
  pair_slot *slots;
  uint64_t multiplier; /* see hash.h */
} pair_table;

/* Makes the table of n merges (n <= MAX_MERGES) by their ranks; of equal pairs the last counts. */
gpt2_status pair_table_init(pair_table *t, const gpt2_allocator *allocator, const merge *merges,
                            size_t n, size_t n_tokens, gpt2_error *error);
void pair_table_free(pair_table *t, const gpt2_allocator *allocator);

/* The rest is in the header because encoding does little else. */

/* The slot of a row at which the search for a right token starts. */
static inline uint32_t pair_hash(const pair_table *t, uint32_t right)
{
  return (uint32_t)(right * t->multiplier >> 40);
}

/* The pair's rank, or NO_RANK. `left` may be n_tokens, which begins no pair. Which rank it is
 * cannot be foreseen, and mispredicted branches are what encoding would spend its time on: so two
 * slots are read at once, the rank of one that does not match is made greater than any, and only
 * the rare case that both hold other tokens makes a branch. */
static inline uint32_t pair_rank(const pair_table *t, uint32_t left, uint32_t right)
{
  pair_row row = t->rows[left];
  const pair_slot *slots = t->slots + row.start;
  for (uint32_t at = pair_hash(t, right);; at += 2) {
    pair_slot slot = slots[at & row.mask], next = slots[(at + 1) & row.mask];
    uint32_t first = slot.rank | NO_RANK * (uint32_t)(slot.right != right);
    uint32_t second = next.rank | NO_RANK * (uint32_t)(next.right != right);
    uint32_t rank = first < second ? first : second;
    if (!(rank & ~slot.rank & ~next.rank & NO_RANK))
      return rank < NO_RANK ? rank : NO_RANK;
  }
}

#endif
