/* score_row.c - how one row of logits judges one token. */
#include "model/score_row.h"

#include <math.h>

/* With z = sum of e^(x - max): log p(t) = x[t] - max - log z, and the entropy
 * -sum p log p = log z - sum of e^(x - max) (x - max) / z. */
bool score_row(const kernels *kernel, const float *logits, size_t n_vocab, gpt2_token target,
               gpt2_token_score *score)
{
  float greatest = kernel->maximum(logits, n_vocab);
  if (!isfinite(greatest))
    return false;
  double z, weighted;
  kernel->exponential_sums(logits, greatest, n_vocab, &z, &weighted);
  double log_z = log(z), entropy = log_z - weighted / z;
  score->token = target;
  score->rank = 1 + (int32_t)kernel->count_greater(logits, logits[target], n_vocab);
  score->logprob = (float)((double)logits[target] - (double)greatest - log_z);
  score->entropy = entropy > 0.0 ? (float)entropy : 0.0f;
  return true;
}

float row_logprob(const kernels *kernel, const float *logits, size_t n_vocab, float greatest,
                  gpt2_token token)
{
  double z = kernel->exponentials(logits, greatest, 1.0f, n_vocab, NULL);
  return (float)((double)logits[token] - (double)greatest - log(z));
}
