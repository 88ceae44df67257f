/* tolerances.h - how far each kernel may be from the exact result, in one place.
 *
 * Every set of instructions, the scalar one included, is held to the exact result, computed in
 * double precision; so two sets differ by no more than twice as much. What is not named here leaves
 * no choice and is compared to the bit: conversions, quantisers, packed weights, what reads logits,
 * sums and products of single numbers. */
#ifndef TESTS_KERNELS_TOLERANCES_H
#define TESTS_KERNELS_TOLERANCES_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* Half a unit in the last place of 1: what one rounding may cost, as a part of what is rounded. So
 * the tolerance of a sum, as a part of the sum of its terms' magnitudes, is the number of roundings
 * that a term may go through. */
static const double ROUNDING = 0x1p-24;

/* product_in_out: all terms may be added one after another, each product being rounded before. */
static inline double tolerance_in_out(size_t n_in)
{
  return (double)(n_in + 2) * ROUNDING;
}

/* product_out_in: eight terms are added at once, or in as many lanes; the last few one
 * after another. */
static inline double tolerance_dot(size_t n)
{
  return (double)(n / 8 + 12) * ROUNDING;
}

/* product_packed: the sums of blocks are exact integers; each is multiplied by two scales, and they
 * are added one after another. */
static inline double tolerance_packed(size_t n_blocks)
{
  return (double)(n_blocks + 3) * ROUNDING;
}

/* bf16->paired: products of two bf16 are exact, and all terms may be added one after another. */
static inline double tolerance_paired(size_t n_in)
{
  return (double)(n_in + 2) * ROUNDING;
}

/* Beside that the instructions for bf16 take subnormal numbers for zero, and so round theirs. */
static const double LEAST_BF16 = 0x1p-126;

/* scores, weighted_sum: like product_in_out, and what was there is multiplied first. */
static inline double tolerance_scores(size_t d_head)
{
  return (double)(d_head + 2) * ROUNDING;
}

static inline double tolerance_weighted_sum(size_t n_tokens)
{
  return (double)(n_tokens + 3) * ROUNDING;
}

/* layer_norm: of a value's own rounding, seen through the norm, and of its bias. */
static const double LAYER_NORM_TOLERANCE = 1e-6;

/* activation: of the argument. GELU of a great negative number is a difference of nearly equal
 * ones. */
static const double ACTIVATION_TOLERANCE = 3e-7;

/* exponentials, softmax: of the true value; of subnormal ones, of the least normal number. What is
 * as small may be taken for nothing. */
static const double EXPONENTIAL_TOLERANCE = 2 * (double)FLT_EPSILON, LEAST_EXPONENTIAL = 1.2e-38;

/* Whether a number is as near to the exponential as it must be. */
static inline bool near_exponential(float found, double expected)
{
  double limit = EXPONENTIAL_TOLERANCE * fmax(expected, (double)FLT_MIN);
  return fabs((double)found - expected) <= limit || (expected < LEAST_EXPONENTIAL && found == 0);
}

/* Sums of exponentials: of the sum of the terms' magnitudes; the terms themselves are off by up to
 * a quarter of it. */
static const double EXPONENTIAL_SUM_TOLERANCE = 1e-6;

/* sum_greater: of the sum of the weights' magnitudes, which are added in double precision. */
static const double SUM_GREATER_TOLERANCE = 1e-13;

#endif
