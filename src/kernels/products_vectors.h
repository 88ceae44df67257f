/* products_vectors.h - products of rows with weights as they are stored, in vector registers.
 *
 * An instruction set includes this file once for each element type, after its vector_....h, with
 *
 *     STREAMS    places of the weights that are read from at once
 *     ELEMENT    the type of one weight
 *     OF(name)   the name of a function of this type
 *     LOAD, LOAD_PART   one vector of weights, widened to f32
 *
 * Each output is summed in the same order for any number of rows, and in strips
 * (products_stored.h): so a row has the same bits in any company. */

/* ---- w (n_in, n_out) ----
 * The inputs are taken from STREAMS places at once, each a part of the weights that is read from
 * its start to its end: the memory of a processor has more to give to several readers than to one.
 * The outputs meanwhile stay in the cache. */

/* So many elements ahead of those in use are asked for: into the first-level cache and, of halves,
 * also into the second, where more lines can be on their way at a time. That makes a token 5 to 7%
 * faster with halves, whose widening keeps the processor from asking early enough, and changes
 * nothing for f32. Measured: halves from 384 to 768 are as good, 2048 is 5% slower; f32 from 128 to
 * 1024 is as good. */
#define NEAR ((size_t)256)
#define FAR  ((size_t)512)

/* Asks for what follows the weights at `at`, once a line; `v` counts the vectors from there on. */
static inline __attribute__((always_inline)) void OF(ask_ahead)(const ELEMENT *at, int v,
                                                                distances ahead)
{
  if (v * VECTOR * sizeof(ELEMENT) % 64 != 0)
    return;
  _mm_prefetch((const char *)(at + ahead.near), _MM_HINT_T0);
  if (sizeof(ELEMENT) < sizeof(float))
    _mm_prefetch((const char *)(at + ahead.far), _MM_HINT_T1);
}

/* One input of each stream, and where its products go. */
typedef struct OF(step) {
  const ELEMENT *w[STREAMS];
  const float *x; /* (streams, x_stride) */
  size_t x_stride;
  float *y;
  size_t y_stride;
} OF(step);

/* y[r] += x[r] w for `vectors` vectors of columns from `j` on, or one of which only `part` exist
 * (0: all of them): the weights are loaded once for all rows, y is loaded and stored once for all
 * streams. */
static inline __attribute__((always_inline)) void OF(add_columns)(const OF(step) * s, int n_streams,
                                                                  size_t n_rows, size_t j,
                                                                  int vectors, size_t part,
                                                                  distances ahead)
{
  vector weight[STREAMS][STREAM_VECTORS];
  for (int k = 0; k < n_streams; k++)
    for (int v = 0; v < vectors; v++) {
      const ELEMENT *at = s->w[k] + j + v * VECTOR;
      OF(ask_ahead)(at, v, ahead);
      weight[k][v] = part ? LOAD_PART(at, part) : LOAD(at);
    }
  for (size_t r = 0; r < n_rows; r++) {
    float *y = s->y + r * s->y_stride + j;
    vector sum[STREAM_VECTORS];
    for (int v = 0; v < vectors; v++)
      sum[v] = part ? vector_load_f32_part(y, part) : vector_load_f32(y + v * VECTOR);
    for (int k = 0; k < n_streams; k++) {
      vector factor = vector_all(s->x[(size_t)k * s->x_stride + r]);
      for (int v = 0; v < vectors; v++)
        sum[v] = vector_fma(factor, weight[k][v], sum[v]);
    }
    for (int v = 0; v < vectors; v++)
      if (part)
        vector_store_part(y, sum[v], part);
      else
        vector_store(y + v * VECTOR, sum[v]);
  }
}

/* The same for a row alone, whose weights need not wait in registers: so it takes more columns. */
static inline __attribute__((always_inline)) void OF(add_columns_of_row)(const OF(step) * s,
                                                                         size_t j, distances ahead)
{
  float *y = s->y + j;
  vector sum[LONE_ROW_VECTORS];
  for (int v = 0; v < LONE_ROW_VECTORS; v++)
    sum[v] = vector_load_f32(y + v * VECTOR);
  for (int k = 0; k < STREAMS; k++) {
    vector factor = vector_all(s->x[(size_t)k * s->x_stride]);
    for (int v = 0; v < LONE_ROW_VECTORS; v++) {
      const ELEMENT *at = s->w[k] + j + v * VECTOR;
      OF(ask_ahead)(at, v, ahead);
      sum[v] = vector_fma(factor, LOAD(at), sum[v]);
    }
  }
  for (int v = 0; v < LONE_ROW_VECTORS; v++)
    vector_store(y + v * VECTOR, sum[v]);
}

/* All columns. Ahead of a row's last ones come the first ones of the row behind it. */
static inline __attribute__((always_inline)) void
OF(add_inputs)(const OF(step) * s, int n_streams, size_t n_rows, size_t n_out, size_t w_stride)
{
  const distances row = {NEAR, FAR};
  size_t j = 0;
  if (n_rows == 1 && n_streams == STREAMS)
    for (; j + LONE_ROW_VECTORS * VECTOR <= n_out; j += LONE_ROW_VECTORS * VECTOR)
      OF(add_columns_of_row)(s, j, distances_at(row, j, n_out, w_stride));
  for (; j + STREAM_VECTORS * VECTOR <= n_out; j += STREAM_VECTORS * VECTOR)
    OF(add_columns)
  (s, n_streams, n_rows, j, STREAM_VECTORS, 0, distances_at(row, j, n_out, w_stride));
  for (; j + VECTOR <= n_out; j += VECTOR)
    OF(add_columns)(s, n_streams, n_rows, j, 1, 0, distances_at(row, j, n_out, w_stride));
  if (j < n_out)
    OF(add_columns)(s, n_streams, n_rows, j, 1, n_out - j, distances_at(row, j, n_out, w_stride));
}

