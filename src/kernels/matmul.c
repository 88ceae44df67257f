/* matmul.c - the products of rows with a weight matrix, by whichever way is fastest: what the tiles
 * of each way do. */
#include "kernels/matmul.h"

#include <string.h>

#include "kernels/blas.h"
#include "kernels/packed.h"
#include "kernels/tiling.h"

enum {
  ROUND_ROWS = 8, /* rows that a worker rounds at once */
  WIDEN_ROWS = 8  /* rows that make it worth widening weights (out, in) once for all of them */
};

/* The weights of one output and those behind it, of a matrix (out, in). */
static const void *outputs_at(const matrix *weight, size_t output)
{
  return (const uint8_t *)weight->data + output * weight->n_in * element_size(weight->type);
}

/* ---- Rounding the rows, once a product ---- */

static void round_rows(void *data, size_t index, int worker)
{
  (void)worker;
  tiling *t = data;
  size_t n_in = t->work->weight->n_in, n_blocks = t->x_int.n_blocks;
  size_t end = smaller(t->work->n_rows, (index + 1) * ROUND_ROWS);
  for (size_t r = index * ROUND_ROWS; r < end; r++) {
    const float *x = t->work->x + r * n_in;
    if (t->way == INTEGERS) {
      t->kernel->quantize_row(x, n_in, t->x_int.q + r * n_blocks * BLOCK_ELEMENTS,
                              t->x_int.scale + r * n_blocks, t->x_int.sum + r * n_blocks);
      continue;
    }
    uint16_t *rounded = t->x_bf16 + r * t->x_stride;
    t->kernel->from_f32[ELEMENT_BF16](rounded, x, n_in);
    if (t->x_stride > n_in)
      rounded[n_in] = 0;
    if (t->x_rounded)
      t->kernel->to_f32[ELEMENT_BF16](t->x_rounded + r * n_in, rounded, n_in);
  }
}

/* ---- A tile of y ---- */

static float *y_at(const product *work, size_t row, size_t column)
{
  return work->y + row * work->weight->n_out + column;
}

/* What y holds before products are added: its bias, or what it held plus that. */
static void begin_tile(const tiling *t, size_t row, size_t n_rows, size_t column, size_t n_columns)
{
  const product *work = t->work;
  for (size_t r = row; r < row + n_rows; r++) {
    float *y = y_at(work, r, column);
    if (!work->accumulate && work->bias)
      memcpy(y, work->bias + column, n_columns * sizeof *y);
    else if (!work->accumulate)
      memset(y, 0, n_columns * sizeof *y);
    else if (work->bias)
      t->kernel->add(y, work->bias + column, n_columns);
  }
}

static void end_tile(const tiling *t, size_t row, size_t n_rows, size_t column, size_t n_columns)
{
  for (size_t r = row; t->work->activation && r < row + n_rows; r++)
    t->work->activation(y_at(t->work, r, column), n_columns);
}

/* The rows that exact products multiply, from `row` on. */
static const float *exact_rows(const tiling *t, size_t row)
{
  return (t->x_rounded ? t->x_rounded : t->work->x) + row * t->work->weight->n_in;
}

static size_t inputs_of(const tiling *t, size_t range)
{
  return smaller(t->range, t->work->weight->n_in - range * t->range);
}

/* ---- Streams ---- */

/* Adds the ranges' sums in their order. */
static void add_partials(const tiling *t, size_t column, size_t n_columns)
{
  size_t n_rows = t->work->n_rows, n_out = t->work->weight->n_out;
  begin_tile(t, 0, n_rows, column, n_columns);
  for (size_t range = 0; range < t->n_ranges; range++)
    for (size_t r = 0; r < n_rows; r++)
      t->kernel->add(y_at(t->work, r, column), t->partial + (range * n_rows + r) * n_out + column,
                     n_columns);
  end_tile(t, 0, n_rows, column, n_columns);
}

static void run_stream(void *data, size_t index, int worker)
{
  (void)worker;
  tiling *t = data;
  const matrix *weight = t->work->weight;
  size_t n_rows = t->work->n_rows, n_out = weight->n_out;
  size_t range = index / t->n_column_tiles, tile = index % t->n_column_tiles;
  size_t column = tile * t->columns, n_columns = smaller(t->columns, n_out - column);
  size_t first = range * t->range;
  float *sums = t->partial + range * n_rows * n_out + column;
  for (size_t r = 0; r < n_rows; r++)
    memset(sums + r * n_out, 0, n_columns * sizeof *sums);
  const uint8_t *w =
      (const uint8_t *)weight->data + (first * n_out + column) * element_size(weight->type);
  t->kernel->product_in_out[weight->type](exact_rows(t, 0) + first, weight->n_in, n_rows, w, n_out,
                                          inputs_of(t, range), n_columns, sums, n_out);
  if (atomic_fetch_add(&t->n_done[tile], 1) + 1 == t->n_ranges)
    add_partials(t, column, n_columns);
}

