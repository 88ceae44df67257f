/* packed_avx2.h - products with packed weights for AVX2, whose vpmaddubsw multiplies unsigned by
 * signed bytes and adds the products two by two, but cuts a sum that does not fit 16 bits.
 *
 * No sum here can reach that. q8_0: |w| <= 128 with sign(w) x makes at most 2 * 128 * 127 = 32512.
 * q4_0: nibbles are up to 15 and x up to 127, so that a block's eight pairs of one lane make at
 * most 8 * 2 * 15 * 127 = 30480 and are added as they are; the 8 that is in every nibble is taken
 * off the block's sum.
 *
 * With many rows q8_0 is faster as int16, after weights have been widened once for all rows: two
 * times vpmaddwd and an addition for 32 products. As bytes these take vpsignb, vpmaddubsw, vpmaddwd
 * and an addition, and of Intel's three vector ports only two do the first three of them. */
#ifndef KERNELS_PACKED_AVX2_H
#define KERNELS_PACKED_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/packed.h"

/* A tile: rows and registers of 8 columns whose sums are kept at once. One row takes more columns,
 * so that several places of memory are read at a time. */
enum { PACKED_ROWS = 4, ROW_VECTORS = 2, LONE_VECTORS = 8 };

/* The rows of a tile of int16, whose sums and totals and operands fill all registers; and how many
 * make it worth widening weights for them. */
enum { WIDE_TILE = 3, WIDE_ROWS = 16 };

/* Registers that hold the quads of a group's 16 columns. */
enum { GROUP_VECTORS = 2 };

/* Bytes that are asked for ahead of those in use. */
enum { PACKED_AHEAD = 1536 };

/* What a tile works on. */
typedef struct packed_tile {
  const quantized_rows *x;
  size_t row;
  const uint8_t *groups;
  size_t group_size;
  size_t n_columns; /* from the first group on that exist */
  destination to;
  const __m256i *panel; /* (n_blocks, 16, GROUP_VECTORS) the first group as int16 */
} packed_tile;

/* How the sums of a block are found. */
typedef enum packed_way { BYTES_Q8_0, BYTES_Q4_0, WIDE_Q8_0 } packed_way;

typedef __m256i block_sums[PACKED_ROWS][LONE_VECTORS];

/* Where a row's block is among the scales and sums of all. */
static inline size_t block_of_row(const packed_tile *t, int r, size_t block)
{
  return (t->row + (size_t)r) * t->x->n_blocks + block;
}

/* The inputs of quad `k` of a row's block, in every lane. */
static inline __m256i quad_of_row(const packed_tile *t, int r, size_t block, int k)
{
  int32_t quad;
  memcpy(&quad, t->x->q + block_of_row(t, r, block) * BLOCK_ELEMENTS + 4 * k, sizeof quad);
  return _mm256_set1_epi32(quad);
}

/* 32 bytes of quads for 8 columns: the `k`-th of `n` of a block. */
static inline __m256i quads_of_columns(const packed_tile *t, int v, size_t block, int n, int k)
{
  const uint8_t *group = t->groups + (size_t)(v / GROUP_VECTORS) * t->group_size;
  const uint8_t *at =
      group + ((block * (size_t)n + (size_t)k) * GROUP_VECTORS + (size_t)(v % GROUP_VECTORS)) * 32;
  return _mm256_loadu_si256((const __m256i *)at);
}

/* Asks for the quads that come a while after these. */
static inline void prefetch_quads(const packed_tile *t, int vectors, size_t block, int n, int k)
{
  for (int g = 0; g < vectors / GROUP_VECTORS; g++)
    _mm_prefetch((const char *)(t->groups + (size_t)g * t->group_size) +
                     (block * (size_t)n + (size_t)k) * 64 + PACKED_AHEAD,
                 _MM_HINT_T0);
}

/* The block's exact sums with q8_0 weights. */
static inline __attribute__((always_inline)) void
sum_q8_0(const packed_tile *t, int rows, int vectors, size_t block, block_sums sum)
{
  const __m256i ones = _mm256_set1_epi16(1), offset = _mm256_set1_epi8(-128);
  for (int k = 0; k < 8; k++) {
    __m256i weight[LONE_VECTORS], magnitude[LONE_VECTORS];
    if (rows == 1)
      prefetch_quads(t, vectors, block, 8, k);
    for (int v = 0; v < vectors; v++) {
      weight[v] = _mm256_xor_si256(quads_of_columns(t, v, block, 8, k), offset);
      magnitude[v] = _mm256_abs_epi8(weight[v]);
    }
    for (int r = 0; r < rows; r++) {
      __m256i x = quad_of_row(t, r, block, k);
      for (int v = 0; v < vectors; v++) {
        __m256i pairs = _mm256_maddubs_epi16(magnitude[v], _mm256_sign_epi8(x, weight[v]));
        __m256i quad = _mm256_madd_epi16(pairs, ones);
        sum[r][v] = k == 0 ? quad : _mm256_add_epi32(sum[r][v], quad);
      }
    }
  }
}

