/* piece.c - a piece of text, and the tokens that its bytes are merged to.
 *
 * A tree finds the next pair. A key is a rank times 64, and in its low bits its place among its 64
 * neighbours: so the least of 64 keys is the lowest rank's, and of equal ones the first. Level 0 has
 * the keys of the pairs that each symbol makes with the next one; an entry of a higher level has the
 * least rank of 64 entries below it. The highest level is the first with at most 64 entries, so the
 * pieces that most words are have no higher level at all. */
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

/* ---- Memory ---- */

/* The entries that a level needs above n entries. */
static size_t n_above(size_t n)
{
  return (n + TREE_FAN - 1) / TREE_FAN;
}

/* Makes room for n bytes. */
static gpt2_status reserve(piece *p, size_t n, gpt2_error *error)
{
  if (n < p->capacity)
    return GPT2_OK;
  if (n > UINT32_MAX - TREE_FAN)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "text: a word of %zu bytes is too long", n);
  size_t capacity = n_above(n + 1) * TREE_FAN, total = 3 * capacity, blocks = n_above(capacity);
  for (int level = 0; level < TREE_LEVELS; level++, blocks = n_above(blocks))
    total += blocks * TREE_FAN;
  piece_free(p);
  p->memory = allocate_array(p->vocabulary->allocator, total, sizeof *p->memory);
  if (!p->memory)
    return fail_memory(error, total * sizeof *p->memory);
  p->capacity = capacity;
  p->symbol = p->memory;
  p->next = p->symbol + capacity;
  p->previous = p->next + capacity;
  int32_t *keys = (int32_t *)(p->previous + capacity);
  blocks = n_above(capacity);
  for (int level = 0; level < TREE_LEVELS; level++, blocks = n_above(blocks)) {
    p->keys[level] = keys;
    keys += blocks * TREE_FAN;
  }
  return GPT2_OK;
}

/* ---- The tree ---- */

enum { NO_KEY = NO_RANK * TREE_FAN };

/* The least of the 64 keys of a block. */
static inline int32_t least_of(const int32_t *keys)
{
  int32_t least = INT32_MAX;
  for (int i = 0; i < TREE_FAN; i++)
    least = keys[i] < least ? keys[i] : least;
  return least;
}

static int32_t make_key(uint32_t rank, uint32_t at)
{
  return (int32_t)(rank * TREE_FAN | (at & (TREE_FAN - 1)));
}

/* Sets the entry above a block. */
static void renew(piece *p, int level, uint32_t block)
{
  int32_t least = least_of(p->keys[level] + (size_t)block * TREE_FAN);
  p->keys[level + 1][block] = make_key((uint32_t)least / TREE_FAN, block);
}

/* Builds the levels above the symbols' keys. */
static void build_tree(piece *p)
{
  size_t n = p->n;
  for (p->top = 0;; p->top++) {
    size_t blocks = n_above(n);
    for (size_t i = n; i < blocks * TREE_FAN; i++)
      p->keys[p->top][i] = NO_KEY;
    if (blocks == 1)
      return;
    for (size_t block = 0; block < blocks; block++)
      renew(p, p->top, (uint32_t)block);
    n = blocks;
  }
}

/* Tells the levels above that the keys of three symbols have changed. */
static void update_tree(piece *p, uint32_t before, uint32_t at, uint32_t right)
{
  for (int level = 0; level < p->top; level++) {
    before /= TREE_FAN;
    at /= TREE_FAN;
    right /= TREE_FAN;
    renew(p, level, at);
    if (before != at)
      renew(p, level, before);
    if (right != at)
      renew(p, level, right);
  }
}

/* The key of the next pair, and at which symbol it begins. */
static int32_t find_pair(const piece *p, uint32_t *at)
{
  int32_t least = 0;
  *at = 0;
  for (int level = p->top; level >= 0; level--) {
    least = least_of(p->keys[level] + (size_t)*at * TREE_FAN);
    *at = *at * TREE_FAN + ((uint32_t)least & (TREE_FAN - 1));
  }
  return least;
}

