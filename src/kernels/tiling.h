/* tiling.h - how a product is cut into tiles, and the memory that they need.
 *
 * The ways to multiply, and when each is taken (tiling.c):
 * - stream: up to MAX_STREAM_ROWS rows, weights (in, out). The weights are read once, in the order
 *   in which they lie, a range of inputs to a tile; a range's sums go to memory of its own, and who
 *   finishes the last range of some columns adds them up.
 * - strips: more rows. Weights are widened, range by range of inputs, into a few strips of columns
 *   that stay in the second-level cache for all rows; one strip at a time is in the first. The rows
 *   are packed tile by tile, and the next weights are asked for meanwhile.
 * - dots: weights (out, in), any number of rows.
 * - integers: packed weights, rows rounded to int8.
 * - pairs: bf16 weights, many rows rounded to bf16, where the processor multiplies those.
 * - BLAS: more rows than our own kernels are good for: on processors for which there are only the
 *   scalar ones. */
#ifndef KERNELS_TILING_H
#define KERNELS_TILING_H

#include <stdatomic.h>

#include "base/memory.h"
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
  float *x_packed;      /* (row tiles of a strip, n_in, strip_rows) rows packed range by range */
  quantized_rows x_int; /* rows rounded to int8 */
  size_t x_stride;
  float *partial; /* (n_ranges, n_column_tiles, n_rows, partial_stride) a stream's sums */
  size_t partial_stride;
  _Atomic uint32_t *n_done; /* (n_column_tiles) ranges of these columns that are finished */
  uint8_t *panels;          /* (n_threads, panel_size) */
  size_t panel_size;
} tiling;

/* Rows and columns of a tile for BLAS, which copies both operands into an order of its own, anew
 * for each tile: all rows of a pass in one tile copy the weights once only. 192 columns are 97% as
 * fast as the whole product in one call (measured on 512 rows of the 124M shapes with OpenBLAS
 * 0.3.21), and every width of the published models is then a good number of tiles. Weights that
 * must be widened for it are so for as many columns at a time. */
enum { BLAS_ROWS = 512, BLAS_COLUMNS = 192 };

/* Cuts `work` into tiles and finds their memory in work->scratch. */
void tiling_make(tiling *t, const product *work, int n_threads);

/* The inputs of a range. */
static inline size_t tiling_inputs(const tiling *t, size_t range)
{
  return smaller(t->range, t->work->weight->n_in - range * t->range);
}

/* Whether weights need no widening. */
static inline bool tiling_is_f32(const matrix *weight)
{
  return weight->layout != LAYOUT_PACKED && weight->type == ELEMENT_F32;
}

#endif
