/* products_packed.c - products of rows rounded to int8 with packed weights, against sums of whole
 * numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/packed.h"
#include "kernels/rows.h"
#include "kernels/tolerances.h"

/* A block of a group as int16. */
enum { PANEL_SIZE = BLOCK_ELEMENTS * PACKED_COLUMNS * sizeof(int16_t), PANEL_ALIGNMENT = 64 };

typedef struct packed_rows {
  element_type type;
  size_t n_rows, n_blocks, n_out;
  result_rows y;
  int8_t *q; /* what `x` points to */
  float *scale;
  int32_t *sum;
  int16_t *wide, *panel; /* of kernels that multiply int16 */
  quantized_rows x;
  void *groups;
  int8_t *w;      /* (n_out, n_blocks * 32) as whole numbers */
  float *w_scale; /* (n_out, n_blocks) */
} packed_rows;

static size_t n_in(const packed_rows *p)
{
  return p->n_blocks * BLOCK_ELEMENTS;
}

/* ---- Whole numbers of all sizes ---- */

/* What a block is made of; the extremes are where sums of 16 bits would saturate. */
enum { ANY, ALL_GREATEST, ALL_LEAST, GREATEST_OR_LEAST, NOTHING, N_BLOCK_KINDS };

static int whole_number(int kind, int least, int greatest)
{
  switch (kind) {
  case ALL_GREATEST:
    return greatest;
  case ALL_LEAST:
    return least;
  case GREATEST_OR_LEAST:
    return some(2) ? greatest : least;
  case NOTHING:
    return 0;
  default:
    return least + (int)some((size_t)(greatest - least + 1));
  }
}

static void draw_rows(const kernel_trial *trial, packed_rows *p)
{
  size_t n = p->n_rows * p->n_blocks;
  p->scale = trial_array(trial, ARRAY_X, n, any_kind());
  p->q = trial_bytes(trial, ARRAY_B, n * BLOCK_ELEMENTS, 1);
  p->sum = trial_bytes(trial, ARRAY_Z, n * sizeof *p->sum, sizeof *p->sum);
  for (size_t b = 0; b < n; b++) {
    int kind = (int)some(N_BLOCK_KINDS);
    p->scale[b] = fabsf(p->scale[b]);
    p->sum[b] = 0;
    for (size_t i = 0; i < BLOCK_ELEMENTS; i++) {
      p->q[b * BLOCK_ELEMENTS + i] = (int8_t)whole_number(kind, -127, 127);
      p->sum[b] += p->q[b * BLOCK_ELEMENTS + i];
    }
  }
  p->wide = trial_bytes(trial, ARRAY_V, n * BLOCK_ELEMENTS * sizeof *p->wide, sizeof *p->wide);
  trial->kernel->widen_quads(p->q, n, p->wide);
  p->panel = trial_bytes(trial, ARRAY_P, p->n_blocks * PANEL_SIZE, PANEL_ALIGNMENT);
  p->x = (quantized_rows){p->q, p->scale, p->sum, NULL, p->n_blocks};
}

static void put_q8_0(packed_rows *p, size_t column, size_t block, uint16_t scale)
{
  q8_0_block from = {.scale = scale};
  int8_t *w = p->w + column * n_in(p) + block * BLOCK_ELEMENTS;
  int kind = (int)some(N_BLOCK_KINDS);
  for (size_t i = 0; i < BLOCK_ELEMENTS; i++)
    from.q[i] = w[i] = (int8_t)whole_number(kind, -128, 127);
  packed_put_q8_0(p->groups, n_in(p), column, block, &from);
}

static void put_q4_0(packed_rows *p, size_t column, size_t block, uint16_t scale)
{
  q4_0_block from = {.scale = scale};
  int8_t *w = p->w + column * n_in(p) + block * BLOCK_ELEMENTS;
  int kind = (int)some(N_BLOCK_KINDS);
  for (size_t i = 0; i < BLOCK_ELEMENTS; i++)
    w[i] = (int8_t)whole_number(kind, -8, 7);
  for (size_t i = 0; i < BLOCK_ELEMENTS / 2; i++)
    from.q[i] = (uint8_t)((w[i] + 8) | (w[i + BLOCK_ELEMENTS / 2] + 8) << 4);
  packed_put_q4_0(p->groups, n_in(p), column, block, &from);
}

