/* products_stored.h - the products of every stored type, for the instruction set whose
 * vector_....h was included before. */
#ifndef KERNELS_PRODUCTS_STORED_H
#define KERNELS_PRODUCTS_STORED_H

#define STREAMS INPUT_STREAMS

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

/* ---- Strips ---- */

enum { STRIP_COLUMNS = TILE_VECTORS * VECTOR };

/* The sums of a tile. */
typedef struct strip_sums {
  vector of[TILE_ROWS][TILE_VECTORS];
} strip_sums;

/* Adds x[r][0] w to the sums; w (STRIP_COLUMNS). */
static inline __attribute__((always_inline)) void
add_input(strip_sums *sum, const float *x, size_t x_stride, int rows, const float *w, int vectors)
{
  for (int r = 0; r < rows; r++) {
    vector factor = vector_all(x[(size_t)r * x_stride]);
    for (int v = 0; v < vectors; v++)
      sum->of[r][v] = vector_fma(factor, vector_load_f32(w + v * VECTOR), sum->of[r][v]);
  }
}

/* y += x . w for a tile of rows and `vectors` vectors of columns, or of one vector of which only
 * `part` columns exist (0: all of them). */
static inline __attribute__((always_inline)) void tile_strip(const float *x, size_t x_stride,
                                                             int rows, const float *w, size_t n_in,
                                                             int vectors, size_t part, float *y,
                                                             size_t y_stride)
{
  strip_sums sum;
  size_t stream = n_in / STREAMS;
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      sum.of[r][v] = vector_zero();
  for (size_t i = 0; i < stream; i++) {
    const float *at = x + i;
    for (int s = 0; s < STREAMS; s++, at += stream, w += STRIP_COLUMNS)
      add_input(&sum, at, x_stride, rows, w, vectors);
  }
  for (size_t i = stream * STREAMS; i < n_in; i++, w += STRIP_COLUMNS)
    add_input(&sum, x + i, x_stride, rows, w, vectors);
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) {
      float *at = y + (size_t)r * y_stride + v * VECTOR;
      if (part)
        vector_store_part(at, vector_add(vector_load_f32_part(at, part), sum.of[r][v]), part);
      else
        vector_store(at, vector_add(vector_load_f32(at), sum.of[r][v]));
    }
}

static inline __attribute__((always_inline)) void
rows_of_strip(const float *x, size_t x_stride, size_t n_rows, const float *w, size_t n_in,
              int vectors, size_t part, float *y, size_t y_stride)
{
  size_t r = 0;
  for (; r + TILE_ROWS <= n_rows; r += TILE_ROWS)
    tile_strip(x + r * x_stride, x_stride, TILE_ROWS, w, n_in, vectors, part, y + r * y_stride,
               y_stride);
  for (; r < n_rows; r++)
    tile_strip(x + r * x_stride, x_stride, 1, w, n_in, vectors, part, y + r * y_stride, y_stride);
}

static void strip(const float *x, size_t x_stride, size_t n_rows, const float *w, size_t n_in,
                  size_t n_out, float *y, size_t y_stride)
{
  if (n_out == STRIP_COLUMNS) {
    rows_of_strip(x, x_stride, n_rows, w, n_in, TILE_VECTORS, 0, y, y_stride);
    return;
  }
  size_t j = 0;
  for (; j + VECTOR <= n_out; j += VECTOR)
    rows_of_strip(x, x_stride, n_rows, w + j, n_in, 1, 0, y + j, y_stride);
  if (j < n_out)
    rows_of_strip(x, x_stride, n_rows, w + j, n_in, 1, n_out - j, y + j, y_stride);
}

static void fill_stored_products(kernels *table)
{
  table->product_in_out[ELEMENT_F32] = in_out_f32;
  table->product_in_out[ELEMENT_F16] = in_out_f16;
  table->product_in_out[ELEMENT_BF16] = in_out_bf16;
  table->product_out_in[ELEMENT_F32] = out_in_f32;
  table->product_out_in[ELEMENT_F16] = out_in_f16;
  table->product_out_in[ELEMENT_BF16] = out_in_bf16;
  table->product_strip = strip;
  table->strip_columns = STRIP_COLUMNS;
  table->own_rows = SIZE_MAX;
}

#endif
