/* matmul.c - the products of rows with a weight matrix, by whichever way is fastest: what the tiles
 * of each way do. */
#include "kernels/matmul.h"

#include <string.h>

#include "kernels/blas.h"
#include "kernels/packed.h"
#include "kernels/tiling.h"
#include "kernels/widen.h"

enum {
  PREPARED_ROWS = MAX_STRIP_ROWS, /* that a worker rounds or packs at once: whole tiles of strips */
  WIDEN_ROWS = 48 /* rows that make it worth widening weights (out, in) once for all of them */
};

/* The weights of one output and those behind it, of a matrix (out, in). */
static const void *outputs_at(const matrix *weight, size_t output)
{
  return (const uint8_t *)weight->data + output * weight->n_in * element_size(weight->type);
}

/* The rows that exact products multiply, from `row` on. */
static const float *exact_rows(const tiling *t, size_t row)
{
  return (t->x_rounded ? t->x_rounded : t->work->x) + row * t->work->weight->n_in;
}

/* ---- Rounding and packing the rows, once a product ---- */

static void quantize(const tiling *t, size_t row)
{
  size_t n_in = t->work->weight->n_in, n_blocks = t->x_int.n_blocks;
  int8_t *q = t->x_int.q + row * n_blocks * BLOCK_ELEMENTS;
  t->kernel->quantize_row(t->work->x + row * n_in, n_in, q, t->x_int.scale + row * n_blocks,
                          t->x_int.sum + row * n_blocks);
  if (t->x_int.wide)
    t->kernel->widen_quads(q, n_blocks, t->x_int.wide + row * n_blocks * BLOCK_ELEMENTS);
}

static void round_to_bf16(const tiling *t, size_t row)
{
  size_t n_in = t->work->weight->n_in;
  uint16_t *rounded = t->x_bf16 + row * t->x_stride;
  t->kernel->from_f32[ELEMENT_BF16](rounded, t->work->x + row * n_in, n_in);
  if (t->x_stride > n_in)
    rounded[n_in] = 0;
  if (t->x_rounded)
    t->kernel->to_f32[ELEMENT_BF16](t->x_rounded + row * n_in, rounded, n_in);
}

/* Where a strip's tile of rows begins, `first` being the first input of a range. */
static float *packed_rows(const tiling *t, size_t row, size_t first)
{
  return t->x_packed + row * t->work->weight->n_in + first * t->kernel->strip_rows;
}

static void pack(const tiling *t, size_t row, size_t n_rows)
{
  size_t n_in = t->work->weight->n_in;
  for (size_t range = 0; range < t->n_ranges; range++) {
    size_t first = range * t->range;
    t->kernel->pack_rows(exact_rows(t, row) + first, n_in, n_rows, tiling_inputs(t, range),
                         packed_rows(t, row, first), t->kernel->strip_rows);
  }
}

static void prepare_rows(void *data, size_t index, int worker)
{
  (void)worker;
  const tiling *t = data;
  size_t first = index * PREPARED_ROWS, end = smaller(t->work->n_rows, first + PREPARED_ROWS);
  for (size_t row = first; t->way == INTEGERS && row < end; row++)
    quantize(t, row);
  for (size_t row = first; t->x_bf16 && row < end; row++)
    round_to_bf16(t, row);
  for (size_t row = first; t->x_packed && row < end; row += t->kernel->strip_rows)
    pack(t, row, smaller(t->kernel->strip_rows, end - row));
}

/* ---- A tile of y ---- */

typedef struct part {
  size_t row, n_rows, column, n_columns;
} part;

static float *y_at(const product *work, size_t row, size_t column)
{
  return work->y + row * work->weight->n_out + column;
}

/* y += bias, for what is added to it. */
static void add_bias(const tiling *t, const part *of)
{
  const product *work = t->work;
  for (size_t r = 0; work->accumulate && work->bias && r < of->n_rows; r++)
    t->kernel->add(y_at(work, of->row + r, of->column), work->bias + of->column, of->n_columns);
}

/* Where the first sums of a tile's rows go: to the bias, or to what y holds and the bias. */
static destination begin_sums(const tiling *t, const part *of)
{
  const product *work = t->work;
  float *y = y_at(work, of->row, of->column);
  size_t stride = work->weight->n_out;
  add_bias(t, of);
  if (work->accumulate)
    return (destination){y, stride, y, stride};
  return (destination){y, stride, work->bias ? work->bias + of->column : NULL, 0};
}

/* The same where sums are added to y itself. */
static void begin_tile(const tiling *t, const part *of)
{
  const product *work = t->work;
  size_t size = of->n_columns * sizeof *work->y;
  add_bias(t, of);
  for (size_t r = 0; !work->accumulate && r < of->n_rows; r++)
    if (work->bias)
      memcpy(y_at(work, of->row + r, of->column), work->bias + of->column, size);
    else
      memset(y_at(work, of->row + r, of->column), 0, size);
}