/* ---- Weights widened to f32 ---- */

/* Where input i of n goes in a panel. */
static size_t panel_row(const tiling *t, size_t i, size_t n)
{
  return t->way == STRIPS ? strip_place(i, n) : i;
}

/* Inputs [first, first + n) of packed columns: to (n, stride). `first` begins a block. */
static void unpack(const tiling *t, size_t first, size_t n, size_t column, size_t n_columns,
                   float *to, size_t stride)
{
  const matrix *weight = t->work->weight;
  size_t n_blocks = packed_blocks(weight->n_in), size = packed_group_size(weight->type, n_blocks);
  float block[BLOCK_ELEMENTS * PACKED_COLUMNS];
  for (size_t j = 0, some; j < n_columns; j += some) {
    size_t within = (column + j) % PACKED_COLUMNS;
    const uint8_t *group = (const uint8_t *)weight->data + (column + j) / PACKED_COLUMNS * size;
    some = smaller(PACKED_COLUMNS - within, n_columns - j);
    for (size_t i = 0; i < n; i += BLOCK_ELEMENTS) {
      t->kernel->unpack_block[weight->type](group, n_blocks, (first + i) / BLOCK_ELEMENTS, block);
      for (size_t k = 0; k < smaller(BLOCK_ELEMENTS, n - i); k++)
        memcpy(to + panel_row(t, i + k, n) * stride + j, block + k * PACKED_COLUMNS + within,
               some * sizeof *to);
    }
  }
}

/* Inputs [first, first + n) of some columns as f32, to (n, stride). */
static void widen(const tiling *t, size_t first, size_t n, size_t column, size_t n_columns,
                  float *to, size_t stride)
{
  const matrix *weight = t->work->weight;
  if (weight->layout == LAYOUT_PACKED) {
    unpack(t, first, n, column, n_columns, to, stride);
    return;
  }
  const uint8_t *w = weight->data;
  for (size_t i = 0; i < n; i++) {
    size_t at = (first + i) * weight->n_out + column;
    t->kernel->to_f32[weight->type](to + panel_row(t, i, n) * stride,
                                    w + at * element_size(weight->type), n_columns);
  }
}

/* Whole columns of weights (out, in) as f32, where they are or in the panel. */
static const float *widened_dots(const tiling *t, size_t column, size_t n_columns, float *panel)
{
  const matrix *weight = t->work->weight;
  const void *w = outputs_at(weight, column);
  if (weight->type == ELEMENT_F32)
    return w;
  t->kernel->to_f32[weight->type](panel, w, n_columns * weight->n_in);
  return panel;
}

/* ---- The other ways ---- */

static void multiply_strip(const tiling *t, size_t column, size_t n_columns, float *panel)
{
  const product *work = t->work;
  size_t n_in = work->weight->n_in;
  for (size_t range = 0; range < t->n_ranges; range++) {
    size_t first = range * t->range, n = inputs_of(t, range);
    widen(t, first, n, column, n_columns, panel, t->kernel->strip_columns);
    t->kernel->product_strip(exact_rows(t, 0) + first, n_in, work->n_rows, panel, n, n_columns,
                             y_at(work, 0, column), work->weight->n_out);
  }
}

static void multiply_dots(const tiling *t, size_t column, size_t n_columns, float *panel)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  bool widens = work->n_rows >= WIDEN_ROWS;
  element_type type = widens ? ELEMENT_F32 : weight->type;
  const void *w = widens ? widened_dots(t, column, n_columns, panel) : outputs_at(weight, column);
  t->kernel->product_out_in[type](exact_rows(t, 0), weight->n_in, work->n_rows, w, weight->n_in,
                                  n_columns, y_at(work, 0, column), weight->n_out);
}

static void multiply_integers(const tiling *t, size_t column, size_t n_columns)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  size_t group = packed_group_size(weight->type, t->x_int.n_blocks);
  t->kernel->product_packed[weight->type](
      &t->x_int, work->n_rows, (const uint8_t *)weight->data + column / PACKED_COLUMNS * group,
      n_columns, y_at(work, 0, column), weight->n_out);
}

