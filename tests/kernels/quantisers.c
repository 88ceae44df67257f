/* quantisers.c - rows rounded to int8, and weights packed to int8 and int4 and unpacked again: to
 * the bit what the scalar kernels make of them, and as near to the numbers as they may be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/packed.h"

/* The least step that has an inverse among normal floats: a block of less than 127 of it is zero.
 */
static const double LEAST_STEP = 0x1p-126;

static const kernels *scalar_kernels(void)
{
  size_t n;
  return &kernel_sets(&n)[0].table;
}

/* ---- Rows ---- */

typedef struct rounded_row {
  size_t n_blocks;
  int8_t *q;
  float *scale;
  int32_t *sum;
} rounded_row;

static rounded_row draw_rounded(const kernel_trial *trial)
{
  rounded_row row = {.n_blocks = packed_blocks(trial->n)};
  row.q = trial_bytes(trial, ARRAY_Y, row.n_blocks * BLOCK_ELEMENTS, 1);
  row.scale = trial_array(trial, ARRAY_Z, row.n_blocks, NORMAL);
  row.sum = trial_bytes(trial, ARRAY_B, row.n_blocks * sizeof *row.sum, sizeof *row.sum);
  return row;
}

/* By the definition: the greatest magnitude becomes 127, and all are within half a step. */
static void check_definition(const kernel_trial *trial, const float *x, const rounded_row *row,
                             size_t block)
{
  float greatest = 0;
  int32_t sum = 0;
  for (size_t i = block * BLOCK_ELEMENTS; i < (block + 1) * BLOCK_ELEMENTS; i++) {
    float value = i < trial->n ? x[i] : 0;
    greatest = fmaxf(greatest, fabsf(value));
    sum += row->q[i];
    double step = fmax((double)row->scale[block], 0);
    double limit = step > 0 ? 0.50001 * step : 127 * LEAST_STEP;
    double found = step * row->q[i];
    if (!(fabs(found - (double)value) <= limit) || row->q[i] == -128)
      wrong_element(trial, "quantize_row", i, found, (double)value);
  }
  float step = (double)greatest / 127 < LEAST_STEP ? 0 : greatest / 127;
  if (row->scale[block] != step)
    wrong_element(trial, "quantize_row: scale", block, (double)row->scale[block], (double)step);
  if (row->sum[block] != sum)
    wrong_element(trial, "quantize_row: sum", block, row->sum[block], sum);
}

static void check_quantize(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  for (size_t i = 0; trial->kind == EQUAL && i < trial->n; i++)
    x[i] = some(2) ? 3.3f : -3.3f; /* all of them become 127 or -127 */
  rounded_row row = draw_rounded(trial);
  int8_t q[LONG_TRIAL + BLOCK_ELEMENTS];
  float scale[LONG_TRIAL];
  int32_t sum[LONG_TRIAL];
  trial->kernel->quantize_row(x, trial->n, row.q, row.scale, row.sum);
  for (size_t b = 0; b < row.n_blocks; b++)
    check_definition(trial, x, &row, b);
  scalar_kernels()->quantize_row(x, trial->n, q, scale, sum);
  check_same_bytes(trial, "quantize_row: q", row.q, q, row.n_blocks * BLOCK_ELEMENTS);
  check_same_bits(trial, "quantize_row: scale", row.scale, scale, row.n_blocks);
  check_same_bytes(trial, "quantize_row: sum", row.sum, sum, row.n_blocks * sizeof *sum);
}

void rows_are_rounded_to_int8_by_the_greatest_of_each_block(void **state)
{
  (void)state;
  try_entry(ENTRY(quantize_row), check_quantize);
}

/* Even inputs of all quads of a block, then the odd ones. */
static void check_widen(const kernel_trial *trial)
{
  size_t n_blocks = packed_blocks(trial->n), n = n_blocks * BLOCK_ELEMENTS;
  int8_t *q = trial_bytes(trial, ARRAY_X, n, 1);
  for (size_t i = 0; i < n; i++)
    q[i] = (int8_t)((int)some(256) - 128);
  int16_t *wide = trial_bytes(trial, ARRAY_Y, n * sizeof *wide, sizeof *wide);
  trial->kernel->widen_quads(q, n_blocks, wide);
  for (size_t i = 0; i < n; i++) {
    size_t pair = i % BLOCK_ELEMENTS / 2, odd = pair / 8, quad = pair % 8;
    int8_t expected = q[i / BLOCK_ELEMENTS * BLOCK_ELEMENTS + quad * 4 + odd + i % 2 * 2];
    if (wide[i] != expected)
      wrong_element(trial, "widen_quads", i, wide[i], expected);
  }
}

