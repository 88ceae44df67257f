/* numbers.c - the kernels that work on single numbers - activations, exponentials, what reads
 * logits, plain vectors - against double precision, and to the bit where nothing is rounded. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpt2.h"
#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/tolerances.h"

static const float SPECIAL[] = {0.0f,     -0.0f,   NAN,      INFINITY,  -INFINITY, FLT_MAX,
                                -FLT_MAX, FLT_MIN, -FLT_MIN, 0x1p-149f, 1.0f,      -1.0f,
                                20.0f,    -20.0f,  1e-20f,   -1e20f};
enum { N_SPECIAL = sizeof SPECIAL / sizeof *SPECIAL };

/* Puts special numbers at random places of x (n). */
static void sprinkle(float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (some(3) == 0)
      x[i] = SPECIAL[some(N_SPECIAL)];
}

/* ---- Activations ---- */

static double exact_gelu_tanh(double x)
{
  return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double exact_gelu_erf(double x)
{
  return 0.5 * x * (1 + erf(x * sqrt(0.5)));
}

static double exact_relu(double x)
{
  return x < 0 ? 0 : x;
}

typedef double (*exact_activation)(double x);

static const exact_activation exact[] = {
    [GPT2_ACTIVATION_GELU_TANH] = exact_gelu_tanh,
    [GPT2_ACTIVATION_GELU_ERF] = exact_gelu_erf,
    [GPT2_ACTIVATION_RELU] = exact_relu,
};

static void check_activation(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  sprinkle(x, trial->n);
  float *before = copy_floats(x, trial->n);
  trial->kernel->activation[trial->index](x, trial->n);
  for (size_t i = 0; i < trial->n; i++) {
    double expected = exact[trial->index]((double)before[i]);
    double error = fabs((double)x[i] - expected);
    bool right = isfinite(expected)
                     ? error <= ACTIVATION_TOLERANCE * fabs((double)before[i]) + 0x1p-149
                 : isnan(expected) ? isnan(x[i])
                                   : (double)x[i] == expected;
    if (!right)
      wrong_element(trial, "activation", i, (double)x[i], expected);
  }
  free(before);
}

void activations_are_what_their_papers_say_for_numbers_of_all_sizes(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(activation, GPT2_ACTIVATION_GELU_TANH), check_activation);
  try_entry(ENTRY_AT(activation, GPT2_ACTIVATION_GELU_ERF), check_activation);
  try_entry(ENTRY_AT(activation, GPT2_ACTIVATION_RELU), check_activation);
}

/* ---- Exponentials ---- */

static bool is_exponential(float found, float x)
{
  double expected = exp((double)x);
  if (isnan(x))
    return isnan(found);
  if (expected > (double)FLT_MAX)
    return found >= FLT_MAX * (1 - 2 * FLT_EPSILON);
  return near_exponential(found, expected);
}

/* Differences of -120 to 100: past both ends of what floats can hold. */
static float *draw_logits(const kernel_trial *trial, int array)
{
  float *x = trial_array(trial, array, trial->n,
                         trial->kind == NORMAL || trial->kind == EQUAL ? trial->kind : NORMAL);
  for (size_t i = 0; i < trial->n && trial->kind != EQUAL; i++)
    x[i] = trial->kind == NORMAL ? 3 * x[i] : -10 + 110 * (x[i] / 6);
  return x;
}

static void check_exponentials(const kernel_trial *trial)
{
  float *x = draw_logits(trial, ARRAY_X), *out = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  float shift = 1.5f;
  if (trial->kind == MIXED)
    sprinkle(x, trial->n);
  double sum = trial->kernel->exponentials(x, shift, 1.0f, trial->n, out);
  exact_sum expected = {0};
  for (size_t i = 0; i < trial->n; i++) {
    if (!is_exponential(out[i], x[i] - shift))
      wrong_element(trial, "exponentials", i, (double)out[i], exp((double)(x[i] - shift)));
    add_term(&expected, (double)out[i]);
  }
  if (isfinite(expected.value))
    check_sum(trial, "exponentials", trial->n, sum, &expected, EXPONENTIAL_SUM_TOLERANCE);
  else if (isfinite(sum) || isnan(sum) != isnan(expected.value))
    wrong_element(trial, "exponentials", trial->n, sum, expected.value);
  double sum_in_place = trial->kernel->exponentials(x, shift, 1.0f, trial->n, x);
  check_same_bits(trial, "exponentials in place", x, out, trial->n);
  if (sum_in_place != sum && !isnan(sum))
    wrong_element(trial, "exponentials in place", trial->n, sum_in_place, sum);
}

