/* rows.h - what holds for every kernel that multiplies rows. */
#ifndef TESTS_KERNELS_ROWS_H
#define TESTS_KERNELS_ROWS_H

#include "support/kernel_trials.h"

/* y += the product of rows [row, row + n_rows) only; y (n_rows, n_out) is that of all of them. */
typedef void (*multiply_rows)(const kernels *kernel, const void *product, size_t row, size_t n_rows,
                              float *y);

/* Rows y (n_rows, n_out) with a stride. */
typedef struct result_rows {
  const char *entry; /* that they are the result of */
  size_t n_rows, n_out, stride;
} result_rows;

size_t result_size(const result_rows *result);

/* An array for them, with bytes 255 between them. */
float *draw_result(const kernel_trial *trial, const result_rows *result, number_kind kind);

/* Rows x (n_rows, n_in) with a stride, packed (n_in, width); they are good until the next ones, and
 * end before a page that nobody may touch. */
float *rows_in_order(const kernels *kernel, const float *x, size_t x_stride, size_t n_rows,
                     size_t n_in, size_t width);

/* Fails the test unless what is between them is as it was, and the rows one by one, and in groups
 * of any sizes, are equal to the bit to what they are together, each time starting from `before`.
 */
void check_company(const kernel_trial *trial, const result_rows *result, multiply_rows multiply,
                   const void *product, const float *before, const float *together);

/* The same product with its sums put where `to` says. */
typedef void (*multiply_to)(const kernels *kernel, const void *product, const destination *to);

/* Fails the test unless a start that is the same for all rows, and none, give what the same numbers
 * in y as the start do, to the bit. */
void check_starts(const kernel_trial *trial, const result_rows *result, multiply_to multiply,
                  const void *product);

/* Fails the test unless row `row` and column `column` (SIZE_MAX: none) are not finite, and all else
 * is. */
void check_where_not_finite(const kernel_trial *trial, const result_rows *result, const float *y,
                            size_t row, size_t column);

#endif
