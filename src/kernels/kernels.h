/* kernels.h - arithmetic on plain arrays, as a table of functions.
 *
 * The scalar kernels (scalar.c) are the specification and fill the table first; instruction sets
 * override entries that they do better, within the tolerance that tests/test_kernels.c names. A
 * kernel allocates nothing, knows no model, and gives the same bits for a row whatever rows stand
 * beside it. Vectors need no alignment. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef struct kernels {
  const char *name; /* the instruction sets in use: "scalar" */

  /* ---- Products of a few rows with f32 weights: y[r] += x[r] . w ---- x (n_rows, n_in) with
   * x_stride floats from row to row, y (n_rows, n_out) with y_stride; w (n_in, n_out) with
   * w_stride, or (n_out, n_in) contiguous. */
  void (*product_in_out)(const float *x, size_t x_stride, size_t n_rows, const float *w,
                         size_t w_stride, size_t n_in, size_t n_out, float *y, size_t y_stride);
  void (*product_out_in)(const float *x, size_t x_stride, size_t n_rows, const float *w,
                         size_t n_in, size_t n_out, float *y, size_t y_stride);

  /* ---- The pieces of a block ---- */

  /* out = (x - mean) / sqrt(variance + epsilon) * weight + bias; all (n). out may be x. */
  void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon,
                     size_t n, float *out);

  /* The MLP's activation, in place: by GPT2_ACTIVATION_... */
  void (*activation[3])(float *x, size_t n);

  /* ---- Attention of one query over a run of keys ---- */

  /* scores[t] = q . k[t] * scale; q (d_head), k (n, d_head), scores (n). */
  void (*scores)(const float *q, const float *k, size_t n, size_t d_head, float scale,
                 float *scores);

  /* out += weights[t] * v[t] over t; weights (n), v (n, d_head), out (d_head). */
  void (*weighted_sum)(const float *weights, const float *v, size_t n, size_t d_head, float *out);

  /* ---- Softmax in pieces, and what reads logits ---- */

  /* The greatest of n > 0; a NaN makes it NaN. */
  float (*maximum)(const float *x, size_t n);

  /* out = e^(x - shift), and their sum. out may be x. */
  double (*exponentials)(const float *x, float shift, size_t n, float *out);

  /* The sums over n of e^(x - shift) and of e^(x - shift) (x - shift), the latter 0 where x is
   * -infinity. */
  void (*exponential_sums)(const float *x, float shift, size_t n, double *sum, double *weighted);

  /* How many of n are greater than the threshold. */
  size_t (*count_greater)(const float *x, float threshold, size_t n);

  /* ---- Plain vectors ---- */

  void (*add)(float *y, const float *x, size_t n); /* y += x */
  void (*scale)(float *y, float factor, size_t n); /* y *= factor */
} kernels;

/* The table for this processor: filled once, the same for the life of the process. */
const kernels *kernels_in_use(void);

/* The table for a processor that can do no more than these CPU_... bits (base/cpu.h). */
void kernels_for(uint32_t features, kernels *filled);

/* Fill a table, or override entries of it. */
void kernels_scalar(kernels *table);
void kernels_avx2(kernels *table);
void kernels_avx512(kernels *table);

#endif