static void end_tile(const tiling *t, const part *of)
{
  for (size_t r = 0; t->work->activation && r < of->n_rows; r++)
    t->work->activation(y_at(t->work, of->row + r, of->column), of->n_columns);
}

/* ---- Streams ---- */

static float *partial_sums(const tiling *t, size_t range, size_t tile)
{
  return t->partial + (range * t->n_column_tiles + tile) * t->work->n_rows * t->partial_stride;
}

/* Adds the ranges' sums in their order. */
static void add_partials(const tiling *t, size_t tile, const part *of)
{
  begin_tile(t, of);
  for (size_t range = 0; range < t->n_ranges; range++)
    for (size_t r = 0; r < of->n_rows; r++)
      t->kernel->add(y_at(t->work, r, of->column),
                     partial_sums(t, range, tile) + r * t->partial_stride, of->n_columns);
  end_tile(t, of);
}

static void run_stream(void *data, size_t index, int worker)
{
  tiling *t = data;
  const matrix *weight = t->work->weight;
  size_t n_rows = t->work->n_rows, n_out = weight->n_out;
  size_t range = index / t->n_column_tiles, tile = index % t->n_column_tiles;
  size_t column = tile * t->columns, n_columns = smaller(t->columns, n_out - column);
  size_t first = range * t->range, n = tiling_inputs(t, range);
  float *x = (float *)(t->panels + (size_t)worker * t->panel_size);
  float *sums = partial_sums(t, range, tile);
  memset(sums, 0, n_rows * t->partial_stride * sizeof *sums);
  t->kernel->pack_rows(exact_rows(t, 0) + first, weight->n_in, n_rows, n, x, n_rows);
  const uint8_t *w =
      (const uint8_t *)weight->data + (first * n_out + column) * element_size(weight->type);
  t->kernel->product_in_out[weight->type](x, n_rows, n_rows, w, n_out, n, n_columns, sums,
                                          t->partial_stride);
  if (atomic_fetch_add(&t->n_done[tile], 1) + 1 == t->n_ranges)
    add_partials(t, tile, &(part){0, n_rows, column, n_columns});
}

/* ---- The other ways ---- */

/* A tile's rows with a strip of n_in inputs from `first` on. Meanwhile a part of what is upcoming
 * is asked for, from input `from` to `until`. */
static void run_strip(const tiling *t, const part *of, size_t first, size_t n_in, size_t n_columns,
                      const float *strip, const destination *to, const upcoming *next, size_t from,
                      size_t until)
{
  size_t tile = t->kernel->strip_rows;
  size_t n_tiles = (of->n_rows + tile - 1) / tile, n_next = until - from;
  for (size_t i = 0; i < n_tiles; i++) {
    size_t row = i * tile;
    destination at = destination_at(to, row, 0);
    prefetch_weights(next, from + i * n_next / n_tiles, from + (i + 1) * n_next / n_tiles);
    t->kernel->product_strip(packed_rows(t, of->row + row, first), smaller(tile, of->n_rows - row),
                             strip, n_in, n_columns, &at);
  }
}

static void multiply_strips(const tiling *t, const part *of, float *strips)
{
  size_t width = t->kernel->strip_columns, n_columns = of->n_columns;
  destination to = begin_sums(t, of);
  for (size_t range = 0; range < t->n_ranges; range++) {
    size_t first = range * t->range, n_in = tiling_inputs(t, range);
    upcoming next = find_upcoming(t, of->column, n_columns, range);
    widen_to_strips(t, first, n_in, of->column, n_columns, strips);
    for (size_t j = 0; j < n_columns; j += width) {
      size_t end = smaller(j + width, n_columns);
      destination at = destination_at(&to, 0, j);
      run_strip(t, of, first, n_in, end - j, strips + j * n_in, &at, &next, j * next.n / n_columns,
                end * next.n / n_columns);
    }
    to.start = to.y;
    to.start_stride = to.stride;
  }
}

/* Whole columns of weights (out, in) as f32, where they are or in the panel. */
static const float *columns_in_f32(const tiling *t, size_t column, size_t n_columns, float *panel)
{
  const matrix *weight = t->work->weight;
  const void *w = outputs_at(weight, column);
  if (weight->type == ELEMENT_F32)
    return w;
  t->kernel->to_f32[weight->type](panel, w, n_columns * weight->n_in);
  return panel;
}

static void multiply_dots(const tiling *t, const part *of, float *panel)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  bool widens = of->n_rows >= WIDEN_ROWS;
  element_type type = widens ? ELEMENT_F32 : weight->type;
  const void *w =
      widens ? columns_in_f32(t, of->column, of->n_columns, panel) : outputs_at(weight, of->column);
  begin_tile(t, of);
  t->kernel->product_out_in[type](exact_rows(t, of->row), weight->n_in, of->n_rows, w, weight->n_in,
                                  of->n_columns, y_at(work, of->row, of->column), weight->n_out);
}

