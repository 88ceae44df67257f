/* logits_vectors.h - what reads logits, in vector registers: for the instruction set whose
 * vector_....h and logits_....h were included before.
 *
 * Four registers at a time: each of them waits only for what was done to it before. */
#ifndef KERNELS_LOGITS_VECTORS_H
#define KERNELS_LOGITS_VECTORS_H

#include <math.h>

#include "kernels/math_vectors.h"

enum { CHAINS = 4, CHAINED = CHAINS * VECTOR };

/* ---- Comparing ---- */

/* The instruction for the greater of two loses a NaN, so they are looked for beside it. */
static float maximum_in_vectors(const float *x, size_t n)
{
  const vector first = vector_all(x[0]);
  vector greatest[CHAINS] = {first, first, first, first}, at[CHAINS];
  uint32_t nans = 0;
  size_t i = 0;
  for (; i + CHAINED <= n; i += CHAINED) {
    for (int v = 0; v < CHAINS; v++)
      at[v] = vector_load_f32(x + i + v * VECTOR);
    nans |= lanes_nan(at[0], at[1]) | lanes_nan(at[2], at[3]);
    for (int v = 0; v < CHAINS; v++)
      greatest[v] = vector_max(greatest[v], at[v]);
  }
  for (; i < n; i += VECTOR) {
    at[0] = n - i < VECTOR ? vector_load_f32_or(x + i, n - i, first) : vector_load_f32(x + i);
    nans |= lanes_nan(at[0], at[0]);
    greatest[0] = vector_max(greatest[0], at[0]);
  }
  for (int v = 1; v < CHAINS; v++)
    greatest[0] = vector_max(greatest[0], greatest[v]);
  return nans ? NAN : vector_greatest(greatest[0]);
}

static size_t first_equal_in_vectors(const float *x, float value, size_t n)
{
  const vector wanted = vector_all(value), none = vector_all(NAN);
  for (size_t i = 0; i < n; i += VECTOR) {
    vector at = n - i < VECTOR ? vector_load_f32_or(x + i, n - i, none) : vector_load_f32(x + i);
    uint32_t lanes = lanes_equal(at, wanted);
    if (lanes)
      return i + (size_t)__builtin_ctz(lanes);
  }
  return n;
}

static size_t find_greater_in_vectors(const float *x, float threshold, size_t n, int32_t *out,
                                      size_t capacity, size_t *end)
{
  const vector limit = vector_all(threshold);
  size_t count = 0, i = 0;
  for (; i + CHAINED <= n && count < capacity; i += CHAINED) {
    uint32_t lanes[CHAINS], any = 0;
    int n_found = 0;
    for (int v = 0; v < CHAINS; v++)
      any |= lanes[v] = lanes_greater(vector_load_f32(x + i + v * VECTOR), limit);
    if (any == 0)
      continue; /* nearly always */
    for (int v = 0; v < CHAINS; v++)
      n_found += __builtin_popcount(lanes[v]);
    if ((size_t)n_found >= capacity - count)
      break;
    for (int v = 0; v < CHAINS; v++)
      count += write_lanes(out + count, lanes[v], i + (size_t)v * VECTOR);
  }
  size_t rest_end,
      n_rest = find_greater(x + i, threshold, n - i, out + count, capacity - count, &rest_end);
  for (size_t r = 0; r < n_rest; r++)
    out[count + r] += (int32_t)i;
  *end = i + rest_end;
  return count + n_rest;
}

/* ---- Exponentials ---- */

/* n elements, and -infinity behind them, whose exponential is 0. */
static inline vector load_logits(const float *x, size_t n)
{
  return n < VECTOR ? vector_load_f32_or(x, n, vector_all(-INFINITY)) : vector_load_f32(x);
}

/* Four registers as one: that loses no more than each has lost already. */
static inline vector add_four(const vector *v)
{
  return vector_add(vector_add(v[0], v[1]), vector_add(v[2], v[3]));
}

/* e^((x - shift) / temperature); `divide` is known where this is inlined. */
static inline vector exponential_of(vector x, vector shift, vector temperature, bool divide)
{
  vector below = vector_subtract(x, shift);
  return vector_exp_or_zero(divide ? vector_divide(below, temperature) : below);
}

