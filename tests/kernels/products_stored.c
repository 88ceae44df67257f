/* products_stored.c - products of rows with weights as they are stored, against plain loops in
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

typedef struct few_rows {
  size_t n_rows, n_in, n_out, x_stride, w_stride;
  result_rows y;
  bool out_in;
  element_type type;
  float *x;    /* (n_rows, n_in), a NaN between rows where there is something */
  void *w;     /* (n_in, n_out) likewise, or (n_out, n_in) */
  float *wide; /* the same as f32 */
} few_rows;

static size_t n_weights(const few_rows *p)
{
  return p->out_in ? p->n_out * p->n_in : span(p->n_in, p->w_stride, p->n_out);
}

/* The weight of input i in column j, among all. */
static size_t weight_at(const few_rows *p, size_t i, size_t j)
{
  return p->out_in ? j * p->n_in + i : i * p->w_stride + j;
}

static void multiply(const kernels *kernel, const void *product, size_t row, size_t n_rows,
                     float *y)
{
  const few_rows *p = product;
  const float *x = p->x + row * p->x_stride;
  y += row * p->y.stride;
  if (p->out_in) {
    kernel->product_out_in[p->type](x, p->x_stride, n_rows, p->w, p->n_in, p->n_out, y,
                                    p->y.stride);
    return;
  }
  float *packed = rows_in_order(kernel, x, p->x_stride, n_rows, p->n_in, n_rows);
  kernel->product_in_out[p->type](packed, n_rows, n_rows, p->w, p->w_stride, p->n_in, p->n_out, y,
                                  p->y.stride);
}

static void draw_weights(const kernel_trial *trial, few_rows *p, number_kind kind)
{
  p->w = trial_elements(trial, ARRAY_W, n_weights(p), kind, p->type);
  if (!p->out_in)
    spoil_gaps(p->w, element_size(p->type), p->n_in, p->w_stride, p->n_out);
  p->wide = widen_elements(p->w, p->type, n_weights(p));
}

/* As many columns or inputs as the trial says, a random number of the other, and often something
 * between the rows of x, w and y. */
static few_rows draw_product(const kernel_trial *trial, bool out_in)
{
  few_rows p = {.out_in = out_in, .type = (element_type)trial->index};
  size_t other = trial->n == LONG_TRIAL ? 1 + some(20) : any_trial_length();
  bool many_in = some(2);
  p.n_rows = trial_rows(trial);
  p.n_in = many_in ? trial->n : other;
  p.n_out = many_in ? other : trial->n;
  p.x_stride = p.n_in + some(3);
  p.w_stride = out_in ? p.n_in : p.n_out + some(3);
  p.y = (result_rows){out_in ? "product_out_in" : "product_in_out", p.n_rows, p.n_out,
                      p.n_out + some(3)};
  p.x = trial_array(trial, ARRAY_X, span(p.n_rows, p.x_stride, p.n_in), any_kind());
  spoil_gaps(p.x, sizeof *p.x, p.n_rows, p.x_stride, p.n_in);
  draw_weights(trial, &p, trial->kind);
  return p;
}

/* ---- Right, and the same bits in any company ---- */

static void check_sums(const kernel_trial *trial, const few_rows *p, const float *before,
                       const float *y)
{
  double tolerance = p->out_in ? tolerance_dot(p->n_in) : tolerance_in_out(p->n_in);
  for (size_t r = 0; r < p->n_rows; r++)
    for (size_t j = 0; j < p->n_out; j++) {
      size_t i = r * p->y.stride + j;
      exact_sum expected =
          exact_dot((double)before[i], p->x + r * p->x_stride, 1, p->wide + weight_at(p, 0, j),
                    p->out_in ? 1 : p->w_stride, p->n_in);
      check_sum(trial, p->y.entry, i, (double)y[i], &expected, tolerance);
    }
}

static void check_product(const kernel_trial *trial, bool out_in)
{
  few_rows p = draw_product(trial, out_in);
  float *y = draw_result(trial, &p.y, any_kind()), *before = copy_floats(y, result_size(&p.y));
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_sums(trial, &p, before, y);
  check_company(trial, &p.y, multiply, &p, before, y);
  free(before);
  free(p.wide);
}

static void check_in_out(const kernel_trial *trial)
{
  check_product(trial, false);
}

