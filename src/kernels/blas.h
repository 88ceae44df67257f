/* blas.h - the process's BLAS library: one product, called by the rules that its threading demands.
 *
 * The private OpenBLAS, or one with threads of its own, is called by our threads, each with its
 * tile; the latter in pieces so small that it wakes none of its threads for them. OpenBLAS on
 * OpenMP, or a library that we do not know, gets whole products from the calling thread. So does a
 * serial OpenBLAS of the system, and only one of the whole process at a time. Whatever it is, its
 * thread count is the host's, and never touched. */
#ifndef KERNELS_BLAS_H
#define KERNELS_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#include "gpt2.h"

/* How many of our threads may call it at once: 1 when products must be whole. */
int blas_max_workers(void);

/* c (m, n) = alpha * a (m, k) . b (k, n) + beta * c, row-major with a distance between rows of
 * each; with b_transposed, b is (n, k). None of the sizes is 0 or exceeds INT32_MAX. From any
 * number of threads at once. */
void blas_product(bool b_transposed, size_t m, size_t n, size_t k, float alpha, const float *a,
                  size_t a_stride, const float *b, size_t b_stride, float beta, float *c,
                  size_t c_stride);

/* Fills the blas_ fields. */
void blas_describe(gpt2_build *build);

#endif