/* ---- Merging ---- */

/* The key of a symbol and the next one. */
static int32_t pair_key(const piece *p, uint32_t left, uint32_t right)
{
  return make_key(pair_rank(&p->vocabulary->pairs, p->symbol[left], p->symbol[right]), left);
}

/* Makes a symbol of every byte, or of every run of bytes that one unknown token stands for. */
static gpt2_status load_symbols(piece *p, const uint8_t *bytes, int64_t offset, gpt2_error *error)
{
  const vocabulary *v = p->vocabulary;
  uint32_t last = p->n;
  p->symbol[p->n] = NO_TOKEN;
  for (uint32_t i = 0; i < p->n; i++) {
    p->symbol[i] = v->byte_token[bytes[i]];
    p->keys[0][i] = NO_KEY;
    if (p->symbol[i] == NO_TOKEN)
      return fail(error, GPT2_ERR_UNSUPPORTED, offset + i,
                  "text: the byte 0x%02x at %lld has no token in the model's vocabulary", bytes[i],
                  (long long)(offset + i));
    if (i > 0 && v->fuse_unknown && v->byte_unknown[bytes[i]] && v->byte_unknown[bytes[i - 1]])
      continue;
    if (i > 0)
      p->keys[0][last] = make_key(v->byte_ranks[bytes[last] << 8 | bytes[i]], last);
    p->next[last] = i;
    p->previous[i] = last;
    last = i;
  }
  p->next[last] = p->n;
  p->previous[p->n] = last;
  return GPT2_OK;
}

/* Puts a symbol and the next one together as `made`; the keys of the pairs that this ends become
 * NO_KEY, those of the pairs that it begins are left to the caller. */
static inline void join(piece *p, uint32_t at, uint32_t made)
{
  uint32_t right = p->next[at], after = p->next[right];
  p->symbol[at] = made;
  p->next[at] = after;
  p->previous[after] = at;
  p->keys[0][p->previous[at]] = p->keys[0][at] = p->keys[0][right] = NO_KEY;
}

/* Merges all that can be, in a piece of any size. */
static void merge_all(piece *p)
{
  int32_t *keys = p->keys[0];
  uint32_t at;
  for (int32_t key = find_pair(p, &at); key < NO_KEY; key = find_pair(p, &at)) {
    uint32_t before = p->previous[at], right = p->next[at];
    join(p, at, p->vocabulary->made[key / TREE_FAN]);
    keys[at] = pair_key(p, at, p->next[at]);
    keys[before] = pair_key(p, before, at);
    update_tree(p, before < p->n ? before : at, at, right);
  }
}

/* The same for a single block of keys. While the ranks of the new pairs are on their way from memory,
 * the least of the other keys is found. */
static void merge_block(piece *p)
{
  int32_t *keys = p->keys[0];
  for (int32_t key = least_of(keys); key < NO_KEY;) {
    uint32_t at = (uint32_t)key & (TREE_FAN - 1), before = p->previous[at];
    join(p, at, p->vocabulary->made[key / TREE_FAN]);
    int32_t others = least_of(keys);
    int32_t left_key = pair_key(p, before, at), right_key = pair_key(p, at, p->next[at]);
    keys[before] = left_key;
    keys[at] = right_key;
    key = left_key < right_key ? left_key : right_key;
    key = others < key ? others : key;
  }
}

gpt2_status piece_merge(piece *p, const uint8_t *bytes, size_t n, int64_t offset,
                        gpt2_error *error)
{
  gpt2_status status = reserve(p, n, error);
  if (status != GPT2_OK)
    return status;
  p->n = (uint32_t)n;
  status = load_symbols(p, bytes, offset, error);
  if (status != GPT2_OK)
    return status;
  build_tree(p);
  if (p->top == 0)
    merge_block(p);
  else
    merge_all(p);
  return GPT2_OK;
}
