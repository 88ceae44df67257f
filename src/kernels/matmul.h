/* matmul.h - the products of rows with a weight matrix, by whichever way is fastest.
 *
 * A product is cut into tiles; neither how many they are, which depends on the threads, nor which
 * worker computes one changes its bits. Inputs are added in ranges that depend only on the matrix,
 * each in the same order however many rows there are: so a row has the same bits in any batch,
 * unless so many rows are left to BLAS (kernels.h, own_rows) or multiplied as bf16 (tiling.c,
 * PAIR_ROWS). */
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

/* Up to so many rows read weights (in, out) in the order in which they lie; more take strips. By
 * whole passes of the 124M model in f32, 2 threads: 48 rows take 71 ms in streams and 75 in strips,
 * 64 rows 90 and 90. */
enum { MAX_STREAM_ROWS = 48 };

typedef struct product {
  const matrix *weight;
  const float *bias; /* (n_out) or NULL */
  const float *x;    /* (n_rows, n_in) */
  size_t n_rows;
  float *y;                               /* (n_rows, n_out) */
  bool accumulate;                        /* add to y instead of overwriting it */
  void (*activation)(float *x, size_t n); /* applied to y at the end, or NULL */
  void *scratch;                          /* (matmul_scratch) aligned to MEMORY_ALIGNMENT */
} product;

/* Bytes of scratch memory that a product of up to n_rows rows needs; false when they do not fit a
 * size_t. */
bool matmul_scratch(const matrix *weight, size_t n_rows, int n_threads, size_t *size);

/* y = activation(x . weight + bias [+ y]) */
void matmul(pool *p, const product *work);

/* The weights of one output, as f32: row (n_in). Of an embedding: the vector of one token. */
void matrix_row(const matrix *m, size_t output, float *row);

#endif
