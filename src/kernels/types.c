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
      to[i] = bf16_to_f32(upper);
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
