/* widen.h - weights (in, out) as f32, in panels for the products that want them so. */
#ifndef KERNELS_WIDEN_H
#define KERNELS_WIDEN_H

#include "kernels/tiling.h"

/* Inputs [first, first + n_in) of some columns, to (n_in, stride). Of packed weights the first one
 * begins a block. */
void widen(const tiling *t, size_t first, size_t n_in, size_t column, size_t n_columns, float *to,
           size_t stride);

/* The same to strips (n_in, strip_columns), one behind the other. */
void widen_to_strips(const tiling *t, size_t first, size_t n_in, size_t column, size_t n_columns,
                     float *to);

/* Weights that will be widened next: `n` inputs of some columns. */
typedef struct upcoming {
  const uint8_t *w;
  size_t n, stride, size; /* of an input: bytes to the next one, and bytes that are read */
} upcoming;

/* Those of the range after this one, or of the first one of the columns behind these. */
upcoming find_upcoming(const tiling *t, size_t column, size_t n_columns, size_t range);

/* Asks the memory for inputs [from, until) of them. */
void prefetch_weights(const upcoming *next, size_t from, size_t until);

#endif
