/* pairs.h - the rank of every pair of tokens that a vocabulary merges.
 *
 * A hash table with linear probing, at most half full. Tokens are given by their place in the
 * vocabulary. */
#ifndef TOKENIZER_PAIRS_H
#define TOKENIZER_PAIRS_H

#include "base/memory.h"

/* A slot of the table is one number: the places of both tokens, then the rank. */
enum {
  PLACE_BITS = 20,
  RANK_BITS = 24,
  MAX_TOKENS = (1 << PLACE_BITS) - 1,
  NO_TOKEN = MAX_TOKENS, /* the place of none */
  MAX_MERGES = 1 << RANK_BITS,
  /* Of a pair that is not merged. Greater than any other rank, and all ones, so that it swallows
   * them in an `or`. */
  NO_RANK = 2 * MAX_MERGES - 1
};

#define NO_PAIR UINT64_MAX /* in an empty slot: neither token is one */

typedef struct pair_table {
  uint64_t *slots; /* (mask + 1) */
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

/* The rest is in the header because encoding does little else. */

static inline uint64_t pair_of(uint32_t left, uint32_t right)
{
  return (uint64_t)left << PLACE_BITS | right;
}

/* The slot where a pair is, or would be if no other were in its way. */
static inline size_t pair_slot(const pair_table *t, uint64_t pair)
{
  return (size_t)(pair * t->multiplier >> t->shift);
}

/* The rank in a slot that is the pair's, or NO_RANK. */
static inline uint32_t rank_in(uint64_t slot, uint64_t pair)
{
  uint32_t is_other = slot >> RANK_BITS != pair;
  return (uint32_t)(slot & (MAX_MERGES - 1)) | ((0u - is_other) & NO_RANK);
}

/* The pair's rank, or NO_RANK. Which it is cannot be foreseen, and mispredicted branches are what
 * encoding would spend its time on: so two slots are read at once, and none but the rare case that
 * both hold other pairs makes a branch. */
static inline uint32_t pair_rank(const pair_table *t, uint32_t left, uint32_t right)
{
  uint64_t pair = pair_of(left, right);
  for (size_t at = pair_slot(t, pair);; at = (at + 2) & t->mask) {
    uint64_t slot = t->slots[at], next = t->slots[(at + 1) & t->mask];
    uint32_t rank = rank_in(slot, pair) & rank_in(next, pair);
    if (!((rank == NO_RANK) & (slot != NO_PAIR) & (next != NO_PAIR)))
      return rank;
  }
}

#endif
