/* scalar_attention.c - the steps of attention as plain C: what every instruction set must agree
 * with.
 *
 * Inner loops run over the tokens of a block, or the elements of a value, so that a compiler can
 * make vectors of them without changing a bit. */
#include "kernels/kernels.h"

#include "kernels/math.h"

static inline float same_f32(float value)
{
  return value;
}

/* The same text for each element type, as there is one loop and two ways to read a number. */
#define DEFINE_ATTENTION(type, element, widen)                                                     \
  static void score_block_##type(const float *q, const element *keys, size_t d_head,               \
                                 float *scores)                                                    \
  {                                                                                                \
    float sum[ATTENTION_BLOCK] = {0};                                                              \
    for (size_t i = 0; i < d_head; i++)                                                            \
      for (size_t t = 0; t < ATTENTION_BLOCK; t++)                                                 \
        sum[t] += q[i] * widen(keys[i * ATTENTION_BLOCK + t]);                                     \
    for (size_t t = 0; t < ATTENTION_BLOCK; t++)                                                   \
      scores[t] = sum[t];                                                                          \
  }                                                                                                \
                                                                                                   \
  static void scores_##type(const attention_step *s)                                               \
  {                                                                                                \
    for (size_t r = 0; r < s->n_rows; r++)                                                         \
      for (size_t t = 0; t < attention_tokens(s, r); t += ATTENTION_BLOCK)                         \
        score_block_##type(s->q + r * s->d_head, s->keys[t / ATTENTION_BLOCK], s->d_head,          \
                           s->scores + r * s->score_stride + t);                                   \
  }                                                                                                \
                                                                                                   \
  static void weighted_sum_##type(const attention_step *s)                                         \
  {                                                                                                \
    for (size_t r = 0; r < s->n_rows; r++) {                                                       \
      const float *weights = s->scores + r * s->score_stride;                                      \
      float *out = s->out + r * s->d_head;                                                         \
      for (size_t i = 0; i < s->d_head; i++)                                                       \
        out[i] *= s->factor[r];                                                                    \
      for (size_t t = 0; t < attention_tokens(s, r); t++) {                                        \
        const element *block = s->values[t / ATTENTION_BLOCK];                                     \
        const element *value = block + t % ATTENTION_BLOCK * s->d_head;                            \
        for (size_t i = 0; i < s->d_head; i++)                                                     \
          out[i] += weights[t] * widen(value[i]);                                                  \
      }                                                                                            \
    }                                                                                              \
  }

DEFINE_ATTENTION(f32, float, same_f32)
DEFINE_ATTENTION(f16, uint16_t, f16_to_f32)

static void softmax(const attention_step *s)
{
  for (size_t r = 0; r < s->n_rows; r++) {
    float *scores = s->scores + r * s->score_stride, greatest = s->greatest[r];
    size_t n = attention_tokens(s, r);
    double total = 0.0;
    for (size_t t = 0; t < n; t++)
      greatest = scores[t] > greatest ? scores[t] : greatest;
    for (size_t t = 0; t < n; t++) {
      scores[t] = exp_f32(scores[t] - greatest); /* a NaN stays one */
      total += (double)scores[t];
    }
    s->factor[r] = greatest > s->greatest[r] ? exp_f32(s->greatest[r] - greatest) : 1.0f;
    s->total[r] = s->total[r] * (double)s->factor[r] + total;
    s->greatest[r] = greatest;
  }
}

void kernels_scalar_attention(kernels *table)
{
  table->scores[ELEMENT_F32] = scores_f32;
  table->scores[ELEMENT_F16] = scores_f16;
  table->softmax = softmax;
  table->weighted_sum[ELEMENT_F32] = weighted_sum_f32;
  table->weighted_sum[ELEMENT_F16] = weighted_sum_f16;
}
