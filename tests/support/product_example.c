/* product_example.c - a product with all that belongs to it, for every kind of weights, and what it
 * must give. */
#include "support/product_example.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpt2.h"
#include "kernels/packed.h"

/* Of the sum of the terms' magnitudes, where these are random: 3.4e-7 was measured at most. */
static const double TOLERANCE = 1e-6;

const weight_kind weight_kinds[N_WEIGHT_KINDS] = {
    {"f32 (in, out)", LAYOUT_IN_OUT, ELEMENT_F32, false},
    {"f32 (out, in)", LAYOUT_OUT_IN, ELEMENT_F32, false},
    {"f16 (in, out)", LAYOUT_IN_OUT, ELEMENT_F16, false},
    {"f16 (out, in)", LAYOUT_OUT_IN, ELEMENT_F16, false},
    {"bf16 (in, out)", LAYOUT_IN_OUT, ELEMENT_BF16, false},
    {"bf16 (out, in)", LAYOUT_OUT_IN, ELEMENT_BF16, false},
    {"bf16 (in, out), fast", LAYOUT_IN_OUT, ELEMENT_BF16, true},
    {"bf16 (out, in), fast", LAYOUT_OUT_IN, ELEMENT_BF16, true},
    {"q8_0", LAYOUT_PACKED, ELEMENT_Q8_0, false},
    {"q8_0, fast", LAYOUT_PACKED, ELEMENT_Q8_0, true},
    {"q4_0", LAYOUT_PACKED, ELEMENT_Q4_0, false},
    {"q4_0, fast", LAYOUT_PACKED, ELEMENT_Q4_0, true},
};

random_numbers chance;

/* ---- Weights ---- */

static void *memory(size_t size)
{
  void *bytes = aligned_alloc(64, size + 64 - size % 64);
  assert_non_null(bytes);
  return bytes;
}

static float *random_floats(size_t n)
{
  float *floats = memory(n * sizeof *floats);
  for (size_t i = 0; i < n; i++)
    floats[i] = (float)random_below(&chance, 2000001) / 1e6f - 1.0f;
  return floats;
}

/* Rounds w to a stored type, in the layout of the kind. */
static void store(example *e, const kernels *kernel)
{
  size_t n_in = e->weight.n_in, n_out = e->weight.n_out, size = element_size(e->kind->type);
  e->stored = memory(n_in * n_out * size);
  for (size_t i = 0; i < n_in; i++)
    for (size_t j = 0; j < n_out; j++) {
      size_t at = e->kind->layout == LAYOUT_IN_OUT ? i * n_out + j : j * n_in + i;
      void *element = (uint8_t *)e->stored + at * size;
      kernel->from_f32[e->kind->type](element, &e->w[i * n_out + j], 1);
      kernel->to_f32[e->kind->type](&e->w[i * n_out + j], element, 1);
    }
}

static void pack(example *e, const kernels *kernel)
{
  element_type type = e->kind->type;
  size_t n_in = e->weight.n_in, n_out = e->weight.n_out, n_blocks = packed_blocks(n_in), size;
  float tile[BLOCK_ELEMENTS * PACKED_COLUMNS], *column = memory(n_in * sizeof *column);
  assert_true(packed_size(type, n_in, n_out, &size));
  e->stored = memory(size);
  memset(e->stored, 0, size);
  for (size_t first = 0; first < n_out; first += PACKED_COLUMNS)
    for (size_t block = 0; block < n_blocks; block++) {
      memset(tile, 0, sizeof tile);
      for (size_t i = 0; i < BLOCK_ELEMENTS && block * BLOCK_ELEMENTS + i < n_in; i++)
        for (size_t j = 0; j < PACKED_COLUMNS && first + j < n_out; j++)
          tile[i * PACKED_COLUMNS + j] = e->w[(block * BLOCK_ELEMENTS + i) * n_out + first + j];
      uint8_t *group =
          (uint8_t *)e->stored + first / PACKED_COLUMNS * packed_group_size(type, n_blocks);
      kernel->pack_block[type](tile, group, n_blocks, block);
    }
  for (size_t j = 0; j < n_out; j++) {
    packed_column(e->stored, type, n_in, j, column);
    for (size_t i = 0; i < n_in; i++)
      e->w[i * n_out + j] = column[i];
  }
  free(column);
}

/* ---- Rows ---- */

