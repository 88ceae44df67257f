/* test_kernels.c - the kernels that multiply and add, against plain loops in double precision: for
 * every instruction set that this processor has. */
#include "support/kernel_trials.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cpu.h"

/* Half a unit in the last place of 1: what one rounding may cost, as a part of what is rounded. So
 * the tolerance of a sum, as a part of the sum of its terms' magnitudes, is the number of roundings
 * that a term may go through. */
static const double ROUNDING = 0x1p-24;

/* Eight terms are added at once, or in as many lanes; the last few one after another. */
static double product_tolerance(size_t n)
{
  return (double)(n / 8 + 12) * ROUNDING;
}

/* Of a value's own rounding, seen through the norm, and of its bias. */
static const double LAYER_NORM_TOLERANCE = 1e-6;

/* ---- Products of a few rows ---- */

typedef struct few_rows {
  size_t n_rows, n_in, n_out, x_stride, w_stride, y_stride;
  bool out_in;
  const float *x, *w;
} few_rows;

static const char *entry_of(const few_rows *p)
{
  return p->out_in ? "product_out_in" : "product_in_out";
}

/* y += x . w for rows [row, row + n_rows). */
static void multiply(const kernels *kernel, const few_rows *p, size_t row, size_t n_rows, float *y)
{
  const float *x = p->x + row * p->x_stride;
  if (p->out_in)
    kernel->product_out_in[ELEMENT_F32](x, p->x_stride, n_rows, p->w, p->n_in, p->n_out, y,
                                        p->y_stride);
  else
    kernel->product_in_out[ELEMENT_F32](x, p->x_stride, n_rows, p->w, p->w_stride, p->n_in,
                                        p->n_out, y, p->y_stride);
}

/* Floats from the first of the first row to the last of the last. */
static size_t span(size_t n_rows, size_t stride, size_t n)
{
  return (n_rows - 1) * stride + n;
}

static size_t some(int n)
{
  return (size_t)random_below(&trial_numbers, n);
}

/* As many columns or inputs as the trial says, a random number of the other, and often something
 * between the rows of x, w and y. */
static few_rows draw_product(const kernel_trial *trial, bool out_in)
{
  few_rows p = {.out_in = out_in, .n_rows = 1 + some(some(4) ? 5 : 32)};
  size_t other = any_trial_length();
  bool many_in = some(2);
  p.n_in = many_in ? trial->n : other;
  p.n_out = many_in ? other : trial->n;
  p.x_stride = p.n_in + some(3);
  p.w_stride = out_in ? p.n_in : p.n_out + some(3);
  p.y_stride = p.n_out + some(3);
  p.x = trial_array(trial, ARRAY_X, span(p.n_rows, p.x_stride, p.n_in), any_kind());
  size_t n_weights = out_in ? p.n_out * p.n_in : span(p.n_in, p.w_stride, p.n_out);
  p.w = trial_array(trial, ARRAY_W, n_weights, trial->kind);
  return p;
}

static void check_product_sums(const kernel_trial *trial, const few_rows *p, const float *before,
                               const float *y)
{
  for (size_t r = 0; r < p->n_rows; r++)
    for (size_t j = 0; j < p->n_out; j++) {
      size_t i = r * p->y_stride + j;
      const float *w = p->out_in ? p->w + j * p->n_in : p->w + j;
      exact_sum expected = exact_dot((double)before[i], p->x + r * p->x_stride, 1, w,
                                     p->out_in ? 1 : p->w_stride, p->n_in);
      check_sum(trial, entry_of(p), i, (double)y[i], &expected, product_tolerance(p->n_in));
    }
}

/* Besides being right, each row alone must give the bits that it gave among the others, and what is
 * between the rows of y must stay. */
static void check_product(const kernel_trial *trial, bool out_in)
{
  few_rows p = draw_product(trial, out_in);
  size_t n = span(p.n_rows, p.y_stride, p.n_out);
  float *y = trial_array(trial, ARRAY_Y, n, any_kind()), *alone = copy_floats(y, n);
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_product_sums(trial, &p, alone, y);
  for (size_t r = 0; r < p.n_rows; r++)
    multiply(trial->kernel, &p, r, 1, alone + r * p.y_stride);
  check_same_bits(trial, entry_of(&p), y, alone, n);
  free(alone);
}

