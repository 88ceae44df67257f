/* math.h - exp, tanh and erf to float32 rounding, written so that a loop over them becomes vector
 * instructions.
 *
 * No branches, no tables, no calls: both sides of every choice are computed and one is taken. Each
 * is within 2 units in the last place of the true value (tests/test_math.c measures all floats'
 * exponents). The polynomials are minimax fits, made by src/kernels/coefficients.py; the ways to
 * reduce the argument are in J.-M. Muller, "Elementary Functions", 3rd edition, chapter 11. */
#ifndef KERNELS_MATH_H
#define KERNELS_MATH_H

#include "kernels/bits.h"

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2. Overflows to infinity and underflows to
 * 0 (through the subnormals) as expf does; NaN stays NaN. */
static inline float exp_f32(float x)
{
  const float round_to_integer =
      0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
  const float ln2_high = 0x1.63p-1f,
              ln2_low = -0x1.bd0106p-13f; /* n * ln2_high is exact: 9 bits times 9 */
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  float shifted = x * 0x1.715476p0f + round_to_integer; /* 1 / ln 2 */
  float n = shifted - round_to_integer;
  float r = (x - n * ln2_high) - n * ln2_low;
  float p = 1.9790244e-4f;
  p = p * r + 1.3944758e-3f;
  p = p * r + 8.333498e-3f;
  p = p * r + 4.1666295e-2f;
  p = p * r + 0.16666666f;
  p = p * r + 0.5f;
  p = (p * r) * r + r;
  /* 2^n in two factors, as it may lie outside the floats where the result does not. */
  uint32_t exponent = bits_of_float(shifted) - bits_of_float(round_to_integer);
  uint32_t half = (uint32_t)((int32_t)exponent >> 1);
  float scale = float_from_bits((half + 127) << 23);
  float rest = float_from_bits((exponent - half + 127) << 23);
  return (p + 1.0f) * scale * rest;
}

/* Near zero an odd polynomial, elsewhere 1 - 2 / (e^2|x| + 1) with the sign of x. */
static inline float tanh_f32(float x)
{
  float magnitude = float_from_bits(bits_of_float(x) & 0x7fffffff);
  float z = x * x;
  float p = 2.1475619e-3f;
  p = p * z - 8.182704e-3f;
  p = p * z + 2.170298e-2f;
  p = p * z - 5.3947207e-2f;
  p = p * z + 0.1333321f;
  p = p * z - 0.3333333f;
  float near_zero = (p * z) * x + x;
  float far = 1.0f - 2.0f / (exp_f32(2.0f * magnitude) + 1.0f);
  far = float_from_bits(bits_of_float(far) | (bits_of_float(x) & 0x80000000));
  return magnitude < 0.625f ? near_zero : far;
}

/* Near zero an odd polynomial, elsewhere 1 - e^-q with q a polynomial for -log(erfc |x|), with the
 * sign of x. */
static inline float erf_f32(float x)
{
  float magnitude = float_from_bits(bits_of_float(x) & 0x7fffffff);
  float z = x * x;
  float p = 8.5388e-5f;
  p = p * z - 8.181917e-4f;
  p = p * z + 5.204435e-3f;
  p = p * z - 2.6860753e-2f;
  p = p * z + 0.112837195f;
  p = p * z - 0.37612635f;
  p = p * z + 0.12837917f;
  float near_zero = p * x + x;
  float m = magnitude < 4.0f ? magnitude : 4.0f; /* beyond, erf is 1 in float32 */
  float q = 2.0828566e-5f;
  q = q * m - 4.31393e-4f;
  q = q * m + 4.1562524e-3f;
  q = q * m - 2.508061e-2f;
  q = q * m + 0.108220376f;
  q = q * m + 0.63340086f;
  q = q * m + 1.1294883f;
  q = q * m - 1.6920459e-4f;
  float far = 1.0f - exp_f32(-q);
  far = float_from_bits(bits_of_float(far) | (bits_of_float(x) & 0x80000000));
  return magnitude < 0.9f ? near_zero : magnitude >= 0.9f ? far : x;
}

#endif