static inline __attribute__((always_inline)) double
add_exponentials(const float *x, float shift, float temperature, bool divide, size_t n, float *out)
{
  const vector s = vector_all(shift), t = vector_all(temperature);
  wide_sum sum = wide_zero();
  size_t i = 0;
  for (; i + CHAINED <= n; i += CHAINED) {
    vector e[CHAINS];
    for (int v = 0; v < CHAINS; v++)
      e[v] = exponential_of(vector_load_f32(x + i + v * VECTOR), s, t, divide);
    for (int v = 0; out && v < CHAINS; v++)
      vector_store(out + i + v * VECTOR, e[v]);
    sum = wide_add(sum, add_four(e));
  }
  for (; i < n; i += VECTOR) {
    vector e = exponential_of(load_logits(x + i, n - i), s, t, divide);
    if (out && n - i < VECTOR)
      vector_store_part(out + i, e, n - i);
    else if (out)
      vector_store(out + i, e);
    sum = wide_add(sum, e);
  }
  return wide_total(sum);
}

static double exponentials_in_vectors(const float *x, float shift, float temperature, size_t n,
                                      float *out)
{
  return temperature == 1.0f ? add_exponentials(x, shift, 1.0f, false, n, out)
                             : add_exponentials(x, shift, temperature, true, n, out);
}

/* Adds e^(x - shift) and e^(x - shift) (x - shift) of the first `left` of four registers. */
static inline __attribute__((always_inline)) void
add_entropy_terms(const float *x, vector shift, size_t left, wide_sum *sum, wide_sum *weighted)
{
  const vector least = vector_all(-100.0f); /* its exponential is 0, and so is their product */
  vector e[CHAINS], product[CHAINS];
  for (int v = 0; v < CHAINS; v++) {
    size_t at = (size_t)v * VECTOR;
    vector logits = at < left ? load_logits(x + at, left - at) : vector_all(-INFINITY);
    vector below = vector_max(least, vector_subtract(logits, shift));
    e[v] = vector_exp_or_zero(below);
    product[v] = vector_multiply(e[v], below);
  }
  *sum = wide_add(*sum, add_four(e));
  *weighted = wide_add(*weighted, add_four(product));
}

static void exponential_sums_in_vectors(const float *x, float shift, size_t n, double *sum_out,
                                        double *weighted_out)
{
  const vector s = vector_all(shift);
  wide_sum sum = wide_zero(), weighted = wide_zero();
  size_t i = 0;
  for (; i + CHAINED <= n; i += CHAINED)
    add_entropy_terms(x + i, s, CHAINED, &sum, &weighted);
  if (i < n)
    add_entropy_terms(x + i, s, n - i, &sum, &weighted);
  *sum_out = wide_total(sum);
  *weighted_out = wide_total(weighted);
}

/* ---- Adding ---- */

static double sum_greater_in_vectors(const float *x, float threshold, const float *weights,
                                     size_t n)
{
  const vector limit = vector_all(threshold), zero = vector_zero();
  wide_sum even = wide_zero(), odd = wide_zero();
  size_t i = 0;
  for (; i + 2 * VECTOR <= n; i += 2 * VECTOR) {
    vector a = vector_load_f32(weights + i), b = vector_load_f32(weights + i + VECTOR);
    even = wide_add(even, vector_where_less(limit, vector_load_f32(x + i), a, zero));
    odd = wide_add(odd, vector_where_less(limit, vector_load_f32(x + i + VECTOR), b, zero));
  }
  for (; i < n; i += VECTOR) {
    size_t left = n - i < VECTOR ? n - i : VECTOR;
    vector a = vector_load_f32_part(weights + i, left);
    even = wide_add(even, vector_where_less(limit, vector_load_f32_part(x + i, left), a, zero));
  }
  return wide_total(even) + wide_total(odd);
}

static void fill_logits(kernels *table)
{
  table->maximum = maximum_in_vectors;
  table->first_equal = first_equal_in_vectors;
  table->find_greater = find_greater_in_vectors;
  table->exponentials = exponentials_in_vectors;
  table->exponential_sums = exponential_sums_in_vectors;
  table->sum_greater = sum_greater_in_vectors;
}

#endif
