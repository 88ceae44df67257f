/* attention_kernels.h - the steps of attention, for the instruction set whose vector_....h was
 * included before. */
#ifndef KERNELS_ATTENTION_KERNELS_H
#define KERNELS_ATTENTION_KERNELS_H

#include <math.h>

#include "kernels/math.h"
#include "kernels/math_vectors.h"

enum {
  BLOCK_VECTORS = ATTENTION_BLOCK / VECTOR,
  MOST_VECTORS = 64 / VECTOR, /* of a single row: four blocks of scores, 64 elements of a value */
  BLOCKS_AT_ONCE = 4          /* that stay in the first-level cache for all rows */
};

static inline size_t attention_blocks(size_t n_tokens)
{
  return (n_tokens + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK;
}

static inline size_t lesser(size_t a, size_t b)
{
  return a < b ? a : b;
}

static inline __attribute__((always_inline)) void prefetch(const void *address)
{
  _mm_prefetch((const char *)address, _MM_HINT_T1);
}

#define ELEMENT         float
#define OF(name)        name##_f32
#define LOAD(p)         vector_load_f32(p)
#define LOAD_PART(p, n) vector_load_f32_part(p, n)
#include "kernels/attention_vectors.h"

#define ELEMENT         uint16_t
#define OF(name)        name##_f16
#define LOAD(p)         vector_load_f16(p)
#define LOAD_PART(p, n) vector_load_f16_part(p, n)
#include "kernels/attention_vectors.h"

/* The scores from `t` on of a row that sees n tokens; what it does not see is -infinity, which
 * comes to a weight of 0. */
static inline vector seen_scores(const float *scores, size_t t, size_t n)
{
  if (t + VECTOR <= n)
    return vector_load_f32(scores + t);
  return vector_load_f32_or(scores + t, n - t, vector_all(-INFINITY));
}

static void softmax_row(const attention_step *s, size_t row)
{
  float *scores = s->scores + row * s->score_stride, before = s->greatest[row];
  size_t n = attention_tokens(s, row);
  vector most = vector_all(before), sum = vector_zero();
  for (size_t t = 0; t < n; t += VECTOR)
    most = vector_max(seen_scores(scores, t, n), most); /* passes over a NaN */
  float greatest = vector_greatest(most);
  for (size_t t = 0; t < n; t += VECTOR) {
    vector below = vector_subtract(seen_scores(scores, t, n), vector_all(greatest));
    vector weight = vector_exp_or_zero(below); /* of a NaN: one, and so is the sum */
    vector_store(scores + t, weight);
    sum = vector_add(sum, weight);
  }
  s->factor[row] = greatest > before ? exp_f32(before - greatest) : 1.0f;
  s->total[row] = s->total[row] * (double)s->factor[row] + (double)vector_sum(sum);
  s->greatest[row] = greatest;
}

static void softmax_rows(const attention_step *s)
{
  for (size_t row = 0; row < s->n_rows; row++)
    softmax_row(s, row);
}

static void fill_attention(kernels *table)
{
  table->scores[ELEMENT_F32] = scores_f32;
  table->scores[ELEMENT_F16] = scores_f16;
  table->softmax = softmax_rows;
  table->weighted_sum[ELEMENT_F32] = weighted_sum_f32;
  table->weighted_sum[ELEMENT_F16] = weighted_sum_f16;
}

#endif