void rounded_rows_are_widened_in_the_order_of_their_products(void **state)
{
  (void)state;
  try_entry(ENTRY(widen_quads), check_widen);
}

/* Ties are where x = (k + 1/2) * step: 127 makes the step 1. */
static void check_ties(const kernel_trial *trial)
{
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  for (size_t i = 0; i < trial->n; i++)
    x[i] = i % BLOCK_ELEMENTS == 0 ? 127.0f : (float)((int)some(253) - 126) + 0.5f;
  rounded_row row = draw_rounded(trial);
  trial->kernel->quantize_row(x, trial->n, row.q, row.scale, row.sum);
  for (size_t i = 0; i < trial->n; i++)
    if (row.q[i] != (int)nearbyintf(x[i]))
      wrong_element(trial, "quantize_row", i, row.q[i], (double)nearbyintf(x[i]));
}

void halves_are_rounded_to_the_even_integer(void **state)
{
  (void)state;
  try_entry(ENTRY(quantize_row), check_ties);
}

static void check_row_not_finite(const kernel_trial *trial)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  float *x = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  size_t at = some(trial->n);
  x[at] = bad[some(3)];
  rounded_row row = draw_rounded(trial);
  trial->kernel->quantize_row(x, trial->n, row.q, row.scale, row.sum);
  for (size_t b = 0; b < row.n_blocks; b++)
    if (isnan(row.scale[b]) != (b == at / BLOCK_ELEMENTS) || isinf(row.scale[b]))
      wrong_element(trial, "quantize_row: scale", b, (double)row.scale[b], (double)NAN);
    else if (b != at / BLOCK_ELEMENTS)
      check_definition(trial, x, &row, b);
}

void a_block_that_is_not_finite_gets_the_scale_nan(void **state)
{
  (void)state;
  try_entry(ENTRY(quantize_row), check_row_not_finite);
}

/* ---- Blocks of weights ---- */

enum { BLOCK_WEIGHTS = BLOCK_ELEMENTS * PACKED_COLUMNS };

/* Up to 4 blocks: one of them is packed, and nothing else may change. */
typedef struct packing {
  element_type type;
  size_t n_blocks, block, size;
  float *w;       /* (32, 16) */
  uint8_t *group; /* filled with any bytes */
} packing;

static packing draw_packing(const kernel_trial *trial, number_kind kind)
{
  packing p = {.type = (element_type)trial->index, .n_blocks = 1 + some(4)};
  p.block = some(p.n_blocks);
  p.size = packed_group_size(p.type, p.n_blocks);
  p.w = trial_array(trial, ARRAY_X, BLOCK_WEIGHTS, kind);
  p.group = trial_bytes(trial, ARRAY_W, p.size, sizeof(uint16_t));
  for (size_t i = 0; i < p.size; i++)
    p.group[i] = (uint8_t)some(256);
  return p;
}

/* The weights of one column of the block, from the form that files have. */
static void get_column(const packing *p, size_t column, float *w)
{
  size_t n_in = p->n_blocks * BLOCK_ELEMENTS;
  q8_0_block bytes;
  q4_0_block nibbles;
  if (p->type == ELEMENT_Q8_0)
    packed_get_q8_0(p->group, n_in, column, p->block, &bytes);
  else
    packed_get_q4_0(p->group, n_in, column, p->block, &nibbles);
  for (int i = 0; i < BLOCK_ELEMENTS; i++)
    if (p->type == ELEMENT_Q8_0)
      w[i] = (float)bytes.q[i] * f16_to_f32(bytes.scale);
    else
      w[i] = (float)((i < 16 ? nibbles.q[i] & 15 : nibbles.q[i - 16] >> 4) - 8) *
             f16_to_f32(nibbles.scale);
}

/* Each weight is within half a step of what it becomes, the greatest being 127 steps; in q4_0 it is
 * 8 steps, and what is as great but of the other sign may be a whole one off. The step itself is
 * rounded to f16, and infinite where it is beyond. */
