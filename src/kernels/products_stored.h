/* products_stored.h - the products of every stored type, for the instruction set whose
 * vector_....h was included before. */
#ifndef KERNELS_PRODUCTS_STORED_H
#define KERNELS_PRODUCTS_STORED_H

#include <string.h>

#define STREAMS INPUT_STREAMS

/* How many elements ahead of those in use weights are asked for: into the first-level cache, and
 * into the second. */
typedef struct distances {
  size_t near, far;
} distances;

/* The same from column `j` of a row of weights on, behind whose n_out columns the next row's come,
 * w_stride from its own first one. */
static inline distances distances_at(distances d, size_t j, size_t n_out, size_t w_stride)
{
  size_t skipped = w_stride - n_out;
  return (distances){j + d.near < n_out ? d.near : d.near + skipped,
                     j + d.far < n_out ? d.far : d.far + skipped};
}

enum { LONE_ROW_VECTORS = 4 }; /* of columns, of a row alone: 2 and 8 are about as fast */

#define ELEMENT         float
#define OF(name)        name##_f32
#define LOAD(p)         vector_load_f32(p)
#define LOAD_PART(p, n) vector_load_f32_part(p, n)
#include "kernels/products_vectors.h"

#define ELEMENT         uint16_t
#define OF(name)        name##_f16
#define LOAD(p)         vector_load_f16(p)
#define LOAD_PART(p, n) vector_load_f16_part(p, n)
#include "kernels/products_vectors.h"

#define ELEMENT         uint16_t
#define OF(name)        name##_bf16
#define LOAD(p)         vector_load_bf16(p)
#define LOAD_PART(p, n) vector_load_bf16_part(p, n)
#include "kernels/products_vectors.h"

/* ---- Packed rows ---- */

/* to[i][r] = x[r][i], each with a stride: four rows and inputs at a time, and what is left one by
 * one. */
static void transpose(const float *x, size_t x_stride, size_t n_rows, size_t n_in, float *to,
                      size_t to_stride)
{
  for (size_t r = 0, rows; r < n_rows; r += rows) {
    size_t i = 0;
    rows = r + 4 <= n_rows ? 4 : 1;
    for (; rows == 4 && i + 4 <= n_in; i += 4) {
      const float *from = x + r * x_stride + i;
      __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + x_stride);
      __m128 c = _mm_loadu_ps(from + 2 * x_stride), d = _mm_loadu_ps(from + 3 * x_stride);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_storeu_ps(to + i * to_stride + r, a);
      _mm_storeu_ps(to + (i + 1) * to_stride + r, b);
      _mm_storeu_ps(to + (i + 2) * to_stride + r, c);
      _mm_storeu_ps(to + (i + 3) * to_stride + r, d);
    }
    for (; i < n_in; i++)
      for (size_t k = r; k < r + rows; k++)
        to[i * to_stride + k] = x[k * x_stride + i];
  }
}

static void pack_rows(const float *x, size_t x_stride, size_t n_rows, size_t n_in, float *packed,
                      size_t width)
{
  size_t stream = n_in / STREAMS, done = stream * STREAMS;
  if (width == 1) /* the streams of the row are what rows are otherwise */
    transpose(x, stream, STREAMS, stream, packed, STREAMS);
  for (size_t s = 0; width > 1 && s < STREAMS; s++)
    transpose(x + s * stream, x_stride, n_rows, stream, packed + s * width, STREAMS * width);
  transpose(x + done, x_stride, n_rows, n_in - done, packed + done * width, width);
  for (size_t i = 0; n_rows < width && i < n_in; i++)
    memset(packed + i * width + n_rows, 0, (width - n_rows) * sizeof *packed);
}

/* ---- Strips ---- */

enum { STRIP_COLUMNS = TILE_VECTORS * VECTOR };

/* One vector of a sum, or its first `part` columns (0: all of them). */
static inline void put_strip(destination to, vector sum, size_t part)
{
  if (part)
    vector_store_part(to.y, to.start ? vector_add(vector_load_f32_part(to.start, part), sum) : sum,
                      part);
  else
    vector_store(to.y, to.start ? vector_add(vector_load_f32(to.start), sum) : sum);
}

/* start + x . w for the first n_rows of a tile of rows and `vectors` vectors of columns from `j`
 * on, or for one vector of which only `part` columns exist (0: all of them). */
static inline __attribute__((always_inline)) void tile_strip(const float *x, size_t n_rows,
                                                             const float *w, size_t n_in, size_t j,
                                                             int vectors, size_t part,
                                                             const destination *to)
{
  vector sum[TILE_ROWS][TILE_VECTORS];
  for (int r = 0; r < TILE_ROWS; r++)
    for (int v = 0; v < vectors; v++)
      sum[r][v] = vector_zero();
  w += j;
  for (size_t i = 0; i < n_in; i++, x += TILE_ROWS, w += STRIP_COLUMNS) {
    vector weight[TILE_VECTORS];
    for (int v = 0; v < vectors; v++)
      weight[v] = vector_load_f32(w + v * VECTOR);
    for (int r = 0; r < TILE_ROWS; r++) {
      vector factor = vector_all(x[r]);
      for (int v = 0; v < vectors; v++)
        sum[r][v] = vector_fma(factor, weight[v], sum[r][v]);
    }
  }
  for (int r = 0; r < TILE_ROWS; r++)
    for (int v = 0; (size_t)r < n_rows && v < vectors; v++)
      put_strip(destination_at(to, (size_t)r, j + (size_t)v * VECTOR), sum[r][v], part);
}

static void strip(const float *x, size_t n_rows, const float *w, size_t n_in, size_t n_out,
                  const destination *to)
{
  size_t j = 0;
  if (n_out == STRIP_COLUMNS) {
    tile_strip(x, n_rows, w, n_in, 0, TILE_VECTORS, 0, to);
    return;
  }
  for (; j + VECTOR <= n_out; j += VECTOR)
    tile_strip(x, n_rows, w, n_in, j, 1, 0, to);
  if (j < n_out)
    tile_strip(x, n_rows, w, n_in, j, 1, n_out - j, to);
}

static void fill_stored_products(kernels *table)
{
  table->product_in_out[ELEMENT_F32] = in_out_f32;
  table->product_in_out[ELEMENT_F16] = in_out_f16;
  table->product_in_out[ELEMENT_BF16] = in_out_bf16;
  table->product_out_in[ELEMENT_F32] = out_in_f32;
  table->product_out_in[ELEMENT_F16] = out_in_f16;
  table->product_out_in[ELEMENT_BF16] = out_in_bf16;
  table->pack_rows = pack_rows;
  table->product_strip = strip;
  table->strip_columns = STRIP_COLUMNS;
  table->strip_rows = TILE_ROWS;
  table->own_rows = SIZE_MAX;
}

#endif
