/* kernel_trials.h - what kernels are tried with: every instruction set of this processor, arrays of
 * all lengths that end or begin at a page that nobody may touch, numbers of all sizes. */
#ifndef TESTS_SUPPORT_KERNEL_TRIALS_H
#define TESTS_SUPPORT_KERNEL_TRIALS_H

#include <stdbool.h>

#include "kernels/kernels.h"
#include "support/random_numbers.h"

/* The numbers that arrays are filled with. EQUAL ones and zeros are what sums and means stumble
 * over. */
typedef enum number_kind {
  NORMAL,
  SUBNORMAL,
  LARGE,
  MIXED,
  SPARSE,
  EQUAL,
  N_NUMBER_KINDS
} number_kind;

/* A trial: what tells it from others, and is shown when it fails. */
typedef struct kernel_trial {
  const kernels *kernel;
  size_t n;
  number_kind kind;
  bool at_end; /* of the room: arrays end at the forbidden page, else they begin there */
} kernel_trial;

/* The longest array; `n` is at most so many. */
enum { LONG_TRIAL = 1031 };

/* Arrays that exist at the same time. */
enum { ARRAY_X, ARRAY_W, ARRAY_B, ARRAY_Y, N_ARRAYS };

/* Opens and closes the arrays, and takes a seed, which is printed: a group's set-up and tear-down.
 */
int begin_kernel_trials(void **state);
int end_kernel_trials(void **state);

extern random_numbers trial_numbers;

/* Calls `check` for every instruction set, length, kind of numbers and end. */
void for_each_trial(void (*check)(const kernel_trial *trial));

/* Some length of a trial, at most 100, and some kind. */
size_t any_trial_length(void);
number_kind any_kind(void);

/* An array of n floats beside the forbidden page, filled with numbers of that kind. What it held
 * before is gone. */
float *trial_array(const kernel_trial *trial, int array, size_t n, number_kind kind);

/* Floats on the heap with those values; the caller frees them. */
float *copy_floats(const float *floats, size_t n);

/* Fails the test: element i of what `entry` computed is wrong. */
void wrong_element(const kernel_trial *trial, const char *entry, size_t i, double found,
                   double expected);

/* Fails the test unless both arrays hold the same bits. */
void check_same_bits(const kernel_trial *trial, const char *entry, const float *found,
                     const float *expected, size_t n);

/* What a sum should be, and the sum of the magnitudes of its terms: a kernel may add in any order,
 * so that is what its error is measured by. */
typedef struct exact_sum {
  double value, magnitude;
  size_t n_terms;
} exact_sum;

void add_term(exact_sum *sum, double term);

/* start + a . b, over n elements that stand a_step and b_step apart. */
exact_sum exact_dot(double start, const float *a, size_t a_step, const float *b, size_t b_step,
                    size_t n);

void check_sum(const kernel_trial *trial, const char *entry, size_t i, double found,
               const exact_sum *expected, double tolerance);

#endif