/* Adds the products of four quads, those in the high nibbles or those in the low ones, which come
 * first. */
static inline __attribute__((always_inline)) void
add_nibbles(const packed_tile *t, int rows, int vectors, size_t block, bool high, block_sums pairs)
{
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int k = 0; k < 4; k++) {
    __m256i weight[LONE_VECTORS];
    if (rows == 1 && !high)
      prefetch_quads(t, vectors, block, 4, k);
    for (int v = 0; v < vectors; v++) {
      __m256i both = quads_of_columns(t, v, block, 4, k);
      weight[v] = _mm256_and_si256(high ? _mm256_srli_epi16(both, 4) : both, nibble);
    }
    for (int r = 0; r < rows; r++) {
      __m256i x = quad_of_row(t, r, block, high ? k + 4 : k);
      for (int v = 0; v < vectors; v++) {
        __m256i products = _mm256_maddubs_epi16(weight[v], x);
        pairs[r][v] = !high && k == 0 ? products : _mm256_add_epi16(pairs[r][v], products);
      }
    }
  }
}

/* The block's exact sums with q4_0 weights. */
static inline __attribute__((always_inline)) void
sum_q4_0(const packed_tile *t, int rows, int vectors, size_t block, block_sums sum)
{
  const __m256i ones = _mm256_set1_epi16(1);
  add_nibbles(t, rows, vectors, block, false, sum);
  add_nibbles(t, rows, vectors, block, true, sum);
  for (int r = 0; r < rows; r++) {
    __m256i inputs = _mm256_set1_epi32(t->x->sum[block_of_row(t, r, block)]);
    __m256i eights = _mm256_slli_epi32(inputs, 3);
    for (int v = 0; v < vectors; v++)
      sum[r][v] = _mm256_sub_epi32(_mm256_madd_epi16(sum[r][v], ones), eights);
  }
}

/* ---- int16 ---- */

/* A group's weights, in the order of widen_quads. */
static void widen_group(const uint8_t *group, size_t n_blocks, __m256i *panel)
{
  const __m256i offset = _mm256_set1_epi8(-128);
  for (size_t b = 0; b < n_blocks; b++, panel += 16 * GROUP_VECTORS)
    for (int i = 0; i < 8 * GROUP_VECTORS; i++, group += 32) {
      __m256i quads = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)group), offset);
      panel[i] = _mm256_srai_epi16(_mm256_slli_epi16(quads, 8), 8);
      panel[i + 8 * GROUP_VECTORS] = _mm256_srai_epi16(quads, 8);
    }
}

/* Pair `k` of a row's block, in every lane. */
static inline __m256i pair_of_row(const packed_tile *t, int r, size_t block, int k)
{
  int32_t pair;
  memcpy(&pair, t->x->wide + block_of_row(t, r, block) * BLOCK_ELEMENTS + 2 * k, sizeof pair);
  return _mm256_set1_epi32(pair);
}

/* Keeps the compiler from adding in another order, for which it would set products aside in
 * memory. */
static inline __m256i in_order(__m256i sum)
{
  __asm__("" : "+x"(sum));
  return sum;
}

/* The block's exact sums with the first group's q8_0 weights. */
static inline __attribute__((always_inline)) void sum_wide(const packed_tile *t, int rows,
                                                           size_t block, block_sums sum)
{
  const __m256i *panel = t->panel + block * 16 * GROUP_VECTORS;
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < GROUP_VECTORS; v++)
      sum[r][v] = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (int k = 0; k < 16; k++)
    for (int r = 0; r < rows; r++) {
      __m256i x = pair_of_row(t, r, block, k);
      for (int v = 0; v < GROUP_VECTORS; v++) {
        __m256i products = _mm256_madd_epi16(x, panel[k * GROUP_VECTORS + v]);
        sum[r][v] = in_order(_mm256_add_epi32(sum[r][v], products));
      }
    }
}

/* ---- Tiles ---- */

/* total += sum * scale of the column * scale of the row */
static inline __attribute__((always_inline)) void add_block(const packed_tile *t, element_type type,
                                                            int rows, int vectors, size_t block,
                                                            block_sums sum,
                                                            vector total[PACKED_ROWS][LONE_VECTORS])
{
  for (int v = 0; v < vectors; v++) {
    const uint8_t *group = t->groups + (size_t)(v / GROUP_VECTORS) * t->group_size;
    const uint16_t *scales = packed_scales(group, type, t->x->n_blocks) + block * PACKED_COLUMNS +
                             (size_t)(v % GROUP_VECTORS) * VECTOR;
    if (rows == 1 && v % GROUP_VECTORS == 0 && block % SCALE_BLOCKS == 0)
      prefetch_scales(scales, (size_t)(vectors / GROUP_VECTORS) * t->group_size);
    vector of_columns = vector_load_f16(scales);
    for (int r = 0; r < rows; r++) {
      vector of_row = vector_all(t->x->scale[block_of_row(t, r, block)]);
      vector scale = vector_multiply(of_columns, of_row);
      total[r][v] = vector_fma(_mm256_cvtepi32_ps(sum[r][v]), scale, total[r][v]);
    }
  }
}

