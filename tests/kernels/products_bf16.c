/* products_bf16.c - products of rows rounded to bf16 with bf16 weights, against plain loops in
 * double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/rows.h"
#include "kernels/tolerances.h"

typedef struct bf16_rows {
  size_t n_rows, n_in, n_out, x_stride, w_stride;
  result_rows y;
  bool out_in;
  uint16_t *x;     /* (n_rows, n_in), a 0 behind an odd n_in, then NaN up to the next row */
  uint16_t *w;     /* (n_in, n_out), NaN between rows; or (n_out, n_in) */
  uint16_t *panel; /* w in pairs, unless it is (n_out, n_in) */
  float *wide_x, *wide_w;
} bf16_rows;

static size_t n_weights(const bf16_rows *p)
{
  return p->out_in ? p->n_out * p->n_in : span(p->n_in, p->w_stride, p->n_out);
}

static size_t weight_at(const bf16_rows *p, size_t i, size_t j)
{
  return p->out_in ? j * p->n_in + i : i * p->w_stride + j;
}

/* Inputs of a row, and the 0 that makes them even. */
static size_t n_even(size_t n_in)
{
  return n_in + n_in % 2;
}

static void draw_rows(const kernel_trial *trial, bf16_rows *p)
{
  size_t n = span(p->n_rows, p->x_stride, n_even(p->n_in));
  p->x = trial_elements(trial, ARRAY_X, n, any_kind(), ELEMENT_BF16);
  spoil_gaps(p->x, sizeof *p->x, p->n_rows, p->x_stride, n_even(p->n_in));
  for (size_t r = 0; p->n_in % 2 > 0 && r < p->n_rows; r++)
    p->x[r * p->x_stride + p->n_in] = 0;
}

static void pair_weights(const kernel_trial *trial, bf16_rows *p)
{
  size_t size = n_even(p->n_in) * p->n_out * sizeof *p->panel;
  p->panel = trial_bytes(trial, ARRAY_B, size, sizeof *p->panel);
  trial->kernel->bf16->pair(p->w, p->w_stride, p->n_in, p->n_out, p->panel);
}

static void draw_weights(const kernel_trial *trial, bf16_rows *p)
{
  p->w = trial_elements(trial, ARRAY_W, n_weights(p), trial->kind, ELEMENT_BF16);
  if (!p->out_in)
    spoil_gaps(p->w, sizeof *p->w, p->n_in, p->w_stride, p->n_out);
}

static bf16_rows draw_product(const kernel_trial *trial, bool out_in)
{
  bf16_rows p = {.out_in = out_in};
  size_t other = trial->n == LONG_TRIAL ? 1 + some(20) : any_trial_length();
  bool many_in = some(2);
  p.n_rows = trial_rows(trial);
  p.n_in = many_in ? trial->n : other;
  p.n_out = many_in ? other : trial->n;
  p.x_stride = n_even(p.n_in) + some(3);
  p.w_stride = out_in ? p.n_in : p.n_out + some(3);
  p.y =
      (result_rows){out_in ? "bf16->out_in" : "bf16->paired", p.n_rows, p.n_out, p.n_out + some(3)};
  draw_rows(trial, &p);
  draw_weights(trial, &p);
  return p;
}

static void multiply(const kernels *kernel, const void *product, size_t row, size_t n_rows,
                     float *y)
{
  const bf16_rows *p = product;
  const uint16_t *x = p->x + row * p->x_stride;
  y += row * p->y.stride;
  if (p->out_in)
    kernel->bf16->out_in(x, p->x_stride, n_rows, p->w, p->n_in, p->n_out, y, p->y.stride);
  else
    kernel->bf16->paired(x, p->x_stride, n_rows, p->panel, p->n_in, p->n_out, y, p->y.stride);
}

/* ---- Pairs ---- */

static void check_pair(const kernel_trial *trial)
{
  bf16_rows p = draw_product(trial, false);
  pair_weights(trial, &p);
  for (size_t i = 0; i < n_even(p.n_in); i++)
    for (size_t j = 0; j < p.n_out; j++) {
      size_t at = (i / 2 * p.n_out + j) * 2 + i % 2;
      uint16_t expected = i < p.n_in ? p.w[weight_at(&p, i, j)] : 0;
      if (p.panel[at] != expected)
        wrong_element(trial, "bf16->pair", at, p.panel[at], expected);
    }
}

