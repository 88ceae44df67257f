/* kernel_trials.h - what kernels are tried with: every instruction set of this processor, arrays of
 * all lengths that end or begin at a page that nobody may touch, numbers of all sizes.
 *
 * What a kernel writes beside an array is found, too: the bytes around it are known, and looked at
 * after each trial. */
#ifndef TESTS_SUPPORT_KERNEL_TRIALS_H
#define TESTS_SUPPORT_KERNEL_TRIALS_H

#include <stdbool.h>

#include "kernels/kernels.h"
#include "support/random_numbers.h"

/* ---- Instruction sets ---- */

/* A table of kernels that this processor can run. */
typedef struct kernel_set {
  const char *name;
  uint32_t features; /* CPU_... */
  kernels table;
} kernel_set;

/* The sets that this processor can run, from the plainest to the most capable, the scalar one
 * first; the last is what it is given. How many they are goes to *n. */
const kernel_set *kernel_sets(size_t *n);

/* ---- Trials ---- */

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

/* Where arrays lie: the first two beside a forbidden page, the third one element or more off the
 * alignment of vectors. */
typedef enum array_place { AT_START, AT_END, SHIFTED, N_PLACES } array_place;

/* A trial: what tells it from others, and is shown when it fails. */
typedef struct kernel_trial {
  const kernels *kernel;
  const char *set;
  int index; /* of the entry that is tried, where it is one of an array of entries */
  size_t n;
  number_kind kind;
  array_place place;
} kernel_trial;

/* The longest array; `n` is at most so many. */
enum { LONG_TRIAL = 1031 };

/* Arrays that exist at the same time. */
enum { ARRAY_X, ARRAY_W, ARRAY_B, ARRAY_Y, ARRAY_Z, ARRAY_V, ARRAY_P, N_ARRAYS };

/* Opens and closes the arrays, and takes a seed, which is printed: a group's set-up and tear-down.
 */
int begin_kernel_trials(void **state);
int end_kernel_trials(void **state);

extern random_numbers trial_numbers;

/* Calls `check` for every length from 1 to 100 and a long one, kind of numbers and place. The trial
 * that is given says the rest. */
void run_trials(kernel_trial trial, void (*check)(const kernel_trial *trial));

/* A random number in [0, n), some length of a trial, at most 100, and some kind. */
size_t some(size_t n);
size_t any_trial_length(void);
number_kind any_kind(void);

/* Rows of a product: of normal numbers, each number from 1 to 40 for one length or another; 130
 * once; else a few. */
size_t trial_rows(const kernel_trial *trial);

/* ---- Arrays ----
 * What an array held before is gone when it is asked for again. */

/* An array of n floats, filled with numbers of that kind. */
float *trial_array(const kernel_trial *trial, int array, size_t n, number_kind kind);

/* The same of a stored type, of numbers that it can hold. */
void *trial_elements(const kernel_trial *trial, int array, size_t n, number_kind kind,
                     element_type type);

/* Bytes of no particular value, at addresses that are multiples of `alignment`. */
void *trial_bytes(const kernel_trial *trial, int array, size_t size, size_t alignment);

/* Floats on the heap with those values; the caller frees them. */
float *copy_floats(const float *floats, size_t n);
float *widen_elements(const void *elements, element_type type, size_t n);

/* Elements from the first of the first row to the last of the last. */
size_t span(size_t n_rows, size_t stride, size_t n);

/* Fills what is between rows of n elements with bytes 255, which are a NaN in every type; and says
 * whether they are still there. `size` is that of an element. */
void spoil_gaps(void *rows, size_t size, size_t n_rows, size_t stride, size_t n);
bool gaps_are_spoiled(const void *rows, size_t size, size_t n_rows, size_t stride, size_t n);

/* ---- Judging ---- */

/* Fails the test: element i of what `entry` computed is wrong. */
void wrong_element(const kernel_trial *trial, const char *entry, size_t i, double found,
                   double expected);

/* Fails the test unless both arrays hold the same bits. */
void check_same_bits(const kernel_trial *trial, const char *entry, const float *found,
                     const float *expected, size_t n);

/* The same for bytes: `size` of them. */
void check_same_bytes(const kernel_trial *trial, const char *entry, const void *found,
                      const void *expected, size_t size);

/* Fails the test if something was written beside an array. Every trial ends with it; a check that
 * asks for an array again calls it before. */
void check_margins(const kernel_trial *trial);

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
