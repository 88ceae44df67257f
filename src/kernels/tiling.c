/* tiling.c - how a product is cut into tiles, and the memory that they need. */
#include "kernels/tiling.h"

#include "kernels/blas.h"
#include "kernels/packed.h"

/* Rows from which on bf16 rows are multiplied as such: fewer wait for the weights, not for the
 * arithmetic. */
enum { PAIR_ROWS = 8 };

enum {
  STRIPS_AT_ONCE = 4,   /* of a tile: their weights are read as lines that follow each other */
  MAX_RANGE = 384,      /* inputs of a range; measured: strips of 192 to 768 are as fast */
  MAX_STREAM = 1536,    /* columns of a stream's tile: a row's sums stay in the cache; */
  MIN_STREAM = 192,     /* and at least, so that weights are read as lines that follow each other */
  COLUMN_UNIT = 48,     /* columns of a stream's tile are a multiple of it, so whole cache lines;
                           and those of a panel of pairs: three registers of AVX-512 */
  DOT_COLUMNS = 96,     /* columns of a tile of dot products: threes and fours, and eights */
  INTEGER_COLUMNS = 64, /* of a tile of packed weights: four groups, at least */
  INTEGER_TILES = 32, /* of packed weights: more would only cost claims, unless threads need them */
  TILES_A_THREAD = 4, /* so that threads end at about the same time, where there are so many; */
  FEWEST_A_THREAD = 2, /* with fewer than that, rows are cut, too, */
  FEWEST_ROWS = 64     /* but not into less: each tile widens its weights anew */
};

/* ---- Choosing ---- */

static way choose_way(const matrix *weight, const kernels *kernel, size_t n_rows)
{
  if (weight->fast && weight->layout == LAYOUT_PACKED)
    return INTEGERS;
  if (weight->fast && weight->type == ELEMENT_BF16 && kernel->bf16 && n_rows >= PAIR_ROWS)
    return PAIRS;
  if (n_rows > kernel->own_rows)
    return BLAS;
  if (weight->layout == LAYOUT_OUT_IN)
    return DOTS;
  return weight->layout == LAYOUT_PACKED || n_rows > MAX_STREAM_ROWS ? STRIPS : STREAM;
}

/* Ranges are whole blocks of packed weights. At least four, if they are not too short for that:
 * as many workers can stream a matrix that has few columns. */
static void choose_ranges(tiling *t)
{
  size_t n_in = t->work->weight->n_in;
  size_t n = larger((n_in + MAX_RANGE - 1) / MAX_RANGE, smaller(4, n_in / 96));
  t->range = n > 1 ? round_up((n_in + n - 1) / n, BLOCK_ELEMENTS) : larger(n_in, 1);
  t->n_ranges = (n_in + t->range - 1) / t->range;
}

/* Cuts n columns into so many tiles, or a few less, of whole units. */
static size_t cut_columns(size_t n, size_t n_tiles, size_t unit)
{
  return round_up((n + n_tiles - 1) / n_tiles, unit);
}

static size_t choose_columns(const tiling *t, size_t n_threads)
{
  size_t n_out = t->work->weight->n_out, n;
  switch (t->way) {
  case STREAM:
    n = (FEWEST_A_THREAD * n_threads + t->n_ranges - 1) / t->n_ranges;
    n = larger(smaller(n, n_out / MIN_STREAM), (n_out + MAX_STREAM - 1) / MAX_STREAM);
    return cut_columns(n_out, n, COLUMN_UNIT);
  case STRIPS:
    n = n_out / (TILES_A_THREAD * n_threads * t->kernel->strip_columns);
    return smaller(larger(n, 1), STRIPS_AT_ONCE) * t->kernel->strip_columns;
  case PAIRS:
    return t->work->weight->layout == LAYOUT_OUT_IN ? DOT_COLUMNS : COLUMN_UNIT;
  case DOTS:
    return DOT_COLUMNS;
  case INTEGERS:
    return cut_columns(n_out, larger(INTEGER_TILES, TILES_A_THREAD * n_threads), INTEGER_COLUMNS);
  case BLAS:
    break;
  }
  return blas_max_workers() == 1 ? n_out : BLAS_COLUMNS;
}

/* Where columns alone make too few tiles for all threads, rows are cut as well: into whole tiles of
 * strips. */
static size_t choose_rows(const tiling *t, size_t n_threads)
{
  size_t n_rows = t->work->n_rows;
  if (t->way == BLAS && blas_max_workers() > 1)
    return BLAS_ROWS;
  if (t->way == BLAS || t->way == STREAM)
    return n_rows;
  size_t n = (FEWEST_A_THREAD * n_threads + t->n_column_tiles - 1) / t->n_column_tiles;
  n = larger(smaller(n, n_rows / FEWEST_ROWS), 1);
  return larger(round_up((n_rows + n - 1) / n, MAX_STRIP_ROWS), 1);
}

/* Whether rows and weights are multiplied as int16. */
static bool is_wide(const tiling *t)
{
  return t->way == INTEGERS && t->work->weight->type == ELEMENT_Q8_0 &&
         t->work->n_rows >= t->kernel->wide_rows;
}

