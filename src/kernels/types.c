/* types.c - the element types that weights are stored in. */
#include "kernels/types.h"

#include <string.h>

size_t element_size(element_type type)
{
  static const size_t sizes[N_ELEMENT_TYPES] = {
      [ELEMENT_F32] = 4, [ELEMENT_F16] = 2, [ELEMENT_BF16] = 2, [ELEMENT_F64] = 8};
  return type < N_ELEMENT_TYPES ? sizes[type] : 0;
}

const char *element_name(element_type type)
{
  static const char *const names[N_ELEMENT_TYPES] = {
      [ELEMENT_F32] = "f32", [ELEMENT_F16] = "f16",   [ELEMENT_BF16] = "bf16",
      [ELEMENT_F64] = "f64", [ELEMENT_Q8_0] = "q8_0", [ELEMENT_Q4_0] = "q4_0"};
  return type < N_ELEMENT_TYPES ? names[type] : "unknown";
}

static float float_of(uint32_t bits)
{
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Every F16 is an F32 exactly: normal numbers move their exponent from bias 15 to 127, infinities
 * and NaNs to the greatest one; subnormals are that many times 2^-24. No step meets a subnormal
 * F32, which a host may have told the processor to flush to zero. */
float f16_to_f32(uint16_t half)
{
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t magnitude = half & 0x7fff;
  float subnormal = (float)(int32_t)magnitude * 0x1p-24f;
  uint32_t bits;
  memcpy(&bits, &subnormal, sizeof bits);
  if (magnitude >= 0x0400)
    bits = (magnitude << 13) + (magnitude >= 0x7c00 ? (255u - 31u) << 23 : (127u - 15u) << 23);
  return float_of(bits | sign);
}

/* Rounding is left to the addition of a number whose last bit is worth as much as that of the
 * result: half a power of two for normal halves, a fixed one for subnormal ones. */
uint16_t f16_from_f32(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t exponent = magnitude & 0x7f800000;
  if (exponent < (127u - 14u) << 23)
    exponent = (127u - 14u) << 23;
  float anchor = float_of(exponent + (13u << 23)); /* its last bit: that of a half */
  float rounded = float_of(magnitude) + anchor;
  uint32_t rounded_bits;
  memcpy(&rounded_bits, &rounded, sizeof rounded_bits);
  uint32_t mantissa = rounded_bits & 0x0fff; /* above 10 bits: a carry into the exponent */
  uint32_t half = ((exponent >> 23) - (127 - 14)) * 0x400 + mantissa;
  if (magnitude >= 0x47800000) /* 65536 and beyond */
    half = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
  return (uint16_t)(sign | (half < 0x7c00 || magnitude > 0x7f800000 ? half : 0x7c00));
}

float bf16_to_f32(uint16_t upper)
{
  return float_of((uint32_t)upper << 16);
}

uint16_t bf16_from_f32(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
}

void elements_to_f32(float *restrict to, const void *restrict from, element_type type, size_t n)
{
  const uint8_t *bytes = from;
  switch (type) {
  case ELEMENT_F32:
    memcpy(to, from, n * sizeof *to);
    break;
  case ELEMENT_F16:
    for (size_t i = 0; i < n; i++) {
      uint16_t half;
      memcpy(&half, bytes + 2 * i, sizeof half);
      to[i] = f16_to_f32(half);
    }
    break;
  case ELEMENT_BF16:
    for (size_t i = 0; i < n; i++) {
      uint16_t upper;
      memcpy(&upper, bytes + 2 * i, sizeof upper);
      to[i] = float_of((uint32_t)upper << 16);
    }
    break;
  case ELEMENT_F64:
    for (size_t i = 0; i < n; i++) {
      double value;
      memcpy(&value, bytes + 8 * i, sizeof value);
      to[i] = (float)value;
    }
    break;
  default: /* the block types have no elements to step through */
    break;
  }
}
