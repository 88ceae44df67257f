/* convert.h - weights from the type that a file stores them in to the one that they are kept in. */
#ifndef KERNELS_CONVERT_H
#define KERNELS_CONVERT_H

#include "kernels/matmul.h"

/* A matrix on its way: its rows lie in the file as they do in memory, in another type; or they are
 * packed, and then stand for inputs or outputs. Rows need no alignment. */
typedef struct conversion {
  matrix to;
  void *data;         /* the memory of `to` */
  element_type from;  /* no block type */
  layout from_layout; /* LAYOUT_IN_OUT: a row for each input; LAYOUT_OUT_IN: for each output */
  size_t n_rows, n_columns; /* in the file */
} conversion;

/* Converts rows [first, first + n), which lie at `rows`. `first` is a multiple of
 * conversion_granularity, and so is n but at the end. No two calls write to the same memory. */
void convert_rows(const kernels *k, const conversion *c, const void *rows, size_t first, size_t n);
size_t conversion_granularity(const conversion *c);

/* Bytes of a matrix in memory; false when they do not fit a size_t. */
bool matrix_size(const matrix *m, size_t *size);

#endif
