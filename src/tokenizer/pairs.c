/* pairs.c - the rank of every pair of tokens that a vocabulary merges. */
#include "tokenizer/pairs.h"

#include <string.h>

#include "tokenizer/hash.h"

gpt2_status pair_table_init(pair_table *t, const gpt2_allocator *allocator, size_t n,
                            gpt2_error *error)
{
  int bits = 1;
  while ((size_t)1 << bits < 2 * n)
    bits++;
  size_t size = sizeof *t->slots << bits;
  t->slots = allocate(allocator, size);
  if (!t->slots)
    return fail_memory(error, size);
  memset(t->slots, 0xff, size); /* NO_PAIR everywhere */
  t->mask = ((size_t)1 << bits) - 1;
  t->shift = 64 - bits;
  t->multiplier = hash_multiplier(t->slots);
  return GPT2_OK;
}

void pair_table_set(pair_table *t, uint32_t left, uint32_t right, uint32_t rank)
{
  uint64_t pair = pair_of(left, right);
  size_t at = pair_slot(t, pair);
  while (t->slots[at] != NO_PAIR && t->slots[at] >> RANK_BITS != pair)
    at = (at + 1) & t->mask;
  t->slots[at] = pair << RANK_BITS | rank;
}

void pair_table_free(pair_table *t, const gpt2_allocator *allocator)
{
  release(allocator, t->slots);
  t->slots = NULL;
}