void exponentials_and_their_sum_are_right_in_place_too(void **state)
{
  (void)state;
  try_entry(ENTRY(exponentials), check_exponentials);
}

static void check_exponential_sums(const kernel_trial *trial)
{
  float *x = draw_logits(trial, ARRAY_X), shift = trial->kernel->maximum(x, trial->n);
  if (trial->kind == SPARSE) /* tokens that a filter has taken out */
    for (size_t i = 0; i < trial->n; i += 2)
      if (x[i] < shift)
        x[i] = -INFINITY;
  double sum = -1, weighted = -1;
  exact_sum expected = {0}, expected_weighted = {0};
  for (size_t i = 0; i < trial->n; i++) {
    double below = (double)(x[i] - shift);
    add_term(&expected, exp(below));
    add_term(&expected_weighted, x[i] == -INFINITY ? 0 : exp(below) * below);
  }
  expected_weighted.magnitude += expected.magnitude; /* they are for log(sum) - weighted / sum */
  trial->kernel->exponential_sums(x, shift, trial->n, &sum, &weighted);
  check_sum(trial, "exponential_sums", 0, sum, &expected, EXPONENTIAL_SUM_TOLERANCE);
  check_sum(trial, "exponential_sums", 1, weighted, &expected_weighted, EXPONENTIAL_SUM_TOLERANCE);
}

void the_sums_for_entropy_are_right_where_logits_are_minus_infinity_too(void **state)
{
  (void)state;
  try_entry(ENTRY(exponential_sums), check_exponential_sums);
}

/* A vocabulary of a million: a plain float sum of so many would lose its last bits. */
static void check_a_million(const kernel_trial *trial)
{
  float *x = calloc(trial->n, sizeof *x), *out = calloc(trial->n, sizeof *out);
  assert_true(x && out);
  exact_sum expected = {0}, weighted = {0};
  for (size_t i = 0; i < trial->n; i++) {
    x[i] = (float)random_normal(&trial_numbers);
    add_term(&expected, exp((double)x[i]));
    add_term(&weighted, exp((double)x[i]) * (double)x[i]);
  }
  double sum, sum_of_weighted;
  check_sum(trial, "exponentials", trial->n, trial->kernel->exponentials(x, 0, 1.0f, trial->n, out),
            &expected, EXPONENTIAL_SUM_TOLERANCE);
  trial->kernel->exponential_sums(x, 0, trial->n, &sum, &sum_of_weighted);
  check_sum(trial, "exponential_sums", 0, sum, &expected, EXPONENTIAL_SUM_TOLERANCE);
  check_sum(trial, "exponential_sums", 1, sum_of_weighted, &weighted, EXPONENTIAL_SUM_TOLERANCE);
  free(x);
  free(out);
}

void sums_over_a_million_logits_are_as_exact(void **state)
{
  (void)state;
  try_entry_once(ENTRY(exponentials), 1 << 20, check_a_million);
  try_entry_once(ENTRY(exponential_sums), 1 << 20, check_a_million);
}

/* ---- What reads logits ---- */

static void check_maximum(const kernel_trial *trial)
{
  const float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  float expected = x[0];
  for (size_t i = 1; i < trial->n; i++)
    expected = x[i] > expected ? x[i] : expected;
  float found = trial->kernel->maximum(x, trial->n);
  if (found != expected)
    wrong_element(trial, "maximum", 0, (double)found, (double)expected);
}

void the_maximum_is_the_greatest(void **state)
{
  (void)state;
  try_entry(ENTRY(maximum), check_maximum);
}

