/* early.c - the pairs of bytes that can be merged at once. */
#include "tokenizer/early.h"

const early_pair no_early_pair = {
    .rank = NEVER_EARLY, .least_left = NO_RANK, .least_right = NO_RANK};

static void lower(uint32_t *rank, size_t other)
{
  if (other < *rank)
    *rank = (uint32_t)other;
}

/* Whether a byte starts as this token. */
static bool is_byte(const vocabulary *v, uint32_t place, const uint8_t *bytes, size_t size)
{
  return size == 1 && v->byte_token[*bytes] == place;
}

/* Tokens that stand for bytes they do not have may be part of anything: nothing is early beside
 * them. */
static void start_pairs(vocabulary *v)
{
  for (int pair = 0; pair < 256 * 256; pair++) {
    int left = pair >> 8, right = pair & 255;
    bool known = !v->byte_unknown[left] && !v->byte_unknown[right];
    early_pair *e = &v->early[pair];
    e->least_left = e->least_right = known ? NO_RANK : 0;
    e->rank = NEVER_EARLY;
    if (!known || v->byte_token[left] == NO_TOKEN)
      continue;
    uint32_t rank = pair_rank(&v->pairs, v->byte_token[left], v->byte_token[right]);
    if (rank != NO_RANK) {
      e->rank = rank;
      e->made = v->made[rank];
    }
  }
}

/* What has two bytes and is part of an earlier merge than its own must not be there before. */
static void check_part(vocabulary *v, uint32_t part, size_t rank)
{
  size_t size;
  const uint8_t *bytes = (const uint8_t *)vocabulary_bytes(v, part, &size);
  early_pair *e = size == 2 ? &v->early[bytes[0] << 8 | bytes[1]] : NULL;
  if (e && e->rank >= rank)
    e->rank = NEVER_EARLY;
}

/* What this merge could take a byte for. */
static void add_bounds(vocabulary *v, const merge *m, size_t rank)
{
  size_t n_left, n_right;
  const uint8_t *left = (const uint8_t *)vocabulary_bytes(v, m->left, &n_left);
  const uint8_t *right = (const uint8_t *)vocabulary_bytes(v, m->right, &n_right);
  if (n_left == 0 || n_right == 0)
    return;
  if (is_byte(v, m->left, left, n_left)) {
    lower(&v->early[*left << 8 | *right].least_right, rank);
    if (n_right > 1 && right[0] == *left && right[1] == *left)
      lower(&v->run_least_right[*left], rank);
  }
  if (is_byte(v, m->right, right, n_right))
    lower(&v->early[left[n_left - 1] << 8 | *right].least_left, rank);
}

gpt2_status find_early_pairs(vocabulary *v, gpt2_error *error)
{
  v->early = allocate_array(v->allocator, 256 * 256, sizeof *v->early);
  if (!v->early)
    return fail_memory(error, 256 * 256 * sizeof *v->early);
  start_pairs(v);
  for (int byte = 0; byte < 256; byte++)
    v->run_least_right[byte] = NO_RANK;
  for (size_t rank = 0; rank < v->n_merges; rank++) {
    check_part(v, v->merges[rank].left, rank);
    check_part(v, v->merges[rank].right, rank);
    add_bounds(v, &v->merges[rank], rank);
  }
  return GPT2_OK;
}

bool is_early_in_run(const vocabulary *v, const early_view *view, uint8_t byte)
{
  const early_pair *pair = view->pair, *before = view->before, *after = view->after;
  if (pair == before && !view->taken)
    return false;
  bool came_on = pair == before && pair == view->earlier;
  bool goes_on = pair == after && pair == view->later;
  return pair->rank <= (came_on ? NO_RANK : before->least_left) &&
         pair->rank <= (goes_on ? v->run_least_right[byte] : after->least_right);
}
