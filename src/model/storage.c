/* storage.c - what the weights are kept in, and the work of getting them there. */
#include "model/storage.h"

#include <string.h>

#include "base/pages.h"
#include "kernels/packed.h"

/* Bytes of the file that a tile converts, about: enough that giving their pages back, which every
 * processor that runs one of our threads must be told of, costs little beside (of 256 KiB: 15%);
 * and few enough that the pages of all tiles at work are little beside the weights. */
enum { TILE_SIZE = 1 << 20 };

/* Bytes that are read at a time where there is no view: enough for some tiles a thread. */
enum { READ_SIZE = 4 << 20 };

/* Bytes of a tile that only gets pages. */
enum { PAGES_SIZE = 4 << 20 };

/* ---- What each is kept as ---- */

static bool is_block_type(element_type type)
{
  return type == ELEMENT_Q8_0 || type == ELEMENT_Q4_0;
}

static element_type kept_type(const weight *w, int32_t wanted)
{
  static const element_type types[] = {[GPT2_TYPE_F32] = ELEMENT_F32,
                                       [GPT2_TYPE_F16] = ELEMENT_F16,
                                       [GPT2_TYPE_BF16] = ELEMENT_BF16,
                                       [GPT2_TYPE_Q8_0] = ELEMENT_Q8_0,
                                       [GPT2_TYPE_Q4_0] = ELEMENT_Q4_0};
  element_type stored = w->from->type == ELEMENT_F64 ? ELEMENT_F32 : w->from->type;
  if (w->kind == WEIGHT_VECTOR)
    return ELEMENT_F32;
  if (w->kind == WEIGHT_TABLE || wanted == GPT2_TYPE_DEFAULT)
    return stored;
  if (w->kind == WEIGHT_UNEMBED && wanted == GPT2_TYPE_Q4_0)
    return ELEMENT_Q8_0; /* its errors go straight to the logits */
  return types[wanted];
}

/* Whether rows are rounded before they are multiplied with it. */
static bool is_fast(const storage *s, const weight *w, element_type type, int32_t compute)
{
  if (w->kind == WEIGHT_TABLE)
    return false;
  if (is_block_type(type))
    return compute != GPT2_COMPUTE_EXACT;
  return type == ELEMENT_BF16 && compute == GPT2_COMPUTE_FAST && s->kernel->bf16;
}

static void describe(const storage *s, weight *w, const gpt2_load_options *options)
{
  const tensor *t = w->from;
  element_type type = kept_type(w, options->weights);
  layout rows = w->kind == WEIGHT_MATRIX ? LAYOUT_IN_OUT : LAYOUT_OUT_IN;
  size_t n_rows = (size_t)t->shape[0], n_columns = t->rank == 1 ? 1 : (size_t)t->shape[1];
  w->change = (conversion){.to = {.type = type,
                                  .layout = is_block_type(type) ? LAYOUT_PACKED : rows,
                                  .n_in = rows == LAYOUT_IN_OUT ? n_rows : n_columns,
                                  .n_out = rows == LAYOUT_IN_OUT ? n_columns : n_rows,
                                  .fast = is_fast(s, w, type, options->compute)},
                           .from = t->type,
                           .from_layout = rows,
                           .n_rows = n_rows,
                           .n_columns = n_columns};
  w->view = type == t->type ? tensor_view(t) : NULL;
}

/* ---- Where it is kept ---- */

static size_t row_size(const weight *w)
{
  return w->change.n_columns * element_size(w->change.from);
}

/* Vectors are short: the loading thread reads them. */
static bool is_converted_in_tiles(const weight *w)
{
  return !w->view && w->kind != WEIGHT_VECTOR && tensor_bytes(w->from);
}

static bool stays_in_view(const weight *w)
{
  return w->view != NULL;
}

static size_t tiles_of(const weight *w)
{
  return (w->change.n_rows + w->tile_rows - 1) / w->tile_rows;
}

/* Numbers the tiles of some of the weights, behind the first n. */
static void cut_into_tiles(storage *s, size_t n, size_t tile_size,
                           bool (*has_tiles)(const weight *))
{
  s->n_tiles = n;
  for (size_t i = 0; i < s->n; i++) {
    weight *w = &s->weights[i];
    size_t step = conversion_granularity(&w->change), fitting = tile_size / row_size(w) / step;
    w->tile_rows = fitting > 0 ? fitting * step : step;
    w->first_tile = s->n_tiles;
    if (has_tiles(w))
      s->n_tiles += tiles_of(w);
  }
}

