/* products_vectors.h - products of rows with weights as they are stored, in vector registers.
 *
 * An instruction set includes this file once for each element type, after its vector_....h, with
 *
 *     ELEMENT    the type of one weight
 *     OF(name)   the name of a function of this type
 *     LOAD, LOAD_PART   one vector of weights, widened to f32
 *
 * Each output is the sum of x[i] * w[i] in the order of i, whether one row streams the weights or
 * a tile of rows keeps its sums in registers: so a row has the same bits in any company. */

/* ---- w (n_in, n_out), one row: the weights are read once, in the order in which they lie ---- */

/* Rows of w that are read side by side: y is loaded and stored once for all of them. */
#define STREAMS 8

/* y += x[0] w[0] + ... + x[n-1] w[n-1] over n_out columns; n is STREAMS, or 1. */
static inline __attribute__((always_inline)) void
OF(add_streams)(const float *x, const ELEMENT *w, size_t w_stride, int n, size_t n_out, float *y)
{
  vector factor[STREAMS];
  for (int i = 0; i < n; i++)
    factor[i] = vector_all(x[i]);
  size_t j = 0;
  for (; j + VECTOR <= n_out; j += VECTOR) {
    vector sum = vector_load_f32(y + j);
    for (int i = 0; i < n; i++)
      sum = vector_fma(factor[i], LOAD(w + (size_t)i * w_stride + j), sum);
    vector_store(y + j, sum);
  }
  if (j < n_out) {
    vector sum = vector_load_f32_part(y + j, n_out - j);
    for (int i = 0; i < n; i++)
      sum = vector_fma(factor[i], LOAD_PART(w + (size_t)i * w_stride + j, n_out - j), sum);
    vector_store_part(y + j, sum, n_out - j);
  }
}

static void OF(row_in_out)(const float *x, const ELEMENT *w, size_t w_stride, size_t n_in,
                           size_t n_out, float *y)
{
  size_t i = 0;
  for (; i + STREAMS <= n_in; i += STREAMS)
    OF(add_streams)(x + i, w + i * w_stride, w_stride, STREAMS, n_out, y);
  for (; i < n_in; i++)
    OF(add_streams)(x + i, w + i * w_stride, w_stride, 1, n_out, y);
}

#undef STREAMS

/* ---- The same, several rows: tiles of rows and columns, their sums in registers ---- */

/* Inputs that are added before the sums go back to y: as many rows of w stay in the second-level
 * cache for all tiles that use them. */
#define INPUTS_AT_ONCE 32

/* A tile of `rows` rows and `vectors` whole vectors of columns, or of one vector of which only
 * `part` columns exist (0: all of them). */
