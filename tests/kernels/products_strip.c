/* products_strip.c - products of many rows with a strip of widened weights, against plain loops in
 * double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/rows.h"
#include "kernels/tolerances.h"

typedef struct strip_rows {
  size_t n_rows, n_in, n_out, x_stride, w_stride;
  result_rows y;
  float *x; /* (n_rows, n_in), NaN between rows */
  float *w; /* (n_in, w_stride), NaN behind the n_out columns that are used */
} strip_rows;

/* The weight of input i in column j, among all. */
static size_t weight_at(const strip_rows *p, size_t i, size_t j)
{
  return strip_place(i, p->n_in) * p->w_stride + j;
}

static void multiply_tiles(const kernels *kernel, const strip_rows *p, size_t row, size_t n_rows,
                           const destination *to)
{
  const size_t tile = kernel->strip_rows;
  for (size_t r = 0; r < n_rows; r += tile) {
    size_t some_rows = n_rows - r < tile ? n_rows - r : tile;
    float *packed = rows_in_order(kernel, p->x + (row + r) * p->x_stride, p->x_stride, some_rows,
                                  p->n_in, tile);
    destination at = destination_at(to, r, 0);
    kernel->product_strip(packed, some_rows, p->w, p->n_in, p->n_out, &at);
  }
}

static void multiply_all(const kernels *kernel, const void *product, const destination *to)
{
  const strip_rows *p = product;
  multiply_tiles(kernel, p, 0, p->n_rows, to);
}

static void multiply(const kernels *kernel, const void *product, size_t row, size_t n_rows,
                     float *y)
{
  const strip_rows *p = product;
  y += row * p->y.stride;
  multiply_tiles(kernel, p, row, n_rows, &(destination){y, p->y.stride, y, p->y.stride});
}

static strip_rows draw_strip(const kernel_trial *trial, number_kind x_kind)
{
  strip_rows p = {.n_rows = trial_rows(trial), .n_in = trial->n};
  p.w_stride = trial->kernel->strip_columns;
  p.n_out = some(2) ? p.w_stride : 1 + some(p.w_stride);
  p.x_stride = p.n_in + some(3);
  p.y = (result_rows){"product_strip", p.n_rows, p.n_out, p.n_out + some(3)};
  p.x = trial_array(trial, ARRAY_X, span(p.n_rows, p.x_stride, p.n_in), x_kind);
  spoil_gaps(p.x, sizeof *p.x, p.n_rows, p.x_stride, p.n_in);
  p.w = trial_array(trial, ARRAY_W, p.n_in * p.w_stride, trial->kind);
  for (size_t i = 0; i < p.n_in; i++)
    for (size_t j = p.n_out; j < p.w_stride; j++)
      p.w[i * p.w_stride + j] = NAN;
  return p;
}

static exact_sum exact_strip(const strip_rows *p, size_t row, size_t column, double start)
{
  exact_sum sum = {0};
  add_term(&sum, start);
  for (size_t i = 0; i < p->n_in; i++)
    add_term(&sum, (double)p->x[row * p->x_stride + i] * (double)p->w[weight_at(p, i, column)]);
  return sum;
}

static void check_strip(const kernel_trial *trial)
{
  strip_rows p = draw_strip(trial, any_kind());
  float *y = draw_result(trial, &p.y, any_kind()), *before = copy_floats(y, result_size(&p.y));
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  for (size_t r = 0; r < p.n_rows; r++)
    for (size_t j = 0; j < p.n_out; j++) {
      size_t i = r * p.y.stride + j;
      exact_sum expected = exact_strip(&p, r, j, (double)before[i]);
      check_sum(trial, "product_strip", i, (double)y[i], &expected, tolerance_in_out(p.n_in));
    }
  check_company(trial, &p.y, multiply, &p, before, y);
  check_starts(trial, &p.y, multiply_all, &p);
  free(before);
}

void rows_times_a_strip_are_right_and_the_same_bits_in_any_company(void **state)
{
  (void)state;
  try_entry(ENTRY(product_strip), check_strip);
}

/* First in an input, then in a weight. */
static void check_strip_not_finite(const kernel_trial *trial)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  strip_rows p = draw_strip(trial, NORMAL);
  size_t row = some(p.n_rows), column = some(p.n_out), input = some(p.n_in);
  float *x = &p.x[row * p.x_stride + input], was = *x;
  float *y = draw_result(trial, &p.y, NORMAL);
  *x = bad[some(3)];
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_where_not_finite(trial, &p.y, y, row, SIZE_MAX);
  *x = was;
  p.w[weight_at(&p, input, column)] = bad[some(3)];
  y = draw_result(trial, &p.y, NORMAL);
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_where_not_finite(trial, &p.y, y, SIZE_MAX, column);
}

void what_is_not_finite_in_a_strip_shows_in_its_row_or_column_and_in_no_other(void **state)
{
  (void)state;
  try_entry(ENTRY(product_strip), check_strip_not_finite);
}

