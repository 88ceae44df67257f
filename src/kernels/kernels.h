/* kernels.h - arithmetic on plain arrays, as a table of functions.
 *
 * The scalar kernels (the files scalar*.c) are the specification and fill the table first;
 * instruction sets override entries that they do better, within the tolerance that
 * tests/kernels/tolerances.h names. A kernel allocates nothing, knows no model, and gives the same
 * bits for a row whatever rows stand beside it. Vectors need no alignment. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/attention_step.h"
#include "kernels/types.h"

/* Products with weights as they are stored: y[r] += x[r] . w for every row r. Strides are from row
 * to row, in elements. */

/* w (n_in, n_out). x (n_in, n_rows) with a stride: packed rows (pack_rows). The sum starts from y,
 * in the order in which the inputs are packed. */
typedef void (*product_in_out)(const float *x, size_t x_stride, size_t n_rows, const void *w,
                               size_t w_stride, size_t n_in, size_t n_out, float *y,
                               size_t y_stride);

/* w (n_out, n_in) contiguous. x (n_rows, n_in) with a stride. The sum starts from 0; then y is
 * added. */
typedef void (*product_out_in)(const float *x, size_t x_stride, size_t n_rows, const void *w,
                               size_t n_in, size_t n_out, float *y, size_t y_stride);

/* Rows rounded to int8, for products with packed weights: x = q * scale for each block of 32
 * inputs. The last block is filled up with zeros. */
typedef struct quantized_rows {
  int8_t *q;     /* (n_rows, n_blocks * 32) -127 to 127 */
  float *scale;  /* (n_rows, n_blocks) */
  int32_t *sum;  /* (n_rows, n_blocks) of the block's q */
  int16_t *wide; /* (n_rows, n_blocks, 2, 8, 2) the same q as widen_quads has them; or NULL */
  size_t n_blocks;
} quantized_rows;

/* Where the sums of rows go: y = start + sum. Both are (n_rows, n_out) with a stride; `start` may
 * be y, or with a stride of 0 the same for all rows, or NULL for nothing. */
typedef struct destination {
  float *y;
  size_t stride;
  const float *start;
  size_t start_stride;
} destination;

/* That of the rows and columns from these on. */
static inline destination destination_at(const destination *to, size_t row, size_t column)
{
  destination at = *to;
  at.y += row * at.stride + column;
  if (at.start)
    at.start += row * at.start_stride + column;
  return at;
}

/* start + x[r] . w for the first n_out columns of packed weights (packed.h). The sum of a block is
 * an exact integer; blocks are added in their order, starting from 0; then `start` is added. Where
 * rows are wide, a kernel may widen groups of weights, too: panel (n_blocks, 32, 16) of int16,
 * aligned to MEMORY_ALIGNMENT. */
typedef void (*product_packed)(const quantized_rows *x, size_t n_rows, const void *groups,
                               size_t n_out, const destination *to, int16_t *panel);

/* Products of rows rounded to bf16 with bf16 weights, for any number of rows. */
typedef struct bf16_products {
  /* Pairs inputs: panel (n_in / 2 rounded up, n_out, 2), a missing last input being 0, of w (n_in,
   * n_out) with a stride. */
  void (*pair)(const uint16_t *w, size_t w_stride, size_t n_in, size_t n_out, uint16_t *panel);

  /* y[r] += x[r] . panel; x (n_rows, n_in) with a stride and, where n_in is odd, a 0 behind each
   * row. */
  void (*paired)(const uint16_t *x, size_t x_stride, size_t n_rows, const uint16_t *panel,
                 size_t n_in, size_t n_out, float *y, size_t y_stride);

  /* The same with w (n_out, n_in) contiguous. */
  void (*out_in)(const uint16_t *x, size_t x_stride, size_t n_rows, const uint16_t *w, size_t n_in,
                 size_t n_out, float *y, size_t y_stride);
} bf16_products;

