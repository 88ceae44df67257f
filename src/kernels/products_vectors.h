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

/* y[r] += x[r] w for input `i` of all streams: the weights of a few columns are loaded once for all
 * rows, and y is loaded and stored once for all streams. */
static inline __attribute__((always_inline)) void OF(add_step)(const OF(inputs) * in, size_t i,
                                                               int n_streams, size_t n_rows,
                                                               size_t n_out, float *y,
                                                               size_t y_stride)
{
  const ELEMENT *w[STREAMS];
  for (int s = 0; s < n_streams; s++)
    w[s] = in->w + ((size_t)s * in->stream + i) * in->w_stride;
  for (size_t j = 0; j < n_out; j += VECTOR) {
    size_t part = n_out - j < VECTOR ? n_out - j : 0;
    vector weight[STREAMS];
    for (int s = 0; s < n_streams; s++) {
      _mm_prefetch((const char *)(w[s] + j) + AHEAD, _MM_HINT_T0);
      weight[s] = part ? LOAD_PART(w[s] + j, part) : LOAD(w[s] + j);
    }
    for (size_t r = 0; r < n_rows; r++) {
      const float *x = in->x + r * in->x_stride + i;
      float *at = y + r * y_stride + j;
      vector sum = part ? vector_load_f32_part(at, part) : vector_load_f32(at);
      for (int s = 0; s < n_streams; s++)
        sum = vector_fma(vector_all(x[(size_t)s * in->stream]), weight[s], sum);
      if (part)
        vector_store_part(at, sum, part);
      else
        vector_store(at, sum);
    }
  }
}

/* All inputs of all streams. */
static inline __attribute__((always_inline)) void OF(add_inputs)(const OF(inputs) * in,
                                                                 int n_streams, size_t n_rows,
                                                                 size_t n_out, float *y,
                                                                 size_t y_stride)
{
  for (size_t i = 0; i < in->n; i++)
    if (n_rows == 1)
      OF(add_step)(in, i, n_streams, 1, n_out, y, y_stride);
    else
      OF(add_step)(in, i, n_streams, n_rows, n_out, y, y_stride);
}

static void OF(in_out)(const float *x, size_t x_stride, size_t n_rows, const void *weights,
                       size_t w_stride, size_t n_in, size_t n_out, float *y, size_t y_stride)
{
  const ELEMENT *w = weights;
  size_t stream = n_in / STREAMS, done = stream * STREAMS;
  OF(inputs) streams = {x, x_stride, w, w_stride, STREAMS, stream, stream};
  OF(inputs) rest = {x + done, x_stride, w + done * w_stride, w_stride, 1, 0, n_in - done};
  OF(add_inputs)(&streams, STREAMS, n_rows, n_out, y, y_stride);
  OF(add_inputs)(&rest, 1, n_rows, n_out, y, y_stride);
}

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
