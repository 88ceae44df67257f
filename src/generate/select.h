/* select.h - keeps the greatest of many candidates without sorting them. */
#ifndef GENERATE_SELECT_H
#define GENERATE_SELECT_H

#include <stddef.h>

#include "gpt2.h"

/* Tokens that may be drawn, in the order of their ids. */
typedef struct candidates {
  gpt2_token *tokens; /* (capacity), of which n are in use */
  float *values;      /* what they are compared by: not NaN; of equal values the earlier one counts
                         as the greater */
  float *weights;     /* >= 0 */
  size_t n, capacity;
} candidates;

/* Keeps the k > 0 greatest, whatever their weights; all, if there are no more. */
void keep_greatest(candidates *c, size_t k);

/* Keeps the fewest greatest whose weights add up to at least `enough`: all, if all together do not,
 * and one at least of n > 0. */
void keep_heaviest(candidates *c, double enough);

/* The k-th greatest of n >= k > 0 values that are not NaN. */
float kth_greatest(const float *values, size_t n, size_t k);

#endif