static void check_maximum_at_each_place(const kernel_trial *trial)
{
  for (size_t i = 0; i < trial->n; i += 1 + trial->n / 100) {
    float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
    x[i] = INFINITY;
    if (trial->kernel->maximum(x, trial->n) != INFINITY)
      wrong_element(trial, "maximum with an infinity", i,
                    (double)trial->kernel->maximum(x, trial->n), INFINITY);
    x[i] = NAN;
    if (!isnan(trial->kernel->maximum(x, trial->n)))
      wrong_element(trial, "maximum with a NaN", i, (double)trial->kernel->maximum(x, trial->n),
                    (double)NAN);
  }
}

void one_number_that_is_none_makes_the_maximum_one_wherever_it_stands(void **state)
{
  (void)state;
  try_entry(ENTRY(maximum), check_maximum_at_each_place);
}

static void check_maximum_of_nothing(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, NORMAL);
  for (size_t i = 0; i < trial->n; i++)
    x[i] = -INFINITY;
  if (trial->kernel->maximum(x, trial->n) != -INFINITY)
    wrong_element(trial, "maximum", 0, (double)trial->kernel->maximum(x, trial->n), -INFINITY);
}

void the_maximum_of_minus_infinities_is_one(void **state)
{
  (void)state;
  try_entry(ENTRY(maximum), check_maximum_of_nothing);
}

/* Those before it are hardly less or NaN, those behind it equal. */
static void check_first_equal(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind), value = x[some(trial->n)];
  for (size_t first = 0; first <= trial->n; first += 1 + some(1 + trial->n / 50)) {
    for (size_t i = 0; i < trial->n; i++)
      x[i] = i == first || (i > first && some(2)) ? value
             : some(3)                            ? nextafterf(value, -INFINITY)
                                                  : NAN;
    size_t found = trial->kernel->first_equal(x, value, trial->n);
    if (found != first)
      wrong_element(trial, "first_equal", first, (double)found, (double)first);
  }
}

void the_first_of_equal_ones_is_found_wherever_it_stands(void **state)
{
  (void)state;
  try_entry(ENTRY(first_equal), check_first_equal);
}

static void check_count(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  sprinkle(x, trial->n);
  for (int i = 0; i < N_SPECIAL + 4; i++) {
    float threshold = i < N_SPECIAL ? SPECIAL[i] : x[random_below(&trial_numbers, (int)trial->n)];
    size_t expected = 0, found = trial->kernel->count_greater(x, threshold, trial->n);
    for (size_t k = 0; k < trial->n; k++)
      expected += x[k] > threshold;
    if (found != expected)
      wrong_element(trial, "count_greater", 0, (double)found, (double)expected);
  }
}

void those_strictly_greater_are_counted(void **state)
{
  (void)state;
  try_entry(ENTRY(count_greater), check_count);
}

/* ---- Plain vectors: they round once, and so have no choice ---- */

static void check_add(const kernel_trial *trial)
{
  float *y = trial_array(trial, ARRAY_Y, trial->n, trial->kind);
  float *expected = copy_floats(y, trial->n);
  const float *x = trial_array(trial, ARRAY_X, trial->n, any_kind());
  for (size_t i = 0; i < trial->n; i++)
    expected[i] += x[i];
  trial->kernel->add(y, x, trial->n);
  check_same_bits(trial, "add", y, expected, trial->n);
  free(expected);
}

static void check_scale(const kernel_trial *trial)
{
  float *y = trial_array(trial, ARRAY_Y, trial->n, trial->kind);
  float *expected = copy_floats(y, trial->n);
  float factor = (float)random_normal(&trial_numbers);
  for (size_t i = 0; i < trial->n; i++)
    expected[i] *= factor;
  trial->kernel->scale(y, factor, trial->n);
  check_same_bits(trial, "scale", y, expected, trial->n);
  free(expected);
}

void adding_and_scaling_give_the_only_bits_there_are(void **state)
{
  (void)state;
  try_entry(ENTRY(add), check_add);
  try_entry(ENTRY(scale), check_scale);
}