static inline __attribute__((always_inline)) void
OF(tile_in_out)(const float *x, size_t x_stride, int rows, const ELEMENT *w, size_t w_stride,
                size_t n_in, int vectors, size_t part, float *y, size_t y_stride)
{
  vector sum[TILE_ROWS][TILE_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      sum[r][v] = part ? vector_load_f32_part(y + (size_t)r * y_stride, part)
                       : vector_load_f32(y + (size_t)r * y_stride + v * VECTOR);
  for (size_t i = 0; i < n_in; i++) {
    vector weight[TILE_VECTORS];
    for (int v = 0; v < vectors; v++)
      weight[v] = part ? LOAD_PART(w + i * w_stride, part) : LOAD(w + i * w_stride + v * VECTOR);
    for (int r = 0; r < rows; r++) {
      vector factor = vector_all(x[(size_t)r * x_stride + i]);
      for (int v = 0; v < vectors; v++)
        sum[r][v] = vector_fma(factor, weight[v], sum[r][v]);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      if (part)
        vector_store_part(y + (size_t)r * y_stride, sum[r][v], part);
      else
        vector_store(y + (size_t)r * y_stride + v * VECTOR, sum[r][v]);
}

/* One strip of columns for all rows. */
static inline __attribute__((always_inline)) void
OF(strip_in_out)(const float *x, size_t x_stride, size_t n_rows, const ELEMENT *w, size_t w_stride,
                 size_t n_in, int vectors, size_t part, float *y, size_t y_stride)
{
  size_t r = 0;
  for (; r + TILE_ROWS <= n_rows; r += TILE_ROWS)
    OF(tile_in_out)
    (x + r * x_stride, x_stride, TILE_ROWS, w, w_stride, n_in, vectors, part, y + r * y_stride,
     y_stride);
  for (; r + 2 <= n_rows; r += 2)
    OF(tile_in_out)
    (x + r * x_stride, x_stride, 2, w, w_stride, n_in, vectors, part, y + r * y_stride, y_stride);
  if (r < n_rows)
    OF(tile_in_out)
    (x + r * x_stride, x_stride, 1, w, w_stride, n_in, vectors, part, y + r * y_stride, y_stride);
}

/* Asks for the next inputs' weights of a strip while this one's are multiplied. */
static inline void OF(prefetch_strip)(const ELEMENT *w, size_t w_stride, size_t n_in)
{
  for (size_t i = 0; i < n_in; i++)
    for (size_t at = 0; at < TILE_VECTORS * VECTOR * sizeof *w; at += 64)
      _mm_prefetch((const char *)(w + i * w_stride) + at, _MM_HINT_T1);
}

static void OF(in_out)(const float *x, size_t x_stride, size_t n_rows, const void *weights,
                       size_t w_stride, size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  const ELEMENT *w = weights;
  if (n_rows == 1) {
    OF(row_in_out)(x, w, w_stride, n_in, n_out, y);
    return;
  }
  for (size_t i = 0; i < n_in; i += INPUTS_AT_ONCE) {
    size_t n = n_in - i < INPUTS_AT_ONCE ? n_in - i : INPUTS_AT_ONCE;
    size_t next = n_in - i - n < INPUTS_AT_ONCE ? n_in - i - n : INPUTS_AT_ONCE;
    const ELEMENT *block = w + i * w_stride;
    size_t j = 0;
    for (; j + TILE_VECTORS * VECTOR <= n_out; j += TILE_VECTORS * VECTOR) {
      OF(prefetch_strip)(block + n * w_stride + j, w_stride, next);
      OF(strip_in_out)
      (x + i, x_stride, n_rows, block + j, w_stride, n, TILE_VECTORS, 0, y + j, y_stride);
    }
    for (; j + VECTOR <= n_out; j += VECTOR)
      OF(strip_in_out)(x + i, x_stride, n_rows, block + j, w_stride, n, 1, 0, y + j, y_stride);
    if (j < n_out)
      OF(strip_in_out)
      (x + i, x_stride, n_rows, block + j, w_stride, n, 1, n_out - j, y + j, y_stride);
  }
}

#undef INPUTS_AT_ONCE

/* ---- w (n_out, n_in): dot products, whose lanes are added at the end ---- */

#define DOT_COLUMNS 4

/* y[r][c] += x[r] . w[c] for a tile of rows and columns. */
static inline __attribute__((always_inline)) void OF(tile_out_in)(const float *x, size_t x_stride,
                                                                  int rows, const ELEMENT *w,
                                                                  size_t n_in, int columns,
                                                                  float *y, size_t y_stride)
{
  vector sum[DOT_ROWS][DOT_COLUMNS];
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      sum[r][c] = vector_zero();
  size_t i = 0;
  for (; i + VECTOR <= n_in; i += VECTOR) {
    vector weight[DOT_COLUMNS];
    for (int c = 0; c < columns; c++)
      weight[c] = LOAD(w + (size_t)c * n_in + i);
    for (int r = 0; r < rows; r++) {
      vector input = vector_load_f32(x + (size_t)r * x_stride + i);
      for (int c = 0; c < columns; c++)
        sum[r][c] = vector_fma(input, weight[c], sum[r][c]);
    }
  }
  for (int r = 0; i < n_in && r < rows; r++) {
    vector input = vector_load_f32_part(x + (size_t)r * x_stride + i, n_in - i);
    for (int c = 0; c < columns; c++)
      sum[r][c] = vector_fma(input, LOAD_PART(w + (size_t)c * n_in + i, n_in - i), sum[r][c]);
  }
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      y[(size_t)r * y_stride + c] += vector_sum(sum[r][c]);
}

/* A few columns for all rows. */
static inline __attribute__((always_inline)) void
OF(columns_out_in)(const float *x, size_t x_stride, size_t n_rows, const ELEMENT *w, size_t n_in,
                   int columns, float *y, size_t y_stride)
{
  size_t r = 0;
  for (; r + DOT_ROWS <= n_rows; r += DOT_ROWS)
    OF(tile_out_in)
    (x + r * x_stride, x_stride, DOT_ROWS, w, n_in, columns, y + r * y_stride, y_stride);
  for (; r < n_rows; r++)
    OF(tile_out_in)(x + r * x_stride, x_stride, 1, w, n_in, columns, y + r * y_stride, y_stride);
}

static void OF(out_in)(const float *x, size_t x_stride, size_t n_rows, const void *weights,
                       size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  const ELEMENT *w = weights;
  size_t j = 0;
  for (; j + DOT_COLUMNS <= n_out; j += DOT_COLUMNS)
    OF(columns_out_in)(x, x_stride, n_rows, w + j * n_in, n_in, DOT_COLUMNS, y + j, y_stride);
  for (; j < n_out; j++)
    OF(columns_out_in)(x, x_stride, n_rows, w + j * n_in, n_in, 1, y + j, y_stride);
}

#undef DOT_COLUMNS

#undef ELEMENT
#undef OF
#undef LOAD
#undef LOAD_PART
