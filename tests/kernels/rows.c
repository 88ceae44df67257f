/* rows.c - what holds for every kernel that multiplies rows. */
#include "kernels/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/fenced.h"

size_t result_size(const result_rows *result)
{
  return span(result->n_rows, result->stride, result->n_out);
}

float *draw_result(const kernel_trial *trial, const result_rows *result, number_kind kind)
{
  float *y = trial_array(trial, ARRAY_Y, result_size(result), kind);
  spoil_gaps(y, sizeof *y, result->n_rows, result->stride, result->n_out);
  return y;
}

float *rows_in_order(const kernels *kernel, const float *x, size_t x_stride, size_t n_rows,
                     size_t n_in, size_t width)
{
  static fenced room;
  if (room.room == 0)
    room = fence(((size_t)LONG_TRIAL + 8) * 132 * sizeof(float));
  float *packed = before_fence(room, n_in * width * sizeof *packed);
  kernel->pack_rows(x, x_stride, n_rows, n_in, packed, width);
  return packed;
}

static void check_groups(const kernel_trial *trial, const result_rows *result,
                         multiply_rows multiply, const void *product, const float *before,
                         const float *together, size_t most)
{
  float *y = copy_floats(before, result_size(result));
  for (size_t row = 0, n; row < result->n_rows; row += n) {
    n = 1 + some(most);
    n = n < result->n_rows - row ? n : result->n_rows - row;
    multiply(trial->kernel, product, row, n, y);
  }
  check_same_bits(trial, result->entry, together, y, result_size(result));
  free(y);
}

void check_company(const kernel_trial *trial, const result_rows *result, multiply_rows multiply,
                   const void *product, const float *before, const float *together)
{
  if (!gaps_are_spoiled(together, sizeof *together, result->n_rows, result->stride, result->n_out))
    fail_msg("%s: %s writes between the rows of y", trial->set, result->entry);
  check_groups(trial, result, multiply, product, before, together, 1);
  check_groups(trial, result, multiply, product, before, together, result->n_rows);
}

static void check_start(const kernel_trial *trial, const result_rows *result, multiply_to multiply,
                        const void *product, const float *start)
{
  float *found = copy_floats(draw_result(trial, result, NORMAL), result_size(result));
  float *expected = copy_floats(found, result_size(result));
  for (size_t r = 0; r < result->n_rows; r++)
    for (size_t j = 0; j < result->n_out; j++)
      expected[r * result->stride + j] = start ? start[j] : -0.0f; /* changes no sum */
  multiply(trial->kernel, product,
           &(destination){expected, result->stride, expected, result->stride});
  multiply(trial->kernel, product, &(destination){found, result->stride, start, 0});
  check_same_bits(trial, result->entry, found, expected, result_size(result));
  free(found);
  free(expected);
}

void check_starts(const kernel_trial *trial, const result_rows *result, multiply_to multiply,
                  const void *product)
{
  float *start = copy_floats(draw_result(trial, result, any_kind()), result->n_out);
  check_start(trial, result, multiply, product, start);
  check_start(trial, result, multiply, product, NULL);
  free(start);
}

void check_where_not_finite(const kernel_trial *trial, const result_rows *result, const float *y,
                            size_t row, size_t column)
{
  for (size_t r = 0; r < result->n_rows; r++)
    for (size_t j = 0; j < result->n_out; j++) {
      size_t i = r * result->stride + j;
      bool expected = r == row || j == column;
      if (!isfinite(y[i]) != expected)
        wrong_element(trial, result->entry, i, (double)y[i], expected ? (double)NAN : 0);
    }
}
