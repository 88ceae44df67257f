/* test_kernels_softmax.c - the kernels that work on single numbers - activations, exponentials,
 * what reads logits - against double precision: for every instruction set that this processor has.
 */
#include "support/kernel_trials.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gpt2.h"
#include "kernels/math.h"

/* Of the argument: GELU of a great negative number is a difference of nearly equal ones. */
static const double ACTIVATION_TOLERANCE = 3e-7;
/* Of the sum of the terms' magnitudes; the terms themselves are off by up to a quarter of it. */
static const double EXPONENTIAL_SUM_TOLERANCE = 1e-6;
/* Of the true value; of subnormal ones, of the least normal number. */
static const double EXPONENTIAL_TOLERANCE = 2 * FLT_EPSILON;

static const float SPECIAL[] = {0.0f,     -0.0f,   NAN,      INFINITY,  -INFINITY, FLT_MAX,
                                -FLT_MAX, FLT_MIN, -FLT_MIN, 0x1p-149f, 1.0f,      -1.0f,
                                20.0f,    -20.0f,  1e-20f,   -1e20f};
enum { N_SPECIAL = sizeof SPECIAL / sizeof *SPECIAL };

/* Puts special numbers at random places of x (n). */
static void sprinkle(float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (random_below(&trial_numbers, 3) == 0)
      x[i] = SPECIAL[random_below(&trial_numbers, N_SPECIAL)];
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

static void check_activation(const kernel_trial *trial, int activation, double (*exact)(double))
{
  static const char *const names[] = {"gelu_tanh", "gelu_erf", "relu"};
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  sprinkle(x, trial->n);
  float *before = copy_floats(x, trial->n);
  trial->kernel->activation[activation](x, trial->n);
  for (size_t i = 0; i < trial->n; i++) {
    double expected = exact((double)before[i]), error = fabs((double)x[i] - expected);
    bool right = isfinite(expected)
                     ? error <= ACTIVATION_TOLERANCE * fabs((double)before[i]) + 0x1p-149
                 : isnan(expected) ? isnan(x[i])
                                   : (double)x[i] == expected;
    if (!right)
      wrong_element(trial, names[activation], i, (double)x[i], expected);
  }
  free(before);
}

static void check_activations(const kernel_trial *trial)
{
  check_activation(trial, GPT2_ACTIVATION_GELU_TANH, exact_gelu_tanh);
  check_activation(trial, GPT2_ACTIVATION_GELU_ERF, exact_gelu_erf);
  check_activation(trial, GPT2_ACTIVATION_RELU, exact_relu);
}

static void activations_are_what_their_papers_say_for_numbers_of_all_sizes(void **state)
{
  (void)state;
  for_each_trial(check_activations);
}

/* ---- Exponentials ---- */

static bool is_exponential(float found, float x)
{
  double expected = exp((double)x);
  if (isnan(x))
    return isnan(found);
  if (expected > (double)FLT_MAX)
    return found >= FLT_MAX * (1 - 2 * FLT_EPSILON);
  return fabs((double)found - expected) <= EXPONENTIAL_TOLERANCE * fmax(expected, (double)FLT_MIN);
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
  double sum = trial->kernel->exponentials(x, shift, 1.0f, trial->n, out);
  exact_sum expected = {0};
  for (size_t i = 0; i < trial->n; i++) {
    if (!is_exponential(out[i], x[i] - shift))
      wrong_element(trial, "exponentials", i, (double)out[i], exp((double)(x[i] - shift)));
    add_term(&expected, (double)out[i]);
  }
  if (isfinite(expected.value))
    check_sum(trial, "exponentials", trial->n, sum, &expected, EXPONENTIAL_SUM_TOLERANCE);
  double sum_in_place = trial->kernel->exponentials(x, shift, 1.0f, trial->n, x);
  check_same_bits(trial, "exponentials in place", x, out, trial->n);
  if (sum_in_place != sum)
    wrong_element(trial, "exponentials in place", trial->n, sum_in_place, sum);
}

static void exponentials_and_their_sum_are_right_in_place_too(void **state)
{
  (void)state;
  for_each_trial(check_exponentials);
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

static void the_sums_for_entropy_are_right_where_logits_are_minus_infinity_too(void **state)
{
  (void)state;
  for_each_trial(check_exponential_sums);
}

/* A vocabulary of a million: a plain float sum of so many would lose its last bits. */
static void sums_over_a_million_logits_are_as_exact(void **state)
{
  (void)state;
  enum { N = 1 << 20 };
  float *x = calloc(N, sizeof *x), *out = calloc(N, sizeof *out);
  assert_true(x && out);
  for (size_t i = 0; i < N; i++)
    x[i] = (float)random_normal(&trial_numbers);
  exact_sum expected = {0}, weighted = {0};
  for (size_t i = 0; i < N; i++) {
    add_term(&expected, exp((double)x[i]));
    add_term(&weighted, exp((double)x[i]) * (double)x[i]);
  }
  kernel_trial trial = {.kernel = kernels_in_use(), .n = N};
  double sum, sum_of_weighted;
  check_sum(&trial, "exponentials", N, trial.kernel->exponentials(x, 0, 1.0f, N, out), &expected,
            EXPONENTIAL_SUM_TOLERANCE);
  trial.kernel->exponential_sums(x, 0, N, &sum, &sum_of_weighted);
  check_sum(&trial, "exponential_sums", 0, sum, &expected, EXPONENTIAL_SUM_TOLERANCE);
  check_sum(&trial, "exponential_sums", 1, sum_of_weighted, &weighted, EXPONENTIAL_SUM_TOLERANCE);
  free(x);
  free(out);
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

static void the_maximum_is_the_greatest(void **state)
{
  (void)state;
  for_each_trial(check_maximum);
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

static void one_number_that_is_none_makes_the_maximum_one_wherever_it_stands(void **state)
{
  (void)state;
  for_each_trial(check_maximum_at_each_place);
}

static void check_maximum_of_nothing(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, NORMAL);
  for (size_t i = 0; i < trial->n; i++)
    x[i] = -INFINITY;
  if (trial->kernel->maximum(x, trial->n) != -INFINITY)
    wrong_element(trial, "maximum", 0, (double)trial->kernel->maximum(x, trial->n), -INFINITY);
}

static void the_maximum_of_minus_infinities_is_one(void **state)
{
  (void)state;
  for_each_trial(check_maximum_of_nothing);
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

static void those_strictly_greater_are_counted(void **state)
{
  (void)state;
  for_each_trial(check_count);
}

/* ---- Plain vectors ---- */

static void check_vectors(const kernel_trial *trial)
{
  float *y = trial_array(trial, ARRAY_Y, trial->n, trial->kind),
        *expected = copy_floats(y, trial->n);
  const float *x = trial_array(trial, ARRAY_X, trial->n, any_kind());
  float factor = (float)random_normal(&trial_numbers);
  for (size_t i = 0; i < trial->n; i++)
    expected[i] += x[i];
  trial->kernel->add(y, x, trial->n);
  check_same_bits(trial, "add", y, expected, trial->n);
  for (size_t i = 0; i < trial->n; i++)
    expected[i] *= factor;
  trial->kernel->scale(y, factor, trial->n);
  check_same_bits(trial, "scale", y, expected, trial->n);
  free(expected);
}

static void adding_and_scaling_round_once_and_so_leave_no_choice(void **state)
{
  (void)state;
  for_each_trial(check_vectors);
}

/* ---- To the bit ---- */

/* The sets that are the scalar source compiled anew promise more than a tolerance. */
static void check_scalar_bits(const kernel_trial *trial)
{
  kernels scalar;
  kernels_scalar(&scalar);
  float *x = draw_logits(trial, ARRAY_X), *expected = copy_floats(x, trial->n);
  double sums[2], weighted[2];
  trial->kernel->exponential_sums(x, 2, trial->n, &sums[0], &weighted[0]);
  scalar.exponential_sums(x, 2, trial->n, &sums[1], &weighted[1]);
  assert_memory_equal(&sums[0], &sums[1], sizeof *sums);
  assert_memory_equal(&weighted[0], &weighted[1], sizeof *weighted);
  sums[0] = trial->kernel->exponentials(x, 2, 1.0f, trial->n, x);
  sums[1] = scalar.exponentials(expected, 2, 1.0f, trial->n, expected);
  check_same_bits(trial, "exponentials", x, expected, trial->n);
  assert_memory_equal(&sums[0], &sums[1], sizeof *sums);
  free(expected);
}

static void every_set_gives_the_bits_of_the_scalar_one(void **state)
{
  (void)state;
  for_each_trial(check_scalar_bits);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(activations_are_what_their_papers_say_for_numbers_of_all_sizes),
      cmocka_unit_test(exponentials_and_their_sum_are_right_in_place_too),
      cmocka_unit_test(the_sums_for_entropy_are_right_where_logits_are_minus_infinity_too),
      cmocka_unit_test(sums_over_a_million_logits_are_as_exact),
      cmocka_unit_test(the_maximum_is_the_greatest),
      cmocka_unit_test(one_number_that_is_none_makes_the_maximum_one_wherever_it_stands),
      cmocka_unit_test(the_maximum_of_minus_infinities_is_one),
      cmocka_unit_test(those_strictly_greater_are_counted),
      cmocka_unit_test(adding_and_scaling_round_once_and_so_leave_no_choice),
      cmocka_unit_test(every_set_gives_the_bits_of_the_scalar_one),
  };
  return cmocka_run_group_tests(tests, begin_kernel_trials, end_kernel_trials);
}
