/* widen.c - weights (in, out) as f32, in panels for the products that want them so. */
#include "kernels/widen.h"

#include <string.h>

#include "kernels/packed.h"

/* Where the weights of an input go: to (n_in, stride), in the order of a strip or in their own. */
typedef struct place {
  float *to;
  size_t n_in, stride;
  bool strip;
} place;

static float *place_of(const place *p, size_t i)
{
  return p->to + (p->strip ? strip_place(i, p->n_in) : i) * p->stride;
}

/* Packed columns as f32, from input `first` on, which begins a block. */
static void unpack(const tiling *t, size_t first, size_t column, size_t n_columns, const place *p)
{
  const matrix *weight = t->work->weight;
  size_t n_blocks = packed_blocks(weight->n_in), size = packed_group_size(weight->type, n_blocks);
  float block[BLOCK_ELEMENTS * PACKED_COLUMNS];
  for (size_t j = 0, some; j < n_columns; j += some) {
    size_t within = (column + j) % PACKED_COLUMNS;
    const uint8_t *group = (const uint8_t *)weight->data + (column + j) / PACKED_COLUMNS * size;
    some = smaller(PACKED_COLUMNS - within, n_columns - j);
    for (size_t i = 0; i < p->n_in; i += BLOCK_ELEMENTS) {
      t->kernel->unpack_block[weight->type](group, n_blocks, (first + i) / BLOCK_ELEMENTS, block);
      for (size_t k = 0; k < smaller(BLOCK_ELEMENTS, p->n_in - i); k++)
        memcpy(place_of(p, i + k) + j, block + k * PACKED_COLUMNS + within, some * sizeof *p->to);
    }
  }
}

/* Weights of input i of the product and some columns, as f32. */
static void widen_input(const tiling *t, size_t i, size_t column, size_t n_columns, float *to)
{
  const matrix *weight = t->work->weight;
  const uint8_t *w = weight->data;
  t->kernel->to_f32[weight->type](to, w + (i * weight->n_out + column) * element_size(weight->type),
                                  n_columns);
}

void widen(const tiling *t, size_t first, size_t n_in, size_t column, size_t n_columns, float *to,
           size_t stride)
{
  if (t->work->weight->layout == LAYOUT_PACKED)
    unpack(t, first, column, n_columns, &(place){to, n_in, stride, false});
  else
    for (size_t i = 0; i < n_in; i++)
      widen_input(t, first + i, column, n_columns, to + i * stride);
}

void widen_to_strips(const tiling *t, size_t first, size_t n_in, size_t column, size_t n_columns,
                     float *to)
{
  size_t width = t->kernel->strip_columns;
  bool packed = t->work->weight->layout == LAYOUT_PACKED;
  for (size_t j = 0; packed && j < n_columns; j += width)
    unpack(t, first, column + j, smaller(width, n_columns - j),
           &(place){to + j * n_in, n_in, width, true});
  for (size_t i = 0; !packed && i < n_in; i++)
    for (size_t j = 0; j < n_columns; j += width)
      widen_input(t, first + i, column + j, smaller(width, n_columns - j),
                  to + j * n_in + strip_place(i, n_in) * width);
}

upcoming find_upcoming(const tiling *t, size_t column, size_t n_columns, size_t range)
{
  const matrix *weight = t->work->weight;
  if (weight->layout == LAYOUT_PACKED)
    return (upcoming){.n = 0};
  bool last = range + 1 == t->n_ranges;
  size_t first = last ? 0 : (range + 1) * t->range, size = element_size(weight->type);
  if (last)
    column += n_columns;
  return (upcoming){.w = (const uint8_t *)weight->data + (first * weight->n_out + column) * size,
                    .n = column < weight->n_out ? tiling_inputs(t, last ? 0 : range + 1) : 0,
                    .stride = weight->n_out * size,
                    .size = n_columns * size};
}

void prefetch_weights(const upcoming *next, size_t from, size_t to)
{
  for (size_t i = from; i < to; i++)
    for (size_t at = 0; at < next->size; at += MEMORY_ALIGNMENT)
      __builtin_prefetch(next->w + i * next->stride + at, 0, 2);
}
