/* scalar_products.c - products of rows with weights as plain C: what every instruction set must
 * agree with.
 *
 * Weights (in, out) are added input by input: the loop over the outputs is the inner one, so that a
 * compiler can make vectors of it without changing a bit. Weights (out, in) are summed in LANES
 * interleaved partial sums for the same reason, and so that rounding errors grow with n / LANES. */
#include "kernels/lanes.h"
#include "kernels/packed.h"

#include <string.h>

static inline float same_f32(float value)
{
  return value;
}

/* ---- Rows ---- */

static void pack_rows(const float *x, size_t x_stride, size_t n_rows, size_t n_in, float *packed,
                      size_t width)
{
  for (size_t place = 0; place < n_in; place++, packed += width)
    for (size_t r = 0; r < width; r++)
      packed[r] = r < n_rows ? x[r * x_stride + strip_input(place, n_in)] : 0.0f;
}

/* ---- Weights as they are stored ----
 * The same text for each element type, as there is one loop and three ways to read a weight. */

#define DEFINE_PRODUCTS(type, element, widen)                                                      \
  static void in_out_##type(const float *x, size_t x_stride, size_t n_rows, const void *weights,   \
                            size_t w_stride, size_t n_in, size_t n_out, float *y, size_t y_stride) \
  {                                                                                                \
    const element *w = weights;                                                                    \
    for (size_t place = 0; place < n_in; place++)                                                  \
      for (size_t r = 0; r < n_rows; r++)                                                          \
        for (size_t j = 0; j < n_out; j++)                                                         \
          y[r * y_stride + j] +=                                                                   \
              x[place * x_stride + r] * widen(w[strip_input(place, n_in) * w_stride + j]);         \
  }                                                                                                \
                                                                                                   \
  static float dot_##type(const float *x, const element *w, size_t n)                              \
  {                                                                                                \
    float lane[LANES] = {0};                                                                       \
    size_t i = 0;                                                                                  \
    for (; i + LANES <= n; i += LANES)                                                             \
      for (int l = 0; l < LANES; l++)                                                              \
        lane[l] += x[i + l] * widen(w[i + l]);                                                     \
    for (int l = 0; i + l < n; l++)                                                                \
      lane[l] += x[i + l] * widen(w[i + l]);                                                       \
    return sum_of_lanes(lane);                                                                     \
  }                                                                                                \
                                                                                                   \
  static void out_in_##type(const float *x, size_t x_stride, size_t n_rows, const void *weights,   \
                            size_t n_in, size_t n_out, float *y, size_t y_stride)                  \
  {                                                                                                \
    const element *w = weights;                                                                    \
    for (size_t j = 0; j < n_out; j++)                                                             \
      for (size_t r = 0; r < n_rows; r++)                                                          \
        y[r * y_stride + j] += dot_##type(x + r * x_stride, w + j * n_in, n_in);                   \
  }

DEFINE_PRODUCTS(f32, float, same_f32)
DEFINE_PRODUCTS(f16, uint16_t, f16_to_f32)
DEFINE_PRODUCTS(bf16, uint16_t, bf16_to_f32)

/* ---- Strips ---- */

enum { STRIP_COLUMNS = 16, STRIP_ROWS = 4 };

static void put_sum(const destination *to, size_t row, size_t column, float sum)
{
  float *y = to->y + row * to->stride + column;
  *y = to->start ? to->start[row * to->start_stride + column] + sum : sum;
}

static void strip(const float *x, size_t n_rows, const float *w, size_t n_in, size_t n_out,
                  const destination *to)
{
  for (size_t r = 0; r < n_rows; r++) {
    float sum[STRIP_COLUMNS] = {0};
    for (size_t i = 0; i < n_in; i++)
      for (size_t j = 0; j < STRIP_COLUMNS; j++)
        sum[j] += x[i * STRIP_ROWS + r] * w[i * STRIP_COLUMNS + j];
    for (size_t j = 0; j < n_out; j++)
      put_sum(to, r, j, sum[j]);
  }
}

/* ---- Packed weights ---- */

/* The weight of input `i` of the block in a group's column, as a small integer. */
static int32_t q8_0_weight(const uint8_t *quads, size_t i, size_t column)
{
  return (int32_t)quads[(i / 4 * PACKED_COLUMNS + column) * 4 + i % 4] - 128;
}

static int32_t q4_0_weight(const uint8_t *quads, size_t i, size_t column)
{
  uint8_t pair = quads[(i / 4 % 4 * PACKED_COLUMNS + column) * 4 + i % 4];
  return (int32_t)(i < BLOCK_ELEMENTS / 2 ? pair & 15 : pair >> 4) - 8;
}

/* The sum over all blocks of one column for one row. */
static float packed_dot(element_type type, const quantized_rows *x, size_t row, const void *group,
                        size_t column)
{
  const uint16_t *scales = packed_scales(group, type, x->n_blocks);
  float sum = 0.0f;
  for (size_t b = 0; b < x->n_blocks; b++) {
    const uint8_t *quads = (const uint8_t *)group + b * packed_block_size(type);
    const int8_t *q = x->q + (row * x->n_blocks + b) * BLOCK_ELEMENTS;
    int32_t exact = 0;
    for (size_t i = 0; i < BLOCK_ELEMENTS; i++)
      exact += q[i] * (type == ELEMENT_Q8_0 ? q8_0_weight : q4_0_weight)(quads, i, column);
    float scale = f16_to_f32(scales[b * PACKED_COLUMNS + column]) * x->scale[row * x->n_blocks + b];
    sum += (float)exact * scale;
  }
  return sum;
}

static void multiply_packed(element_type type, const quantized_rows *x, size_t n_rows,
                            const void *groups, size_t n_out, const destination *to)
{
  size_t group_size = packed_group_size(type, x->n_blocks);
  for (size_t j = 0; j < n_out; j++)
    for (size_t r = 0; r < n_rows; r++)
      put_sum(to, r, j,
              packed_dot(type, x, r, (const uint8_t *)groups + j / PACKED_COLUMNS * group_size,
                         j % PACKED_COLUMNS));
}

static void product_q8_0(const quantized_rows *x, size_t n_rows, const void *groups, size_t n_out,
                         const destination *to, int16_t *panel)
{
  (void)panel;
  multiply_packed(ELEMENT_Q8_0, x, n_rows, groups, n_out, to);
}

static void product_q4_0(const quantized_rows *x, size_t n_rows, const void *groups, size_t n_out,
                         const destination *to, int16_t *panel)
{
  (void)panel;
  multiply_packed(ELEMENT_Q4_0, x, n_rows, groups, n_out, to);
}

void kernels_scalar_products(kernels *table)
{
  table->pack_rows = pack_rows;
  table->product_in_out[ELEMENT_F32] = in_out_f32;
  table->product_in_out[ELEMENT_F16] = in_out_f16;
  table->product_in_out[ELEMENT_BF16] = in_out_bf16;
  table->product_out_in[ELEMENT_F32] = out_in_f32;
  table->product_out_in[ELEMENT_F16] = out_in_f16;
  table->product_out_in[ELEMENT_BF16] = out_in_bf16;
  table->product_strip = strip;
  table->strip_columns = STRIP_COLUMNS;
  table->strip_rows = STRIP_ROWS;
  table->own_rows = 32;
  table->wide_rows = SIZE_MAX;
  table->product_packed[ELEMENT_Q8_0] = product_q8_0;
  table->product_packed[ELEMENT_Q4_0] = product_q4_0;
}
