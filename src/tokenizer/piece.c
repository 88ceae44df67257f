/* piece.c - a piece of text and the tokens that it is merged to: its memory. */
#include "tokenizer/piece.h"

void piece_init(piece *p, const vocabulary *v)
{
  *p = (piece){.vocabulary = v};
}

void piece_free(piece *p)
{
  release(p->vocabulary->allocator, p->memory);
  p->memory = NULL;
  p->capacity = 0;
}

static size_t round_up(size_t n)
{
  return (n + TREE_FAN - 1) / TREE_FAN * TREE_FAN;
}

gpt2_status piece_reserve(piece *p, size_t n, gpt2_error *error)
{
  if (n <= p->capacity)
    return GPT2_OK;
  if (n > UINT32_MAX - TREE_FAN)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "text: a word of %zu bytes is too long", n);
  size_t capacity = round_up(n), total = 3 * capacity, n_entries = capacity;
  for (int level = 0; level < TREE_LEVELS; level++, n_entries = round_up(n_entries) / TREE_FAN)
    total += round_up(n_entries);
  piece_free(p);
  p->memory = allocate_array(p->vocabulary->allocator, total, sizeof *p->memory);
  if (!p->memory)
    return fail_memory(error, total * sizeof *p->memory);
  p->capacity = n_entries = capacity;
  p->symbol = p->memory;
  p->next = p->symbol + capacity;
  p->previous = p->next + capacity;
  int32_t *keys = (int32_t *)(p->previous + capacity);
  for (int level = 0; level < TREE_LEVELS; level++, n_entries = round_up(n_entries) / TREE_FAN) {
    p->keys[level] = keys;
    keys += round_up(n_entries);
  }
  return GPT2_OK;
}

gpt2_status piece_encode(piece *p, const uint8_t *bytes, size_t n, int64_t offset, gpt2_error *error)
{
  gpt2_status status = piece_reserve(p, n, error);
  if (status != GPT2_OK)
    return status;
  p->bytes = bytes;
  p->n = (uint32_t)n;
  return piece_match(p) ? GPT2_OK : piece_merge(p, offset, error);
}
