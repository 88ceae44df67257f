/* types.h - the element types that weights are stored in. */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef enum element_type {
  ELEMENT_F32,
  ELEMENT_F16,  /* IEEE 754 binary16 */
  ELEMENT_BF16, /* the upper half of an F32 */
  ELEMENT_F64,
  N_ELEMENT_TYPES
} element_type;

/* Bytes of one element. */
size_t element_size(element_type type);

/* Its name in our interface: "f32". */
const char *element_name(element_type type);

/* Widens (or, from F64, rounds to nearest even) n elements to f32. `from` needs no alignment. */
void elements_to_f32(float *restrict to, const void *restrict from, element_type type, size_t n);

#endif
