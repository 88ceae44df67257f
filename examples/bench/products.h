/* products.h - how long the model's matrix products take when nothing but sgemm runs.
 *
 * Prefill is judged by it: the products of all blocks, each at its own shape, over weights that are
 * as large together as the model's. BLAS uses as many threads as the library: its own where it has
 * some, else ours, each with a part of the rows. */
#ifndef BENCH_PRODUCTS_H
#define BENCH_PRODUCTS_H

#include <gpt2.h>
#include <stddef.h>

#include "bench/team.h"

typedef struct products {
  team *threads;
  int32_t n_threads;
  int32_t n_embd, n_inner, n_layer;
  size_t n_weights;
  float *weights; /* (n_weights): (in, out) of one product after another */
  float *input;   /* (n_ctx, n_embd or n_inner) */
  float *output;  /* (n_ctx, 3 * n_embd or n_inner) */
} products;

/* EXIT_DONE, or EXIT_FAILED after a message. */
int products_new(products *p, team *threads, int32_t n_threads, const gpt2_info *info);
void products_free(products *p);

/* Seconds of all block products over `n_rows` rows, and how many operations they are. */
double products_seconds(products *p, int32_t n_rows);
double products_flop(const products *p, int32_t n_rows);

/* Operations a second of one large square product. */
double products_peak(products *p);

#endif
