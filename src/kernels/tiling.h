/* tiling.h - how a product is cut into tiles, and the memory that they need.
 *
 * The ways to multiply, and when each is taken (tiling.c):
 * - stream: a few rows, weights (in, out). The weights are read once, in the order in which they
 *   lie, a range of inputs to a tile; a range's sums go to memory of its own, and who finishes the
 *   last range of some columns adds them up.
 * - strips: many rows. Weights are widened, strip by strip of columns and range by range of inputs,
 *   into a panel that stays in the cache for all rows.
 * - dots: weights (out, in), any number of rows.
 * - integers: packed weights, rows rounded to int8.
 * - pairs: bf16 weights, many rows rounded to bf16, where the processor multiplies those.
 * - BLAS: more rows than our own kernels are good for. */
#ifndef KERNELS_TILING_H
#define KERNELS_TILING_H

#include <stdatomic.h>

#include "kernels/matmul.h"

typedef enum way { STREAM, STRIPS, DOTS, INTEGERS, PAIRS, BLAS } way;

/* What a product's tiles share. */
typedef struct tiling {
  const product *work;
  const kernels *kernel;
  way way;
  size_t rows, columns; /* of a whole tile of y */
  size_t n_column_tiles;
  size_t range, n_ranges; /* of inputs */

  uint16_t *x_bf16;     /* (n_rows, x_stride) rows rounded to bf16 ... */
  float *x_rounded;     /* (n_rows, n_in) ... and widened again */
  quantized_rows x_int; /* rows rounded to int8 */
  size_t x_stride;
  float *partial;           /* (n_ranges, n_rows, n_out) sums of a stream's ranges */
  _Atomic uint32_t *n_done; /* (n_column_tiles) ranges of these columns that are finished */
  uint8_t *panels;          /* (n_threads, panel_size) */
  size_t panel_size;
} tiling;

/* Columns of a panel of weights that are widened for BLAS. */
enum { BLAS_COLUMNS = 192 };

/* Cuts `work` into tiles and finds their memory in work->scratch. */
void tiling_make(tiling *t, const product *work, int n_threads);

/* Whether weights need no widening. */
static inline bool tiling_is_f32(const matrix *weight)
{
  return weight->layout != LAYOUT_PACKED && weight->type == ELEMENT_F32;
}

static inline size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

static inline size_t larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

static inline size_t round_up(size_t n, size_t unit)
{
  return (n + unit - 1) / unit * unit;
}

#endif