/* The columns of the last group that nobody asks for hold anything, NaN scales among it. */
static void draw_groups(const kernel_trial *trial, packed_rows *p)
{
  size_t size;
  assert_true(packed_size(p->type, n_in(p), p->n_out, &size));
  p->groups = trial_bytes(trial, ARRAY_W, size, sizeof(uint16_t));
  memset(p->groups, 0xff, size);
  p->w = malloc(p->n_out * n_in(p));
  p->w_scale = malloc(p->n_out * p->n_blocks * sizeof *p->w_scale);
  assert_true(p->w && p->w_scale);
  for (size_t j = 0; j < p->n_out; j++)
    for (size_t b = 0; b < p->n_blocks; b++) {
      float random = (float)ldexp(random_normal(&trial_numbers), (int)some(36) - 24);
      uint16_t scale = f16_from_f32(some(8) == 0 ? 0.0f : random);
      p->w_scale[j * p->n_blocks + b] = f16_to_f32(scale);
      (p->type == ELEMENT_Q8_0 ? put_q8_0 : put_q4_0)(p, j, b, scale);
    }
}

/* As many columns as the trial says, or blocks for about as many inputs. */
static packed_rows draw_packed(const kernel_trial *trial)
{
  packed_rows p = {.type = (element_type)trial->index};
  bool many_in = some(2);
  p.n_rows = trial_rows(trial);
  p.n_blocks = many_in ? packed_blocks(trial->n) : 1 + some(5);
  p.n_out = many_in || trial->n == LONG_TRIAL ? 1 + some(40) : trial->n;
  p.y = (result_rows){"product_packed", p.n_rows, p.n_out, p.n_out + some(3)};
  draw_rows(trial, &p);
  draw_groups(trial, &p);
  return p;
}

static void free_packed(packed_rows *p)
{
  free(p->w);
  free(p->w_scale);
}

/* Kernels need not have the rows as int16; with them they come to the same bits. */
static void multiply_rows_to(const kernels *kernel, const packed_rows *p, size_t row, size_t n_rows,
                             const destination *to)
{
  quantized_rows x = p->x;
  x.q += row * n_in(p);
  x.scale += row * p->n_blocks;
  x.sum += row * p->n_blocks;
  x.wide = some(2) ? p->wide + row * n_in(p) : NULL;
  kernel->product_packed[p->type](&x, n_rows, p->groups, p->n_out, to, p->panel);
}

static void multiply_all(const kernels *kernel, const void *product, const destination *to)
{
  const packed_rows *p = product;
  multiply_rows_to(kernel, p, 0, p->n_rows, to);
}

static void multiply(const kernels *kernel, const void *product, size_t row, size_t n_rows,
                     float *y)
{
  const packed_rows *p = product;
  float *at = y + row * p->y.stride;
  multiply_rows_to(kernel, p, row, n_rows, &(destination){at, p->y.stride, at, p->y.stride});
}

/* ---- Right, and the same bits in any company ---- */

static int32_t whole_sum(const packed_rows *p, size_t row, size_t column, size_t block)
{
  const int8_t *q = p->q + row * n_in(p) + block * BLOCK_ELEMENTS;
  const int8_t *w = p->w + column * n_in(p) + block * BLOCK_ELEMENTS;
  int32_t sum = 0;
  for (int i = 0; i < BLOCK_ELEMENTS; i++)
    sum += q[i] * w[i];
  return sum;
}

/* The product of two small scales may be subnormal; what it loses is multiplied by the block's sum.
 */
static exact_sum exact_packed(const packed_rows *p, size_t row, size_t column, double start)
{
  exact_sum expected = {0};
  add_term(&expected, start);
  for (size_t b = 0; b < p->n_blocks; b++) {
    int32_t sum = whole_sum(p, row, column, b);
    add_term(&expected, (double)sum * (double)p->scale[row * p->n_blocks + b] *
                            (double)p->w_scale[column * p->n_blocks + b]);
    expected.n_terms += (size_t)abs(sum);
  }
  return expected;
}

