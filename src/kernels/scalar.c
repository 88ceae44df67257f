/* scalar.c - the kernels as plain C: what every instruction set must agree with.
 *
 * Sums run in LANES interleaved partial sums, added pairwise at the end: so the compiler can keep
 * them in vector registers without changing a bit, and rounding errors grow with n / LANES instead
 * of n. That also makes this file the first version of every instruction set: avx2.c and avx512.c
 * are this file again, compiled for wider registers, with the same bits as result. */
#include "kernels/kernels.h"

#include <math.h>

#include "gpt2.h"
#include "kernels/math.h"

enum { LANES = 16 };

static float sum_of_lanes(float *lane)
{
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++)
      lane[l] += lane[l + half];
  return lane[0];
}

static float dot(const float *a, const float *b, size_t n)
{
  float lane[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] += a[i + l] * b[i + l];
  for (int l = 0; i + l < n; l++)
    lane[l] += a[i + l] * b[i + l];
  return sum_of_lanes(lane);
}

/* ---- Products of a few rows ---- */

/* y += x[0] w[0] + ... + x[7] w[7], over n columns: eight rows of w at once, so that y is loaded
 * and stored once for eight products. The order of additions is a tree: it is also what keeps the
 * rounding error small. */
static void add_eight(const float *restrict x, const float *restrict w, size_t w_stride, size_t n,
                      float *restrict y)
{
  const float *w0 = w, *w1 = w0 + w_stride, *w2 = w1 + w_stride, *w3 = w2 + w_stride;
  const float *w4 = w3 + w_stride, *w5 = w4 + w_stride, *w6 = w5 + w_stride, *w7 = w6 + w_stride;
  for (size_t j = 0; j < n; j++)
    y[j] += ((x[0] * w0[j] + x[1] * w1[j]) + (x[2] * w2[j] + x[3] * w3[j])) +
            ((x[4] * w4[j] + x[5] * w5[j]) + (x[6] * w6[j] + x[7] * w7[j]));
}

static void add_one(float x, const float *restrict w, size_t n, float *restrict y)
{
  for (size_t j = 0; j < n; j++)
    y[j] += x * w[j];
}

/* Eight rows of w stay in the first-level cache while every row of x uses them. */
static void product_in_out(const float *x, size_t x_stride, size_t n_rows, const float *w,
                           size_t w_stride, size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  size_t i = 0;
  for (; i + 8 <= n_in; i += 8)
    for (size_t r = 0; r < n_rows; r++)
      add_eight(x + r * x_stride + i, w + i * w_stride, w_stride, n_out, y + r * y_stride);
  for (; i < n_in; i++)
    for (size_t r = 0; r < n_rows; r++)
      add_one(x[r * x_stride + i], w + i * w_stride, n_out, y + r * y_stride);
}

static void product_out_in(const float *x, size_t x_stride, size_t n_rows, const float *w,
                           size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  for (size_t j = 0; j < n_out; j++)
    for (size_t r = 0; r < n_rows; r++)
      y[r * y_stride + j] += dot(x + r * x_stride, w + j * n_in, n_in);
}

/* ---- The pieces of a block ---- */

static float sum(const float *x, size_t n)
{
  float lane[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] += x[i + l];
  for (int l = 0; i + l < n; l++)
    lane[l] += x[i + l];
  return sum_of_lanes(lane);
}

/* Ba, Kiros and Hinton, "Layer normalization", 2016. The variance is taken about the mean, not as a
 * difference of large sums. */
static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *out)
{
  float mean = sum(x, n) / (float)n;
  for (size_t i = 0; i < n; i++)
    out[i] = x[i] - mean;
  float variance = dot(out, out, n) / (float)n;
  float scale = 1.0f / sqrtf(variance + epsilon);
  for (size_t i = 0; i < n; i++)
    out[i] = out[i] * scale * weight[i] + bias[i];
}

/* Hendrycks and Gimpel, "Gaussian error linear units", 2016: the tanh form, as GPT-2 has it ... */
static void gelu_tanh(float *x, size_t n)
{
  const float sqrt_2_over_pi = 0.797884561f;
  for (size_t i = 0; i < n; i++) {
    float cubic = x[i] + 0.044715f * x[i] * x[i] * x[i];
    x[i] = 0.5f * x[i] * (1.0f + tanh_f32(sqrt_2_over_pi * cubic));
  }
}

