/* compare_scores.h - the library's scores against those that a fixture expects. */
#ifndef TESTS_SUPPORT_COMPARE_SCORES_H
#define TESTS_SUPPORT_COMPARE_SCORES_H

#include "gpt2.h"
#include "support/fixture.h"

/* What the library's scores are compared with. */
typedef struct comparison {
  const char *name;
  const score_case *expected;
  const int32_t *tokens; /* (expected->n) */
  double range;          /* of the logits: tolerances are parts of it */
  size_t n;              /* scores seen */
} comparison;

/* Fails the test unless `found` is the next token's score: rank, log-probability and entropy. */
void compare_score(comparison *comparison, const gpt2_token_score *found);

/* The same as a gpt2_score_callback; `user` is a comparison. */
int32_t compare_arriving_score(const gpt2_token_score *score, void *user);

/* Fails the test unless the totals are those expected. */
void compare_result(const comparison *comparison, const gpt2_score_result *result);

/* The least range of a row of logits (n_rows, n_vocab). */
double least_range(const double *logits, size_t n_rows, int n_vocab);

#endif
