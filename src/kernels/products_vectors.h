/* products_vectors.h - products of rows with weights as they are stored, in vector registers.
 *
 * An instruction set includes this file once for each element type, after its vector_....h, with
 *
 *     STREAMS    places of the weights that are read from at once
 *     ELEMENT    the type of one weight
 *     OF(name)   the name of a function of this type
 *     LOAD, LOAD_PART   one vector of weights, widened to f32
 *
 * Each output is summed in the same order whether one row streams the weights or a tile of rows
 * keeps its sums in registers: so a row has the same bits in any company. */

/* ---- w (n_in, n_out) ----
 * The inputs are taken from STREAMS places at once, each a part of the weights that is read from
 * its start to its end: the memory of a processor has more to give to several readers than to one.
 * One row keeps its outputs in the first-level cache; a tile of several rows keeps them in
 * registers. */

/* Bytes that are asked for ahead of those in use; measured: 512 to 2048 are about as good. */
#define AHEAD 1024

/* The inputs of a product, or of a part of it: input i of stream s is s * stream + i. */
typedef struct OF(inputs) {
  const float *x;
  size_t x_stride;
  const ELEMENT *w;
  size_t w_stride;
  int n_streams;
  size_t stream, n; /* inputs of a stream, and how many of them are to be added */
} OF(inputs);

/* y += x w for input `i` of all streams: y is loaded and stored once for all of them. */
static inline __attribute__((always_inline)) void
OF(add_step)(const OF(inputs) * in, size_t i, int n_streams, size_t n_out, float *y)
{
  vector factor[STREAMS];
  const ELEMENT *w[STREAMS];
  for (int s = 0; s < n_streams; s++) {
    factor[s] = vector_all(in->x[(size_t)s * in->stream + i]);
    w[s] = in->w + ((size_t)s * in->stream + i) * in->w_stride;
  }
  size_t j = 0;
  for (; j + VECTOR <= n_out; j += VECTOR) {
    vector sum = vector_load_f32(y + j);
    for (int s = 0; s < n_streams; s++) {
      _mm_prefetch((const char *)(w[s] + j) + AHEAD, _MM_HINT_T0);
      sum = vector_fma(factor[s], LOAD(w[s] + j), sum);
    }
    vector_store(y + j, sum);
  }
  if (j < n_out) {
    vector sum = vector_load_f32_part(y + j, n_out - j);
    for (int s = 0; s < n_streams; s++)
      sum = vector_fma(factor[s], LOAD_PART(w[s] + j, n_out - j), sum);
    vector_store_part(y + j, sum, n_out - j);
  }
}

/* Steps that a tile adds before its sums go back to y: the weights of so many steps stay in the
 * second-level cache for all tiles that use them. */
#define STEPS_AT_ONCE 4

/* A tile of `rows` rows and `vectors` whole vectors of columns from column `j` on, or of one vector
 * of which only `part` columns exist (0: all of them). */
