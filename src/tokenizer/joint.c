/* joint.c - when the tokens of two texts are the tokens of both as one. */
#include "tokenizer/joint.h"

/* Whether a part of merge `rank` is an orderly token that is there when its turn comes. */
static bool is_ready(const vocabulary *v, uint32_t part, size_t rank)
{
  int32_t made = v->made_by[part];
  return made == MADE_BY_NONE || (made >= 0 && (size_t)made < rank);
}

/* Whether a later merge of the same pair counts. */
static bool is_overruled(const vocabulary *v, size_t rank)
{
  const merge *m = &v->merges[rank];
  return pair_rank(&v->pairs, m->left, m->right) != rank;
}

/* Every token that a merge makes gets its rank, or MADE_UNSURELY when it is the second, or the
 * token is what a byte starts as. */
static void find_makers(vocabulary *v)
{
  for (size_t place = 0; place < v->n_tokens; place++)
    v->made_by[place] = MADE_BY_NONE;
  for (size_t rank = 0; rank < v->n_merges; rank++) {
    int32_t *made = &v->made_by[v->merges[rank].made];
    if (!is_overruled(v, rank))
      *made = *made == MADE_BY_NONE ? (int32_t)rank : MADE_UNSURELY;
  }
  for (int byte = 0; byte < 256; byte++)
    if (v->byte_token[byte] != NO_TOKEN && v->made_by[v->byte_token[byte]] != MADE_BY_NONE)
      v->made_by[v->byte_token[byte]] = MADE_UNSURELY;
}

/* Goes back in time from the moment when two tokens touch that become part of others at the ranks
 * `left_until` and `right_until`: what was made last is taken apart first. */
static bool were_apart(const vocabulary *v, uint32_t left, uint32_t left_until, uint32_t right,
                       uint32_t right_until, bool touch)
{
  for (;; touch = true) {
    int32_t left_made = v->made_by[left], right_made = v->made_by[right];
    if (left_made == MADE_UNSURELY || right_made == MADE_UNSURELY)
      return false;
    /* Equal ranks are equal pairs, in x x x: the leftmost goes first. */
    uint32_t rank = touch ? pair_rank(&v->pairs, left, right) : NO_RANK;
    if (rank < left_until && rank <= right_until)
      return false;
    if (left_made == MADE_BY_NONE && right_made == MADE_BY_NONE)
      return true;
    if (left_made > right_made) {
      left_until = (uint32_t)left_made;
      left = v->merges[left_made].right;
    } else {
      right_until = (uint32_t)right_made;
      right = v->merges[right_made].left;
    }
  }
}

bool stay_apart(const vocabulary *v, uint32_t left, uint32_t right)
{
  return were_apart(v, left, NO_RANK, right, NO_RANK, true);
}

static bool is_whole(const vocabulary *v, uint32_t place)
{
  return (v->flags[place] & FLAG_WHOLE) != 0;
}

void find_joints(vocabulary *v)
{
  find_makers(v);
  for (int byte = 0; byte < 256; byte++)
    if (v->byte_token[byte] != NO_TOKEN && !v->byte_unknown[byte] &&
        v->made_by[v->byte_token[byte]] == MADE_BY_NONE)
      v->flags[v->byte_token[byte]] |= FLAG_WHOLE;
  for (size_t rank = 0; rank < v->n_merges; rank++) {
    const merge *m = &v->merges[rank];
    if (!is_ready(v, m->left, rank) || !is_ready(v, m->right, rank))
      v->made_by[m->made] = MADE_UNSURELY;
    if (v->made_by[m->made] == (int32_t)rank && is_whole(v, m->left) && is_whole(v, m->right) &&
        were_apart(v, m->left, (uint32_t)rank, m->right, (uint32_t)rank, false))
      v->flags[m->made] |= FLAG_WHOLE;
  }
}
