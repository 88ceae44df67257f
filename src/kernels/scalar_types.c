/* scalar_types.c - rows and blocks from one element type to another as plain C.
 *
 * Like scalar.c, this file is also the first version of every instruction set: a file that includes
 * it has these functions compiled for its registers. */
#include "kernels/packed.h"

#include <math.h>
#include <string.h>

#include "kernels/math.h"

/* ---- Whole rows ---- */

static void f32_to_f32(float *to, const void *from, size_t n)
{
  memcpy(to, from, n * sizeof *to);
}

static void row_f16_to_f32(float *to, const void *from, size_t n)
{
  const uint8_t *bytes = from;
  for (size_t i = 0; i < n; i++) {
    uint16_t half;
    memcpy(&half, bytes + i * sizeof half, sizeof half);
    to[i] = f16_to_f32(half);
  }
}

static void row_bf16_to_f32(float *to, const void *from, size_t n)
{
  const uint8_t *bytes = from;
  for (size_t i = 0; i < n; i++) {
    uint16_t upper;
    memcpy(&upper, bytes + i * sizeof upper, sizeof upper);
    to[i] = bf16_to_f32(upper);
  }
}

static void f32_from_f32(void *to, const float *from, size_t n)
{
  memcpy(to, from, n * sizeof *from);
}

static void row_f16_from_f32(void *to, const float *from, size_t n)
{
  uint8_t *bytes = to;
  for (size_t i = 0; i < n; i++) {
    uint16_t half = f16_from_f32(from[i]);
    memcpy(bytes + i * sizeof half, &half, sizeof half);
  }
}

static void row_bf16_from_f32(void *to, const float *from, size_t n)
{
  uint8_t *bytes = to;
  for (size_t i = 0; i < n; i++) {
    uint16_t upper = bf16_from_f32(from[i]);
    memcpy(bytes + i * sizeof upper, &upper, sizeof upper);
  }
}

/* ---- Rows to int8 ---- */

/* The nearest integer, of equally near ones the even; |x| < 2^22. */
static inline float nearest(float x)
{
  const float magic = 0x1.8p23f; /* in a sum with it the last bit is worth 1 */
  return (x + magic) - magic;
}

/* Floats without their sign, as integers, have the order of their magnitudes, with infinity and NaN
 * as the greatest: so the greatest integer is the greatest magnitude, or not finite where any is
 * not. Compilers make vectors of it, which they may not of a sum of floats. */
static void quantize_block(const float *x, int8_t *q, float *scale, int32_t *sum)
{
  int32_t greatest = 0, total = 0;
  for (int i = 0; i < BLOCK_ELEMENTS; i++) {
    int32_t magnitude = (int32_t)(bits_of_float(x[i]) & 0x7fffffff);
    greatest = magnitude > greatest ? magnitude : greatest;
  }
  float step = float_from_bits((uint32_t)greatest) / 127.0f;
  /* A step below the normal floats has no inverse: such a block is as good as zero. */
  bool finite = greatest < 0x7f800000, any = finite && step >= 0x1p-126f;
  float inverse = any ? 1.0f / step : 0.0f;
  for (int i = 0; i < BLOCK_ELEMENTS; i++) {
    int32_t rounded = (int32_t)nearest(any ? x[i] * inverse : 0.0f);
    q[i] = (int8_t)rounded;
    total += rounded;
  }
  *scale = !finite ? NAN : any ? step : 0.0f;
  *sum = total;
}

static void quantize_row(const float *x, size_t n, int8_t *q, float *scale, int32_t *sum)
{
  size_t whole = n / BLOCK_ELEMENTS, rest = n % BLOCK_ELEMENTS;
  for (size_t b = 0; b < whole; b++)
    quantize_block(x + b * BLOCK_ELEMENTS, q + b * BLOCK_ELEMENTS, &scale[b], &sum[b]);
  if (rest > 0) {
    float last[BLOCK_ELEMENTS] = {0};
    memcpy(last, x + whole * BLOCK_ELEMENTS, rest * sizeof *last);
    quantize_block(last, q + whole * BLOCK_ELEMENTS, &scale[whole], &sum[whole]);
  }
}

static void widen_quads(const int8_t *q, size_t n_blocks, int16_t *wide)
{
  enum { QUADS = BLOCK_ELEMENTS / 4 };
  for (size_t b = 0; b < n_blocks; b++, q += BLOCK_ELEMENTS, wide += BLOCK_ELEMENTS)
    for (int k = 0; k < QUADS; k++)
      for (int i = 0; i < 4; i++)
        wide[(i % 2 * QUADS + k) * 2 + i / 2] = q[4 * k + i];
}

