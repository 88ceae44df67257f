/* types.h - the element types that weights are stored in. */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/bits.h" /* single numbers */

typedef enum element_type {
  ELEMENT_F32,
  ELEMENT_F16,    /* IEEE 754 binary16 */
  ELEMENT_BF16,   /* the upper half of an F32 */
  N_STORED_TYPES, /* those above are multiplied as they are stored */
  ELEMENT_F64 = N_STORED_TYPES,
  ELEMENT_Q8_0, /* blocks of 32 int8 with a scale */
  ELEMENT_Q4_0, /* blocks of 32 int4 with a scale */
  N_ELEMENT_TYPES
} element_type;

/* Elements that share a scale in the block types. */
enum { BLOCK_ELEMENTS = 32 };

/* Bytes of one element; 0 for the block types. */
size_t element_size(element_type type);

/* Its name in our interface: "f32". */
const char *element_name(element_type type);

/* Widens (or, from F64, rounds to nearest even) n elements to f32. `from` needs no alignment. Not
 * for the block types. */
void elements_to_f32(float *restrict to, const void *restrict from, element_type type, size_t n);

/* ---- Blocks, as GGUF files have them ---- */

typedef struct q8_0_block {
  uint16_t scale; /* f16 */
  int8_t q[BLOCK_ELEMENTS];
} q8_0_block;

typedef struct q4_0_block {
  uint16_t scale;                /* f16; an element is (nibble - 8) * scale */
  uint8_t q[BLOCK_ELEMENTS / 2]; /* elements 0 to 15 in the low nibbles, 16 to 31 in the high */
} q4_0_block;

#endif
