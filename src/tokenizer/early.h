/* early.h - the pairs of bytes that can be merged at once, before their turn.
 *
 * Half of all merges put two bytes together, and most of these need not wait. Say x and y stand
 * between w and z, and that
 *  - no merge of a lower rank joins y and a token that begins with z,
 *  - nor a token that ends with w and x,
 *  - and none of a lower rank has the token "x y" as a part.
 * Until x or y is taken their pair is there to be merged, so what is merged ranks lower, and takes
 * neither: sooner or later the two are merged with each other. And having their token before that
 * changes nothing, since what it is part of ranks higher.
 *
 * In a run x x x ... all pairs have the same rank, and the leftmost goes first. So one of them that
 * follows another is early only if the left byte of the pair before it is taken by an early pair.
 * If that is x x, too, nothing but the two merged stands on the left when it is the turn of ours.
 * And if the run goes on, what could take the right byte begins with x x, or is x and comes
 * later. */
#ifndef TOKENIZER_EARLY_H
#define TOKENIZER_EARLY_H

#include "tokenizer/vocabulary.h"

/* The rank of what is never early: greater than any bound. */
#define NEVER_EARLY UINT32_MAX

/* Fills v->early. */
gpt2_status find_early_pairs(vocabulary *v, gpt2_error *error);

/* The rest is in the header because encoding does little else. */

/* What stands before the first and after the last pair of a text: nothing that takes a byte. */
extern const early_pair no_early_pair;

/* The pair of the bytes at `at` and after it, of n. */
static inline const early_pair *early_pair_at(const vocabulary *v, const uint8_t *bytes, uint32_t n,
                                              uint32_t at)
{
  return at + 1 < n ? &v->early[bytes[at] << 8 | bytes[at + 1]] : &no_early_pair;
}

/* The pairs around a byte: `pair` begins with it, two pairs before it, and two behind it. */
typedef struct early_view {
  const early_pair *earlier, *before, *pair, *after, *later;
  bool taken; /* `earlier` is early */
} early_view;

/* The same for three equal bytes, or more. */
bool is_early_in_run(const vocabulary *v, const early_view *view, uint8_t byte);

/* Whether the pair is early: 1 or 0. Ordinary text has no three equal bytes, so that only this is
 * foreseen. */
static inline uint32_t is_early(const vocabulary *v, const early_view *view, uint8_t byte)
{
  if (view->pair == view->before || view->pair == view->after)
    return is_early_in_run(v, view, byte);
  return (uint32_t)(view->pair->rank <= view->before->least_left) &
         (uint32_t)(view->pair->rank <= view->after->least_right);
}

#endif
