/* bench_blas.c - our own products beside cblas_sgemm, on one thread: how much faster those of
 * rounded rows are, and from how many rows on BLAS is faster than our kernels. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cblas.h>

#include "base/memory.h"
#include "kernels/bench.h"
#include "kernels/bench_operands.h"
#include "kernels/matmul.h"
#include "support/pools.h"

__attribute__((weak)) void openblas_set_num_threads(int n); /* only OpenBLAS has it */

static pool *one_thread;
static void *scratch; /* of the products that are timed */

/* The rows times all weights of some shapes, one after another. */
typedef struct products_of {
  const char *name;
  layout layout;
  element_type type;
  bool fast;
  size_t n_rows;
  const bench_shape *shapes;
  size_t n_shapes;
  bool by_blas; /* all that can be left to it */
} products_of;

static matrix matrix_of(const products_of *p, const bench_shape *s)
{
  return (matrix){.data = bench_weights(p->type),
                  .type = p->type,
                  .layout = p->layout,
                  .n_in = s->n_in,
                  .n_out = s->n_out,
                  .fast = p->fast && !p->by_blas};
}

/* The number of rows that are left to BLAS is in the table, which is nobody's but ours here. */
static void set_own_rows(size_t own_rows)
{
  ((kernels *)(uintptr_t)kernels_in_use())->own_rows = own_rows;
}

/* As the library does it: rounding of rows and widening of weights included. */
static void run_matmul(const void *data)
{
  const products_of *p = data;
  size_t own_rows = kernels_in_use()->own_rows;
  set_own_rows(p->by_blas ? 0 : SIZE_MAX);
  for (size_t i = 0; i < p->n_shapes; i++) {
    matrix weight = matrix_of(p, &p->shapes[i]);
    matmul(one_thread, &(product){.weight = &weight,
                                  .x = bench_rows(),
                                  .n_rows = p->n_rows,
                                  .y = bench_y(),
                                  .scratch = scratch});
  }
  set_own_rows(own_rows);
}

/* Bare: the weights are f32, and each product is one call. */
static void run_sgemm(const void *data)
{
  const products_of *p = data;
  for (size_t i = 0; i < p->n_shapes; i++) {
    const bench_shape *s = &p->shapes[i];
    int n_rows = (int)p->n_rows, n_in = (int)s->n_in, n_out = (int)s->n_out;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n_rows, n_out, n_in, 1.0f, bench_rows(),
                n_in, bench_weights(ELEMENT_F32), n_out, 0.0f, bench_y(), n_out);
  }
}

/* The integers of the rows are there. */
static void run_packed(const void *data)
{
  const products_of *p = data;
  for (size_t i = 0; i < p->n_shapes; i++) {
    const bench_shape *s = &p->shapes[i];
    quantized_rows x = bench_rows_int8(kernels_in_use(), p->n_rows, s->n_in);
    kernels_in_use()->product_packed[p->type](&x, p->n_rows, bench_weights(p->type), s->n_out,
                                              &(destination){bench_y(), s->n_out, NULL, 0},
                                              bench_panel());
  }
}

/* The rows are bf16, and the weights lie as the processor wants them. */
static void run_bf16(const void *data)
{
  const products_of *p = data;
  for (size_t i = 0; i < p->n_shapes; i++) {
    const bench_shape *s = &p->shapes[i];
    kernels_in_use()->bf16->paired(bench_rows_bf16(), s->n_in, p->n_rows,
                                   bench_weights(ELEMENT_BF16), s->n_in, s->n_out, bench_y(),
                                   s->n_out);
  }
}

/* Makes what a product needs before it is timed, and scratch memory for both ways. */
static void prepare(products_of p)
{
  size_t most = 0, own_rows = kernels_in_use()->own_rows;
  for (int by_blas = 0; by_blas <= 1; by_blas++)
    for (size_t i = 0; i < p.n_shapes; i++) {
      size_t size;
      p.by_blas = by_blas;
      set_own_rows(by_blas ? 0 : SIZE_MAX);
      matrix weight = matrix_of(&p, &p.shapes[i]);
      if (!matmul_scratch(&weight, p.n_rows, 1, &size))
        exit(1);
      most = size > most ? size : most;
    }
  set_own_rows(own_rows);
  free(scratch);
  scratch = bench_bytes(most);
  bench_weights(ELEMENT_F32);
  bench_rows_int8(kernels_in_use(), 1, BLOCK_ELEMENTS);
  bench_rows_bf16();
  bench_y();
}

/* ---- Products alone: 512 rows ---- */

static void compare_products(const products_of *p, const char *shape)
{
  bench_job jobs[] = {{.run = run_sgemm, .data = p},
                      {.run = p->layout == LAYOUT_PACKED ? run_packed : run_bf16, .data = p},
                      {.run = run_matmul, .data = p}};
  double operations = 0;
  for (size_t i = 0; i < p->n_shapes; i++)
    operations += 2.0 * (double)p->n_rows * (double)p->shapes[i].n_in * (double)p->shapes[i].n_out;
  prepare(*p);
  bench_jobs(jobs, 3);
  printf("%-6s %-10s sgemm %7.1f GFLOP/s, our product %7.1f GOP/s: %5.2f x; with all that belongs "
         "to it %5.2f x\n",
         p->name, shape, 1e-9 * operations / jobs[0].seconds, 1e-9 * operations / jobs[1].seconds,
         jobs[1].ratio, jobs[2].ratio);
  fflush(stdout);
}

