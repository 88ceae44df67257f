/* blocks_vectors.h - layer norm and activations in vector registers, for the instruction set whose
 * vector_....h was included before. */
#ifndef KERNELS_BLOCKS_VECTORS_H
#define KERNELS_BLOCKS_VECTORS_H

#include <math.h>

#include "kernels/math_vectors.h"

/* ---- Layer norm ---- */

static float row_sum(const float *x, size_t n)
{
  vector sum[4] = {vector_zero(), vector_zero(), vector_zero(), vector_zero()};
  size_t i = 0;
  for (; i + 4 * VECTOR <= n; i += 4 * VECTOR)
    for (int l = 0; l < 4; l++)
      sum[l] = vector_add(sum[l], vector_load_f32(x + i + l * VECTOR));
  for (; i + VECTOR <= n; i += VECTOR)
    sum[0] = vector_add(sum[0], vector_load_f32(x + i));
  if (i < n)
    sum[1] = vector_add(sum[1], vector_load_f32_part(x + i, n - i));
  return vector_sum(vector_add(vector_add(sum[0], sum[1]), vector_add(sum[2], sum[3])));
}

/* The sum of (x - mean)^2. */
static float row_deviation(const float *x, float mean, size_t n)
{
  vector sum[4] = {vector_zero(), vector_zero(), vector_zero(), vector_zero()};
  vector middle = vector_all(mean);
  size_t i = 0;
  for (; i + 4 * VECTOR <= n; i += 4 * VECTOR)
    for (int l = 0; l < 4; l++) {
      vector d = vector_subtract(vector_load_f32(x + i + l * VECTOR), middle);
      sum[l] = vector_fma(d, d, sum[l]);
    }
  for (; i + VECTOR <= n; i += VECTOR) {
    vector d = vector_subtract(vector_load_f32(x + i), middle);
    sum[0] = vector_fma(d, d, sum[0]);
  }
  if (i < n) {
    vector d = vector_subtract(vector_load_f32_or(x + i, n - i, middle), middle);
    sum[1] = vector_fma(d, d, sum[1]);
  }
  return vector_sum(vector_add(vector_add(sum[0], sum[1]), vector_add(sum[2], sum[3])));
}

static void vector_layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                              size_t n, float *out)
{
  float mean = row_sum(x, n) / (float)n;
  float variance = row_deviation(x, mean, n) / (float)n;
  vector middle = vector_all(mean), scale = vector_all(1.0f / sqrtf(variance + epsilon));
  size_t i = 0;
  for (; i + VECTOR <= n; i += VECTOR) {
    vector d = vector_multiply(vector_subtract(vector_load_f32(x + i), middle), scale);
    d = vector_fma(d, vector_load_f32(weight + i), vector_load_f32(bias + i));
    vector_store(out + i, d);
  }
  if (i < n) {
    vector d = vector_multiply(vector_subtract(vector_load_f32_part(x + i, n - i), middle), scale);
    d = vector_fma(d, vector_load_f32_part(weight + i, n - i),
                   vector_load_f32_part(bias + i, n - i));
    vector_store_part(out + i, d, n - i);
  }
}

/* ---- Activations ---- */

/* x/2 (1 + tanh u) = x / (1 + e^-2u), without the difference of nearly equal numbers. */
static inline vector gelu_tanh_of(vector x)
{
  const float sqrt_2_over_pi = 0.797884561f;
  vector factor = vector_fma(vector_multiply(x, x), vector_all(-2 * sqrt_2_over_pi * 0.044715f),
                             vector_all(-2 * sqrt_2_over_pi));
  vector e = vector_exp_or_zero(vector_multiply(factor, x));
  return vector_divide(x, vector_add(vector_all(1.0f), e));
}

static inline vector gelu_erf_of(vector x)
{
  vector half = vector_multiply(vector_all(0.5f), x);
  return vector_fma(half, vector_erf(vector_multiply(x, vector_all(0.707106781f))), half);
}

static inline __attribute__((always_inline)) void activate(float *x, size_t n,
                                                           vector (*activation)(vector))
{
  size_t i = 0;
  for (; i + VECTOR <= n; i += VECTOR)
    vector_store(x + i, activation(vector_load_f32(x + i)));
  if (i < n)
    vector_store_part(x + i, activation(vector_load_f32_part(x + i, n - i)), n - i);
}

static void vector_gelu_tanh(float *x, size_t n)
{
  activate(x, n, gelu_tanh_of);
}

static void vector_gelu_erf(float *x, size_t n)
{
  activate(x, n, gelu_erf_of);
}

static void fill_blocks(kernels *table)
{
  table->layer_norm = vector_layer_norm;
  table->activation[GPT2_ACTIVATION_GELU_TANH] = vector_gelu_tanh;
  table->activation[GPT2_ACTIVATION_GELU_ERF] = vector_gelu_erf;
}

#endif
