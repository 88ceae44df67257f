/* matmul.h - the products of rows with a weight matrix, by whichever way is fastest.
 *
 * One or a few rows (decoding) go to the row kernels: there the limit is the reading of the
 * weights. Many rows go to BLAS, tile by tile. Which tile is computed by whom changes nothing:
 * tiles depend only on the shape. */
#ifndef KERNELS_MATMUL_H
#define KERNELS_MATMUL_H

#include "base/pool.h"
#include "kernels/kernels.h"
#include "kernels/types.h"

typedef enum layout {
  LAYOUT_IN_OUT, /* (n_in, n_out) contiguous, of a stored type */
  LAYOUT_OUT_IN, /* (n_out, n_in) contiguous, of a stored type */
  LAYOUT_PACKED  /* groups of columns, of a block type (packed.h) */
} layout;

typedef struct matrix {
  const void *data;
  element_type type;
  layout layout;
  size_t n_in, n_out;
  bool fast; /* rows are rounded before they are multiplied: for block types to int8, for bf16 to
                bf16. It has no meaning for f32 and f16 */
} matrix;

/* Up to so many rows go to the row kernels, and are then equal to the bit in any company. */
enum { MAX_KERNEL_ROWS = 32 };

typedef struct product {
  const matrix *weight;
  const float *bias; /* (n_out) or NULL */
  const float *x;    /* (n_rows, n_in) */
  size_t n_rows;
  float *y;                               /* (n_rows, n_out) */
  bool accumulate;                        /* add to y instead of overwriting it */
  void (*activation)(float *x, size_t n); /* applied to y at the end, or NULL */
} product;

/* y = activation(x . weight + bias [+ y]) */
void matmul(pool *p, const product *work);

#endif
