/* avx512_bf16.c - products of bf16 rows with bf16 weights for processors with AVX-512 BF16, whose
 * vdpbf16ps adds two products of 16-bit floats to each of 16 sums in f32.
 *
 * It takes subnormal numbers for 0. Every sum is made input by input from 0, whatever tile it is
 * in; then y is added. */
#include "kernels/kernels.h"

#include <immintrin.h>
#include <string.h>

/* Columns of a register, and inputs of one. */
enum { COLUMNS = 16, INPUTS = 32 };

/* Tiles whose sums leave a few of the 32 registers for what is loaded. */
enum { TILE_ROWS = 8, TILE_VECTORS = 3, DOT_ROWS = 6, DOT_COLUMNS = 4 };

/* Places that a lone row's weights are read from at once, and bytes that are asked for ahead. */
enum { STREAMS = 8, AHEAD = 1024 };

static inline __mmask16 first_columns(size_t n)
{
  return n >= COLUMNS ? 0xffff : (__mmask16)((1u << n) - 1);
}

static inline __mmask32 first_inputs(size_t n)
{
  return n >= INPUTS ? 0xffffffff : (__mmask32)((1u << n) - 1);
}

static inline __m512 add_products(__m512 sum, __m512i a, __m512i b)
{
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* ---- w (n_in, n_out), paired ---- */

/* Up to 16 numbers, each in the low half of 32 bits. */
static inline __m512i load_halves(const uint16_t *p, size_t n)
{
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_columns(n), p));
}

static void pair(const uint16_t *w, size_t w_stride, size_t n_in, size_t n_out, uint16_t *panel)
{
  for (size_t i = 0; i < n_in; i += 2, panel += 2 * n_out)
    for (size_t j = 0; j < n_out; j += COLUMNS) {
      const uint16_t *at = w + i * w_stride + j;
      size_t n = n_out - j;
      __m512i first = load_halves(at, n);
      __m512i second = i + 1 < n_in ? load_halves(at + w_stride, n) : _mm512_setzero_si512();
      __m512i both = _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
      _mm512_mask_storeu_epi32(panel + 2 * j, first_columns(n), both);
    }
}

/* What a product of rows with a panel works on. */
typedef struct paired_work {
  const uint16_t *x; /* (rows, n_in) */
  size_t x_stride;
  const uint16_t *panel; /* (n_pairs, n_out, 2), from a column on */
  size_t n_pairs, n_out;
  float *y;
  size_t y_stride;
} paired_work;

/* The inputs of pair `i` of row `r`, in every lane. */
static inline __m512i pair_of_row(const paired_work *work, int r, size_t i)
{
  int32_t both;
  memcpy(&both, work->x + (size_t)r * work->x_stride + 2 * i, sizeof both);
  return _mm512_set1_epi32(both);
}