static void check_packed(const kernel_trial *trial)
{
  packed_rows p = draw_packed(trial);
  float *y = draw_result(trial, &p.y, any_kind()), *before = copy_floats(y, result_size(&p.y));
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  for (size_t r = 0; r < p.n_rows; r++)
    for (size_t j = 0; j < p.n_out; j++) {
      size_t i = r * p.y.stride + j;
      exact_sum expected = exact_packed(&p, r, j, (double)before[i]);
      check_sum(trial, "product_packed", i, (double)y[i], &expected, tolerance_packed(p.n_blocks));
    }
  check_company(trial, &p.y, multiply, &p, before, y);
  check_starts(trial, &p.y, multiply_all, &p);
  free(before);
  free_packed(&p);
}

void rows_times_packed_weights_are_right_and_the_same_bits_in_any_company(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(product_packed, ELEMENT_Q8_0), check_packed);
  try_entry(ENTRY_AT(product_packed, ELEMENT_Q4_0), check_packed);
}

/* ---- To the last unit ---- */

/* With scales of 1, and y of 0, sums of up to 32 blocks are below 2^24, and nothing is rounded. */
static void check_whole_sums(const kernel_trial *trial)
{
  packed_rows p = draw_packed(trial);
  if (p.n_blocks > 32) {
    free_packed(&p);
    return;
  }
  float *y = draw_result(trial, &p.y, NORMAL);
  for (size_t i = 0; i < p.n_rows * p.n_blocks; i++)
    p.scale[i] = 1.0f;
  for (size_t g = 0; g < (p.n_out + PACKED_COLUMNS - 1) / PACKED_COLUMNS; g++) {
    size_t size = packed_group_size(p.type, p.n_blocks);
    uint16_t *scales = packed_scales((char *)p.groups + g * size, p.type, p.n_blocks);
    for (size_t i = 0; i < p.n_blocks * PACKED_COLUMNS; i++)
      scales[i] = 0x3c00; /* 1 */
  }
  memset(y, 0, result_size(&p.y) * sizeof *y);
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  for (size_t r = 0; r < p.n_rows; r++)
    for (size_t j = 0; j < p.n_out; j++) {
      int32_t expected = 0;
      for (size_t b = 0; b < p.n_blocks; b++)
        expected += whole_sum(&p, r, j, b);
      if (y[r * p.y.stride + j] != (float)expected)
        wrong_element(trial, "product_packed", r * p.y.stride + j, (double)y[r * p.y.stride + j],
                      expected);
    }
  free_packed(&p);
}

void the_sums_of_blocks_are_exact_whatever_their_numbers(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(product_packed, ELEMENT_Q8_0), check_whole_sums);
  try_entry(ENTRY_AT(product_packed, ELEMENT_Q4_0), check_whole_sums);
}

/* ---- What is not finite ---- */

/* A scale of a row, which a block that is not finite has, and one of a column. */
static void check_not_finite(const kernel_trial *trial)
{
  packed_rows p = draw_packed(trial);
  bool in_row = some(2);
  size_t row = in_row ? some(p.n_rows) : SIZE_MAX, column = in_row ? SIZE_MAX : some(p.n_out);
  float *y = draw_result(trial, &p.y, NORMAL);
  for (size_t i = 0; i < p.n_rows * p.n_blocks; i++)
    p.scale[i] = 1.0f;
  if (in_row) {
    p.scale[row * p.n_blocks + some(p.n_blocks)] = NAN;
  } else {
    size_t group = column / PACKED_COLUMNS * packed_group_size(p.type, p.n_blocks);
    uint16_t *scales = packed_scales((char *)p.groups + group, p.type, p.n_blocks);
    scales[some(p.n_blocks) * PACKED_COLUMNS + column % PACKED_COLUMNS] = 0x7e00; /* NaN */
  }
  multiply(trial->kernel, &p, 0, p.n_rows, y);
  check_where_not_finite(trial, &p.y, y, row, column);
  free_packed(&p);
}

void a_scale_that_is_not_finite_shows_in_its_row_or_column_and_in_no_other(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(product_packed, ELEMENT_Q8_0), check_not_finite);
  try_entry(ENTRY_AT(product_packed, ELEMENT_Q4_0), check_not_finite);
}
