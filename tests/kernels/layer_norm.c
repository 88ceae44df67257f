/* layer_norm.c - the layer norm, against plain loops in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/tolerances.h"

typedef struct norm_of {
  const float *x, *weight, *bias;
  double mean, scale, greatest; /* 1 / sqrt(variance + epsilon); the greatest magnitude */
} norm_of;

static norm_of exact_norm(const float *x, const float *weight, const float *bias, double epsilon,
                          size_t n)
{
  norm_of norm = {.x = x, .weight = weight, .bias = bias};
  double variance = 0;
  for (size_t i = 0; i < n; i++) {
    norm.mean += (double)x[i] / (double)n;
    norm.greatest = fmax(norm.greatest, fabs((double)x[i]));
  }
  for (size_t i = 0; i < n; i++)
    variance += ((double)x[i] - norm.mean) * ((double)x[i] - norm.mean) / (double)n;
  norm.scale = 1 / sqrt(variance + epsilon);
  return norm;
}

static void check_normed(const kernel_trial *trial, const norm_of *norm, const float *out)
{
  for (size_t i = 0; i < trial->n; i++) {
    double weight = (double)norm->weight[i], bias = (double)norm->bias[i];
    double expected = ((double)norm->x[i] - norm->mean) * norm->scale * weight + bias;
    double limit = (1 + norm->greatest * norm->scale) * fabs(weight) + fabs(bias);
    if (!(fabs((double)out[i] - expected) <= LAYER_NORM_TOLERANCE * limit + 0x1p-148))
      wrong_element(trial, "layer_norm", i, (double)out[i], expected);
  }
}

/* Into another array, and in place. Normal numbers stand far from zero every other time: the mean
 * must be taken out before squares are summed. */
static void check_layer_norm(const kernel_trial *trial)
{
  const float epsilon = 1e-5f;
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  for (size_t i = 0; trial->kind == NORMAL && trial->n % 2 > 0 && i < trial->n; i++)
    x[i] += 1000.0f;
  float *copy = copy_floats(x, trial->n);
  const float *weight = trial_array(trial, ARRAY_W, trial->n, NORMAL);
  const float *bias = trial_array(trial, ARRAY_B, trial->n, NORMAL);
  float *out = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  norm_of norm = exact_norm(copy, weight, bias, (double)epsilon, trial->n);
  trial->kernel->layer_norm(x, weight, bias, epsilon, trial->n, out);
  check_normed(trial, &norm, out);
  trial->kernel->layer_norm(x, weight, bias, epsilon, trial->n, x);
  check_same_bits(trial, "layer_norm in place", x, out, trial->n);
  free(copy);
}

void a_layer_norm_has_mean_0_and_variance_1_before_weight_and_bias(void **state)
{
  (void)state;
  try_entry(ENTRY(layer_norm), check_layer_norm);
}

static void check_norm_not_finite(const kernel_trial *trial)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  const float *weight = trial_array(trial, ARRAY_W, trial->n, NORMAL);
  float *out = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  x[some(trial->n)] = bad[some(3)];
  trial->kernel->layer_norm(x, weight, weight, 1e-5f, trial->n, out);
  for (size_t i = 0; i < trial->n; i++)
    if (isfinite(out[i]))
      wrong_element(trial, "layer_norm", i, (double)out[i], (double)NAN);
}

void what_is_not_finite_shows_in_all_of_its_norm(void **state)
{
  (void)state;
  try_entry(ENTRY(layer_norm), check_norm_not_finite);
}
