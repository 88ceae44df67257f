/* convert.c - weights from the type that a file stores them in to the one that they are kept in. */
#include "kernels/convert.h"

#include <string.h>

#include "kernels/packed.h"

/* Inputs of a group that are widened at a time, on the stack. */
enum { WIDENED = 4 * BLOCK_ELEMENTS };

static void widen(const kernels *k, float *to, const uint8_t *from, element_type type, size_t n)
{
  if (type < N_STORED_TYPES)
    k->to_f32[type](to, from, n);
  else
    elements_to_f32(to, from, type, n);
}

/* ---- Element by element ---- */

static void convert_elements(const kernels *k, const conversion *c, const uint8_t *from,
                             uint8_t *to, size_t n)
{
  enum { AT_A_TIME = 1024 };
  float widened[AT_A_TIME];
  size_t from_size = element_size(c->from), to_size = element_size(c->to.type);
  if (c->from == c->to.type) {
    memcpy(to, from, n * to_size);
    return;
  }
  for (size_t i = 0; i < n; i += AT_A_TIME) {
    size_t count = smaller(n - i, AT_A_TIME);
    widen(k, widened, from + i * from_size, c->from, count);
    k->from_f32[c->to.type](to + i * to_size, widened, count);
  }
}

/* ---- To groups of columns (packed.h) ---- */

static uint8_t *group_at(const conversion *c, size_t group)
{
  size_t size = packed_group_size(c->to.type, packed_blocks(c->to.n_in));
  return (uint8_t *)c->data + group * size;
}

/* What is behind the scales of a group, up to its size, is zero. */
static void clear_padding(const conversion *c, size_t group)
{
  size_t n_blocks = packed_blocks(c->to.n_in);
  uint8_t *end = (uint8_t *)(packed_scales(group_at(c, group), c->to.type, n_blocks) +
                             n_blocks * PACKED_COLUMNS);
  memset(end, 0, (size_t)(group_at(c, group + 1) - end));
}

/* Rows of the file are inputs, a block of them, n of which exist; `tile` is (32, 16). */
static void pack_input_block(const kernels *k, const conversion *c, const uint8_t *rows, size_t n,
                             size_t block)
{
  float tile[BLOCK_ELEMENTS][PACKED_COLUMNS] = {{0}};
  size_t size = element_size(c->from), n_blocks = packed_blocks(c->to.n_in);
  for (size_t column = 0; column < c->n_columns; column += PACKED_COLUMNS) {
    size_t n_columns = smaller(c->n_columns - column, PACKED_COLUMNS);
    if (n_columns < PACKED_COLUMNS)
      memset(tile, 0, sizeof tile);
    for (size_t i = 0; i < n; i++) {
      const uint8_t *from = rows + (i * c->n_columns + column) * size;
      if (c->from == ELEMENT_F32 && n_columns == PACKED_COLUMNS)
        memcpy(tile[i], from, sizeof tile[i]);
      else
        widen(k, tile[i], from, c->from, n_columns);
    }
    k->pack_block[c->to.type](tile[0], group_at(c, column / PACKED_COLUMNS), n_blocks, block);
  }
}

/* Rows of the file are outputs, a group of them, n of which exist. */
static void pack_output_group(const kernels *k, const conversion *c, const uint8_t *rows, size_t n,
                              size_t group)
{
  float widened[PACKED_COLUMNS][WIDENED] = {{0}}, tile[BLOCK_ELEMENTS][PACKED_COLUMNS];
  size_t size = element_size(c->from), n_blocks = packed_blocks(c->to.n_in);
  for (size_t input = 0; input < c->n_columns; input += WIDENED) {
    size_t n_inputs = smaller(c->n_columns - input, WIDENED);
    if (n_inputs < WIDENED)
      memset(widened, 0, sizeof widened);
    for (size_t o = 0; o < n; o++)
      widen(k, widened[o], rows + (o * c->n_columns + input) * size, c->from, n_inputs);
    for (size_t at = 0; at < n_inputs; at += BLOCK_ELEMENTS) {
      for (size_t i = 0; i < BLOCK_ELEMENTS; i++)
        for (size_t o = 0; o < PACKED_COLUMNS; o++)
          tile[i][o] = widened[o][at + i];
      k->pack_block[c->to.type](tile[0], group_at(c, group), n_blocks,
                                (input + at) / BLOCK_ELEMENTS);
    }
  }
}

static void pack_rows(const kernels *k, const conversion *c, const uint8_t *rows, size_t first,
                      size_t n)
{
  size_t step = conversion_granularity(c), row_size = c->n_columns * element_size(c->from);
  for (size_t i = 0; i < n; i += step) {
    const uint8_t *part = rows + i * row_size;
    size_t n_rows = smaller(n - i, step), place = (first + i) / step;
    if (c->from_layout == LAYOUT_IN_OUT) {
      pack_input_block(k, c, part, n_rows, place);
    } else {
      pack_output_group(k, c, part, n_rows, place);
      clear_padding(c, place);
    }
  }
  size_t n_groups = (c->to.n_out + PACKED_COLUMNS - 1) / PACKED_COLUMNS;
  for (size_t group = 0; c->from_layout == LAYOUT_IN_OUT && first == 0 && group < n_groups; group++)
    clear_padding(c, group);
}

/* ---- Either ---- */

size_t conversion_granularity(const conversion *c)
{
  if (c->to.layout != LAYOUT_PACKED)
    return 1;
  return c->from_layout == LAYOUT_IN_OUT ? BLOCK_ELEMENTS : PACKED_COLUMNS;
}

void convert_rows(const kernels *k, const conversion *c, const void *rows, size_t first, size_t n)
{
  if (c->to.layout == LAYOUT_PACKED)
    pack_rows(k, c, rows, first, n);
  else
    convert_elements(k, c, rows,
                     (uint8_t *)c->data + first * c->n_columns * element_size(c->to.type),
                     n * c->n_columns);
}

bool matrix_size(const matrix *m, size_t *size)
{
  if (m->layout == LAYOUT_PACKED)
    return packed_size(m->type, m->n_in, m->n_out, size);
  return mul_size(size, m->n_in, m->n_out) && mul_size(size, *size, element_size(m->type));
}
