/* select.c - the kernels that a draw stands on: those greater than a threshold, their sum, and
 * weights at a temperature. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/tolerances.h"

/* Thresholds that are met exactly, that nothing exceeds, that everything does. */
static const float THRESHOLDS[] = {0.0f,     -0.0f,   NAN,  INFINITY, -INFINITY,
                                   -FLT_MAX, FLT_MAX, 3.3f, 1.0f,     -0.5f};
enum { N_THRESHOLDS = sizeof THRESHOLDS / sizeof *THRESHOLDS };

/* A listed one, or one that x (n) has. */
static float some_threshold(const float *x, size_t n, int i)
{
  return i < N_THRESHOLDS ? THRESHOLDS[i] : x[some(n)];
}

/* Puts NaN and infinities at some places of x (n). */
static void sprinkle(float *x, size_t n)
{
  static const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f};
  for (size_t i = 0; i < n; i++)
    if (some(8) == 0)
      x[i] = odd[some(4)];
}

/* ---- Finding ---- */

/* As the entry find_greater is described. */
static size_t find_one_by_one(const float *x, float threshold, size_t n, int32_t *out,
                              size_t capacity, size_t *end)
{
  size_t count = 0;
  for (*end = 0; *end < n && count < capacity; ++*end)
    if (x[*end] > threshold)
      out[count++] = (int32_t)*end;
  return count;
}

/* `out` ends at the forbidden page where arrays do, and holds no more than it has room for. */
static void check_find_into(const kernel_trial *trial, const float *x, float threshold,
                            size_t capacity)
{
  int32_t expected[LONG_TRIAL];
  int32_t *out = trial_bytes(trial, ARRAY_Y, capacity * sizeof *out, sizeof *out);
  size_t expected_end,
      end = SIZE_MAX,
      n = find_one_by_one(x, threshold, trial->n, expected, capacity, &expected_end),
      found = trial->kernel->find_greater(x, threshold, trial->n, out, capacity, &end);
  if (found != n)
    wrong_element(trial, "find_greater: count", 0, (double)found, (double)n);
  if (end != expected_end)
    wrong_element(trial, "find_greater: end", 0, (double)end, (double)expected_end);
  for (size_t i = 0; i < n; i++)
    if (out[i] != expected[i])
      wrong_element(trial, "find_greater", i, out[i], expected[i]);
  check_margins(trial);
}

static void check_find(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  sprinkle(x, trial->n);
  for (int i = 0; i < N_THRESHOLDS + 3; i++) {
    float threshold = some_threshold(x, trial->n, i);
    int32_t all[LONG_TRIAL];
    size_t end, n_all = find_one_by_one(x, threshold, trial->n, all, trial->n, &end);
    check_find_into(trial, x, threshold, trial->n);
    check_find_into(trial, x, threshold, n_all);
    check_find_into(trial, x, threshold, n_all > 0 ? n_all - 1 : 0);
    check_find_into(trial, x, threshold, some(trial->n + 1));
  }
}

void those_greater_are_found_in_their_order_until_there_is_no_room(void **state)
{
  (void)state;
  try_entry(ENTRY(find_greater), check_find);
}

/* One that is greater, at each place: none is overlooked where vectors begin and end. */
static void check_find_at_each_place(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  size_t step = 1 + trial->n / 50;
  for (size_t i = 0; i < trial->n; i += step) {
    float before = x[i];
    x[i] = INFINITY;
    check_find_into(trial, x, FLT_MAX, 1);
    x[i] = before;
  }
}

void a_single_one_is_found_wherever_it_stands(void **state)
{
  (void)state;
  try_entry(ENTRY(find_greater), check_find_at_each_place);
}

/* ---- Adding ---- */

static void check_sum_greater(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  const float *weights = trial_array(trial, ARRAY_W, trial->n, any_kind());
  sprinkle(x, trial->n);
  for (int i = 0; i < N_THRESHOLDS + 3; i++) {
    float threshold = some_threshold(x, trial->n, i);
    exact_sum expected = {0};
    for (size_t j = 0; j < trial->n; j++)
      if (x[j] > threshold)
        add_term(&expected, (double)weights[j]);
    double sum = trial->kernel->sum_greater(x, threshold, weights, trial->n);
    check_sum(trial, "sum_greater", 0, sum, &expected, SUM_GREATER_TOLERANCE);
  }
}

void the_weights_of_those_greater_are_added_exactly(void **state)
{
  (void)state;
  try_entry(ENTRY(sum_greater), check_sum_greater);
}

/* ---- Weights ---- */

static bool is_weight(float found, float argument)
{
  return isnan(argument) ? isnan(found) : near_exponential(found, exp((double)argument));
}

static void check_weights_at(const kernel_trial *trial, const float *x, float shift,
                             float temperature)
{
  float *out = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  exact_sum expected = {0};
  double sum = trial->kernel->exponentials(x, shift, temperature, trial->n, out);
  for (size_t i = 0; i < trial->n; i++) {
    volatile float below = x[i] - shift,
                   argument = below / temperature; /* rounded, as floats are */
    if (!is_weight(out[i], argument))
      wrong_element(trial, "exponentials", i, (double)out[i], exp((double)argument));
    add_term(&expected, (double)out[i]);
  }
  if (isfinite(expected.value))
    check_sum(trial, "exponentials: their sum", 0, sum, &expected, EXPONENTIAL_SUM_TOLERANCE);
  double without = trial->kernel->exponentials(x, shift, temperature, trial->n, NULL);
  if (memcmp(&without, &sum, sizeof sum) != 0)
    wrong_element(trial, "exponentials: the sum alone", 0, without, sum);
  float *copy = copy_floats(out, trial->n),
        *in_place = trial_array(trial, ARRAY_B, trial->n, NORMAL);
  memcpy(in_place, x, trial->n * sizeof *x);
  trial->kernel->exponentials(in_place, shift, temperature, trial->n, in_place);
  check_same_bits(trial, "exponentials in place", in_place, copy, trial->n);
  free(copy);
}

static void check_weights(const kernel_trial *trial)
{
  static const float temperatures[] = {1.0f, 0.8f, 3.0f, 1e-3f, FLT_TRUE_MIN, FLT_MAX};
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind == LARGE ? LARGE : NORMAL);
  for (size_t i = 0; i < trial->n; i++)
    x[i] = trial->kind == SPARSE && some(2) ? -INFINITY : 5 * x[i];
  float greatest = trial->kernel->maximum(x, trial->n);
  if (greatest == -INFINITY)
    greatest = x[0] = 1.0f;
  for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++)
    check_weights_at(trial, x, greatest, temperatures[i]);
}

void weights_at_every_temperature_are_right_and_their_sum_is(void **state)
{
  (void)state;
  try_entry(ENTRY(exponentials), check_weights);
}

/* The best one must weigh 1 to the bit: filters compare with it. */
static void check_best(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  float greatest = trial->kernel->maximum(x, trial->n);
  float *out = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  trial->kernel->exponentials(x, greatest, 0.7f, trial->n, out);
  for (size_t i = 0; i < trial->n; i++)
    if (x[i] == greatest ? out[i] != 1.0f : !(out[i] >= 0.0f && out[i] <= 1.0f))
      wrong_element(trial, "exponentials of the best", i, (double)out[i], 1.0);
}

void the_best_one_weighs_1_and_no_other_more(void **state)
{
  (void)state;
  try_entry(ENTRY(exponentials), check_best);
}