void pairs_have_two_inputs_of_each_column_side_by_side(void **state)
{
  (void)state;
  try_entry(BF16_ENTRY(pair), check_pair);
}

/* ---- Right, and the same bits in any company ---- */

/* Subnormal numbers may count as zero, in x, in w, and in every sum. */
static exact_sum exact_bf16(const bf16_rows *p, size_t row, size_t column, double start,
                            double *lost)
{
  exact_sum expected = {0};
  add_term(&expected, start);
  *lost = LEAST_BF16;
  for (size_t i = 0; i < p->n_in; i++) {
    double x = (double)p->wide_x[row * p->x_stride + i],
           w = (double)p->wide_w[weight_at(p, i, column)];
    add_term(&expected, x * w);
    *lost += LEAST_BF16 * (1 + fabs(x) + fabs(w));
  }
  return expected;
}

static void check_sums(const kernel_trial *trial, const bf16_rows *p, const float *before,
                       const float *y)
{
  double tolerance = p->out_in ? tolerance_dot(p->n_in) : tolerance_paired(p->n_in);
  for (size_t r = 0; r < p->n_rows; r++)
    for (size_t j = 0; j < p->n_out; j++) {
      size_t i = r * p->y.stride + j;
      double lost;
      exact_sum expected = exact_bf16(p, r, j, (double)before[i], &lost);
      expected.magnitude += lost / tolerance;
      check_sum(trial, p->y.entry, i, (double)y[i], &expected, tolerance);
    }
}

static void check_product(const kernel_trial *trial, bool out_in)
{
  bf16_rows p = draw_product(trial, out_in);
  float *y = draw_result(trial, &p.y, any_kind()), *before = copy_floats(y, result_size(&p.y));
  if (!out_in)
    pair_weights(trial, &p);
  p.wide_x = widen_elements(p.x, ELEMENT_BF16, span(p.n_rows, p.x_stride, p.n_in));
  p.wide_w = widen_elements(p.w, ELEMENT_BF16, n_weights(&p));
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_sums(trial, &p, before, y);
  check_company(trial, &p.y, multiply, &p, before, y);
  free(before);
  free(p.wide_x);
  free(p.wide_w);
}

static void check_paired(const kernel_trial *trial)
{
  check_product(trial, false);
}

static void check_out_in(const kernel_trial *trial)
{
  check_product(trial, true);
}

void bf16_rows_times_bf16_weights_are_right_and_the_same_bits_in_any_company(void **state)
{
  (void)state;
  try_entry(BF16_ENTRY(paired), check_paired);
  try_entry(BF16_ENTRY(out_in), check_out_in);
}

/* ---- What is not finite ---- */

static void check_spoiled(const kernel_trial *trial, const bf16_rows *p, size_t row, size_t column)
{
  float *y = draw_result(trial, &p->y, NORMAL);
  multiply(trial->kernel, p, 0, p->n_rows, y);
  check_where_not_finite(trial, &p->y, y, row, column);
}

/* First in an input, then in a weight: in (n_out, n_in) the one before may be its neighbour in a
 * pair that is not one. */
static void check_not_finite(const kernel_trial *trial, bool out_in)
{
  static const uint16_t bad[] = {0x7fc0, 0x7f80, 0xff80}; /* NaN, and the infinities */
  bf16_rows p = draw_product(trial, out_in);
  size_t row = some(p.n_rows), column = some(p.n_out), input = some(p.n_in);
  uint16_t *x = &p.x[row * p.x_stride + input], was = *x;
  *x = bad[some(3)];
  if (!out_in)
    pair_weights(trial, &p);
  check_spoiled(trial, &p, row, SIZE_MAX);
  *x = was;
  p.w[weight_at(&p, out_in && some(2) ? 0 : input, column)] = bad[some(3)];
  if (!out_in)
    pair_weights(trial, &p);
  check_spoiled(trial, &p, SIZE_MAX, column);
}

static void check_paired_not_finite(const kernel_trial *trial)
{
  check_not_finite(trial, false);
}

static void check_out_in_not_finite(const kernel_trial *trial)
{
  check_not_finite(trial, true);
}

void what_is_not_finite_in_bf16_shows_in_its_row_or_column_and_in_no_other(void **state)
{
  (void)state;
  try_entry(BF16_ENTRY(paired), check_paired_not_finite);
  try_entry(BF16_ENTRY(out_in), check_out_in_not_finite);
}