/* The first n columns of a sum. */
static inline void put_sum(destination to, vector total, size_t n)
{
  if (n >= VECTOR)
    vector_store(to.y, to.start ? vector_add(vector_load_f32(to.start), total) : total);
  else if (n > 0)
    vector_store_part(to.y, to.start ? vector_add(vector_load_f32_part(to.start, n), total) : total,
                      n);
}

static inline __attribute__((always_inline)) void
run_packed_tile(const packed_tile *t, packed_way way, int rows, int vectors)
{
  const element_type type = way == BYTES_Q4_0 ? ELEMENT_Q4_0 : ELEMENT_Q8_0;
  vector total[PACKED_ROWS][LONE_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      total[r][v] = vector_zero();
  for (size_t block = 0; block < t->x->n_blocks; block++) {
    block_sums sum;
    if (way == WIDE_Q8_0)
      sum_wide(t, rows, block, sum);
    else if (way == BYTES_Q8_0)
      sum_q8_0(t, rows, vectors, block, sum);
    else
      sum_q4_0(t, rows, vectors, block, sum);
    add_block(t, type, rows, vectors, block, sum, total);
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) {
      size_t first = (size_t)v * VECTOR;
      if (first < t->n_columns)
        put_sum(destination_at(&t->to, (size_t)r, first), total[r][v], t->n_columns - first);
    }
}

/* All rows against one group. */
static inline __attribute__((always_inline)) void run_packed_rows(packed_tile *t, packed_way way,
                                                                  size_t n_rows)
{
  const destination to = t->to;
  const size_t most = way == WIDE_Q8_0 ? WIDE_TILE : PACKED_ROWS;
  for (size_t r = 0; r < n_rows;) {
    t->row = r;
    t->to = destination_at(&to, r, 0);
    if (n_rows - r >= most) {
      run_packed_tile(t, way, (int)most, ROW_VECTORS);
      r += most;
    } else if (n_rows - r >= 2) {
      run_packed_tile(t, way, 2, ROW_VECTORS);
      r += 2;
    } else {
      run_packed_tile(t, way, 1, ROW_VECTORS);
      r++;
    }
  }
}

static void multiply_wide(const quantized_rows *x, size_t n_rows, const uint8_t *groups,
                          size_t n_out, const destination *to, __m256i *panel)
{
  packed_tile t = {.x = x, .panel = panel};
  t.group_size = packed_group_size(ELEMENT_Q8_0, x->n_blocks);
  for (size_t j = 0; j < n_out; j += PACKED_COLUMNS) {
    t.groups = groups + j / PACKED_COLUMNS * t.group_size;
    t.n_columns = n_out - j;
    t.to = destination_at(to, 0, j);
    widen_group(t.groups, x->n_blocks, panel);
    run_packed_rows(&t, WIDE_Q8_0, n_rows);
  }
}

static inline __attribute__((always_inline)) void
multiply_packed(packed_way way, const quantized_rows *x, size_t n_rows, const uint8_t *groups,
                size_t n_out, const destination *to)
{
  enum { LONE_COLUMNS = LONE_VECTORS * VECTOR };
  const element_type type = way == BYTES_Q4_0 ? ELEMENT_Q4_0 : ELEMENT_Q8_0;
  packed_tile t = {.x = x};
  t.group_size = packed_group_size(type, x->n_blocks);
  size_t j = 0;
  for (; n_rows == 1 && j + LONE_COLUMNS <= n_out; j += LONE_COLUMNS) {
    t.groups = groups + j / PACKED_COLUMNS * t.group_size;
    t.n_columns = LONE_COLUMNS;
    t.to = destination_at(to, 0, j);
    run_packed_tile(&t, way, 1, LONE_VECTORS);
  }
  for (; j < n_out; j += PACKED_COLUMNS) {
    t.groups = groups + j / PACKED_COLUMNS * t.group_size;
    t.n_columns = n_out - j;
    t.to = destination_at(to, 0, j);
    run_packed_rows(&t, way, n_rows);
  }
}

static void product_q8_0(const quantized_rows *x, size_t n_rows, const void *groups, size_t n_out,
                         const destination *to, int16_t *panel)
{
  if (x->wide)
    multiply_wide(x, n_rows, groups, n_out, to, (__m256i *)panel);
  else
    multiply_packed(BYTES_Q8_0, x, n_rows, groups, n_out, to);
}

static void product_q4_0(const quantized_rows *x, size_t n_rows, const void *groups, size_t n_out,
                         const destination *to, int16_t *panel)
{
  (void)panel;
  multiply_packed(BYTES_Q4_0, x, n_rows, groups, n_out, to);
}

static void fill_packed_products(kernels *table)
{
  table->product_packed[ELEMENT_Q8_0] = product_q8_0;
  table->product_packed[ELEMENT_Q4_0] = product_q4_0;
  table->wide_rows = WIDE_ROWS;
}

#endif
