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

/* Fails the test unless what is between them is as it was, and the rows one by one, and in groups
 * of any sizes, are equal to the bit to what they are together, each time starting from `before`.
 */
void check_company(const kernel_trial *trial, const result_rows *result, multiply_rows multiply,
                   const void *product, const float *before, const float *together);

/* Fails the test unless row `row` and column `column` (SIZE_MAX: none) are not finite, and all else
 * is. */
void check_where_not_finite(const kernel_trial *trial, const result_rows *result, const float *y,
                            size_t row, size_t column);

#endif
