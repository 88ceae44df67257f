/* trie.c - finds which tokens a text begins with. */
#include "tokenizer/trie.h"

#include "tokenizer/hash.h"

/* Takes an empty table of 2^bits slots, of which half may be filled. Room for as many nodes as
 * that, and no fewer, keeps a trie within 60 bytes a node as it grows, the old table included. */
static bool take_table(trie *t, int bits)
{
  uint64_t *edges = allocate_array(t->allocator, (size_t)1 << bits, sizeof *edges);
  if (!edges)
    return false;
  t->edges = edges;
  t->mask = ((size_t)1 << bits) - 1;
  t->shift = 64 - bits;
  t->multiplier = hash_multiplier(edges);
  return true;
}

gpt2_status trie_init(trie *t, const gpt2_allocator *allocator, size_t n, gpt2_error *error)
{
  enum { NODES_PER_TOKEN = 2 }; /* the published vocabulary has 1.95 */
  int bits = 4;
  while ((size_t)1 << bits < 2 * (NODES_PER_TOKEN * n + 1))
    bits++;
  *t = (trie){.allocator = allocator, .n_nodes = 1, .capacity = (size_t)1 << (bits - 1)};
  t->tokens = allocate_array(allocator, t->capacity, sizeof *t->tokens);
  if (!t->tokens || !take_table(t, bits))
    return fail_memory(error, ((size_t)1 << bits) * sizeof *t->edges);
  t->tokens[TRIE_ROOT] = NO_TOKEN;
  return GPT2_OK;
}

/* Doubles the room for nodes, and the table. */
static gpt2_status grow(trie *t, gpt2_error *error)
{
  trie old = *t;
  if (2 * t->capacity > MAX_TRIE_NODES)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "the vocabulary's tokens are too many or too long");
  if (!grow_array(t->allocator, (void **)&t->tokens, t->n_nodes, 2 * t->capacity,
                  sizeof *t->tokens) ||
      !take_table(t, 64 - t->shift + 1))
    return fail_memory(error, 2 * (t->mask + 1) * sizeof *t->edges);
  t->capacity *= 2;
  for (size_t i = 0; i <= old.mask; i++)
    if (old.edges[i] != 0)
      *trie_slot(t, (uint32_t)(old.edges[i] >> 36), (uint8_t)(old.edges[i] >> 28)) = old.edges[i];
  release(t->allocator, old.edges);
  return GPT2_OK;
}

gpt2_status trie_add(trie *t, const char *bytes, size_t size, uint32_t place, gpt2_error *error)
{
  uint32_t node = TRIE_ROOT;
  for (size_t i = 0; i < size; i++) {
    uint32_t child = trie_step(t, node, (uint8_t)bytes[i]);
    if (child == TRIE_ROOT) {
      gpt2_status status = t->n_nodes == t->capacity ? grow(t, error) : GPT2_OK;
      if (status != GPT2_OK)
        return status;
      child = (uint32_t)t->n_nodes++;
      t->tokens[child] = NO_TOKEN;
      *trie_slot(t, node, (uint8_t)bytes[i]) =
          (uint64_t)node << 36 | (uint64_t)(uint8_t)bytes[i] << 28 | child;
    }
    node = child;
  }
  t->tokens[node] = place;
  return GPT2_OK;
}

uint32_t trie_walk(const trie *t, uint32_t node, const char *bytes, size_t size)
{
  for (size_t i = 0; i < size; i++) {
    node = trie_step(t, node, (uint8_t)bytes[i]);
    if (node == TRIE_ROOT)
      return TRIE_ROOT;
  }
  return node;
}

void trie_free(trie *t)
{
  if (!t->allocator)
    return;
  release(t->allocator, t->edges);
  release(t->allocator, t->tokens);
}
