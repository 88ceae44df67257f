/* divergence.c - how far one distribution of the next token is from another. */
#include "bench/divergence.h"

#include <math.h>

/* The first of the greatest. */
static int32_t best_of(const float *logits, int32_t n_vocab)
{
  int32_t best = 0;
  for (int32_t i = 1; i < n_vocab; i++)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

/* With p = softmax(x) and q = softmax(y), ln p_i = x_i - max x - ln sum exp(x - max x), so that
 *
 *   KL(p || q) = sum p_i (ln p_i - ln q_i)
 *              = sum p_i ((x_i - max x) - (y_i - max y)) - ln sum exp(x - max x)
 *                                                        + ln sum exp(y - max y)
 *
 * in one pass over the logits. No exponential overflows, and the greatest is 1. */
verdict judge_logits(const float *reference, const float *other, int32_t n_vocab, int32_t target)
{
  const int32_t best = best_of(reference, n_vocab), other_best = best_of(other, n_vocab);
  const double max = reference[best], other_max = other[other_best];
  double sum = 0, other_sum = 0, weighted = 0;
  for (int32_t i = 0; i < n_vocab; i++) {
    double x = reference[i] - max, y = other[i] - other_max;
    double p = exp(x);
    sum += p;
    other_sum += exp(y);
    weighted += p * (x - y);
  }
  double divergence = weighted / sum - log(sum) + log(other_sum);
  verdict v = {.same_best = best == other_best};
  v.divergence = divergence < 0 ? 0 : divergence; /* what rounding can make of nothing */
  if (target >= 0) {
    v.reference_loss = log(sum) - (reference[target] - max);
    v.loss = log(other_sum) - (other[target] - other_max);
  }
  return v;
}
