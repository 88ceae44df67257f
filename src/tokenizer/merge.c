/* merge.c - the tokens of a piece, by merging in the order of ranks.
 *
 * A tree finds the next pair. keys[0] has for each symbol the rank of the pair that it makes with the next
 * one, times 16; every entry of a higher level stands for 16 of the level below, and holds the least of
 * their keys with, in its low four bits, which of them that is - of equal ones the first. So the path from
 * the single entry at the top leads to the leftmost pair of the lowest rank, and a change costs one look
 * at 16 neighbours a level: n log n in all, whatever the text and the vocabulary. */
#include "tokenizer/piece.h"

enum { NO_KEY = INT32_MAX & ~(TREE_FAN - 1) };

static int32_t key_of(uint32_t rank)
{
  return rank == NO_RANK ? NO_KEY : (int32_t)(rank * TREE_FAN);
}

static int32_t pair_key(const piece *p, uint32_t left, uint32_t right)
{
  return key_of(pair_rank(&p->vocabulary->pairs, p->symbol[left], p->symbol[right]));
}

/* The least of 16 keys, with its place among them. */
static int32_t least_of(const int32_t *keys)
{
  int32_t least = INT32_MAX;
  for (int i = 0; i < TREE_FAN; i++) {
    int32_t key = (keys[i] & ~(TREE_FAN - 1)) | i;
    least = key < least ? key : least;
  }
  return least;
}

/* Builds the levels above the symbols' keys. */
static void build_tree(piece *p)
{
  size_t n = p->n;
  for (p->top = 0; n > 1 || p->top == 0; p->top++) {
    int32_t *keys = p->keys[p->top];
    size_t n_above = (n + TREE_FAN - 1) / TREE_FAN;
    for (size_t i = n; i < n_above * TREE_FAN; i++)
      keys[i] = NO_KEY;
    for (size_t i = 0; i < n_above; i++)
      p->keys[p->top + 1][i] = least_of(keys + i * TREE_FAN);
    n = n_above;
  }
}

/* Tells the levels above that the key of a symbol has changed. */
static void update_tree(piece *p, uint32_t at)
{
  for (int level = 0; level < p->top; level++) {
    at /= TREE_FAN;
    int32_t least = least_of(p->keys[level] + (size_t)at * TREE_FAN);
    if (p->keys[level + 1][at] == least)
      return;
    p->keys[level + 1][at] = least;
  }
}

/* The symbol that begins the pair to be merged next; false: there is none. */
static bool find_pair(const piece *p, uint32_t *symbol)
{
  if (p->keys[p->top][0] >= NO_KEY)
    return false;
  uint32_t at = 0;
  for (int level = p->top; level > 0; level--)
    at = at * TREE_FAN + ((uint32_t)p->keys[level][at] & (TREE_FAN - 1));
  *symbol = at;
  return true;
}

/* Makes a symbol of every byte, or of every run of bytes that one unknown token stands for. */
static gpt2_status load_symbols(piece *p, int64_t offset, gpt2_error *error)
{
  const vocabulary *v = p->vocabulary;
  const uint8_t *bytes = p->bytes;
  p->last = 0;
  for (uint32_t i = 0; i < p->n; i++) {
    p->symbol[i] = v->byte_token[bytes[i]];
    p->keys[0][i] = NO_KEY;
    if (p->symbol[i] == NO_TOKEN)
      return fail(error, GPT2_ERR_UNSUPPORTED, offset + i,
                  "text: the byte 0x%02x at %lld has no token in the model's vocabulary", bytes[i],
                  (long long)(offset + i));
    if (i == 0 || (v->fuse_unknown && v->byte_unknown[bytes[i]] && v->byte_unknown[bytes[i - 1]]))
      continue;
    p->keys[0][p->last] = pair_key(p, p->last, i);
    p->next[p->last] = i;
    p->previous[i] = p->last;
    p->last = i;
  }
  p->next[p->last] = p->n;
  return GPT2_OK;
}

/* Merges a symbol with the next one. */
static void merge_at(piece *p, uint32_t at)
{
  uint32_t right = p->next[at], after = p->next[right];
  p->symbol[at] = p->vocabulary->merges[p->keys[0][at] / TREE_FAN].made;
  p->next[at] = after;
  p->keys[0][at] = p->keys[0][right] = NO_KEY;
  if (after < p->n) {
    p->previous[after] = at;
    p->keys[0][at] = pair_key(p, at, after);
  } else {
    p->last = at;
  }
  update_tree(p, at);
  if (right / TREE_FAN != at / TREE_FAN)
    update_tree(p, right);
  if (at == 0)
    return;
  uint32_t before = p->previous[at];
  p->keys[0][before] = pair_key(p, before, at);
  update_tree(p, before);
}

gpt2_status piece_merge(piece *p, int64_t offset, gpt2_error *error)
{
  gpt2_status status = load_symbols(p, offset, error);
  if (status != GPT2_OK)
    return status;
  build_tree(p);
  for (uint32_t at; find_pair(p, &at);)
    merge_at(p, at);
  return GPT2_OK;
}
