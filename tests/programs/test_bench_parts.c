/* test_bench_parts.c - what gpt2-bench computes with: divergences, medians, sums of memory. */
#include "bench/divergence.h"
#include "bench/readers.h"
#include "bench/samples.h"
#include "support/random_numbers.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_near(double found, double expected, double tolerance)
{
  if (!(fabs(found - expected) <= tolerance))
    fail_msg("%.17g, expected %.17g", found, expected);
}

/* Probabilities whose divergence is known: KL((3/4, 1/4) || (1/2, 1/2)). */
static void a_divergence_is_that_of_the_formula(void **state)
{
  (void)state;
  const float reference[] = {logf(3), 0}, other[] = {5, 5};
  verdict v = judge_logits(reference, other, 2, 1);
  expect_near(v.divergence, 0.75 * log(1.5) + 0.25 * log(0.5), 1e-7);
  expect_near(v.reference_loss, log(4), 1e-7);
  expect_near(v.loss, log(2), 1e-15);
  assert_true(v.same_best); /* of equal ones the first */
  v = judge_logits(other, reference, 2, -1);
  expect_near(v.divergence, 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25), 1e-7);
  assert_true(v.loss == 0 && v.reference_loss == 0);
}

static void logits_far_from_zero_lose_nothing(void **state)
{
  (void)state;
  const float reference[] = {-30000, -30001, -30060}, other[] = {30000.5f, 30000, 29000};
  double p = 1 / (1 + exp(-1) + exp(-60)), q = 1 / (1 + exp(-0.5) + exp(-1000.5));
  verdict v = judge_logits(reference, other, 3, 0);
  double expected = p * log(p / q) + p * exp(-1) * (-1 + 0.5 + log(p / q)) +
                    p * exp(-60) * (-60 + 1000.5 + log(p / q));
  expect_near(v.divergence, expected, 1e-14);
  expect_near(v.loss, -log(q), 1e-14);
}

/* To second order it is half the variance of the difference, which double arithmetic must not lose
 * beside logarithms of some ten. */
static void small_divergences_are_not_lost(void **state)
{
  (void)state;
  enum { N = 50257 };
  random_numbers random = random_from_seed("small_divergences_are_not_lost");
  float *reference = malloc(N * sizeof *reference), *other = malloc(N * sizeof *other);
  assert_true(reference && other);
  double sum = 0, mean = 0, square = 0;
  for (int i = 0; i < N; i++) {
    reference[i] = (float)(random_normal(&random) * 3 - 100);
    other[i] = reference[i] + (float)(random_normal(&random) * 1e-3);
    double p = exp(reference[i] + 100.0), difference = (double)other[i] - reference[i];
    sum += p;
    mean += p * difference;
    square += p * difference * difference;
  }
  mean /= sum;
  double expected = (square / sum - mean * mean) / 2;
  verdict v = judge_logits(reference, other, N, 0);
  expect_near(v.divergence / expected, 1, 0.01);
  assert_true(judge_logits(reference, reference, N, 0).divergence == 0);
  free(reference);
  free(other);
}

static void logits_that_are_no_numbers_are_noticed(void **state)
{
  (void)state;
  const float good[] = {1, 2, 3}, bad[] = {1, NAN, 3}, infinite[] = {1, INFINITY, 3};
  assert_true(isnan(judge_logits(good, bad, 3, 0).divergence));
  assert_true(isnan(judge_logits(bad, good, 3, 0).divergence));
  assert_true(isnan(judge_logits(infinite, good, 3, 0).divergence));
}

static void the_best_token_is_compared(void **state)
{
  (void)state;
  const float a[] = {1, 3, 2}, b[] = {1, 2, 3}, c[] = {-1, 0, -2};
  assert_false(judge_logits(a, b, 3, 0).same_best);
  assert_true(judge_logits(a, c, 3, 0).same_best);
}

/* The shares are medians of pairs: what slows both changes nothing. */
static void a_share_is_the_median_of_pairs(void **state)
{
  (void)state;
  samples s = {0};
  add_sample(&s, 10, (bound){9, 20});
  add_sample(&s, 100, (bound){80, 100});
  add_sample(&s, 20, (bound){10, 100});
  assert_true(median_value(&s) == 20);
  assert_true(median_limit(&s) == 10);
  assert_true(median_share(&s) == 0.8);
  assert_true(median_ratio(&s) == 2);
  add_sample(&s, 30, (bound){30, 30});
  assert_true(median_value(&s) == 25);
  expect_near(median_share(&s), 0.85, 1e-15);
}

static void without_bounds_there_is_no_share(void **state)
{
  (void)state;
  samples s = {0};
  add_sample(&s, 10, (bound){0});
  assert_true(median_value(&s) == 10);
  assert_true(isnan(median_limit(&s)) && isnan(median_share(&s)) && isnan(median_ratio(&s)));
}

/* A reader that left something out would be faster than the memory. Sums of 64-bit words know
 * nothing of their order. */
static void every_reader_reads_all(void **state)
{
  (void)state;
  static const size_t sizes[] = {4096, 8192, 69632, 1 << 20};
  random_numbers random = random_from_seed("every_reader_reads_all");
  uint64_t *words = malloc(1 << 20);
  assert_non_null(words);
  for (size_t i = 0; i < (1 << 20) / sizeof *words; i++)
    words[i] = random_bits(&random);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    uint64_t sum = 0;
    for (size_t word = 0; word < sizes[i] / sizeof *words; word++)
      sum += words[word];
    for (int reader = 0; reader < N_READERS; reader++)
      if (read_bytes(reader, (const unsigned char *)words, sizes[i]) != sum)
        fail_msg("reader %d does not read all of %zu bytes", reader, sizes[i]);
  }
  free(words);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_divergence_is_that_of_the_formula),
      cmocka_unit_test(logits_far_from_zero_lose_nothing),
      cmocka_unit_test(small_divergences_are_not_lost),
      cmocka_unit_test(logits_that_are_no_numbers_are_noticed),
      cmocka_unit_test(the_best_token_is_compared),
      cmocka_unit_test(a_share_is_the_median_of_pairs),
      cmocka_unit_test(without_bounds_there_is_no_share),
      cmocka_unit_test(every_reader_reads_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
