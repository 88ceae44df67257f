/* pairs.c - the rank of every pair of tokens that a vocabulary merges. */
#include "tokenizer/pairs.h"

#include "tokenizer/hash.h"

/* Slots of a row for n right tokens: a power of two with half of them empty at least. */
static uint32_t row_size(uint32_t n)
{
  uint32_t size = 1;
  while (size < 2 * n + 1)
    size *= 2;
  return size;
}

/* Lays the rows out one after another. Rows of tokens that begin no pair are the first slot, which
 * stays empty. Returns the number of slots: 4 n + 1 at most. */
static uint32_t lay_out(pair_row *rows, const merge *merges, size_t n, size_t n_tokens)
{
  uint32_t n_slots = 1;
  for (size_t rank = 0; rank < n; rank++)
    rows[merges[rank].left].mask++;
  for (size_t left = 0; left < n_tokens; left++) {
    uint32_t size = row_size(rows[left].mask);
    if (rows[left].mask == 0)
      continue;
    rows[left] = (pair_row){.start = n_slots, .mask = size - 1};
    n_slots += size;
  }
  return n_slots;
}

static void insert(pair_table *t, const merge *m, uint32_t rank)
{
  pair_row row = t->rows[m->left];
  pair_slot *slots = t->slots + row.start;
  uint32_t at = pair_hash(t, m->right);
  while (slots[at & row.mask].rank != NO_RANK && slots[at & row.mask].right != m->right)
    at++;
  slots[at & row.mask] = (pair_slot){.right = m->right, .rank = rank};
}

gpt2_status pair_table_init(pair_table *t, const gpt2_allocator *allocator, const merge *merges,
                            size_t n, size_t n_tokens, gpt2_error *error)
{
  t->rows = allocate_array(allocator, n_tokens + 1, sizeof *t->rows);
  if (!t->rows)
    return fail_memory(error, n_tokens * sizeof *t->rows);
  uint32_t n_slots = lay_out(t->rows, merges, n, n_tokens);
  t->slots = allocate_array(allocator, n_slots, sizeof *t->slots);
  if (!t->slots)
    return fail_memory(error, n_slots * sizeof *t->slots);
  for (uint32_t i = 0; i < n_slots; i++)
    t->slots[i].rank = NO_RANK;
  t->multiplier = hash_multiplier(t->slots);
  for (size_t rank = 0; rank < n; rank++)
    insert(t, &merges[rank], (uint32_t)rank);
  return GPT2_OK;
}

void pair_table_free(pair_table *t, const gpt2_allocator *allocator)
{
  release(allocator, t->rows);
  release(allocator, t->slots);
}
