/* kernel_trials.c - what kernels are tried with. */
#include "support/kernel_trials.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "support/fenced.h"

random_numbers trial_numbers;

/* Around the lengths of vectors, of one or several registers. */
static const size_t lengths[] = {1,  2,  3,  4,  5,  7,  8,  9,  12, 15, 16,  17,        23,
                                 24, 31, 32, 33, 47, 48, 63, 64, 65, 96, 100, LONG_TRIAL};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

static const char *const kind_names[N_NUMBER_KINDS] = {"normal", "subnormal", "large",
                                                       "mixed",  "sparse",    "equal"};

static fenced rooms[N_ARRAYS];

int begin_kernel_trials(void **state)
{
  (void)state;
  trial_numbers = random_from_seed("kernels");
  for (int i = 0; i < N_ARRAYS; i++)
    rooms[i] = fence((LONG_TRIAL + 8) * 128 * sizeof(float));
  return 0;
}

int end_kernel_trials(void **state)
{
  (void)state;
  for (int i = 0; i < N_ARRAYS; i++)
    unfence(rooms[i]);
  return 0;
}

static void try_all(const kernels *kernel, void (*check)(const kernel_trial *trial))
{
  kernel_trial trial = {.kernel = kernel};
  for (size_t i = 0; i < N_LENGTHS; i++)
    for (trial.kind = 0; trial.kind < N_NUMBER_KINDS; trial.kind++)
      for (int at_end = 0; at_end <= 1; at_end++) {
        trial.n = lengths[i];
        trial.at_end = at_end;
        check(&trial);
      }
}

void for_each_trial(void (*check)(const kernel_trial *trial))
{
  /* Those that GPT2_CPU can leave, and all: the processor's own. */
  static const uint32_t masks[] = {0, CPU_AVX2, CPU_AVX2 | CPU_AVX512, UINT32_MAX};
  uint32_t tried = UINT32_MAX;
  for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
    uint32_t features = cpu_features() & masks[i];
    kernels kernel = {0};
    if (features == tried)
      continue;
    tried = features;
    kernels_for(features, &kernel);
    try_all(&kernel, check);
  }
}

size_t any_trial_length(void)
{
  return lengths[random_below(&trial_numbers, N_LENGTHS - 1)];
}

number_kind any_kind(void)
{
  return (number_kind)random_below(&trial_numbers, N_NUMBER_KINDS);
}

static float draw(number_kind kind)
{
  double normal = random_normal(&trial_numbers);
  switch (kind) {
  case SUBNORMAL:
    return (float)(normal * 1e-39);
  case LARGE:
    return (float)(normal * 1e15);
  case MIXED:
    return (float)ldexp(normal, random_below(&trial_numbers, 60) - 30);
  case SPARSE:
    return random_below(&trial_numbers, 4) == 0 ? (float)normal
           : random_below(&trial_numbers, 2)    ? 0.0f
                                                : -0.0f;
  case EQUAL:
    return 3.3f;
  default:
    return (float)normal;
  }
}

float *trial_array(const kernel_trial *trial, int array, size_t n, number_kind kind)
{
  size_t size = n * sizeof(float);
  float *floats =
      trial->at_end ? before_fence(rooms[array], size) : behind_fence(rooms[array], size);
  for (size_t i = 0; i < n; i++)
    floats[i] = draw(kind);
  return floats;
}

float *copy_floats(const float *floats, size_t n)
{
  float *copy = malloc(n * sizeof *copy);
  assert_non_null(copy);
  return memcpy(copy, floats, n * sizeof *copy);
}

void wrong_element(const kernel_trial *trial, const char *entry, size_t i, double found,
                   double expected)
{
  fail_msg("%s: %s: element %zu is %.9g, not %.9g (n %zu, %s numbers, the page %s)",
           trial->kernel->name, entry, i, found, expected, trial->n, kind_names[trial->kind],
           trial->at_end ? "behind" : "before");
}

void check_same_bits(const kernel_trial *trial, const char *entry, const float *found,
                     const float *expected, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (memcmp(&found[i], &expected[i], sizeof *found) != 0)
      wrong_element(trial, entry, i, (double)found[i], (double)expected[i]);
}

/* ---- Sums ---- */

void add_term(exact_sum *sum, double term)
{
  sum->value += term;
  sum->magnitude += fabs(term);
  sum->n_terms++;
}

exact_sum exact_dot(double start, const float *a, size_t a_step, const float *b, size_t b_step,
                    size_t n)
{
  exact_sum sum = {0};
  add_term(&sum, start);
  for (size_t i = 0; i < n; i++)
    add_term(&sum, (double)a[i * a_step] * (double)b[i * b_step]);
  return sum;
}

/* Where terms are subnormal, each is off by up to the least float. */
void check_sum(const kernel_trial *trial, const char *entry, size_t i, double found,
               const exact_sum *expected, double tolerance)
{
  double limit = tolerance * expected->magnitude + (double)expected->n_terms * 0x1p-149;
  if (!(fabs(found - expected->value) <= limit))
    wrong_element(trial, entry, i, found, expected->value);
}
