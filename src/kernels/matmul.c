/* matmul.c - the products of rows with a weight matrix, by whichever way is fastest. */
#include "kernels/matmul.h"

#include <string.h>

#include "kernels/blas.h"

/* A tile of y: columns and rows of it. */
typedef struct tiling {
  const product *work;
  const kernels *kernel;
  size_t rows, columns; /* of a whole tile */
  size_t n_column_tiles;
} tiling;

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

/* The part of the weight that makes columns from `column` on, and the distance between its rows. */
static const float *weight_at(const matrix *weight, size_t column, size_t *stride)
{
  const float *data = weight->data;
  *stride = weight->layout == LAYOUT_IN_OUT ? weight->n_out : weight->n_in;
  return data + (weight->layout == LAYOUT_IN_OUT ? column : column * weight->n_in);
}

static void multiply_by_kernel(const tiling *t, size_t n_rows, size_t column, size_t n_columns)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  size_t stride;
  const float *w = weight_at(weight, column, &stride);
  float *y = y_at(work, 0, column);
  if (weight->layout == LAYOUT_IN_OUT)
    t->kernel->product_in_out[weight->type](work->x, weight->n_in, n_rows, w, stride, weight->n_in,
                                            n_columns, y, weight->n_out);
  else
    t->kernel->product_out_in[weight->type](work->x, weight->n_in, n_rows, w, weight->n_in,
                                            n_columns, y, weight->n_out);
}

static void multiply_by_blas(const tiling *t, size_t row, size_t n_rows, size_t column,
                             size_t n_columns)
{
  const product *work = t->work;
  const matrix *weight = work->weight;
  size_t stride;
  const float *w = weight_at(weight, column, &stride);
  blas_product(weight->layout == LAYOUT_OUT_IN, n_rows, n_columns, weight->n_in, 1.0f,
               work->x + row * weight->n_in, weight->n_in, w, stride, 1.0f, y_at(work, row, column),
               weight->n_out);
}

static void run_tile(void *data, size_t tile, int worker)
{
  (void)worker;
  const tiling *t = data;
  const product *work = t->work;
  size_t row = tile / t->n_column_tiles * t->rows, column = tile % t->n_column_tiles * t->columns;
  size_t n_rows = work->n_rows - row < t->rows ? work->n_rows - row : t->rows;
  size_t n_columns = work->weight->n_out - column;
  if (n_columns > t->columns)
    n_columns = t->columns;
  begin_tile(t, row, n_rows, column, n_columns);
  if (work->n_rows <= MAX_KERNEL_ROWS)
    multiply_by_kernel(t, n_rows, column, n_columns);
  else
    multiply_by_blas(t, row, n_rows, column, n_columns);
  end_tile(t, row, n_rows, column, n_columns);
}

/* Kernel tiles: all rows, and as many columns as keep eight weight rows of the tile, and the
 * outputs, in the first-level cache, but in pieces of whole cache lines and, for (in, out), of at
 * least a kilobyte to stream. */
enum { KERNEL_COLUMNS_IN_OUT = 192, KERNEL_COLUMNS_OUT_IN = 64 };

/* BLAS tiles. BLAS copies both operands into an order of its own, and does so anew for each tile:
 * all rows of a pass in one tile copy the weights once only. 192 columns are 97% as fast as the
 * whole product in one call (256 rows by 384 columns: 95%; measured on 512 rows of the 124M shapes
 * with OpenBLAS 0.3.21), and every width of the published models is then a good number of tiles. */
enum { BLAS_ROWS = 512, BLAS_COLUMNS = 192 };

static void choose_tiles(tiling *t)
{
  const product *work = t->work;
  t->rows = work->n_rows;
  if (work->n_rows <= MAX_KERNEL_ROWS) {
    t->columns =
        work->weight->layout == LAYOUT_IN_OUT ? KERNEL_COLUMNS_IN_OUT : KERNEL_COLUMNS_OUT_IN;
  } else if (blas_max_workers() == 1) {
    t->columns = work->weight->n_out;
  } else {
    t->rows = BLAS_ROWS;
    t->columns = BLAS_COLUMNS;
  }
  t->n_column_tiles = (work->weight->n_out + t->columns - 1) / t->columns;
}

void matmul(pool *p, const product *work)
{
  tiling t = {.work = work, .kernel = kernels_in_use()};
  choose_tiles(&t);
  size_t n_tiles = (work->n_rows + t.rows - 1) / t.rows * t.n_column_tiles;
  if (work->n_rows <= MAX_KERNEL_ROWS) {
    pool_run(p, n_tiles, pool_threads(p), run_tile, &t);
    return;
  }
  blas_enter();
  pool_run(p, n_tiles, blas_max_workers(), run_tile, &t);
  blas_leave();
}
