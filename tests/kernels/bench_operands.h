/* bench_operands.h - what products are measured with: the shapes of GPT-2 124M, and numbers for
 * them, which are made when they are first wanted and kept. */
#ifndef TESTS_KERNELS_BENCH_OPERANDS_H
#define TESTS_KERNELS_BENCH_OPERANDS_H

#include "kernels/kernels.h"

typedef struct bench_shape {
  const char *name;
  size_t n_in, n_out;
} bench_shape;

/* The four products of a block, and then the unembedding. */
enum { N_BLOCK_SHAPES = 4, UNEMBEDDING = 4, N_SHAPES };
extern const bench_shape bench_shapes[N_SHAPES];

/* Rows of a product at most, and of the unembedding. */
enum { MOST_ROWS = 512, MOST_LOGIT_ROWS = 32 };

/* Weights of a type, enough for every shape, in whatever layout: all that their bits can be is
 * finite. */
const void *bench_weights(element_type type);

/* Rows of any shape, one behind the other; and rounded to bf16, and to int8 with n_in inputs to a
 * row, wide where the kernels want that. */
const float *bench_rows(void);
const uint16_t *bench_rows_bf16(void);
quantized_rows bench_rows_int8(const kernels *kernel, size_t n_rows, size_t n_in);

/* Room for a group of weights as int16. */
int16_t *bench_panel(void);

/* Room for the results. */
float *bench_y(void);

#endif
