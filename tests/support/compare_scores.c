/* compare_scores.c - the library's scores against those that a fixture expects. */
#include "support/compare_scores.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A log-probability is one logit less a mean of all: twice what a logit may be off, as a part of
 * the range. */
static const double LOGPROB_TOLERANCE = 2e-5;
/* Entropy moves by each logit's error times p * (log p + entropy), whose sizes add up to a few
 * nats. */
static const double ENTROPY_TOLERANCE = 5e-5;
/* Errors of many tokens cancel: of the mean log-probability, and so of the logarithm of the
 * perplexity. */
static const double MEAN_TOLERANCE = 2e-6;

void compare_score(comparison *c, const gpt2_token_score *found)
{
  size_t i = c->n++;
  assert_true(i < c->expected->n);
  assert_int_equal(found->position, i);
  assert_int_equal(found->token, c->tokens[i]);
  if (found->rank < c->expected->lowest[i] || found->rank > c->expected->highest[i])
    fail_msg("%s: token %zu has rank %d, not %d", c->name, i, found->rank, c->expected->rank[i]);
  if (c->expected->rank[i] == 0)
    return;
  double logprob_error = fabs(found->logprob - c->expected->logprob[i]) / c->range;
  double entropy_error = fabs(found->entropy - c->expected->entropy[i]) / c->range;
  if (!(logprob_error <= LOGPROB_TOLERANCE && entropy_error <= ENTROPY_TOLERANCE))
    fail_msg("%s: token %zu: log-probability off by %g, entropy by %g of the range", c->name, i,
             logprob_error, entropy_error);
}

int32_t compare_arriving_score(const gpt2_token_score *score, void *user)
{
  compare_score(user, score);
  return 0;
}

void compare_result(const comparison *c, const gpt2_score_result *result)
{
  const score_case *expected = c->expected;
  assert_int_equal(result->n_tokens, c->n);
  assert_int_equal(result->n_scored, expected->n_scored);
  double n = (double)expected->n_scored;
  double mean_error = fabs(result->logprob - expected->sum_logprob) / n / c->range;
  double perplexity_error = fabs(log(result->perplexity / expected->perplexity)) / c->range;
  if (!(mean_error <= MEAN_TOLERANCE && perplexity_error <= MEAN_TOLERANCE))
    fail_msg("%s: the mean is off by %g of the range, the perplexity by %g", c->name, mean_error,
             perplexity_error);
}

double least_range(const double *logits, size_t n_rows, int n_vocab)
{
  double least = INFINITY;
  for (size_t row = 0; row < n_rows; row++)
    least = fmin(least, logits_range(logits + row * (size_t)n_vocab, (size_t)n_vocab));
  return least;
}
