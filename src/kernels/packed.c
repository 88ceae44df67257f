/* packed.c - block-quantised weights in memory, to and from the blocks of GGUF files. */
#include "kernels/packed.h"

#include <string.h>

#include "base/memory.h"

bool packed_size(element_type type, size_t n_in, size_t n_out, size_t *size)
{
  if (n_in > SIZE_MAX / 4) /* so that nothing below wraps for one group */
    return false;
  size_t n_groups = n_out / PACKED_COLUMNS + (n_out % PACKED_COLUMNS > 0), group;
  if (!mul_size(&group, packed_blocks(n_in), packed_block_size(type) + 4 * PACKED_COLUMNS))
    return false;
  return mul_size(size, n_groups, packed_group_size(type, packed_blocks(n_in)));
}

/* Where a block of a column is: its first quad, and its scale. */
typedef struct place {
  uint8_t *quad; /* the next quad stands PACKED_COLUMNS * 4 bytes behind */
  uint16_t *scale;
} place;

static place find_block(const void *data, element_type type, size_t n_in, size_t column,
                        size_t block)
{
  size_t n_blocks = packed_blocks(n_in), within = column % PACKED_COLUMNS;
  uintptr_t group = (uintptr_t)data + column / PACKED_COLUMNS * packed_group_size(type, n_blocks);
  return (place){.quad = (uint8_t *)(group + block * packed_block_size(type) + within * 4),
                 .scale = packed_scales((void *)group, type, n_blocks) + block * PACKED_COLUMNS +
                          within};
}

/* The byte of a column's block that has input i of it (for q4_0: of its first half). */
static uint8_t *byte_of(const place *p, size_t i)
{
  return p->quad + i / 4 * (PACKED_COLUMNS * 4) + i % 4;
}

void packed_get_q8_0(const void *data, size_t n_in, size_t column, size_t block, q8_0_block *out)
{
  place p = find_block(data, ELEMENT_Q8_0, n_in, column, block);
  out->scale = *p.scale;
  for (size_t i = 0; i < BLOCK_ELEMENTS; i++)
    out->q[i] = (int8_t)(*byte_of(&p, i) - 128);
}

void packed_put_q8_0(void *data, size_t n_in, size_t column, size_t block, const q8_0_block *from)
{
  place p = find_block(data, ELEMENT_Q8_0, n_in, column, block);
  *p.scale = from->scale;
  for (size_t i = 0; i < BLOCK_ELEMENTS; i++)
    *byte_of(&p, i) = (uint8_t)(from->q[i] + 128);
}

/* Input i is in the low nibble of the file's byte i, input i + 16 in its high one; and so it is
 * here. */
void packed_get_q4_0(const void *data, size_t n_in, size_t column, size_t block, q4_0_block *out)
{
  place p = find_block(data, ELEMENT_Q4_0, n_in, column, block);
  out->scale = *p.scale;
  for (size_t i = 0; i < BLOCK_ELEMENTS / 2; i++)
    out->q[i] = *byte_of(&p, i);
}

void packed_put_q4_0(void *data, size_t n_in, size_t column, size_t block, const q4_0_block *from)
{
  place p = find_block(data, ELEMENT_Q4_0, n_in, column, block);
  *p.scale = from->scale;
  for (size_t i = 0; i < BLOCK_ELEMENTS / 2; i++)
    *byte_of(&p, i) = from->q[i];
}

void packed_column(const void *data, element_type type, size_t n_in, size_t column, float *out)
{
  for (size_t b = 0; b < packed_blocks(n_in); b++) {
    place p = find_block(data, type, n_in, column, b);
    float scale = f16_to_f32(*p.scale);
    size_t first = b * BLOCK_ELEMENTS;
    size_t n = n_in - first < BLOCK_ELEMENTS ? n_in - first : BLOCK_ELEMENTS;
    for (size_t i = 0; i < n; i++) {
      int32_t q = type == ELEMENT_Q8_0     ? *byte_of(&p, i) - 128
                  : i < BLOCK_ELEMENTS / 2 ? (*byte_of(&p, i) & 15) - 8
                                           : (*byte_of(&p, i - BLOCK_ELEMENTS / 2) >> 4) - 8;
      out[first + i] = (float)q * scale;
    }
  }
}