static void OF(in_out)(const float *x, size_t x_stride, size_t n_rows, const void *weights,
                       size_t w_stride, size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  const ELEMENT *w = weights;
  size_t stream = n_in / STREAMS;
  OF(step) s = {.x = x, .x_stride = x_stride, .y = y, .y_stride = y_stride};
  for (size_t i = 0; i < stream; i++, s.x += STREAMS * x_stride) {
    for (int k = 0; k < STREAMS; k++)
      s.w[k] = w + ((size_t)k * stream + i) * w_stride;
    if (n_rows == 1)
      OF(add_inputs)(&s, STREAMS, 1, n_out, w_stride);
    else
      OF(add_inputs)(&s, STREAMS, n_rows, n_out, w_stride);
  }
  for (size_t i = stream * STREAMS; i < n_in; i++, s.x += x_stride) {
    s.w[0] = w + i * w_stride;
    OF(add_inputs)(&s, 1, n_rows, n_out, w_stride);
  }
}

/* ---- w (n_out, n_in): dot products, whose lanes are added at the end ---- */

#define DOT_COLUMNS 4

/* sum[r][c] += x[r] . w[c] for `vectors` vectors of inputs from `i` on, which make up a line. */
static inline __attribute__((always_inline)) void
OF(add_line)(const float *x, size_t x_stride, int rows, const ELEMENT *w, size_t w_stride,
             int columns, size_t i, int vectors, vector sum[FEW_ROWS][STREAMS])
{
  for (int v = 0; v < vectors; v++, i += VECTOR) {
    vector weight[STREAMS];
    for (int c = 0; c < columns; c++) {
      const ELEMENT *at = w + (size_t)c * w_stride + i;
      OF(ask_ahead)(at, v, (distances){NEAR, FAR});
      weight[c] = LOAD(at);
    }
    for (int r = 0; r < rows; r++) {
      vector input = vector_load_f32(x + (size_t)r * x_stride + i);
      for (int c = 0; c < columns; c++)
        sum[r][c] = vector_fma(input, weight[c], sum[r][c]);
    }
  }
}

/* y[r][c] += x[r] . w[c] for a tile of rows and columns, which stand `step` apart in w and y. */
static inline __attribute__((always_inline)) void
OF(tile_out_in)(const float *x, size_t x_stride, int rows, const ELEMENT *w, size_t n_in,
                int columns, size_t step, float *y, size_t y_stride)
{
  enum { LINE = 64 / (VECTOR * sizeof(ELEMENT)) };
  vector sum[FEW_ROWS][STREAMS];
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++)
      sum[r][c] = vector_zero();
  size_t i = 0;
  for (; i + LINE * VECTOR <= n_in; i += LINE * VECTOR)
    OF(add_line)(x, x_stride, rows, w, step * n_in, columns, i, LINE, sum);
  for (; LINE > 1 && i + VECTOR <= n_in; i += VECTOR)
    OF(add_line)(x, x_stride, rows, w, step * n_in, columns, i, 1, sum);
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

/* A few columns for FEW_ROWS rows, or half as many, in one go: so that the memory is not left alone
 * while other rows take columns that have been read. */
static inline __attribute__((always_inline)) void OF(few_out_in)(const float *x, size_t x_stride,
                                                                 size_t n_rows, const ELEMENT *w,
                                                                 size_t n_in, size_t step, float *y,
                                                                 size_t y_stride)
{
  if (n_rows == FEW_ROWS)
    OF(tile_out_in)(x, x_stride, FEW_ROWS, w, n_in, FEW_COLUMNS, step, y, y_stride);
  else
    OF(tile_out_in)(x, x_stride, FEW_ROWS / 2, w, n_in, FEW_COLUMNS, step, y, y_stride);
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
  for (; r + 2 <= n_rows; r += 2)
    OF(tile_out_in)
  (x + r * x_stride, x_stride, 2, w, n_in, columns, step, y + r * y_stride, y_stride);
  if (r < n_rows)
    OF(tile_out_in)
  (x + r * x_stride, x_stride, 1, w, n_in, columns, step, y + r * y_stride, y_stride);
}

static void OF(out_in)(const float *x, size_t x_stride, size_t n_rows, const void *weights,
                       size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  const ELEMENT *w = weights;
  const bool few = n_rows > 1 && (n_rows == FEW_ROWS || n_rows == FEW_ROWS / 2);
  int columns = n_rows == 1 ? STREAMS : few ? FEW_COLUMNS : DOT_COLUMNS;
  size_t step = n_out / (size_t)columns;
  for (size_t j = 0; j < step; j++)
    if (n_rows == 1)
      OF(tile_out_in)(x, x_stride, 1, w + j * n_in, n_in, STREAMS, step, y + j, y_stride);
    else if (few)
      OF(few_out_in)(x, x_stride, n_rows, w + j * n_in, n_in, step, y + j, y_stride);
    else
      OF(columns_out_in)
  (x, x_stride, n_rows, w + j * n_in, n_in, DOT_COLUMNS, step, y + j, y_stride);
  for (size_t j = step * (size_t)columns; j < n_out; j++)
    OF(columns_out_in)(x, x_stride, n_rows, w + j * n_in, n_in, 1, 1, y + j, y_stride);
}

#undef DOT_COLUMNS
#undef NEAR
#undef FAR

#undef ELEMENT
#undef OF
#undef LOAD
#undef LOAD_PART