/* A tile of rows and registers of columns, the last of which has only `n` columns that exist. */
static inline __attribute__((always_inline)) void paired_tile(const paired_work *work, int rows,
                                                              int vectors, size_t n)
{
  __m512 sum[TILE_ROWS][TILE_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      sum[r][v] = _mm512_setzero_ps();
  for (size_t i = 0; i < work->n_pairs; i++) {
    const uint16_t *w = work->panel + i * work->n_out * 2;
    __m512i weight[TILE_VECTORS];
    for (int v = 0; v < vectors; v++)
      weight[v] = n == COLUMNS ? _mm512_loadu_si512(w + v * COLUMNS * 2)
                               : _mm512_maskz_loadu_epi32(first_columns(n), w);
    for (int r = 0; r < rows; r++) {
      __m512i x = pair_of_row(work, r, i);
      for (int v = 0; v < vectors; v++)
        sum[r][v] = add_products(sum[r][v], weight[v], x);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) {
      float *y = work->y + (size_t)r * work->y_stride + v * COLUMNS;
      __m512 before = _mm512_maskz_loadu_ps(first_columns(n), y);
      _mm512_mask_storeu_ps(y, first_columns(n), _mm512_add_ps(before, sum[r][v]));
    }
}

/* All rows against a strip of columns. */
static inline __attribute__((always_inline)) void paired_strip(paired_work work, size_t n_rows,
                                                               int vectors, size_t n)
{
  for (size_t r = 0; r < n_rows;) {
    int rows = n_rows - r >= TILE_ROWS ? TILE_ROWS : n_rows - r >= 2 ? 2 : 1;
    if (rows == TILE_ROWS)
      paired_tile(&work, TILE_ROWS, vectors, n);
    else if (rows == 2)
      paired_tile(&work, 2, vectors, n);
    else
      paired_tile(&work, 1, vectors, n);
    work.x += (size_t)rows * work.x_stride;
    work.y += (size_t)rows * work.y_stride;
    r += (size_t)rows;
  }
}

static void paired(const uint16_t *x, size_t x_stride, size_t n_rows, const uint16_t *panel,
                   size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  paired_work work = {x, x_stride, panel, (n_in + 1) / 2, n_out, y, y_stride};
  size_t wide = TILE_VECTORS * COLUMNS, j = 0;
  for (; j < n_out; j += wide) {
    wide = n_out - j >= TILE_VECTORS * COLUMNS ? TILE_VECTORS * COLUMNS : COLUMNS;
    work.panel = panel + 2 * j;
    work.y = y + j;
    if (wide > COLUMNS)
      paired_strip(work, n_rows, TILE_VECTORS, COLUMNS);
    else if (n_out - j >= COLUMNS)
      paired_strip(work, n_rows, 1, COLUMNS);
    else
      paired_strip(work, n_rows, 1, n_out - j);
  }
}

/* ---- w (n_out, n_in): dot products, whose lanes are added at the end ---- */

/* What a product of rows with columns works on: columns of a tile stand `step` apart. */
typedef struct dot_work {
  const uint16_t *x; /* (rows, n_in) */
  size_t x_stride;
  const uint16_t *w; /* (n_out, n_in), from a column on */
  size_t n_in, step;
  float *y;
  size_t y_stride;
} dot_work;

/* Adds up to 32 inputs from `i` on. */
static inline __attribute__((always_inline)) void add_inputs(const dot_work *work, int rows,
                                                             int columns, size_t i, __mmask32 there,
                                                             __m512 sum[DOT_ROWS][STREAMS])
{
  __m512i weight[STREAMS];
  for (int c = 0; c < columns; c++) {
    const uint16_t *at = work->w + (size_t)c * work->step * work->n_in + i;
    _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
    weight[c] = _mm512_maskz_loadu_epi16(there, at);
  }
  for (int r = 0; r < rows; r++) {
    __m512i x = _mm512_maskz_loadu_epi16(there, work->x + (size_t)r * work->x_stride + i);
    for (int c = 0; c < columns; c++)
      sum[r][c] = add_products(sum[r][c], weight[c], x);
  }
}

static inline __attribute__((always_inline)) void dot_tile(const dot_work *work, int rows,
                                                           int columns)
{
  __m512 sum[DOT_ROWS][STREAMS];
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      sum[r][c] = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + INPUTS <= work->n_in; i += INPUTS)
    add_inputs(work, rows, columns, i, 0xffffffff, sum);
  if (i < work->n_in)
    add_inputs(work, rows, columns, i, first_inputs(work->n_in - i), sum);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      work->y[(size_t)r * work->y_stride + (size_t)c * work->step] +=
          _mm512_reduce_add_ps(sum[r][c]);
}

/* All rows against a few columns. */
static inline __attribute__((always_inline)) void dot_columns(dot_work work, size_t n_rows,
                                                              int columns)
{
  size_t r = 0;
  for (; r + DOT_ROWS <= n_rows; r += DOT_ROWS) {
    dot_tile(&work, DOT_ROWS, columns);
    work.x += DOT_ROWS * work.x_stride;
    work.y += DOT_ROWS * work.y_stride;
  }
  for (; r < n_rows; r++) {
    dot_tile(&work, 1, columns);
    work.x += work.x_stride;
    work.y += work.y_stride;
  }
}

static dot_work from_column(dot_work work, size_t j)
{
  work.w += j * work.n_in;
  work.y += j;
  return work;
}

static void out_in(const uint16_t *x, size_t x_stride, size_t n_rows, const uint16_t *w,
                   size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  size_t columns = n_rows == 1 ? STREAMS : DOT_COLUMNS, step = n_out / columns;
  const dot_work all = {x, x_stride, w, n_in, step, y, y_stride};
  for (size_t j = 0; j < step; j++) {
    dot_work work = from_column(all, j);
    if (n_rows == 1)
      dot_tile(&work, 1, STREAMS);
    else
      dot_columns(work, n_rows, DOT_COLUMNS);
  }
  for (size_t j = step * columns; j < n_out; j++)
    dot_columns(from_column(all, j), n_rows, 1);
}

void kernels_avx512_bf16(kernels *table)
{
  static const bf16_products products = {pair, paired, out_in};
  table->bf16 = &products;
}
