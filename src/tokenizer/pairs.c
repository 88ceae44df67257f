/* pairs.c - the rank of every pair of tokens that a vocabulary merges. */
#include "tokenizer/pairs.h"

#include "tokenizer/hash.h"

gpt2_status pair_table_init(pair_table *t, const gpt2_allocator *allocator, size_t n,
                            gpt2_error *error)
{
  int bits = 1;
  while ((size_t)1 << bits < 2 * n)
    bits++;
  size_t n_slots = (size_t)1 << bits;
  t->slots = allocate_array(allocator, n_slots, sizeof *t->slots);
  if (!t->slots)
    return fail_memory(error, n_slots * sizeof *t->slots);
  for (size_t i = 0; i < n_slots; i++)
    t->slots[i].rank = NO_RANK;
  t->mask = n_slots - 1;
  t->shift = 64 - bits;
  t->multiplier = hash_multiplier(t->slots);
  return GPT2_OK;
}

void pair_table_set(pair_table *t, uint32_t left, uint32_t right, uint32_t rank)
{
  size_t at = pair_hash(t, left, right);
  while (t->slots[at].rank != NO_RANK && (t->slots[at].left != left || t->slots[at].right != right))
    at = (at + 1) & t->mask;
  t->slots[at] = (pair_slot){left, right, rank};
}

void pair_table_free(pair_table *t, const gpt2_allocator *allocator)
{
  release(allocator, t->slots);
  t->slots = NULL;
}