static gpt2_status fail_size(const weight *w, gpt2_error *error)
{
  return fail(error, GPT2_ERR_MEMORY, NO_OFFSET,
              "%s: tensor %s: the weights do not fit the memory that can be addressed",
              w->from->from->name, w->from->name);
}

/* Every weight begins at a multiple of MEMORY_ALIGNMENT. */
static gpt2_status lay_out(gpt2_model *model, weight *w, gpt2_error *error)
{
  size_t *total = &model->memory_size;
  if (!matrix_size(&w->change.to, &w->size))
    return fail_size(w, error);
  *(w->view ? &model->mapped_size : &model->allocated_size) += w->size;
  if (w->view)
    return GPT2_OK;
  w->offset = *total;
  if (!add_size(total, *total, w->size) || !add_size(total, *total, MEMORY_ALIGNMENT - 1))
    return fail_size(w, error);
  *total -= *total % MEMORY_ALIGNMENT;
  return GPT2_OK;
}

static gpt2_status take_memory(storage *s, const gpt2_load_options *options, gpt2_error *error)
{
  gpt2_model *model = s->model;
  size_t size = model->memory_size;
  bool huge = options->flags & GPT2_LOAD_HUGE_PAGES && size >= HUGE_PAGE_SIZE;
  if (size == 0)
    return GPT2_OK;
  model->memory =
      allocate_aligned(&model->allocator, size, huge ? HUGE_PAGE_SIZE : MEMORY_ALIGNMENT);
  if (!model->memory)
    return fail_memory(error, size);
  if (huge)
    pages_prefer_huge(model->memory, size);
  for (size_t i = 0; i < s->n; i++)
    s->weights[i].change.data = (uint8_t *)model->memory + s->weights[i].offset;
  return GPT2_OK;
}

/* Where matrices leave the file, vectors do, too: a page of the file for each would be most of what
 * is left of it in memory. */
static void take_vectors_along(storage *s)
{
  bool leaves = false;
  for (size_t i = 0; i < s->n; i++)
    leaves |= s->weights[i].kind != WEIGHT_VECTOR && !s->weights[i].view;
  for (size_t i = 0; leaves && i < s->n; i++)
    if (s->weights[i].kind == WEIGHT_VECTOR)
      s->weights[i].view = NULL;
}

gpt2_status storage_place(storage *s, const gpt2_load_options *options, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  s->kernel = kernels_in_use();
  for (size_t i = 0; i < s->n; i++)
    describe(s, &s->weights[i], options);
  take_vectors_along(s);
  for (size_t i = 0; status == GPT2_OK && i < s->n; i++)
    status = lay_out(s->model, &s->weights[i], error);
  if (status == GPT2_OK)
    status = take_memory(s, options, error);
  if (status != GPT2_OK)
    return status;
  s->n_page_tiles = (s->model->memory_size + PAGES_SIZE - 1) / PAGES_SIZE;
  cut_into_tiles(s, s->n_page_tiles, TILE_SIZE, is_converted_in_tiles);
  for (size_t i = 0; options->flags & GPT2_LOAD_HUGE_PAGES && i < s->model->tensors.n_files; i++)
    file_prefer_huge_pages(s->model->tensors.files[i]);
  return GPT2_OK;
}

/* ---- Tiles ---- */

/* The weight that a tile is of: the last that does not begin behind it. */
static const weight *weight_of(const storage *s, size_t tile)
{
  size_t low = 0, high = s->n;
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (s->weights[middle].first_tile <= tile)
      low = middle;
    else
      high = middle;
  }
  return &s->weights[low];
}

/* The rows of the file that a tile is about. */
static const uint8_t *rows_of(const weight *w, size_t tile, size_t *first, size_t *n)
{
  *first = (tile - w->first_tile) * w->tile_rows;
  *n = smaller(w->change.n_rows - *first, w->tile_rows);
  return tensor_bytes(w->from) + *first * row_size(w);
}

void storage_tile(void *work, size_t tile, int worker)
{
  (void)worker;
  const storage *s = work;
  size_t first, n;
  if (tile < s->n_page_tiles) {
    size_t at = tile * PAGES_SIZE;
    pages_commit((uint8_t *)s->model->memory + at, smaller(s->model->memory_size - at, PAGES_SIZE));
    return;
  }
  const weight *w = weight_of(s, tile);
  const uint8_t *rows = rows_of(w, tile, &first, &n);
  convert_rows(s->kernel, &w->change, rows, first, n);
  tensor_forget(w->from, first * w->change.n_columns, n * w->change.n_columns);
}