/* The rounded rows from `row` on. */
static quantized_rows rounded_rows(const tiling *t, size_t row)
{
  quantized_rows x = t->x_int;
  x.q += row * x.n_blocks * BLOCK_ELEMENTS;
  x.scale += row * x.n_blocks;
  x.sum += row * x.n_blocks;
  if (x.wide)
    x.wide += row * x.n_blocks * BLOCK_ELEMENTS;
  return x;
}

static void multiply_integers(const tiling *t, const part *of, int16_t *panel)
{
  const matrix *weight = t->work->weight;
  size_t group = packed_group_size(weight->type, t->x_int.n_blocks);
  quantized_rows x = rounded_rows(t, of->row);
  destination to = begin_sums(t, of);
  t->kernel->product_packed[weight->type](
      &x, of->n_rows, (const uint8_t *)weight->data + of->column / PACKED_COLUMNS * group,
      of->n_columns, &to, panel);
}

static void multiply_pairs(const tiling *t, const part *of, uint16_t *panel)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  const bf16_products *bf16 = t->kernel->bf16;
  const uint16_t *x = t->x_bf16 + of->row * t->x_stride, *w = weight->data;
  float *y = y_at(work, of->row, of->column);
  begin_tile(t, of);
  if (weight->layout == LAYOUT_OUT_IN) {
    bf16->out_in(x, t->x_stride, of->n_rows, w + of->column * weight->n_in, weight->n_in,
                 of->n_columns, y, weight->n_out);
    return;
  }
  bf16->pair(w + of->column, weight->n_out, weight->n_in, of->n_columns, panel);
  bf16->paired(x, t->x_stride, of->n_rows, panel, weight->n_in, of->n_columns, y, weight->n_out);
}

static void multiply_by_blas(const tiling *t, const part *of, float *panel)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  size_t n_in = weight->n_in, n_out = weight->n_out, n_rows = of->n_rows;
  const float *x = exact_rows(t, of->row), *w = weight->data;
  float *y = y_at(work, of->row, of->column);
  begin_tile(t, of);
  if (tiling_is_f32(weight) && weight->layout == LAYOUT_IN_OUT) {
    blas_product(false, n_rows, of->n_columns, n_in, 1.0f, x, n_in, w + of->column, n_out, 1.0f, y,
                 n_out);
    return;
  }
  for (size_t j = 0; j < of->n_columns; j += BLAS_COLUMNS) {
    size_t n = smaller(BLAS_COLUMNS, of->n_columns - j), column = of->column + j;
    if (weight->layout == LAYOUT_OUT_IN)
      blas_product(true, n_rows, n, n_in, 1.0f, x, n_in, columns_in_f32(t, column, n, panel), n_in,
                   1.0f, y + j, n_out);
    for (size_t range = 0; weight->layout != LAYOUT_OUT_IN && range < t->n_ranges; range++) {
      widen(t, range * t->range, tiling_inputs(t, range), column, n, panel, BLAS_COLUMNS);
      blas_product(false, n_rows, n, tiling_inputs(t, range), 1.0f, x + range * t->range, n_in,
                   panel, BLAS_COLUMNS, 1.0f, y + j, n_out);
    }
  }
}

static void run_tile(void *data, size_t index, int worker)
{
  const tiling *t = data;
  const product *work = t->work;
  void *panel = t->panels + (size_t)worker * t->panel_size;
  part of = {.row = index / t->n_column_tiles * t->rows,
             .column = index % t->n_column_tiles * t->columns};
  of.n_rows = smaller(t->rows, work->n_rows - of.row);
  of.n_columns = smaller(t->columns, work->weight->n_out - of.column);
  if (t->way == STRIPS)
    multiply_strips(t, &of, panel);
  else if (t->way == DOTS)
    multiply_dots(t, &of, panel);
  else if (t->way == INTEGERS)
    multiply_integers(t, &of, panel);
  else if (t->way == PAIRS)
    multiply_pairs(t, &of, panel);
  else
    multiply_by_blas(t, &of, panel);
  end_tile(t, &of);
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
    pool_run(p, n_row_tiles * t->n_column_tiles, blas_max_workers(), run_tile, t);
  } else {
    pool_run(p, n_row_tiles * t->n_column_tiles, pool_threads(p), run_tile, t);
  }
}

void matmul(pool *p, const product *work)
{
  tiling t;
  tiling_make(&t, work, pool_threads(p));
  if (t.way == INTEGERS || t.x_bf16 || t.x_packed)
    pool_run(p, (work->n_rows + PREPARED_ROWS - 1) / PREPARED_ROWS, pool_threads(p), prepare_rows,
             &t);
  run_tiles(p, &t);
}

void matrix_row(const matrix *m, size_t output, float *row)
{
  if (m->layout == LAYOUT_PACKED)
    packed_column(m->data, m->type, m->n_in, output, row);
  else
    kernels_in_use()->to_f32[m->type](row, outputs_at(m, output), m->n_in);
}