/* ---- Blocks of weights ----
 * Inner loops run over the 16 columns of a group: one vector, or two. */

/* Floats without their sign, as integers, have the order of their magnitudes, with NaN as the
 * greatest: so what compilers know as a maximum finds the greatest, and NaN where there is one. */
enum { SIGN = INT32_MIN };

/* The greatest magnitude of each column. */
static void find_magnitude(const float *w, float *greatest)
{
  int32_t most[PACKED_COLUMNS] = {0};
  for (int i = 0; i < BLOCK_ELEMENTS; i++)
    for (int c = 0; c < PACKED_COLUMNS; c++) {
      int32_t magnitude = (int32_t)bits_of_float(w[i * PACKED_COLUMNS + c]) & ~SIGN;
      most[c] = magnitude > most[c] ? magnitude : most[c];
    }
  memcpy(greatest, most, sizeof most);
}

/* The first weight of that magnitude, in columns that have it with either sign. */
static void choose_first(const float *w, const int32_t *above, const int32_t *below,
                         float *greatest)
{
  for (int c = 0; c < PACKED_COLUMNS; c++)
    for (int i = BLOCK_ELEMENTS - 1; i >= 0 && above[c] > 0 && above[c] == below[c]; i--) {
      float value = w[i * PACKED_COLUMNS + c];
      greatest[c] = ((int32_t)bits_of_float(value) & ~SIGN) == above[c] ? value : greatest[c];
    }
}

/* The first weight of greatest magnitude of each column, with its sign; or 0. */
static void find_greatest(const float *w, float *greatest)
{
  int32_t above[PACKED_COLUMNS] = {0}, below[PACKED_COLUMNS] = {0}, ties = 0;
  for (int i = 0; i < BLOCK_ELEMENTS; i++)
    for (int c = 0; c < PACKED_COLUMNS; c++) {
      int32_t positive = (int32_t)bits_of_float(w[i * PACKED_COLUMNS + c]);
      int32_t negative = positive ^ SIGN;
      above[c] = positive > above[c] ? positive : above[c];
      below[c] = negative > below[c] ? negative : below[c];
    }
  for (int c = 0; c < PACKED_COLUMNS; c++) {
    int32_t bits = above[c] >= below[c] ? above[c] : below[c] | SIGN;
    greatest[c] = float_from_bits((uint32_t)bits);
    ties |= above[c] == below[c];
  }
  if (ties)
    choose_first(w, above, below, greatest);
}

/* As ggml's reference does it: the greatest magnitude becomes 127, and halves are rounded away from
 * zero, which cutting does after the addition of the greatest float below a half. A NaN, too,
 * becomes an integer. */
static inline uint32_t to_q8_0(float w, float inverse)
{
  const float half = 0x1.fffffep-2f;
  float q = w * inverse;
  q = q + (q < 0.0f ? -half : half); /* below 128 */
  q = q > -128.0f ? q : -127.0f;
  return (uint32_t)((int32_t)q + 128);
}

static void pack_q8_0(const float *w, void *group, size_t n_blocks, size_t block)
{
  float greatest[PACKED_COLUMNS], inverse[PACKED_COLUMNS];
  uint8_t *quads = (uint8_t *)group + block * packed_block_size(ELEMENT_Q8_0);
  uint16_t *scales = packed_scales(group, ELEMENT_Q8_0, n_blocks) + block * PACKED_COLUMNS;
  find_magnitude(w, greatest);
  for (int c = 0; c < PACKED_COLUMNS; c++) {
    float step = greatest[c] / 127.0f;
    scales[c] = f16_from_f32(step);
    inverse[c] = step >= 0x1p-126f ? 1.0f / step : 0.0f;
  }
  for (int quad = 0; quad < BLOCK_ELEMENTS / 4; quad++) {
    uint32_t words[PACKED_COLUMNS] = {0}; /* a column's four bytes, the lowest first in memory */
    for (int i = 0; i < 4; i++)
      for (int c = 0; c < PACKED_COLUMNS; c++)
        words[c] |= to_q8_0(w[(quad * 4 + i) * PACKED_COLUMNS + c], inverse[c]) << 8 * i;
    memcpy(quads + quad * sizeof words, words, sizeof words);
  }
}

/* Likewise: the weight of greatest magnitude becomes -8, whatever its sign. */
static inline uint32_t to_q4_0(float w, float inverse)
{
  float q = w * inverse + 8.5f;
  q = q > 0.0f ? q : 0.0f;
  q = q < 15.5f ? q : 15.0f;
  return (uint32_t)(int32_t)q;
}

