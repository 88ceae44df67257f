/* bits.h - the bits of floats, and of the halves that they are rounded to: one number at a time,
 * without branches, so that a loop over them becomes vector instructions. */
#ifndef KERNELS_BITS_H
#define KERNELS_BITS_H

#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t bits_of_float(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* Every F16 is an F32 exactly: normal numbers move their exponent from bias 15 to 127, infinities
 * and NaNs to the greatest one; subnormals are that many times 2^-24. No step meets a subnormal
 * F32, which a host may have told the processor to flush to zero. */
static inline float f16_to_f32(uint16_t half)
{
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t magnitude = half & 0x7fff;
  uint32_t subnormal = bits_of_float((float)(int32_t)magnitude * 0x1p-24f);
  uint32_t bias = magnitude >= 0x7c00 ? (255u - 31u) << 23 : (127u - 15u) << 23;
  uint32_t bits = magnitude >= 0x0400 ? (magnitude << 13) + bias : subnormal;
  return float_from_bits(bits | sign);
}

/* To nearest even; beyond the range: infinity. Rounding is left to the addition of a number whose
 * last bit is worth as much as that of the result: half a power of two for normal halves, a fixed
 * one for subnormal ones. */
static inline uint16_t f16_from_f32(float value)
{
  const uint32_t least_normal = (127u - 14u) << 23, infinity = 0x7f800000;
  uint32_t bits = bits_of_float(value);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t exponent = magnitude & infinity;
  exponent = exponent < least_normal ? least_normal : exponent;
  float anchor = float_from_bits(exponent + (13u << 23)); /* its last bit: that of a half */
  uint32_t rounded = bits_of_float(float_from_bits(magnitude) + anchor);
  uint32_t mantissa = rounded & 0x0fff; /* above 10 bits: a carry into the exponent */
  uint32_t half = ((exponent >> 23) - (127 - 14)) * 0x400 + mantissa;
  half = magnitude >= 0x47800000 || half > 0x7c00 ? 0x7c00 : half; /* 65536 and beyond */
  half = magnitude > infinity ? 0x7e00 : half;
  return (uint16_t)(sign | half);
}

static inline float bf16_to_f32(uint16_t upper)
{
  return float_from_bits((uint32_t)upper << 16);
}

/* To nearest even; a NaN stays one. */
static inline uint16_t bf16_from_f32(float value)
{
  uint32_t bits = bits_of_float(value);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
}

#endif
