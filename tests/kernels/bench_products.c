/* bench_products.c - products of rows with weights at the shapes of GPT-2 124M. */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/bench.h"
#include "kernels/bench_operands.h"
#include "kernels/packed.h"

/* How many rows are worth measuring: those of decoding, and of prefill where a kernel does it. */
static const size_t some_rows[] = {1, 2, 4, 8, 16, 32, 512};
enum { N_ROWS = sizeof some_rows / sizeof *some_rows };

typedef struct product_of {
  size_t n_rows, n_in, n_out;
  element_type type;
  const void *w;
  const float *x;
  const uint16_t *x_bf16;
  float *y;
  uint16_t *panel;
} product_of;

static void run_in_out(const kernels *kernel, const void *data)
{
  const product_of *p = data;
  kernel->product_in_out[p->type](p->x, p->n_rows, p->n_rows, p->w, p->n_out, p->n_in, p->n_out,
                                  p->y, p->n_out);
}

static void run_out_in(const kernels *kernel, const void *data)
{
  const product_of *p = data;
  kernel->product_out_in[p->type](p->x, p->n_in, p->n_rows, p->w, p->n_in, p->n_out, p->y,
                                  p->n_out);
}

/* All strips of a matrix, as if each had been widened before, and the rows packed. */
static void run_strips(const kernels *kernel, const void *data)
{
  const product_of *p = data;
  for (size_t j = 0; j < p->n_out; j += kernel->strip_columns) {
    size_t left = p->n_out - j, n = left < kernel->strip_columns ? left : kernel->strip_columns;
    for (size_t r = 0; r < p->n_rows; r += kernel->strip_rows) {
      size_t rows = p->n_rows - r < kernel->strip_rows ? p->n_rows - r : kernel->strip_rows;
      float *y = p->y + r * p->n_out + j;
      kernel->product_strip(p->x + r * p->n_in, rows, p->w, p->n_in, n,
                            &(destination){y, p->n_out, y, p->n_out});
    }
  }
}

static void run_packed(const kernels *kernel, const void *data)
{
  const product_of *p = data;
  quantized_rows x = bench_rows_int8(kernel, p->n_rows, p->n_in);
  kernel->product_packed[p->type](&x, p->n_rows, p->w, p->n_out,
                                  &(destination){p->y, p->n_out, NULL, 0}, bench_panel());
}

static void run_pair(const kernels *kernel, const void *data)
{
  const product_of *p = data;
  kernel->bf16->pair(p->w, p->n_out, p->n_in, p->n_out, p->panel);
}

static void run_paired(const kernels *kernel, const void *data)
{
  const product_of *p = data;
  kernel->bf16->paired(p->x_bf16, p->n_in, p->n_rows, p->w, p->n_in, p->n_out, p->y, p->n_out);
}

static void run_bf16_out_in(const kernels *kernel, const void *data)
{
  const product_of *p = data;
  kernel->bf16->out_in(p->x_bf16, p->n_in, p->n_rows, p->w, p->n_in, p->n_out, p->y, p->n_out);
}

/* ---- What is measured ---- */

/* Bytes of a weight matrix as the entry reads it. */
static double weight_bytes(const product_of *p)
{
  size_t size;
  if (p->type < N_STORED_TYPES)
    return (double)(p->n_in * p->n_out * element_size(p->type));
  return packed_size(p->type, p->n_in, p->n_out, &size) ? (double)size : 0;
}

static void find_operands(product_of *p)
{
  p->w = bench_weights(p->type);
  p->x = bench_rows();
  p->x_bf16 = bench_rows_bf16();
  p->y = bench_y();
}

static void bench_product(const kernel_entry *entry, const bench_shape *shape, size_t n_rows,
                          element_type type, void (*run)(const kernels *kernel, const void *data))
{
  product_of p = {.n_rows = n_rows, .n_in = shape->n_in, .n_out = shape->n_out, .type = type};
  bench_work work = {.entry = entry, .run = run, .data = &p};
  snprintf(work.shape, sizeof work.shape, "%s %zu x %zu, rows %zu", shape->name, p.n_in, p.n_out,
           n_rows);
  if (!bench_wants(&work))
    return;
  find_operands(&p);
  work.operations = 2.0 * (double)n_rows * (double)p.n_in * (double)p.n_out;
  work.bytes = weight_bytes(&p);
  bench_entry(&work);
}

/* At all shapes for all numbers of rows; 512 only where kernels multiply that many. */
static void bench_shapes_and_rows(const kernel_entry *entry, element_type type, bool in_prefill,
                                  void (*run)(const kernels *kernel, const void *data))
{
  for (int s = 0; s < N_SHAPES; s++)
    for (int r = 0; r < N_ROWS; r++)
      if (some_rows[r] <= MOST_LOGIT_ROWS || (in_prefill && s != UNEMBEDDING))
        bench_product(entry, &bench_shapes[s], some_rows[r], type, run);
}

static void bench_pair(void)
{
  for (int s = 0; s < N_BLOCK_SHAPES; s++) {
    product_of p = {.n_in = bench_shapes[s].n_in, .n_out = bench_shapes[s].n_out};
    bench_work work = {.entry = BF16_ENTRY(pair), .run = run_pair, .data = &p};
    snprintf(work.shape, sizeof work.shape, "%zu x %zu", p.n_in, p.n_out);
    if (!bench_wants(&work))
      continue;
    p.w = bench_weights(ELEMENT_BF16);
    p.panel = bench_elements(ELEMENT_BF16, p.n_in * p.n_out);
    work.bytes = 4.0 * (double)p.n_in * (double)p.n_out;
    bench_entry(&work);
    free(p.panel);
  }
}

void bench_products(void)
{
  bench_shapes_and_rows(ENTRY_AT(product_in_out, ELEMENT_F32), ELEMENT_F32, false, run_in_out);
  bench_shapes_and_rows(ENTRY_AT(product_in_out, ELEMENT_F16), ELEMENT_F16, false, run_in_out);
  bench_shapes_and_rows(ENTRY_AT(product_in_out, ELEMENT_BF16), ELEMENT_BF16, false, run_in_out);
  bench_shapes_and_rows(ENTRY_AT(product_out_in, ELEMENT_F32), ELEMENT_F32, false, run_out_in);
  bench_shapes_and_rows(ENTRY_AT(product_out_in, ELEMENT_F16), ELEMENT_F16, false, run_out_in);
  bench_shapes_and_rows(ENTRY_AT(product_out_in, ELEMENT_BF16), ELEMENT_BF16, false, run_out_in);
  bench_shapes_and_rows(ENTRY(product_strip), ELEMENT_F32, true, run_strips);
  bench_shapes_and_rows(ENTRY_AT(product_packed, ELEMENT_Q8_0), ELEMENT_Q8_0, true, run_packed);
  bench_shapes_and_rows(ENTRY_AT(product_packed, ELEMENT_Q4_0), ELEMENT_Q4_0, true, run_packed);
  bench_pair();
  bench_shapes_and_rows(BF16_ENTRY(paired), ELEMENT_BF16, true, run_paired);
  bench_shapes_and_rows(BF16_ENTRY(out_in), ELEMENT_BF16, true, run_bf16_out_in);
}