/* What rows are rounded to, by the specification. */
static void round_rows(example *e, const kernels *kernel)
{
  size_t n_in = e->weight.n_in, n_blocks = packed_blocks(n_in);
  int8_t *q = memory(n_blocks * BLOCK_ELEMENTS);
  float *scale = memory(n_blocks * sizeof *scale);
  int32_t *sum = memory(n_blocks * sizeof *sum);
  memcpy(e->x_used, e->x, e->n_rows * n_in * sizeof *e->x);
  for (size_t r = 0; e->kind->fast && r < e->n_rows; r++) {
    float *row = e->x_used + r * n_in;
    if (e->kind->layout == LAYOUT_PACKED)
      kernel->quantize_row(row, n_in, q, scale, sum);
    for (size_t i = 0; i < n_in; i++)
      row[i] = e->kind->layout == LAYOUT_PACKED ? (float)q[i] * scale[i / BLOCK_ELEMENTS]
                                                : bf16_to_f32(bf16_from_f32(row[i]));
  }
  free(q);
  free(scale);
  free(sum);
}

example new_example(const weight_kind *kind, size_t n_in, size_t n_out, size_t n_rows)
{
  kernels specification;
  example e = {.kind = kind, .n_rows = n_rows, .y_room = fence(n_rows * n_out * sizeof(float))};
  kernels_scalar(&specification);
  e.weight = (matrix){NULL, kind->type, kind->layout, n_in, n_out, kind->fast};
  e.w = random_floats(n_in * n_out);
  e.bias = random_floats(n_out);
  e.x = random_floats(n_rows * n_in);
  e.x_used = memory(n_rows * n_in * sizeof *e.x_used);
  e.start = random_floats(n_rows * n_out);
  e.y = before_fence(e.y_room, n_rows * n_out * sizeof(float));
  if (kind->layout == LAYOUT_PACKED)
    pack(&e, &specification);
  else
    store(&e, &specification);
  e.weight.data = e.stored;
  round_rows(&e, &specification);
  return e;
}

void free_example(example *e)
{
  void *parts[] = {e->stored, e->w, e->bias, e->x, e->x_used, e->start};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    free(parts[i]);
  unfence(e->y_room);
}

size_t y_size(const example *e)
{
  return e->n_rows * e->weight.n_out * sizeof(float);
}

void run_example(pool *p, example *e, size_t n_rows, product_way w)
{
  size_t size;
  assert_true(matmul_scratch(&e->weight, e->n_rows, pool_threads(p), &size)); /* or less rows */
  fenced room = fence(size);
  void *scratch = before_fence(room, size);
  memcpy(e->y, e->start, y_size(e));
  matmul(p, &(product){.weight = &e->weight,
                       .bias = w.bias ? e->bias : NULL,
                       .x = e->x,
                       .n_rows = n_rows,
                       .y = e->y,
                       .accumulate = w.accumulate,
                       .activation =
                           w.activation < 0 ? NULL : kernels_in_use()->activation[w.activation],
                       .scratch = scratch});
  unfence(room);
}

/* ---- Right ---- */

static double activated(int activation, double x)
{
  switch (activation) {
  case GPT2_ACTIVATION_GELU_TANH:
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
  case GPT2_ACTIVATION_RELU:
    return x > 0 ? x : 0;
  default:
    return x;
  }
}

static void check_element(const example *e, product_way w, size_t row, size_t column)
{
  const matrix *m = &e->weight;
  size_t at = row * m->n_out + column;
  double sum = w.bias ? (double)e->bias[column] : 0, magnitude = 1;
  sum += w.accumulate ? (double)e->start[at] : 0;
  for (size_t i = 0; i < m->n_in; i++) {
    double term = (double)e->x_used[row * m->n_in + i] * (double)e->w[i * m->n_out + column];
    sum += term;
    magnitude += fabs(term);
  }
  double expected = activated(w.activation, sum);
  if (!(fabs((double)e->y[at] - expected) <=
        TOLERANCE * magnitude)) /* no activation is steeper than 1.13 */
    fail_msg("%s, %zu rows of %zu to %zu, bias %d, accumulate %d, activation %d: y[%zu, %zu] is "
             "%.9g, not %.9g",
             e->kind->name, e->n_rows, m->n_in, m->n_out, w.bias, w.accumulate, w.activation, row,
             column, (double)e->y[at], expected);
}

void check_example(const example *e, product_way w)
{
  enum { MOST = 4000 };
  size_t n_out = e->weight.n_out, n = e->n_rows * n_out;
  for (size_t i = 0; n <= MOST && i < n; i++)
    check_element(e, w, i / n_out, i % n_out);
  for (size_t i = 0; n > MOST && i < MOST / 4; i++)
    check_element(e, w, (size_t)random_below(&chance, (int)e->n_rows),
                  (size_t)random_below(&chance, (int)n_out));
  check_element(e, w, 0, 0);
  check_element(e, w, e->n_rows - 1, n_out - 1);
}