static void prefault_tile(void *work, size_t tile, int worker)
{
  (void)worker;
  size_t first, n;
  const weight *w = weight_of(work, tile);
  const uint8_t *rows = rows_of(w, tile, &first, &n);
  pages_prefault(rows, n * row_size(w));
}

/* At the very end: what was read before may have been forgotten, with pages beside it. */
void storage_prefault(storage *s, pool *p)
{
  cut_into_tiles(s, 0, PAGES_SIZE, stays_in_view);
  pool_run(p, s->n_tiles, pool_threads(p), prefault_tile, s);
}

/* ---- What has no view, and vectors ---- */

/* Some rows of a weight that have been read. */
typedef struct rows_read {
  const storage *of;
  const weight *weight;
  const uint8_t *rows;
  size_t first, n;
} rows_read;

static void convert_read(void *work, size_t tile, int worker)
{
  (void)worker;
  const rows_read *r = work;
  size_t at = tile * r->weight->tile_rows, n = smaller(r->n - at, r->weight->tile_rows);
  convert_rows(r->of->kernel, &r->weight->change, r->rows + at * row_size(r->weight), r->first + at,
               n);
}

/* Rows of READ_SIZE bytes together, but whole tiles. */
static size_t rows_at_a_time(const weight *w)
{
  size_t tiles = READ_SIZE / row_size(w) / w->tile_rows;
  return smaller(w->change.n_rows, (tiles > 0 ? tiles : 1) * w->tile_rows);
}

static bool is_read_and_converted(const weight *w)
{
  return !w->view && w->kind != WEIGHT_VECTOR && !tensor_bytes(w->from) &&
         w->change.to.type != w->from->type;
}

static gpt2_status read_and_convert(const storage *s, const weight *w, pool *p, uint8_t *buffer,
                                    gpt2_error *error)
{
  size_t step = rows_at_a_time(w), n_columns = w->change.n_columns;
  gpt2_status status = GPT2_OK;
  for (size_t first = 0; status == GPT2_OK && first < w->change.n_rows; first += step) {
    rows_read r = {s, w, buffer, first, smaller(w->change.n_rows - first, step)};
    status = tensor_read(w->from, first * n_columns, r.n * n_columns, buffer, error);
    if (status == GPT2_OK)
      pool_run(p, (r.n + w->tile_rows - 1) / w->tile_rows, pool_threads(p), convert_read, &r);
  }
  return status;
}

/* What tiles have not done. */
static gpt2_status read_weight(const storage *s, const weight *w, pool *p, uint8_t *buffer,
                               gpt2_error *error)
{
  const tensor *t = w->from;
  if (w->view)
    return GPT2_OK;
  if (w->kind == WEIGHT_VECTOR) {
    gpt2_status status = tensor_read_f32(t, 0, t->n, w->change.data, error);
    tensor_forget(t, 0, t->n);
    return status;
  }
  if (is_read_and_converted(w))
    return read_and_convert(s, w, p, buffer, error);
  return tensor_bytes(t) ? GPT2_OK : tensor_read(t, 0, t->n, w->change.data, error);
}

static void set_field(weight *w)
{
  w->change.to.data = w->view ? w->view : w->change.data;
  if (w->kind == WEIGHT_VECTOR)
    *(const float **)w->field = w->change.to.data;
  else
    *(matrix *)w->field = w->change.to;
}

gpt2_status storage_finish(storage *s, pool *p, gpt2_error *error)
{
  const gpt2_allocator *allocator = &s->model->allocator;
  size_t most = 0;
  for (size_t i = 0; i < s->n; i++) {
    size_t size = rows_at_a_time(&s->weights[i]) * row_size(&s->weights[i]);
    most = is_read_and_converted(&s->weights[i]) && size > most ? size : most;
  }
  uint8_t *buffer = most > 0 ? allocate(allocator, most) : NULL;
  gpt2_status status = most > 0 && !buffer ? fail_memory(error, most) : GPT2_OK;
  for (size_t i = 0; status == GPT2_OK && i < s->n; i++) {
    status = read_weight(s, &s->weights[i], p, buffer, error);
    set_field(&s->weights[i]);
  }
  release(allocator, buffer);
  return status;
}