static void pack_q4_0(const float *w, void *group, size_t n_blocks, size_t block)
{
  enum { HALF = BLOCK_ELEMENTS / 2 };
  float greatest[PACKED_COLUMNS], inverse[PACKED_COLUMNS];
  uint8_t *quads = (uint8_t *)group + block * packed_block_size(ELEMENT_Q4_0);
  uint16_t *scales = packed_scales(group, ELEMENT_Q4_0, n_blocks) + block * PACKED_COLUMNS;
  find_greatest(w, greatest);
  for (int c = 0; c < PACKED_COLUMNS; c++) {
    float step = greatest[c] / -8.0f;
    float magnitude = float_from_bits(bits_of_float(step) & 0x7fffffff);
    scales[c] = f16_from_f32(step);
    inverse[c] = magnitude >= 0x1p-126f ? 1.0f / step : 0.0f;
  }
  for (int quad = 0; quad < HALF / 4; quad++) {
    uint32_t words[PACKED_COLUMNS] = {0};
    for (int i = 0; i < 4; i++)
      for (int c = 0; c < PACKED_COLUMNS; c++) {
        const float *low = w + (quad * 4 + i) * PACKED_COLUMNS, *high = low + HALF * PACKED_COLUMNS;
        words[c] |= (to_q4_0(low[c], inverse[c]) | to_q4_0(high[c], inverse[c]) << 4) << 8 * i;
      }
    memcpy(quads + quad * sizeof words, words, sizeof words);
  }
}

static void unpack_q8_0(const void *group, size_t n_blocks, size_t block, float *w)
{
  const uint8_t *quads = (const uint8_t *)group + block * packed_block_size(ELEMENT_Q8_0);
  const uint16_t *scales = packed_scales(group, ELEMENT_Q8_0, n_blocks) + block * PACKED_COLUMNS;
  float scale[PACKED_COLUMNS];
  row_f16_to_f32(scale, scales, PACKED_COLUMNS);
  for (int i = 0; i < BLOCK_ELEMENTS; i++)
    for (int c = 0; c < PACKED_COLUMNS; c++) {
      int32_t q = (int32_t)quads[(i / 4 * PACKED_COLUMNS + c) * 4 + i % 4] - 128;
      w[i * PACKED_COLUMNS + c] = (float)q * scale[c];
    }
}

static void unpack_q4_0(const void *group, size_t n_blocks, size_t block, float *w)
{
  const uint8_t *quads = (const uint8_t *)group + block * packed_block_size(ELEMENT_Q4_0);
  const uint16_t *scales = packed_scales(group, ELEMENT_Q4_0, n_blocks) + block * PACKED_COLUMNS;
  float scale[PACKED_COLUMNS];
  row_f16_to_f32(scale, scales, PACKED_COLUMNS);
  for (int i = 0; i < BLOCK_ELEMENTS; i++)
    for (int c = 0; c < PACKED_COLUMNS; c++) {
      uint8_t pair = quads[(i / 4 % 4 * PACKED_COLUMNS + c) * 4 + i % 4];
      int32_t q = (int32_t)(i < BLOCK_ELEMENTS / 2 ? pair & 15 : pair >> 4) - 8;
      w[i * PACKED_COLUMNS + c] = (float)q * scale[c];
    }
}

/* What this compilation is called: an instruction set defines it before it includes this file. */
#ifndef KERNELS_FILL_TYPES
#define KERNELS_FILL_TYPES kernels_scalar_types
#endif

void KERNELS_FILL_TYPES(kernels *table);

void KERNELS_FILL_TYPES(kernels *table)
{
  table->to_f32[ELEMENT_F32] = f32_to_f32;
  table->to_f32[ELEMENT_F16] = row_f16_to_f32;
  table->to_f32[ELEMENT_BF16] = row_bf16_to_f32;
  table->from_f32[ELEMENT_F32] = f32_from_f32;
  table->from_f32[ELEMENT_F16] = row_f16_from_f32;
  table->from_f32[ELEMENT_BF16] = row_bf16_from_f32;
  table->quantize_row = quantize_row;
  table->widen_quads = widen_quads;
  table->pack_block[ELEMENT_Q8_0] = pack_q8_0;
  table->pack_block[ELEMENT_Q4_0] = pack_q4_0;
  table->unpack_block[ELEMENT_Q8_0] = unpack_q8_0;
  table->unpack_block[ELEMENT_Q4_0] = unpack_q4_0;
}
