/* product_example.h - a product with all that belongs to it, for every kind of weights, and what it
 * must give. */
#ifndef TESTS_SUPPORT_PRODUCT_EXAMPLE_H
#define TESTS_SUPPORT_PRODUCT_EXAMPLE_H

#include "kernels/matmul.h"
#include "support/fenced.h"
#include "support/random_numbers.h"

/* How weights are kept and multiplied. */
typedef struct weight_kind {
  const char *name;
  layout layout;
  element_type type;
  bool fast;
} weight_kind;

enum { N_WEIGHT_KINDS = 12 };
extern const weight_kind weight_kinds[N_WEIGHT_KINDS]; /* the first two are f32 */

typedef struct example {
  const weight_kind *kind;
  matrix weight;
  void *stored;            /* the weights as they are kept */
  float *w;                /* (n_in, n_out) what they are worth */
  float *bias, *x, *start; /* start: what y holds before */
  float *x_used;           /* x as it is rounded before it is multiplied */
  float *y;                /* ends at a page that nobody may touch */
  fenced y_room;
  size_t n_rows;
} example;

/* What is done beside the product itself. */
typedef struct product_way {
  bool bias, accumulate;
  int activation; /* GPT2_ACTIVATION_... or -1 */
} product_way;

/* Where the random numbers of examples come from: to be seeded by each test. */
extern random_numbers chance;

example new_example(const weight_kind *kind, size_t n_in, size_t n_out, size_t n_rows);
void free_example(example *e);
size_t y_size(const example *e);

/* e->y = the product of its first n_rows rows. */
void run_example(pool *p, example *e, size_t n_rows, product_way w);

/* Fails the test unless e->y is right: all elements of a small product, some thousands of a large
 * one, its corners among them. */
void check_example(const example *e, product_way w);

#endif
