/* packed.h - block-quantised weights as they are kept in memory: groups of 16 columns, interleaved
 * for the integer products.
 *
 * A column has the weights of one output: n_in of them in blocks of 32, of which the last is filled
 * up with zeros, and the last group with columns of zeros. A group holds
 *
 *     q8_0: quads (n_blocks, 8, 16, 4) of bytes: four consecutive inputs of one column together,
 *           each its int8 + 128
 *     q4_0: quads (n_blocks, 4, 16, 4) of bytes: quad i of the block in the low nibbles, quad i + 4
 *           in the high ones, each its value + 8
 *     scales (n_blocks, 16) of f16
 *
 * so that one 64-byte load has four inputs of all 16 columns. What a block holds are the numbers of
 * a GGUF block, to the bit, in another order. */
#ifndef KERNELS_PACKED_H
#define KERNELS_PACKED_H

#include "kernels/kernels.h"

enum { PACKED_COLUMNS = 16 };

static inline size_t packed_blocks(size_t n_in)
{
  return (n_in + BLOCK_ELEMENTS - 1) / BLOCK_ELEMENTS;
}

/* Bytes of the quads of one block of a group. */
static inline size_t packed_block_size(element_type type)
{
  return (type == ELEMENT_Q4_0 ? BLOCK_ELEMENTS / 2 : BLOCK_ELEMENTS) * (size_t)PACKED_COLUMNS;
}

/* Bytes of a group: a multiple of 64. */
static inline size_t packed_group_size(element_type type, size_t n_blocks)
{
  size_t scales = n_blocks * PACKED_COLUMNS * sizeof(uint16_t);
  return n_blocks * packed_block_size(type) + (scales + 63) / 64 * 64;
}

/* Bytes of a whole matrix; false when they do not fit a size_t. */
bool packed_size(element_type type, size_t n_in, size_t n_out, size_t *size);

/* The scales of a group. */
static inline uint16_t *packed_scales(const void *group, element_type type, size_t n_blocks)
{
  return (uint16_t *)((uintptr_t)group + n_blocks * packed_block_size(type));
}

/* Blocks whose scales are one line of the cache. */
enum { SCALE_BLOCKS = 64 / (PACKED_COLUMNS * sizeof(uint16_t)) };

/* Asks for the scales of a group's next blocks, and into the second-level cache for those of the
 * group that stands `distance` bytes behind it, whose first ones will be needed at once: a kernel
 * that streams along the quads finds no scales on its way. Measured with VNNI: a token takes 4 to
 * 8% longer without it. */
static inline void prefetch_scales(const uint16_t *scales, size_t distance)
{
  __builtin_prefetch(scales + 2 * SCALE_BLOCKS * PACKED_COLUMNS, 0, 3);
  __builtin_prefetch((const char *)scales + distance, 0, 2);
}

/* One block of one column of a matrix (packed at `data`) to and from a GGUF block. */
void packed_get_q8_0(const void *data, size_t n_in, size_t column, size_t block, q8_0_block *out);
void packed_put_q8_0(void *data, size_t n_in, size_t column, size_t block, const q8_0_block *from);
void packed_get_q4_0(const void *data, size_t n_in, size_t column, size_t block, q4_0_block *out);
void packed_put_q4_0(void *data, size_t n_in, size_t column, size_t block, const q4_0_block *from);

/* The weights of one column, as f32: out (n_in). */
void packed_column(const void *data, element_type type, size_t n_in, size_t column, float *out);

#endif