static void check_nearness(const kernel_trial *trial, const packing *p)
{
  double steps = p->type == ELEMENT_Q8_0 ? 127 : 8, off = p->type == ELEMENT_Q8_0 ? 0.5001 : 1.0001;
  for (size_t c = 0; c < PACKED_COLUMNS; c++) {
    float back[BLOCK_ELEMENTS], greatest = 0;
    get_column(p, c, back);
    for (int i = 0; i < BLOCK_ELEMENTS; i++)
      greatest = fmaxf(greatest, fabsf(p->w[i * PACKED_COLUMNS + (int)c]));
    double step = (double)greatest / steps;
    double limit = off * step + steps * (step * 0x1p-11 + 0x1p-25);
    for (int i = 0; step < 65504 && i < BLOCK_ELEMENTS; i++) {
      size_t at = (size_t)i * PACKED_COLUMNS + c;
      if (!(fabs((double)back[i] - (double)p->w[at]) <= limit))
        wrong_element(trial, "pack_block", at, (double)back[i], (double)p->w[at]);
    }
  }
}

static void check_pack(const kernel_trial *trial)
{
  packing p = draw_packing(trial, trial->kind);
  uint8_t *expected = malloc(p.size);
  assert_non_null(expected);
  memcpy(expected, p.group, p.size);
  trial->kernel->pack_block[p.type](p.w, p.group, p.n_blocks, p.block);
  check_nearness(trial, &p);
  scalar_kernels()->pack_block[p.type](p.w, expected, p.n_blocks, p.block);
  check_same_bytes(trial, "pack_block", p.group, expected, p.size);
  free(expected);
}

void weights_are_packed_to_their_nearest_and_no_other_block_is_touched(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(pack_block, ELEMENT_Q8_0), check_pack);
  try_entry(ENTRY_AT(pack_block, ELEMENT_Q4_0), check_pack);
}

/* The column shows it by its scale; the others become what they would beside a finite one. */
static void check_pack_not_finite(const kernel_trial *trial)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  packing p = draw_packing(trial, NORMAL);
  size_t column = some(PACKED_COLUMNS), at = some(BLOCK_ELEMENTS) * PACKED_COLUMNS + column;
  uint8_t *finite = malloc(p.size);
  assert_non_null(finite);
  memcpy(finite, p.group, p.size);
  packing before = p;
  before.group = finite;
  scalar_kernels()->pack_block[p.type](p.w, finite, p.n_blocks, p.block);
  p.w[at] = bad[some(3)];
  trial->kernel->pack_block[p.type](p.w, p.group, p.n_blocks, p.block);
  for (size_t c = 0; c < PACKED_COLUMNS; c++) {
    float expected[BLOCK_ELEMENTS], found[BLOCK_ELEMENTS];
    get_column(&before, c, expected);
    get_column(&p, c, found);
    uint16_t scale = packed_scales(p.group, p.type, p.n_blocks)[p.block * PACKED_COLUMNS + c];
    if (c != column)
      check_same_bits(trial, "pack_block beside what is not finite", found, expected,
                      BLOCK_ELEMENTS);
    else if ((scale & 0x7c00) != 0x7c00)
      wrong_element(trial, "pack_block: scale", c, (double)f16_to_f32(scale), (double)NAN);
  }
  free(finite);
}

void a_column_that_is_not_finite_gets_a_scale_that_is_not(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(pack_block, ELEMENT_Q8_0), check_pack_not_finite);
  try_entry(ENTRY_AT(pack_block, ELEMENT_Q4_0), check_pack_not_finite);
}

/* Any bytes are weights; scales are any f16, subnormal and infinite ones among them. */
static void check_unpack(const kernel_trial *trial)
{
  packing p = draw_packing(trial, NORMAL);
  float *w = trial_array(trial, ARRAY_Y, BLOCK_WEIGHTS, NORMAL);
  trial->kernel->unpack_block[p.type](p.group, p.n_blocks, p.block, w);
  for (size_t c = 0; c < PACKED_COLUMNS; c++) {
    float expected[BLOCK_ELEMENTS];
    get_column(&p, c, expected);
    for (size_t i = 0; i < BLOCK_ELEMENTS; i++) {
      float found = w[i * PACKED_COLUMNS + c];
      if (memcmp(&found, &expected[i], sizeof found) != 0 && !(isnan(found) && isnan(expected[i])))
        wrong_element(trial, "unpack_block", i * PACKED_COLUMNS + c, (double)found,
                      (double)expected[i]);
    }
  }
}

void packed_weights_are_unpacked_to_the_numbers_that_they_are(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(unpack_block, ELEMENT_Q8_0), check_unpack);
  try_entry(ENTRY_AT(unpack_block, ELEMENT_Q4_0), check_unpack);
}
