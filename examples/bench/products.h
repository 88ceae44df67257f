/* products.h - how long the model's matrix products take when nothing but sgemm runs.
 *
 * Prefill is judged by it: the products of all blocks, each at its own shape, over weights that are
 * as large together as the model's. As many threads as the library has share the work in the way
 * that is the fastest here: BLAS's own, or ours with a part of the columns each. */
#ifndef BENCH_PRODUCTS_H
#define BENCH_PRODUCTS_H

#include <gpt2.h>
#include <stdbool.h>
#include <stddef.h>

#include "bench/team.h"

typedef struct products {
  team *threads;
  int32_t n_threads;
  int32_t n_embd, n_inner, n_layer;
  bool in_parts; /* among our threads, each of which calls BLAS */
  size_t n_weights;
  float *weights; /* (n_weights): (in, out) of one product after another */
  float *input;   /* (n_ctx, n_embd or n_inner) */
  float *output;  /* (n_ctx, 3 * n_embd or n_inner) */
} products;

/* EXIT_DONE, or EXIT_FAILED after a message. */
int products_new(products *p, const gpt2_info *info);
void products_free(products *p);

/* From now on these threads multiply, or as many of the BLAS's own. */
void products_use(products *p, team *threads, int32_t n_threads);

/* Finds the faster way to share the work of so many rows. */
void products_tune(products *p, int32_t n_rows);

/* Seconds of all block products over `n_rows` rows, and how many operations they are. */
double products_seconds(const products *p, int32_t n_rows);
double products_flop(const products *p, int32_t n_rows);

/* Operations a second of one large square product. */
double products_peak(const products *p);

#endif
