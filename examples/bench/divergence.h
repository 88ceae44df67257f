/* divergence.h - how far one distribution of the next token is from another. */
#ifndef BENCH_DIVERGENCE_H
#define BENCH_DIVERGENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Two models' logits of one position, compared. */
typedef struct verdict {
  double divergence;           /* Kullback-Leibler, of the other from the reference, in nats */
  double loss, reference_loss; /* -ln of the probability of the token that came; 0 without one */
  bool same_best;              /* both think the same token the likeliest */
} verdict;

/* `reference` and `other` are logits (n_vocab), finite ones; NAN comes of others. `target` is the
 * token that came, or -1. */
verdict judge_logits(const float *reference, const float *other, int32_t n_vocab, int32_t target);

#endif