static void check_product_in_out(const kernel_trial *trial)
{
  check_product(trial, false);
}

static void check_product_out_in(const kernel_trial *trial)
{
  check_product(trial, true);
}

static void rows_times_in_out_weights_are_right_and_the_same_bits_alone(void **state)
{
  (void)state;
  for_each_trial(check_product_in_out);
}

static void rows_times_out_in_weights_are_right_and_the_same_bits_alone(void **state)
{
  (void)state;
  for_each_trial(check_product_out_in);
}

static void check_not_finite(const kernel_trial *trial, bool out_in)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  few_rows p = draw_product(trial, out_in);
  float *x = trial_array(trial, ARRAY_X, span(p.n_rows, p.x_stride, p.n_in), NORMAL);
  float *y = trial_array(trial, ARRAY_Y, span(p.n_rows, p.y_stride, p.n_out), NORMAL);
  size_t row = some((int)p.n_rows);
  x[row * p.x_stride + some((int)p.n_in)] = bad[some(3)];
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  for (size_t r = 0; r < p.n_rows; r++)
    for (size_t j = 0; j < p.n_out; j++)
      if (!isfinite(y[r * p.y_stride + j]) != (r == row))
        wrong_element(trial, entry_of(&p), r * p.y_stride + j, (double)y[r * p.y_stride + j],
                      r == row ? (double)NAN : 0);
}

static void check_not_finite_both(const kernel_trial *trial)
{
  check_not_finite(trial, false);
  check_not_finite(trial, true);
}

static void what_is_not_finite_in_a_row_shows_in_all_of_it_and_in_no_other(void **state)
{
  (void)state;
  for_each_trial(check_not_finite_both);
}

/* ---- Layer norm ---- */

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

/* Into another array, and in place. */
static void check_layer_norm(const kernel_trial *trial)
{
  const float epsilon = 1e-5f;
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind), *copy = copy_floats(x, trial->n);
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

static void a_layer_norm_has_mean_0_and_variance_1_before_weight_and_bias(void **state)
{
  (void)state;
  for_each_trial(check_layer_norm);
}

/* Far from zero the mean must be taken out before squares are summed. */
static void check_distant_norm(const kernel_trial *trial)
{
  if (trial->kind != NORMAL)
    return;
  float *x = trial_array(trial, ARRAY_X, trial->n, NORMAL);
  for (size_t i = 0; i < trial->n; i++)
    x[i] += 1000.0f;
  const float *weight = trial_array(trial, ARRAY_W, trial->n, NORMAL);
  const float *bias = trial_array(trial, ARRAY_B, trial->n, NORMAL);
  float *out = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  norm_of norm = exact_norm(x, weight, bias, 1e-5, trial->n);
  trial->kernel->layer_norm(x, weight, bias, 1e-5f, trial->n, out);
  check_normed(trial, &norm, out);
}

static void so_it_has_for_values_far_from_zero(void **state)
{
  (void)state;
  for_each_trial(check_distant_norm);
}

/* ---- The table ---- */

static void the_table_in_use_is_that_of_this_processor(void **state)
{
  (void)state;
  kernels expected;
  kernels_for(cpu_features(), &expected);
  assert_string_equal(kernels_in_use()->name, expected.name);
  assert_memory_equal(kernels_in_use(), &expected, sizeof expected);
}

static void without_any_instruction_set_it_is_the_scalar_one(void **state)
{
  (void)state;
  kernels found, expected;
  kernels_for(0, &found);
  kernels_scalar(&expected);
  assert_string_equal(found.name, "scalar");
  assert_memory_equal(&found, &expected, sizeof expected);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_times_in_out_weights_are_right_and_the_same_bits_alone),
      cmocka_unit_test(rows_times_out_in_weights_are_right_and_the_same_bits_alone),
      cmocka_unit_test(what_is_not_finite_in_a_row_shows_in_all_of_it_and_in_no_other),
      cmocka_unit_test(a_layer_norm_has_mean_0_and_variance_1_before_weight_and_bias),
      cmocka_unit_test(so_it_has_for_values_far_from_zero),
      cmocka_unit_test(the_table_in_use_is_that_of_this_processor),
      cmocka_unit_test(without_any_instruction_set_it_is_the_scalar_one),
  };
  return cmocka_run_group_tests(tests, begin_kernel_trials, end_kernel_trials);
}
