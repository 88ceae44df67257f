/* select.h - keeps the greatest of many candidates without sorting them. */
#ifndef GENERATE_SELECT_H
#define GENERATE_SELECT_H

#include <stddef.h>

#include "gpt2.h"

typedef struct candidate {
  gpt2_token token;
  float value;  /* what they are compared by: not NaN; of equal values the earlier one counts as the
                   greater */
  float weight; /* >= 0 */
} candidate;

/* Keeps the fewest greatest candidates whose weights add up to at least `enough` - all, if all
 * together do not, and at least one. Those kept stay in their order at the front; returns their
 * number. Linear in n. */
size_t select_greatest(candidate *candidates, size_t n, double enough);

#endif
