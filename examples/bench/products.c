/* products.c - how long the model's matrix products take when nothing but sgemm runs. */
#define _POSIX_C_SOURCE 200809L
#include "bench/products.h"

#include <cblas.h>
#include <math.h>
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

/* `stride` is the distance between rows of w, and of y. */
static void multiply(const product *p, int32_t stride)
{
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p->rows, p->out, p->in, 1, p->x, p->in,
              p->w, stride, 0, p->y, stride);
}

/* A part of the columns: every thread then reads only its part of the weights. */
static void multiply_part(const product *p, int32_t index, int32_t n_threads)
{
  int32_t first = (int32_t)((int64_t)p->out * index / n_threads);
  int32_t end = (int32_t)((int64_t)p->out * (index + 1) / n_threads);
  product part = *p;
  part.w += first;
  part.y += first;
  part.out = end - first;
  if (part.out > 0)
    multiply(&part, p->out);
}

/* How the threads share the work. */
typedef enum way {
  WHOLE, /* whole products, for the threads that BLAS has */
  PARTS  /* a part of each for every thread of ours */
} way;

/* What the threads are to do together. */
typedef struct pass {
  const products *of;
  int32_t n_rows;
  way how;
} pass;

static void multiply_share(const pass *run, const product *p, int32_t index, int32_t n_threads)
{
  if (run->how == PARTS)
    multiply_part(p, index, n_threads);
  else if (index == 0)
    multiply(p, p->out);
}

static void run_pass(int32_t index, int32_t n_threads, void *data)
{
  const pass *run = data;
  const products *p = run->of;
  const int32_t shapes[4][2] = {{p->n_embd, 3 * p->n_embd}, /* attn_qkv */
                                {p->n_embd, p->n_embd},     /* attn_proj */
                                {p->n_embd, p->n_inner},    /* mlp_fc */
                                {p->n_inner, p->n_embd}};   /* mlp_proj */
  size_t at = 0;
  for (int32_t i = 0; i < 4 * p->n_layer; i++) {
    int32_t in = shapes[i % 4][0], out = shapes[i % 4][1];
    size_t n_weights = (size_t)in * (size_t)out;
    at = at + n_weights > p->n_weights ? 0 : at;
    product one = {p->input, p->weights + at, p->output, run->n_rows, in, out};
    multiply_share(run, &one, index, n_threads);
    at += n_weights;
  }
}

static void run_square(int32_t index, int32_t n_threads, void *data)
{
  const pass *run = data;
  const products *p = run->of;
  product square = {p->input, p->weights, p->output, PEAK_SIZE, PEAK_SIZE, PEAK_SIZE};
  multiply_share(run, &square, index, n_threads);
}

/* An OpenBLAS without threads of its own needs ours; any other library is called as it is, because
 * we do not know. */
static bool is_possible(way how)
{
  int parallel = BLAS_IS_SERIAL ? 0 : openblas_get_parallel ? openblas_get_parallel() : -1;
  return how == WHOLE ? parallel != 0 : parallel == 0 || parallel == 1;
}

/* The seconds of a task when the work is shared this way, with as many threads as the library has.
 */
static double time_way(const products *p, team_task task, pass run)
{
  bool has_threads = !BLAS_IS_SERIAL && openblas_get_parallel && openblas_get_parallel() != 0;
  if (has_threads && openblas_set_num_threads)
    openblas_set_num_threads(run.how == WHOLE ? p->n_threads : 1);
  return team_run(p->threads, task, &run);
}

enum { N_ROUNDS = 3 };

void products_tune(products *p, int32_t n_rows)
{
  double best[2] = {INFINITY, INFINITY};
  for (int round = 0; round < N_ROUNDS; round++)
    for (way how = WHOLE; how <= PARTS; how++)
      if (is_possible(how))
        best[how] = fmin(best[how], time_way(p, run_pass, (pass){p, n_rows, how}));
  p->in_parts = best[PARTS] < best[WHOLE];
}

double products_seconds(const products *p, int32_t n_rows)
{
  return time_way(p, run_pass, (pass){p, n_rows, p->in_parts ? PARTS : WHOLE});
}

double products_flop(const products *p, int32_t n_rows)
{
  double weights = 4.0 * p->n_embd * p->n_embd + 2.0 * p->n_embd * p->n_inner;
  return 2.0 * n_rows * weights * p->n_layer;
}

double products_peak(const products *p)
{
  double best = INFINITY;
  for (way how = WHOLE; how <= PARTS; how++)
    if (is_possible(how))
      best = fmin(best, time_way(p, run_square, (pass){p, PEAK_SIZE, how}));
  return 2.0 * PEAK_SIZE * PEAK_SIZE * PEAK_SIZE / best;
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

int products_new(products *p, const gpt2_info *info)
{
  const size_t square = (size_t)PEAK_SIZE * PEAK_SIZE;
  size_t n_embd = (size_t)info->n_embd, n_inner = (size_t)info->n_inner, rows = (size_t)info->n_ctx;
  *p = (products){.n_embd = info->n_embd, .n_inner = info->n_inner, .n_layer = info->n_layer};
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

void products_use(products *p, team *threads, int32_t n_threads)
{
  p->threads = threads;
  p->n_threads = n_threads;
  products_peak(p); /* the first time finds cold pages */
}

void products_free(products *p)
{
  free(p->weights);
  free(p->input);
  free(p->output);
  *p = (products){0};
}