enum { MAX_STRIP_COLUMNS = 64, MAX_STRIP_ROWS = 8 };

/* Products of a few rows read their weights from so many places at once. */
enum { INPUT_STREAMS = 8 };

/* When input i of n is added, in a product and in a strip: first the first one of each stream, then
 * the second ones, and at last those that are left over. */
static inline size_t strip_place(size_t i, size_t n)
{
  size_t stream = n / INPUT_STREAMS;
  return i < stream * INPUT_STREAMS ? i % stream * INPUT_STREAMS + i / stream : i;
}

/* The input that is added then. */
static inline size_t strip_input(size_t place, size_t n)
{
  size_t stream = n / INPUT_STREAMS;
  return place < stream * INPUT_STREAMS ? place % INPUT_STREAMS * stream + place / INPUT_STREAMS
                                        : place;
}

typedef struct kernels {
  const char *name; /* the instruction sets in use: "scalar", "avx512+vnni" */

  /* ---- Products ---- */

  /* Packs rows, x (n_rows, n_in) with a stride, as product_in_out and product_strip want them:
   * packed (n_in, width), where input i of all rows is row strip_place(i, n_in). Those that are
   * missing to a width >= n_rows are 0. */
  void (*pack_rows)(const float *x, size_t x_stride, size_t n_rows, size_t n_in, float *packed,
                    size_t width);

  product_in_out product_in_out[N_STORED_TYPES]; /* by element type: f32, f16, bf16 */
  product_out_in product_out_in[N_STORED_TYPES];

  /* For many rows: start + x[r] . w for n_rows <= strip_rows with a strip of f32 weights. x (n_in,
   * strip_rows) packed. w (n_in, strip_columns) contiguous, of which the first n_out are used;
   * input i is row strip_place(i, n_in) of it. The sum starts from 0, in the order of the strip,
   * which is that of product_in_out; then `start` is added. */
  void (*product_strip)(const float *x, size_t n_rows, const float *w, size_t n_in, size_t n_out,
                        const destination *to);
  size_t strip_columns, strip_rows; /* at most MAX_STRIP_COLUMNS and MAX_STRIP_ROWS */

  /* Products of more rows are left to BLAS. By the kernel test's --bench crossover our vector
   * kernels for weights (in, out) are at least as fast as OpenBLAS 0.3.21 for all numbers of rows
   * up to 512, where that has the kernels of the processor (SkylakeX); where it does not know the
   * processor and takes SSE, several times as fast. So they leave it nothing; nor of weights (out,
   * in), which they multiply more slowly from 128 rows on, as only the unembedding is such a matrix
   * and sees 64 rows at a time. */
  size_t own_rows;

  product_packed product_packed[N_ELEMENT_TYPES]; /* q8_0 and q4_0; NULL for the others */
  size_t wide_rows;          /* from so many on, q8_0 is faster with wide ones; SIZE_MAX: never */
  const bf16_products *bf16; /* NULL: no faster than f32 on this processor */

  /* ---- Element types ---- */

  /* Widens n elements to f32, and rounds to nearest even. Neither needs alignment. */
  void (*to_f32[N_STORED_TYPES])(float *to, const void *from, size_t n);
  void (*from_f32[N_STORED_TYPES])(void *to, const float *from, size_t n);

  /* Rounds a row to int8 by blocks of 32: scale = greatest magnitude / 127. q (n rounded up to
   * whole blocks), scale and sum (as many as blocks). A block that holds what is no finite number
   * gets the scale NaN. */
  void (*quantize_row)(const float *x, size_t n, int8_t *q, float *scale, int32_t *sum);

  /* Of each block's quads of inputs, first the even ones (0 and 2), then the odd ones (1 and 3), as
   * int16: wide (n_blocks, 2, 8, 2) of q (n_blocks, 8, 4). */
  void (*widen_quads)(const int8_t *q, size_t n_blocks, int16_t *wide);

  /* Packs 32 inputs of 16 columns, w (32, 16) contiguous, as block `block` of a group (packed.h),
   * and unpacks them again: by type, q8_0 and q4_0. */
  void (*pack_block[N_ELEMENT_TYPES])(const float *w, void *group, size_t n_blocks, size_t block);
  void (*unpack_block[N_ELEMENT_TYPES])(const void *group, size_t n_blocks, size_t block, float *w);

  /* ---- The pieces of a block ---- */

  /* out = (x - mean) / sqrt(variance + epsilon) * weight + bias; all (n). out may be x. */
  void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon,
                     size_t n, float *out);

  /* The MLP's activation, in place: by GPT2_ACTIVATION_... */
  void (*activation[3])(float *x, size_t n);

  /* ---- Attention, in steps (attention_step); keys and values are f32 or f16 ---- */

  /* scores[r][t] = q[r] . key t, for the whole blocks that hold the tokens that row r sees. */
  void (*scores[N_STORED_TYPES])(const attention_step *step);

  /* Makes weights e^(score - greatest) of the scores of the tokens that a row sees. greatest[r] is
   * raised to the greatest of them first, factor[r] is what sums of earlier weights must be
   * multiplied by for it, total[r] has been and has the new weights in it. NaN goes through. */
  void (*softmax)(const attention_step *step);

  /* out[r] = factor[r] * out[r] + the sum over the tokens that row r sees, in their order, of
   * weight t * value t. What it does not see is not read. */
  void (*weighted_sum[N_STORED_TYPES])(const attention_step *step);

  /* ---- Softmax in pieces, and what reads logits ---- */

  /* The greatest of n > 0; a NaN makes it NaN. */
  float (*maximum)(const float *x, size_t n);

  /* The first of n that equals the value, or n: of the maximum, the best token. */
  size_t (*first_equal)(const float *x, float value, size_t n);

  /* The sum over n of e^((x - shift) / temperature), of which those below 1.2e-38 may be taken for
   * 0; each goes to `out`, unless that is NULL. out may be x. */
  double (*exponentials)(const float *x, float shift, float temperature, size_t n, float *out);

  /* The sums over n of e^(x - shift) and of e^(x - shift) (x - shift), the latter 0 where x is
   * -infinity. */
  void (*exponential_sums)(const float *x, float shift, size_t n, double *sum, double *weighted);

  /* How many of n are greater than the threshold. */
  size_t (*count_greater)(const float *x, float threshold, size_t n);

  /* The indices of those of n <= INT32_MAX that are greater than the threshold, in their order; at
   * most `capacity` of them. Returns how many it wrote; *end is where it stopped: n, or the first
   * that was not looked at because `out` was full. */
  size_t (*find_greater)(const float *x, float threshold, size_t n, int32_t *out, size_t capacity,
                         size_t *end);

  /* The sum of the weights (n) of those x that are greater than the threshold. */
  double (*sum_greater)(const float *x, float threshold, const float *weights, size_t n);

  /* ---- Plain vectors ---- */

  void (*add)(float *y, const float *x, size_t n); /* y += x */
  void (*scale)(float *y, float factor, size_t n); /* y *= factor */
} kernels;

/* The table for this processor: filled once, the same for the life of the process. */
const kernels *kernels_in_use(void);

/* The table for a processor that can do no more than these CPU_... bits (base/cpu.h). */
void kernels_for(uint32_t features, kernels *filled);

/* Fill a table: the specification, in several files. */
void kernels_scalar(kernels *table);
void kernels_scalar_blocks(kernels *table);
void kernels_scalar_types(kernels *table);
void kernels_scalar_products(kernels *table);
void kernels_scalar_attention(kernels *table);

/* Override entries of it. */
void kernels_avx2(kernels *table);
void kernels_avx512(kernels *table);
void kernels_avx512_vnni(kernels *table);
void kernels_avx512_bf16(kernels *table);

#endif
