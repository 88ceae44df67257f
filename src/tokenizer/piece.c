/* piece.c - a piece of text, and the tokens that its bytes are merged to.
 *
 * A tree finds the next pair. A key is the rank of the pair that a symbol makes with the next one,
 * and in its low half the symbol: so the least key is that of the lowest rank, and of equal ranks
 * the leftmost. Level 0 has the keys of all symbols, an entry of a higher level the least of 8
 * below it, the top the least of all. (So few, because 8 numbers just written are compared faster
 * one by one than in vectors, which have to wait until they are in the cache.) */
#include "tokenizer/piece.h"

#include "tokenizer/early.h"

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

/* The entries above n entries. */
static size_t n_above(size_t n)
{
  return (n + TREE_FAN - 1) / TREE_FAN;
}

/* Makes room for n bytes, and for the symbol that is no token. */
static gpt2_status reserve(piece *p, size_t n, gpt2_error *error)
{
  if (n < p->capacity)
    return GPT2_OK;
  if (n > UINT32_MAX - TREE_FAN)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "text: a word of %zu bytes is too long", n);
  enum { LEAST = 64 }; /* bytes: few words are longer, so they all find room at the first one's */
  size_t starts[TREE_LEVELS], n_keys = 0, blocks = n_above((n < LEAST ? LEAST : n) + 1);
  size_t capacity = blocks * TREE_FAN;
  for (int level = 0; level < TREE_LEVELS; level++, blocks = n_above(blocks)) {
    starts[level] = n_keys;
    n_keys += blocks * TREE_FAN;
  }
  size_t size = n_keys * sizeof(uint64_t) + 4 * capacity * sizeof(uint32_t);
  piece_free(p);
  p->memory = allocate_zeroed(p->vocabulary->allocator, size);
  if (!p->memory)
    return fail_memory(error, size);
  p->capacity = capacity;
  for (int level = 0; level < TREE_LEVELS; level++)
    p->keys[level] = p->memory + starts[level];
  p->symbol = (uint32_t *)(p->memory + n_keys);
  p->start = p->symbol + capacity;
  p->next = p->start + capacity;
  p->previous = p->next + capacity;
  return GPT2_OK;
}

/* ---- The tree ---- */

#define NO_KEY ((uint64_t)NO_RANK << 32)

static inline uint64_t make_key(uint32_t rank, uint32_t at)
{
  return (uint64_t)rank << 32 | at;
}

static inline uint64_t lesser(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

static inline int64_t lesser_signed(uint64_t a, uint64_t b)
{
  return (int64_t)a < (int64_t)b ? (int64_t)a : (int64_t)b;
}

/* Sets the entry above a block of 8: three steps, one after another. (Keys are small enough to be
 * signed. Were all of one type, gcc would make a chain of seven steps of it.) */
static inline void renew(piece *p, int level, uint32_t block)
{
  const uint64_t *k = p->keys[level] + (size_t)block * TREE_FAN;
  int64_t left = lesser_signed(lesser(k[0], k[1]), lesser(k[2], k[3]));
  int64_t right = lesser_signed(lesser(k[4], k[5]), lesser(k[6], k[7]));
  p->keys[level + 1][block] = lesser((uint64_t)left, (uint64_t)right);
}

/* Builds the levels above the symbols' keys. */
static void build_tree(piece *p)
{
  size_t n = p->n;
  for (p->top = 0; n > 1 || p->top == 0; p->top++) {
    size_t blocks = n_above(n);
    for (size_t i = n; i < blocks * TREE_FAN; i++)
      p->keys[p->top][i] = NO_KEY;
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

/* ---- Merging ---- */

static gpt2_status fail_byte(uint8_t byte, int64_t offset, gpt2_error *error)
{
  return fail(error, GPT2_ERR_UNSUPPORTED, offset,
              "text: the byte 0x%02x at %lld has no token in the model's vocabulary", byte,
              (long long)offset);
}

/* Whether one unknown token stands for both of two bytes. */
static inline bool are_fused(const vocabulary *v, const uint8_t *bytes)
{
  return v->fuse_unknown && v->byte_unknown[bytes[0]] && v->byte_unknown[bytes[1]];
}

/* Makes a symbol of every byte, of every early pair, or of every run of bytes that one unknown
 * token stands for. Whether a byte begins one cannot be foreseen, so there is no branch on it. */
static gpt2_status load_symbols(piece *p, const uint8_t *bytes, uint32_t n, int64_t offset,
                                gpt2_error *error)
{
  const vocabulary *v = p->vocabulary;
  early_view view = {.before = &no_early_pair,
                     .pair = &no_early_pair,
                     .after = early_pair_at(v, bytes, n, 0),
                     .later = early_pair_at(v, bytes, n, 1)};
  uint32_t *restrict symbol = p->symbol, *restrict start = p->start;
  uint32_t n_symbols = 0, early = 0, is_taken = 0; /* 0 or 1 */
  for (uint32_t i = 0; i < n; i++) {
    view = (early_view){
        view.before, view.pair, view.after, view.later, early_pair_at(v, bytes, n, i + 2),
        is_taken};
    is_taken = early; /* this byte, by the pair that begins before it */
    early = is_early(v, &view, bytes[i]);
    if (i > 0 && are_fused(v, bytes + i - 1))
      is_taken = 1;
    uint32_t token = v->byte_token[bytes[i]];
    if (token == NO_TOKEN)
      return fail_byte(bytes[i], offset + i, error);
    symbol[n_symbols] = token ^ ((token ^ view.pair->made) & -early);
    start[n_symbols] = i;
    n_symbols += 1 - is_taken;
  }
  p->n = n_symbols;
  symbol[n_symbols] = (uint32_t)v->n_tokens;
  start[n_symbols] = n;
  return GPT2_OK;
}

/* The key of a symbol and the next one. */
static inline uint64_t pair_key(const piece *p, uint32_t left, uint32_t right)
{
  return make_key(pair_rank(&p->vocabulary->pairs, p->symbol[left], p->symbol[right]), left);
}

/* Makes a list of the symbols, and the keys of their pairs. */
static void link_symbols(piece *p)
{
  for (uint32_t at = 0; at < p->n; at++) {
    p->next[at] = at + 1;
    p->previous[at + 1] = at;
    p->keys[0][at] = pair_key(p, at, at + 1);
  }
  p->next[p->n] = 0;
  p->previous[0] = p->n;
}

/* Merges a symbol with the next one. */
static inline void merge_at(piece *p, uint32_t at, uint32_t rank)
{
  uint32_t before = p->previous[at], right = p->next[at], after = p->next[right];
  p->symbol[at] = p->vocabulary->made[rank];
  p->next[at] = after;
  p->previous[after] = at;
  p->keys[0][right] = NO_KEY;
  p->keys[0][at] = pair_key(p, at, after);
  p->keys[0][before] = pair_key(p, before, at);
  update_tree(p, before < p->n ? before : at, at, right);
}

gpt2_status piece_merge(piece *p, const uint8_t *bytes, size_t n, int64_t offset, gpt2_error *error)
{
  gpt2_status status = reserve(p, n, error);
  if (status == GPT2_OK)
    status = load_symbols(p, bytes, (uint32_t)n, offset, error);
  if (status != GPT2_OK)
    return status;
  link_symbols(p);
  build_tree(p);
  for (uint64_t key = p->keys[p->top][0]; key < NO_KEY; key = p->keys[p->top][0])
    merge_at(p, (uint32_t)key, (uint32_t)(key >> 32));
  return GPT2_OK;
}
