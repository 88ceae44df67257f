/* scalar.c - the pieces of a block, and softmax in pieces, as plain C: what every instruction set
 * must agree with.
 *
 * Sums run in LANES interleaved partial sums, added pairwise at the end: so the compiler can keep
 * them in vector registers without changing a bit, and rounding errors grow with n / LANES instead
 * of n. That also makes this file the first version of every instruction set: avx2.c and avx512.c
 * are this file again, compiled for wider registers, with the same bits as result. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#include "gpt2.h"
#include "kernels/lanes.h"
#include "kernels/math.h"

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

/* ---- Softmax in pieces, and what reads logits ---- */

static bool any_nan(const float *x, size_t n)
{
  int found = 0;
  for (size_t i = 0; i < n; i++)
    found |= x[i] != x[i];
  return found;
}

static float maximum(const float *x, size_t n)
{
  float lane[LANES], greatest = x[0];
  size_t i = 0;
  if (any_nan(x, n)) /* in a loop of its own, which does not hold up the other one */
    return NAN;
  for (int l = 0; l < LANES; l++)
    lane[l] = x[0];
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++)
      lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
  for (int l = 0; i + l < n; l++)
    lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
  for (int l = 0; l < LANES; l++)
    greatest = lane[l] > greatest ? lane[l] : greatest;
  return greatest;
}

static size_t first_equal(const float *x, float value, size_t n)
{
  size_t i = 0;
  while (i < n && x[i] != value)
    i++;
  return i;
}

enum { PIECE = 256 }; /* a float sum of more would lose bits */

static double exponentials(const float *x, float shift, float temperature, size_t n, float *out)
{
  float e[PIECE];
  double total = 0.0;
  for (size_t i = 0; i < n; i += PIECE) {
    size_t size = n - i < PIECE ? n - i : PIECE;
    for (size_t j = 0; j < size; j++)
      e[j] = exp_f32((x[i + j] - shift) / temperature);
    total += (double)sum(e, size);
    if (out)
      memcpy(out + i, e, size * sizeof *e);
  }
  return total;
}

static void exponential_sums(const float *x, float shift, size_t n, double *sum_out,
                             double *weighted_out)
{
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

static size_t find_greater(const float *x, float threshold, size_t n, int32_t *out, size_t capacity,
                           size_t *end)
{
  size_t count = 0, i = 0;
  for (; i < n && count < capacity; i++)
    if (x[i] > threshold)
      out[count++] = (int32_t)i;
  *end = i;
  return count;
}

static double sum_greater(const float *x, float threshold, const float *weights, size_t n)
{
  float kept[PIECE];
  double lane[LANES] = {0}, total = 0.0;
  for (size_t i = 0; i < n; i += PIECE) {
    size_t size = n - i < PIECE ? n - i : PIECE;
    for (size_t j = 0; j < size; j++) {
      float weight = weights[i + j]; /* read in any case: so no branch is needed */
      kept[j] = x[i + j] > threshold ? weight : 0.0f;
    }
    for (size_t j = size; j % LANES != 0; j++)
      kept[j] = 0.0f;
    for (size_t j = 0; j < size; j += LANES)
      for (int l = 0; l < LANES; l++)
        lane[l] += (double)kept[j + l];
  }
  for (int l = 0; l < LANES; l++)
    total += lane[l];
  return total;
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
#define KERNELS_FILL kernels_scalar_blocks
#define KERNELS_NAME "scalar"
#endif

void KERNELS_FILL(kernels *table);

void KERNELS_FILL(kernels *table)
{
  table->name = KERNELS_NAME;
  table->layer_norm = layer_norm;
  table->activation[GPT2_ACTIVATION_GELU_TANH] = gelu_tanh;
  table->activation[GPT2_ACTIVATION_GELU_ERF] = gelu_erf;
  table->activation[GPT2_ACTIVATION_RELU] = relu;
  table->maximum = maximum;
  table->first_equal = first_equal;
  table->exponentials = exponentials;
  table->exponential_sums = exponential_sums;
  table->count_greater = count_greater;
  table->find_greater = find_greater;
  table->sum_greater = sum_greater;
  table->add = add;
  table->scale = scale_by;
}