/* Floats of one worker's panel. */
static size_t panel_floats(const tiling *t)
{
  size_t n_in = t->work->weight->n_in;
  switch (t->way) {
  case STREAM:
    return t->range * t->work->n_rows;
  case STRIPS:
    return t->range * t->columns;
  case PAIRS:
    return t->work->weight->layout == LAYOUT_OUT_IN ? 0 : (n_in + 1) / 2 * COLUMN_UNIT;
  case DOTS:
    return t->work->weight->type == ELEMENT_F32 ? 0 : DOT_COLUMNS * n_in;
  case BLAS:
    if (tiling_is_f32(t->work->weight))
      return 0;
    return (t->work->weight->layout == LAYOUT_OUT_IN ? n_in : t->range) * BLAS_COLUMNS;
  case INTEGERS:
    return is_wide(t) ? packed_blocks(n_in) * BLOCK_ELEMENTS * PACKED_COLUMNS / 2 : 0;
  default:
    return 0;
  }
}

/* ---- Scratch memory ---- */

/* Hands out parts of the scratch memory, or only counts them while there is none. */
typedef struct arena {
  uint8_t *memory;
  size_t size;
  bool failed;
} arena;

static void *take(arena *a, size_t n, size_t size)
{
  size_t bytes, end;
  uint8_t *part = a->memory ? a->memory + a->size : NULL;
  if (!mul_size(&bytes, n, size) || !add_size(&bytes, bytes, MEMORY_ALIGNMENT - 1) ||
      !add_size(&end, a->size, bytes / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT))
    a->failed = true;
  else
    a->size = end;
  return part;
}

static void take_rows(tiling *t, arena *a)
{
  const matrix *weight = t->work->weight;
  size_t n_rows = t->work->n_rows, n_blocks = packed_blocks(weight->n_in);
  if (t->way == INTEGERS)
    t->x_int = (quantized_rows){.q = take(a, n_rows, n_blocks * BLOCK_ELEMENTS),
                                .scale = take(a, n_rows, n_blocks * sizeof(float)),
                                .sum = take(a, n_rows, n_blocks * sizeof(int32_t)),
                                .wide = NULL,
                                .n_blocks = n_blocks};
  if (is_wide(t))
    t->x_int.wide = take(a, n_rows, n_blocks * BLOCK_ELEMENTS * sizeof *t->x_int.wide);
  if (t->way == STRIPS)
    t->x_packed =
        take(a, round_up(n_rows, t->kernel->strip_rows), weight->n_in * sizeof *t->x_packed);
  if (!weight->fast || weight->type != ELEMENT_BF16)
    return;
  t->x_stride = round_up(weight->n_in, 2);
  t->x_bf16 = take(a, n_rows, t->x_stride * sizeof *t->x_bf16);
  if (t->way != PAIRS)
    t->x_rounded = take(a, n_rows, weight->n_in * sizeof *t->x_rounded);
}

static void lay_out(tiling *t, arena *a, int n_threads)
{
  const product *work = t->work;
  t->way = choose_way(work->weight, t->kernel, work->n_rows);
  choose_ranges(t);
  t->columns = choose_columns(t, (size_t)n_threads);
  t->n_column_tiles = (work->weight->n_out + t->columns - 1) / t->columns;
  t->rows = choose_rows(t, (size_t)n_threads);
  take_rows(t, a);
  if (t->way == STREAM) {
    /* Rows that stood a multiple of 4096 bytes apart would push each other out of the cache. */
    t->partial_stride = t->columns + MEMORY_ALIGNMENT / sizeof *t->partial;
    size_t n = t->n_ranges * t->n_column_tiles * work->n_rows; /* few, as MAX_STREAM_ROWS is */
    t->partial = take(a, n, t->partial_stride * sizeof *t->partial);
    t->n_done = take(a, t->n_column_tiles, sizeof *t->n_done);
  }
  t->panel_size = round_up(panel_floats(t) * sizeof(float), MEMORY_ALIGNMENT);
  t->panels = take(a, (size_t)n_threads, t->panel_size);
}

void tiling_make(tiling *t, const product *work, int n_threads)
{
  arena scratch = {.memory = work->scratch};
  *t = (tiling){.work = work, .kernel = kernels_in_use()};
  lay_out(t, &scratch, n_threads);
}

/* The most that any number of rows up to n_rows takes: that of each way at its greatest. */
bool matmul_scratch(const matrix *weight, size_t n_rows, int n_threads, size_t *size)
{
  const size_t greatest[] = {smaller(n_rows, PAIR_ROWS - 1), smaller(n_rows, MAX_STREAM_ROWS),
                             smaller(n_rows, kernels_in_use()->own_rows), n_rows};
  *size = 0;
  for (size_t i = 0; i < sizeof greatest / sizeof *greatest; i++) {
    product work = {.weight = weight, .n_rows = greatest[i]};
    tiling t = {.work = &work, .kernel = kernels_in_use()};
    arena counted = {.memory = NULL};
    lay_out(&t, &counted, n_threads);
    if (counted.failed)
      return false;
    *size = larger(*size, counted.size);
  }
  return true;
}
