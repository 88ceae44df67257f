/* products.c - how long the model's matrix products take when nothing but sgemm runs. */
#define _POSIX_C_SOURCE 200809L
#include "bench/products.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>

#include "support/program.h"

/* Only OpenBLAS has these. */
extern int openblas_get_parallel(void) __attribute__((weak));
extern void openblas_set_num_threads(int n_threads) __attribute__((weak));

#if defined(GPT2_BLAS_PRIVATE) /* blas=private: an archive, which is serial */
enum { BLAS_IS_SERIAL = 1 };
#else
enum { BLAS_IS_SERIAL = 0 };
#endif

enum {
  PEAK_SIZE = 1024, /* rows, columns and depth of the product that stands for the machine */
  MAX_WEIGHTS =
      1 << 28 /* floats: 1 GB, beyond any cache; a larger model's products go round in it */
};

/* y (rows, out) = x (rows, in) . w (in, out) */
typedef struct product {
  const float *x;
  const float *w;
  float *y;
  int32_t rows, in, out;
} product;

static void multiply(const product *p)
{
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p->rows, p->out, p->in, 1, p->x, p->in,
              p->w, p->out, 0, p->y, p->out);
}

static void multiply_part(const product *p, int32_t index, int32_t n_threads)
{
  int32_t first = (int32_t)((int64_t)p->rows * index / n_threads);
  int32_t end = (int32_t)((int64_t)p->rows * (index + 1) / n_threads);
  product part = *p;
  part.rows = end - first;
  part.x += (size_t)first * (size_t)p->in;
  part.y += (size_t)first * (size_t)p->out;
  if (part.rows > 0)
    multiply(&part);
}

/* What the threads are to do together. */
typedef struct pass {
  const products *of;
  int32_t n_rows;
  bool split; /* among our threads */
} pass;

static void run_pass(int32_t index, int32_t n_threads, void *data)
{
  const pass *run = data;
  const products *p = run->of;
  const int32_t shapes[4][2] = {{p->n_embd, 3 * p->n_embd}, /* attn_qkv */
                                {p->n_embd, p->n_embd},     /* attn_proj */
                                {p->n_embd, p->n_inner},    /* mlp_fc */
                                {p->n_inner, p->n_embd}};   /* mlp_proj */
  if (!run->split && index > 0)
    return;
  size_t at = 0;
  for (int32_t i = 0; i < 4 * p->n_layer; i++) {
    int32_t in = shapes[i % 4][0], out = shapes[i % 4][1];
    size_t n_weights = (size_t)in * (size_t)out;
    at = at + n_weights > p->n_weights ? 0 : at;
    product one = {p->input, p->weights + at, p->output, run->n_rows, in, out};
    multiply_part(&one, run->split ? index : 0, run->split ? n_threads : 1);
    at += n_weights;
  }
}

/* Gives OpenBLAS the threads that the library has. Without threads of its own it needs ours; any
 * other library is called as it is, because we do not know. */
static bool must_be_split(const products *p)
{
  if (BLAS_IS_SERIAL)
    return true;
  if (!openblas_get_parallel)
    return false;
  if (openblas_get_parallel() == 0)
    return true;
  if (openblas_set_num_threads)
    openblas_set_num_threads(p->n_threads);
  return false;
}

double products_seconds(products *p, int32_t n_rows)
{
  pass run = {.of = p, .n_rows = n_rows, .split = must_be_split(p)};
  return team_run(p->threads, run_pass, &run);
}

double products_flop(const products *p, int32_t n_rows)
{
  double weights = 4.0 * p->n_embd * p->n_embd + 2.0 * p->n_embd * p->n_inner;
  return 2.0 * n_rows * weights * p->n_layer;
}

static void run_square(int32_t index, int32_t n_threads, void *data)
{
  const pass *run = data;
  const products *p = run->of;
  product square = {p->input, p->weights, p->output, PEAK_SIZE, PEAK_SIZE, PEAK_SIZE};
  if (run->split || index == 0)
    multiply_part(&square, run->split ? index : 0, run->split ? n_threads : 1);
}

double products_peak(products *p)
{
  pass run = {.of = p, .split = must_be_split(p)};
  return 2.0 * PEAK_SIZE * PEAK_SIZE * PEAK_SIZE / team_run(p->threads, run_square, &run);
}

/* Numbers in [-1, 1): an ordinary multiplier for a generator whose quality does not matter (Knuth's
 * MMIX). */
static float *random_floats(size_t n)
{
  float *values = malloc(n * sizeof *values);
  uint64_t state = 1;
  for (size_t i = 0; values && i < n; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values[i] = (float)(int32_t)(state >> 32) * 0x1p-31f;
  }
  return values;
}

static size_t larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

int products_new(products *p, team *threads, int32_t n_threads, const gpt2_info *info)
{
  const size_t square = (size_t)PEAK_SIZE * PEAK_SIZE;
  size_t n_embd = (size_t)info->n_embd, n_inner = (size_t)info->n_inner, rows = (size_t)info->n_ctx;
  *p = (products){.threads = threads,
                  .n_threads = n_threads,
                  .n_embd = info->n_embd,
                  .n_inner = info->n_inner,
                  .n_layer = info->n_layer};
  size_t block = 4 * n_embd * n_embd + 2 * n_embd * n_inner;
  size_t all = (size_t)info->n_layer * block;
  p->n_weights = larger(all < MAX_WEIGHTS ? all : larger(block, MAX_WEIGHTS), square);
  p->weights = random_floats(p->n_weights);
  p->input = random_floats(larger(rows * larger(n_embd, n_inner), square));
  p->output = random_floats(larger(rows * larger(3 * n_embd, n_inner), square));
  if (p->weights && p->input && p->output)
    return EXIT_DONE;
  products_free(p);
  return program_fail("out of memory for %zu weights to measure sgemm with", p->n_weights);
}

void products_free(products *p)
{
  free(p->weights);
  free(p->input);
  free(p->output);
  *p = (products){0};
}