/* ---- The same bits, whichever kernel has the weights ---- */

/* What row kernels add up from 0, and is added to y then, is what strips add to y. */
static void check_strip_of_type(const kernel_trial *trial)
{
  const kernels *kernel = trial->kernel;
  element_type type = (element_type)trial->index;
  strip_rows p = draw_strip(trial, any_kind());
  void *w = trial_elements(trial, ARRAY_B, p.n_in * p.w_stride, trial->kind, type);
  size_t size = p.n_rows * p.n_out;
  float *found = trial_array(trial, ARRAY_Y, size, any_kind());
  float *expected = copy_floats(found, size), *sums = calloc(size, sizeof *sums);
  assert_non_null(sums);
  for (size_t i = 0; i < p.n_in; i++)
    elements_to_f32(p.w + weight_at(&p, i, 0), (char *)w + i * p.w_stride * element_size(type),
                    type, p.w_stride);
  p.y.stride = p.n_out;
  multiply(kernel, &p, 0, p.n_rows, found);
  float *packed = rows_in_order(kernel, p.x, p.x_stride, p.n_rows, p.n_in, p.n_rows);
  kernel->product_in_out[type](packed, p.n_rows, p.n_rows, w, p.w_stride, p.n_in, p.n_out, sums,
                               p.n_out);
  kernel->add(expected, sums, size);
  check_same_bits(trial, "product_strip and product_in_out", found, expected, size);
  free(expected);
  free(sums);
}

/* Weights (out, in) may be widened before. */
static void check_widened_dots(const kernel_trial *trial)
{
  element_type type = (element_type)trial->index;
  size_t n_rows = trial_rows(trial), n_in = trial->n, n_out = 1 + some(10), n = n_in * n_out;
  const float *x = trial_array(trial, ARRAY_X, n_rows * n_in, any_kind());
  void *w = trial_elements(trial, ARRAY_W, n, trial->kind, type);
  float *wide = trial_array(trial, ARRAY_B, n, NORMAL);
  float *found = trial_array(trial, ARRAY_Y, n_rows * n_out, any_kind());
  float *expected = copy_floats(found, n_rows * n_out);
  elements_to_f32(wide, w, type, n);
  trial->kernel->product_out_in[type](x, n_in, n_rows, w, n_in, n_out, found, n_out);
  trial->kernel->product_out_in[ELEMENT_F32](x, n_in, n_rows, wide, n_in, n_out, expected, n_out);
  check_same_bits(trial, "product_out_in", found, expected, n_rows * n_out);
  free(expected);
}

void weights_widened_before_give_the_same_bits(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(product_in_out, ELEMENT_F32), check_strip_of_type);
  try_entry(ENTRY_AT(product_in_out, ELEMENT_F16), check_strip_of_type);
  try_entry(ENTRY_AT(product_in_out, ELEMENT_BF16), check_strip_of_type);
  try_entry(ENTRY_AT(product_out_in, ELEMENT_F16), check_widened_dots);
  try_entry(ENTRY_AT(product_out_in, ELEMENT_BF16), check_widened_dots);
}

void strips_are_as_wide_as_they_may_be(void **state)
{
  (void)state;
  size_t n;
  const kernel_set *sets = kernel_sets(&n);
  for (size_t i = 0; i < n; i++)
    assert_in_range(sets[i].table.strip_columns, 1, MAX_STRIP_COLUMNS);
  for (size_t i = 0; i < n; i++)
    assert_int_equal(MAX_STRIP_ROWS % sets[i].table.strip_rows, 0); /* matmul.c packs so many */
}

/* ---- Packed rows ---- */

static void check_packed(const kernel_trial *trial)
{
  size_t n_rows = trial_rows(trial), n_in = trial->n, width = n_rows + some(3);
  size_t x_stride = n_in + some(3);
  float *x = trial_array(trial, ARRAY_X, span(n_rows, x_stride, n_in), trial->kind);
  float *packed = trial_array(trial, ARRAY_Y, n_in * width, NORMAL);
  float *expected = calloc(n_in * width, sizeof *expected);
  assert_non_null(expected);
  for (size_t i = 0; i < n_in; i++)
    for (size_t r = 0; r < n_rows; r++)
      expected[strip_place(i, n_in) * width + r] = x[r * x_stride + i];
  trial->kernel->pack_rows(x, x_stride, n_rows, n_in, packed, width);
  check_same_bits(trial, "pack_rows", packed, expected, n_in * width);
  for (size_t i = 0; i < n_in; i++)
    assert_int_equal(strip_input(strip_place(i, n_in), n_in), i);
  free(expected);
}

void packed_rows_stand_in_the_order_of_the_sums(void **state)
{
  (void)state;
  try_entry(ENTRY(pack_rows), check_packed);
}