static void check_out_in(const kernel_trial *trial)
{
  check_product(trial, true);
}

void rows_times_in_out_weights_are_right_and_the_same_bits_in_any_company(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(product_in_out, ELEMENT_F32), check_in_out);
  try_entry(ENTRY_AT(product_in_out, ELEMENT_F16), check_in_out);
  try_entry(ENTRY_AT(product_in_out, ELEMENT_BF16), check_in_out);
}

void rows_times_out_in_weights_are_right_and_the_same_bits_in_any_company(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(product_out_in, ELEMENT_F32), check_out_in);
  try_entry(ENTRY_AT(product_out_in, ELEMENT_F16), check_out_in);
  try_entry(ENTRY_AT(product_out_in, ELEMENT_BF16), check_out_in);
}

/* ---- What is not finite ---- */

static void spoil_weight(const few_rows *p, size_t at, float value)
{
  if (p->type == ELEMENT_F32)
    ((float *)p->w)[at] = value;
  else
    ((uint16_t *)p->w)[at] = p->type == ELEMENT_F16 ? f16_from_f32(value) : bf16_from_f32(value);
}

/* First in an input, then in a weight. */
static void check_not_finite(const kernel_trial *trial, bool out_in)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  few_rows p = draw_product(trial, out_in);
  p.x = trial_array(trial, ARRAY_X, span(p.n_rows, p.x_stride, p.n_in), NORMAL);
  float *y = draw_result(trial, &p.y, NORMAL), *before = copy_floats(y, result_size(&p.y));
  size_t row = some(p.n_rows), column = some(p.n_out), input = some(p.n_in);
  float *x = &p.x[row * p.x_stride + input], was = *x;
  *x = bad[some(3)];
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_where_not_finite(trial, &p.y, y, row, SIZE_MAX);
  *x = was;
  memcpy(y, before, result_size(&p.y) * sizeof *y);
  spoil_weight(&p, weight_at(&p, input, column), bad[some(3)]);
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_where_not_finite(trial, &p.y, y, SIZE_MAX, column);
  free(before);
  free(p.wide);
}

static void check_not_finite_in_out(const kernel_trial *trial)
{
  check_not_finite(trial, false);
}

static void check_not_finite_out_in(const kernel_trial *trial)
{
  check_not_finite(trial, true);
}

void what_is_not_finite_shows_in_all_of_its_row_or_column_and_in_no_other(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(product_in_out, ELEMENT_F32), check_not_finite_in_out);
  try_entry(ENTRY_AT(product_in_out, ELEMENT_F16), check_not_finite_in_out);
  try_entry(ENTRY_AT(product_in_out, ELEMENT_BF16), check_not_finite_in_out);
  try_entry(ENTRY_AT(product_out_in, ELEMENT_F32), check_not_finite_out_in);
  try_entry(ENTRY_AT(product_out_in, ELEMENT_F16), check_not_finite_out_in);
  try_entry(ENTRY_AT(product_out_in, ELEMENT_BF16), check_not_finite_out_in);
}

/* ---- Every half that is a number ---- */

/* y = 1 * w is exact: 256 rows of 256 halves, the infinities and subnormal ones among them. */
static void check_all_halves(const kernel_trial *trial)
{
  enum { SIDE = 256 };
  uint16_t w[SIDE];
  float y[SIDE], expected[SIDE];
  const float one = 1.0f;
  for (int high = 0; high < SIDE; high++) {
    for (int low = 0; low < SIDE; low++)
      w[low] = (uint16_t)(high * SIDE + low);
    elements_to_f32(expected, w, (element_type)trial->index, SIDE);
    memset(y, 0, sizeof y);
    trial->kernel->product_in_out[trial->index](&one, 1, 1, w, SIDE, 1, SIDE, y, SIDE);
    for (int low = 0; low < SIDE; low++)
      if (!(y[low] == expected[low] || (isnan(y[low]) && isnan(expected[low]))))
        wrong_element(trial, "product_in_out", w[low], (double)y[low], (double)expected[low]);
  }
}

void every_half_is_multiplied_as_the_number_that_it_is(void **state)
{
  (void)state;
  try_entry_once(ENTRY_AT(product_in_out, ELEMENT_F16), 256, check_all_halves);
  try_entry_once(ENTRY_AT(product_in_out, ELEMENT_BF16), 256, check_all_halves);
}