/* ... and the form that it approximates. */
static void gelu_erf(float *x, size_t n)
{
  const float sqrt_half = 0.707106781f;
  for (size_t i = 0; i < n; i++)
    x[i] = 0.5f * x[i] * (1.0f + erf_f32(x[i] * sqrt_half));
}

static void relu(float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    x[i] = x[i] < 0.0f ? 0.0f : x[i]; /* keeps NaN */
}

/* ---- Attention of one query over a run of keys ---- */

static void scores(const float *q, const float *k, size_t n, size_t d_head, float scale, float *out)
{
  for (size_t t = 0; t < n; t++)
    out[t] = dot(q, k + t * d_head, d_head) * scale;
}

static void weighted_sum(const float *weights, const float *v, size_t n, size_t d_head, float *out)
{
  for (size_t t = 0; t < n; t++)
    add_one(weights[t], v + t * d_head, d_head, out);
}

/* ---- Softmax in pieces, and what reads logits ---- */

/* A NaN is taken, and then stays: nothing is greater than it, nor less. */
static inline float greater_or_nan(float a, float b)
{
  return b > a || b != b ? b : a;
}

static float maximum(const float *x, size_t n)
{
  float lane[LANES], greatest = x[0];
  size_t i = 0;
  for (int l = 0; l < LANES; l++)
    lane[l] = x[0];
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] = greater_or_nan(lane[l], x[i + l]);
  for (int l = 0; i + l < n; l++)
    lane[l] = greater_or_nan(lane[l], x[i + l]);
  for (int l = 0; l < LANES; l++) {
    if (lane[l] != lane[l])
      return lane[l];
    greatest = lane[l] > greatest ? lane[l] : greatest;
  }
  return greatest;
}

static double exponentials(const float *x, float shift, size_t n, float *out)
{
  double total = 0.0;
  for (size_t i = 0; i < n; i += 4096) { /* in pieces: a float sum of more would lose bits */
    size_t end = n - i < 4096 ? n : i + 4096;
    for (size_t j = i; j < end; j++)
      out[j] = exp_f32(x[j] - shift);
    total += sum(out + i, end - i);
  }
  return total;
}

static void exponential_sums(const float *x, float shift, size_t n, double *sum_out,
                             double *weighted_out)
{
  enum { PIECE = 256 };
  float e[PIECE], weighted[PIECE];
  *sum_out = *weighted_out = 0.0;
  for (size_t i = 0; i < n; i += PIECE) {
    size_t size = n - i < PIECE ? n - i : PIECE;
    for (size_t j = 0; j < size; j++) {
      float below = x[i + j] - shift;
      e[j] = exp_f32(below);
      weighted[j] = e[j] > 0.0f ? e[j] * below : 0.0f; /* not 0 times -infinity */
    }
    *sum_out += (double)sum(e, size);
    *weighted_out += (double)sum(weighted, size);
  }
}

static size_t count_greater(const float *x, float threshold, size_t n)
{
  size_t count = 0;
  for (size_t i = 0; i < n; i++)
    count += x[i] > threshold;
  return count;
}

/* ---- Plain vectors ---- */

static void add(float *y, const float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] += x[i];
}

static void scale_by(float *y, float factor, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] *= factor;
}

/* What this compilation is called: an instruction set defines both before it includes this file. */
#ifndef KERNELS_FILL
#define KERNELS_FILL kernels_scalar
#define KERNELS_NAME "scalar"
#endif

void KERNELS_FILL(kernels *table)
{
  *table = (kernels){
      .name = KERNELS_NAME,
      .product_in_out = product_in_out,
      .product_out_in = product_out_in,
      .layer_norm = layer_norm,
      .activation = {[GPT2_ACTIVATION_GELU_TANH] = gelu_tanh,
                     [GPT2_ACTIVATION_GELU_ERF] = gelu_erf,
                     [GPT2_ACTIVATION_RELU] = relu},
      .scores = scores,
      .weighted_sum = weighted_sum,
      .maximum = maximum,
      .exponentials = exponentials,
      .exponential_sums = exponential_sums,
      .count_greater = count_greater,
      .add = add,
      .scale = scale_by,
  };
}