static void multiply_pairs(const tiling *t, size_t column, size_t n_columns, uint16_t *panel)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  const bf16_products *bf16 = t->kernel->bf16;
  const uint16_t *w = weight->data;
  float *y = y_at(work, 0, column);
  if (weight->layout == LAYOUT_OUT_IN) {
    bf16->out_in(t->x_bf16, t->x_stride, work->n_rows, w + column * weight->n_in, weight->n_in,
                 n_columns, y, weight->n_out);
    return;
  }
  bf16->pair(w + column, weight->n_out, weight->n_in, n_columns, panel);
  bf16->paired(t->x_bf16, t->x_stride, work->n_rows, panel, weight->n_in, n_columns, y,
               weight->n_out);
}

static void multiply_by_blas(const tiling *t, size_t row, size_t n_rows, size_t column,
                             size_t n_columns, float *panel)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  size_t n_in = weight->n_in, n_out = weight->n_out;
  const float *x = exact_rows(t, row), *w = weight->data;
  float *y = y_at(work, row, column);
  if (tiling_is_f32(weight) && weight->layout == LAYOUT_IN_OUT) {
    blas_product(false, n_rows, n_columns, n_in, 1.0f, x, n_in, w + column, n_out, 1.0f, y, n_out);
    return;
  }
  for (size_t j = 0; j < n_columns; j += BLAS_COLUMNS) {
    size_t n = smaller(BLAS_COLUMNS, n_columns - j);
    if (weight->layout == LAYOUT_OUT_IN)
      blas_product(true, n_rows, n, n_in, 1.0f, x, n_in, widened_dots(t, column + j, n, panel),
                   n_in, 1.0f, y + j, n_out);
    for (size_t range = 0; weight->layout != LAYOUT_OUT_IN && range < t->n_ranges; range++) {
      widen(t, range * t->range, inputs_of(t, range), column + j, n, panel, BLAS_COLUMNS);
      blas_product(false, n_rows, n, inputs_of(t, range), 1.0f, x + range * t->range, n_in, panel,
                   BLAS_COLUMNS, 1.0f, y + j, n_out);
    }
  }
}

static void run_tile(void *data, size_t index, int worker)
{
  const tiling *t = data;
  const product *work = t->work;
  size_t row = index / t->n_column_tiles * t->rows, column = index % t->n_column_tiles * t->columns;
  size_t n_rows = smaller(t->rows, work->n_rows - row);
  size_t n_columns = smaller(t->columns, work->weight->n_out - column);
  void *panel = t->panels + (size_t)worker * t->panel_size;
  begin_tile(t, row, n_rows, column, n_columns);
  if (t->way == STRIPS)
    multiply_strip(t, column, n_columns, panel);
  else if (t->way == DOTS)
    multiply_dots(t, column, n_columns, panel);
  else if (t->way == INTEGERS)
    multiply_integers(t, column, n_columns);
  else if (t->way == PAIRS)
    multiply_pairs(t, column, n_columns, panel);
  else
    multiply_by_blas(t, row, n_rows, column, n_columns, panel);
  end_tile(t, row, n_rows, column, n_columns);
}

/* ---- All of it ---- */

static void run_tiles(pool *p, tiling *t)
{
  size_t n_row_tiles = (t->work->n_rows + t->rows - 1) / t->rows;
  if (t->way == STREAM) {
    for (size_t i = 0; i < t->n_column_tiles; i++)
      atomic_store_explicit(&t->n_done[i], 0, memory_order_relaxed);
    pool_run(p, t->n_ranges * t->n_column_tiles, pool_threads(p), run_stream, t);
  } else if (t->way == BLAS) {
    blas_enter();
    pool_run(p, n_row_tiles * t->n_column_tiles, blas_max_workers(), run_tile, t);
    blas_leave();
  } else {
    pool_run(p, n_row_tiles * t->n_column_tiles, pool_threads(p), run_tile, t);
  }
}

void matmul(pool *p, const product *work)
{
  tiling t;
  tiling_make(&t, work, pool_threads(p));
  if (t.way == INTEGERS || t.x_bf16)
    pool_run(p, (work->n_rows + ROUND_ROWS - 1) / ROUND_ROWS, pool_threads(p), round_rows, &t);
  run_tiles(p, &t);
}

void matrix_row(const matrix *m, size_t output, float *row)
{
  if (m->layout == LAYOUT_PACKED)
    packed_column(m->data, m->type, m->n_in, output, row);
  else
    kernels_in_use()->to_f32[m->type](row, outputs_at(m, output), m->n_in);
}