static const products_of rounded[] = {
    {.name = "q8_0", .layout = LAYOUT_PACKED, .type = ELEMENT_Q8_0, .fast = true},
    {.name = "q4_0", .layout = LAYOUT_PACKED, .type = ELEMENT_Q4_0, .fast = true},
    {.name = "bf16", .layout = LAYOUT_IN_OUT, .type = ELEMENT_BF16, .fast = true},
};
enum { N_ROUNDED = sizeof rounded / sizeof *rounded };

static void bench_products_alone(void)
{
  if (!bench_title("products alone: 512 rounded rows beside bare sgemm"))
    return;
  for (int i = 0; i < N_ROUNDED; i++) {
    products_of p = rounded[i];
    if (p.type == ELEMENT_BF16 && !kernels_in_use()->bf16)
      continue;
    p.n_rows = MOST_ROWS;
    p.n_shapes = 1;
    for (int s = 0; s < N_BLOCK_SHAPES; s++) {
      p.shapes = &bench_shapes[s];
      compare_products(&p, bench_shapes[s].name);
    }
    p.shapes = bench_shapes;
    p.n_shapes = N_BLOCK_SHAPES;
    compare_products(&p, "all four");
  }
}

/* ---- Crossover ---- */

static const size_t some_rows[] = {1, 2, 4, 8, 12, 16, 24, 32, 33, 48, 64, 96, 128, 192, 256, 512};
enum { N_ROWS = sizeof some_rows / sizeof *some_rows };

static const products_of all_ways[] = {
    {.name = "f32 (in, out)", .layout = LAYOUT_IN_OUT, .type = ELEMENT_F32},
    {.name = "f16 (in, out)", .layout = LAYOUT_IN_OUT, .type = ELEMENT_F16},
    {.name = "bf16 (in, out)", .layout = LAYOUT_IN_OUT, .type = ELEMENT_BF16},
    {.name = "bf16 (in, out), fast", .layout = LAYOUT_IN_OUT, .type = ELEMENT_BF16, .fast = true},
    {.name = "f32 (out, in)", .layout = LAYOUT_OUT_IN, .type = ELEMENT_F32},
    {.name = "f16 (out, in)", .layout = LAYOUT_OUT_IN, .type = ELEMENT_F16},
    {.name = "bf16 (out, in)", .layout = LAYOUT_OUT_IN, .type = ELEMENT_BF16},
    {.name = "bf16 (out, in), fast", .layout = LAYOUT_OUT_IN, .type = ELEMENT_BF16, .fast = true},
    {.name = "q8_0, exact", .layout = LAYOUT_PACKED, .type = ELEMENT_Q8_0},
    {.name = "q8_0, fast", .layout = LAYOUT_PACKED, .type = ELEMENT_Q8_0, .fast = true},
    {.name = "q4_0, exact", .layout = LAYOUT_PACKED, .type = ELEMENT_Q4_0},
    {.name = "q4_0, fast", .layout = LAYOUT_PACKED, .type = ELEMENT_Q4_0, .fast = true},
};
enum { N_WAYS = sizeof all_ways / sizeof *all_ways };

/* How many times as fast as BLAS we are. */
static double measure(products_of own)
{
  products_of by_blas = own;
  by_blas.by_blas = true;
  bench_job jobs[] = {{.run = run_matmul, .data = &by_blas}, {.run = run_matmul, .data = &own}};
  prepare(own);
  bench_jobs(jobs, 2);
  return jobs[1].ratio;
}

/* The least number of rows from which on BLAS is faster for all greater ones. */
static void find_crossover(products_of p)
{
  size_t crossover = 0;
  p.shapes = bench_shapes;
  p.n_shapes = N_BLOCK_SHAPES;
  printf("%-20s", p.name);
  for (int i = 0; i < N_ROWS; i++) {
    p.n_rows = some_rows[i];
    double ratio = measure(p);
    crossover = ratio > 1 ? 0 : crossover ? crossover : p.n_rows;
    printf(" %6.2f", ratio);
    fflush(stdout);
  }
  if (crossover)
    printf("  BLAS from %zu rows\n", crossover);
  else
    printf("  never BLAS\n");
}

static void bench_crossover(void)
{
  if (!bench_title("crossover: how many times as fast as BLAS our kernels are, by rows"))
    return;
  printf("%-20s", "");
  for (int i = 0; i < N_ROWS; i++)
    printf(" %6zu", some_rows[i]);
  printf("\n");
  for (int i = 0; i < N_WAYS; i++)
    find_crossover(all_ways[i]);
}

void bench_against_blas(void)
{
  one_thread = new_pool(1);
  if (openblas_set_num_threads)
    openblas_set_num_threads(1); /* the process is ours */
  bench_products_alone();
  bench_crossover();
  pool_free(one_thread);
  free(scratch);
}