static inline __attribute__((always_inline)) void OF(tile_in_out)(const OF(inputs) * in, size_t row,
                                                                  int rows, int n_streams, size_t j,
                                                                  int vectors, size_t part,
                                                                  float *y, size_t y_stride)
{
  vector sum[TILE_ROWS][TILE_VECTORS];
  y += row * y_stride + j;
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      sum[r][v] = part ? vector_load_f32_part(y + (size_t)r * y_stride, part)
                       : vector_load_f32(y + (size_t)r * y_stride + v * VECTOR);
  for (size_t i = 0; i < in->n; i++)
    for (int s = 0; s < n_streams; s++) {
      size_t at = (size_t)s * in->stream + i;
      const float *x = in->x + row * in->x_stride + at;
      const ELEMENT *w = in->w + at * in->w_stride + j;
      vector weight[TILE_VECTORS];
      for (int v = 0; v < vectors; v++)
        weight[v] = part ? LOAD_PART(w, part) : LOAD(w + v * VECTOR);
      for (int r = 0; r < rows; r++) {
        vector factor = vector_all(x[(size_t)r * in->x_stride]);
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
OF(strip_in_out)(const OF(inputs) * in, size_t n_rows, int n_streams, size_t j, int vectors,
                 size_t part, float *y, size_t y_stride)
{
  size_t r = 0;
  for (; r + TILE_ROWS <= n_rows; r += TILE_ROWS)
    OF(tile_in_out)(in, r, TILE_ROWS, n_streams, j, vectors, part, y, y_stride);
  for (; r + 2 <= n_rows; r += 2)
    OF(tile_in_out)(in, r, 2, n_streams, j, vectors, part, y, y_stride);
  if (r < n_rows)
    OF(tile_in_out)(in, r, 1, n_streams, j, vectors, part, y, y_stride);
}

/* Asks for a strip of the steps behind those of `in`, while these are multiplied. */
static inline void OF(prefetch_strip)(const OF(inputs) * in, size_t n_next, size_t j)
{
  for (size_t i = in->n; i < in->n + n_next; i++)
    for (int s = 0; s < in->n_streams; s++)
      for (size_t at = 0; at < TILE_VECTORS * VECTOR * sizeof *in->w; at += 64)
        _mm_prefetch((const char *)(in->w + ((size_t)s * in->stream + i) * in->w_stride + j) + at,
                     _MM_HINT_T1);
}

/* All columns for a few steps. */
static inline __attribute__((always_inline)) void OF(steps_in_out)(const OF(inputs) * in,
                                                                   size_t n_next, size_t n_rows,
                                                                   int n_streams, size_t n_out,
                                                                   float *y, size_t y_stride)
{
  size_t j = 0;
  for (; j + TILE_VECTORS * VECTOR <= n_out; j += TILE_VECTORS * VECTOR) {
    OF(prefetch_strip)(in, n_next, j);
    OF(strip_in_out)(in, n_rows, n_streams, j, TILE_VECTORS, 0, y, y_stride);
  }
  for (; j + VECTOR <= n_out; j += VECTOR)
    OF(strip_in_out)(in, n_rows, n_streams, j, 1, 0, y, y_stride);
  if (j < n_out)
    OF(strip_in_out)(in, n_rows, n_streams, j, 1, n_out - j, y, y_stride);
}

/* All inputs of all streams. */
static inline __attribute__((always_inline)) void OF(add_inputs)(const OF(inputs) * all,
                                                                 size_t n_rows, int n_streams,
                                                                 size_t n_out, float *y,
                                                                 size_t y_stride)
{
  if (n_rows == 1) {
    for (size_t i = 0; i < all->n; i++)
      OF(add_step)(all, i, n_streams, n_out, y);
    return;
  }
  /* A single strip is no wider than a tile: its sums need not go back before the end. */
  size_t at_once = n_out <= TILE_VECTORS * VECTOR ? all->n : STEPS_AT_ONCE;
  for (size_t i = 0; i < all->n; i += at_once) {
    OF(inputs) in = *all;
    size_t left = all->n - i;
    in.n = left < at_once ? left : at_once;
    in.x += i;
    in.w += i * in.w_stride;
    size_t n_next = left - in.n < at_once ? left - in.n : at_once;
    OF(steps_in_out)(&in, n_next, n_rows, n_streams, n_out, y, y_stride);
  }
}

static void OF(in_out)(const float *x, size_t x_stride, size_t n_rows, const void *weights,
                       size_t w_stride, size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  const ELEMENT *w = weights;
  size_t stream = n_in / STREAMS, done = stream * STREAMS;
  OF(inputs) streams = {x, x_stride, w, w_stride, STREAMS, stream, stream};
  OF(inputs) rest = {x + done, x_stride, w + done * w_stride, w_stride, 1, 0, n_in - done};
  OF(add_inputs)(&streams, n_rows, STREAMS, n_out, y, y_stride);
  OF(add_inputs)(&rest, n_rows, 1, n_out, y, y_stride);
}

#undef STEPS_AT_ONCE

/* ---- w (n_out, n_in): dot products, whose lanes are added at the end ---- */

#define DOT_COLUMNS 4

/* y[r][c] += x[r] . w[c] for a tile of rows and columns, which stand `step` apart in w and y. */
static inline __attribute__((always_inline)) void
OF(tile_out_in)(const float *x, size_t x_stride, int rows, const ELEMENT *w, size_t n_in,
                int columns, size_t step, float *y, size_t y_stride)
{
  vector sum[DOT_ROWS][STREAMS];
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      sum[r][c] = vector_zero();
  size_t i = 0;
  for (; i + VECTOR <= n_in; i += VECTOR) {
    vector weight[STREAMS];
    for (int c = 0; c < columns; c++) {
      const ELEMENT *at = w + (size_t)c * step * n_in + i;
      _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
      weight[c] = LOAD(at);
    }
    for (int r = 0; r < rows; r++) {
      vector input = vector_load_f32(x + (size_t)r * x_stride + i);
      for (int c = 0; c < columns; c++)
        sum[r][c] = vector_fma(input, weight[c], sum[r][c]);
    }
  }
  for (int r = 0; i < n_in && r < rows; r++) {
    vector input = vector_load_f32_part(x + (size_t)r * x_stride + i, n_in - i);
    for (int c = 0; c < columns; c++)
      sum[r][c] =
          vector_fma(input, LOAD_PART(w + (size_t)c * step * n_in + i, n_in - i), sum[r][c]);
  }
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      y[(size_t)r * y_stride + (size_t)c * step] += vector_sum(sum[r][c]);
}

/* A few columns for all rows. */
static inline __attribute__((always_inline)) void
OF(columns_out_in)(const float *x, size_t x_stride, size_t n_rows, const ELEMENT *w, size_t n_in,
                   int columns, size_t step, float *y, size_t y_stride)
{
  size_t r = 0;
  for (; r + DOT_ROWS <= n_rows; r += DOT_ROWS)
    OF(tile_out_in)
  (x + r * x_stride, x_stride, DOT_ROWS, w, n_in, columns, step, y + r * y_stride, y_stride);
  for (; r < n_rows; r++)
    OF(tile_out_in)
  (x + r * x_stride, x_stride, 1, w, n_in, columns, step, y + r * y_stride, y_stride);
}

static void OF(out_in)(const float *x, size_t x_stride, size_t n_rows, const void *weights,
                       size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  const ELEMENT *w = weights;
  int columns = n_rows == 1 ? STREAMS : DOT_COLUMNS;
  size_t step = n_out / (size_t)columns;
  for (size_t j = 0; j < step; j++)
    if (n_rows == 1)
      OF(tile_out_in)(x, x_stride, 1, w + j * n_in, n_in, STREAMS, step, y + j, y_stride);
    else
      OF(columns_out_in)
  (x, x_stride, n_rows, w + j * n_in, n_in, DOT_COLUMNS, step, y + j, y_stride);
  for (size_t j = step * (size_t)columns; j < n_out; j++)
    OF(columns_out_in)(x, x_stride, n_rows, w + j * n_in, n_in, 1, 1, y + j, y_stride);
}

#undef DOT_COLUMNS
#undef AHEAD

#undef ELEMENT
#undef OF
#undef LOAD
#undef LOAD_PART
