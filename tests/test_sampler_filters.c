/* test_sampler_filters.c - what a sampler leaves out, and how often it takes what is left: against
 * an implementation that sorts, and against the probabilities. */
#include "generate/random.h"
#include "gpt2.h"
#include "support/random_numbers.h"
#include "support/sampling.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Probabilities, by sorting ---- */

typedef struct ranked {
  gpt2_token token;
  float value;
} ranked;

static int by_value_and_place(const void *a, const void *b)
{
  const ranked *x = a, *y = b;
  if (x->value != y->value)
    return x->value > y->value ? -1 : 1;
  return x->token < y->token ? -1 : 1;
}

/* Whether a sum or weight is so near to a threshold that rounding decides. */
static bool is_near(double a, double b)
{
  return fabs(a - b) <= 1e-5 * (fabs(a) + fabs(b));
}

/* The probability (n) of every token by these options; false if rounding decides which are kept. */
static bool probabilities(const float *logits, size_t n, const gpt2_sampler_options *o, double *p)
{
  ranked *c = calloc(n, sizeof *c);
  assert_non_null(c);
  for (size_t i = 0; i < n; i++)
    c[i] = (ranked){.token = (gpt2_token)i, .value = logits[i]};
  qsort(c, n, sizeof *c, by_value_and_place);
  double best = (double)c[0].value, total = 0.0, kept = 0.0;
  size_t n_kept = o->top_k > 0 && (size_t)o->top_k < n ? (size_t)o->top_k : n, n_summed = 0;
  bool is_certain = true;
  memset(p, 0, n * sizeof *p);
  for (size_t i = 0; i < n_kept; i++)
    total += p[c[i].token] = exp(((double)c[i].value - best) / (double)o->temperature);
  for (size_t i = 0; i < n_kept; i++) {
    double *weight = &p[c[i].token], enough = (double)o->top_p * total;
    bool is_limited = o->top_p > 0.0f && o->top_p < 1.0f;
    is_certain = is_certain && !(is_limited && is_near(kept, enough)) &&
                 !(o->min_p > 0.0f && is_near(*weight, (double)o->min_p) && o->min_p < 1.0f);
    if ((is_limited && kept >= enough && i > 0) || *weight < (double)o->min_p)
      *weight = 0.0;
    else
      n_summed++;
    kept += exp(((double)c[i].value - best) / (double)o->temperature);
  }
  free(c);
  assert_true(n_summed > 0);
  for (size_t i = 0; i < n; i++)
    total = i == 0 ? p[0] : total + p[i];
  for (size_t i = 0; i < n; i++)
    p[i] /= total;
  return is_certain;
}

/* Fails unless the token drawn is the one in whose share the random number falls. */
static void check_draw(gpt2_sampler *sampler, const float *logits, size_t n, const double *p,
                       uint64_t seed, uint64_t index)
{
  const double rounding = 1e-5;
  gpt2_token token = draw_from(sampler, logits, n);
  double below = 0.0, random = random_uniform(seed, index);
  for (gpt2_token i = 0; i < token; i++)
    below += p[i];
  if (!(p[token] > 0.0))
    fail_msg("seed %llu: token %d was to be left out", (unsigned long long)seed, (int)token);
  if (!(random >= below - rounding && random <= below + p[token] + rounding))
    fail_msg("seed %llu: token %d has [%g, %g) but %g was drawn", (unsigned long long)seed,
             (int)token, below, below + p[token], random);
  accept_token(sampler, token);
}

static gpt2_sampler_options random_options(random_numbers *chance, size_t n)
{
  gpt2_sampler_options o =
      at_temperature((float)(0.1 + random_below(chance, 30) / 10.0), random_bits(chance));
  if (random_below(chance, 2))
    o.top_k = 1 + random_below(chance, (int)(n + n / 4 + 1));
  if (random_below(chance, 2))
    o.top_p = (float)(1 + random_below(chance, 1000)) / 1000.0f;
  if (random_below(chance, 2))
    o.min_p = (float)(1 + random_below(chance, 1000)) / (random_below(chance, 2) ? 1e3f : 1e6f);
  return o;
}

/* Logits as models have them, some of them equal, some impossible. */
static void random_logits(random_numbers *chance, float *logits, size_t n)
{
  int kind = random_below(chance, 3);
  for (size_t i = 0; i < n; i++)
    logits[i] = kind == 0   ? (float)(random_normal(chance) * 3.0)
                : kind == 1 ? (float)random_below(chance, 5)
                            : (float)(random_normal(chance) * 40.0 - 100.0);
  for (size_t i = 0; i < n; i++)
    if (random_below(chance, 10) == 0)
      logits[i] = -INFINITY;
  logits[random_below(chance, (int)n)] = 1.0f; /* one at least is possible */
}

static void draws_agree_with_an_implementation_that_sorts(void **state)
{
  (void)state;
  enum { MOST = 500, DRAWS = 20 };
  float logits[MOST];
  double p[MOST];
  int n_certain = 0;
  random_numbers chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 1500; repeat++) {
    size_t n = 1 + (size_t)random_below(&chance, repeat % 3 ? MOST : 6);
    gpt2_sampler_options options = random_options(&chance, n);
    random_logits(&chance, logits, n);
    if (!probabilities(logits, n, &options, p))
      continue;
    n_certain++;
    gpt2_sampler *sampler = new_sampler(options);
    for (uint64_t index = 0; index < DRAWS; index++)
      check_draw(sampler, logits, n, p, options.seed, index);
    gpt2_sampler_free(sampler);
  }
  assert_in_range(n_certain, 750, 1500);
}

/* ---- Ties and thresholds that are met exactly ---- */

/* The tokens that 2000 draws give, as bits. */
static unsigned tokens_drawn(gpt2_sampler_options options, const float *logits, size_t n)
{
  unsigned drawn = 0;
  gpt2_sampler *sampler = new_sampler(options);
  for (int i = 0; i < 2000; i++) {
    gpt2_token token = draw_from(sampler, logits, n);
    drawn |= 1u << token;
    accept_token(sampler, token);
  }
  gpt2_sampler_free(sampler);
  return drawn;
}

static void of_equal_logits_the_lower_ids_are_kept(void **state)
{
  (void)state;
  static const float level[8], two_steps[] = {0.0f, 1.0f, 0.0f, 1.0f, 1.0f, 0.0f, 0.0f, 1.0f};
  const struct {
    const float *logits;
    int32_t top_k;
    float top_p, min_p;
    unsigned expected;
  } cases[] = {
      {level, 0, 0.0f, 0.0f, 0xff},      {level, 1, 0.0f, 0.0f, 0x01},
      {level, 3, 0.0f, 0.0f, 0x07},      {level, 8, 0.0f, 0.0f, 0xff},
      {level, 1000, 0.0f, 0.0f, 0xff},   {level, INT32_MAX, 0.0f, 0.0f, 0xff},
      {level, 0, 0.5f, 0.0f, 0x0f},      {level, 0, 0.51f, 0.0f, 0x1f},
      {level, 0, 0.49f, 0.0f, 0x0f},     {level, 0, FLT_TRUE_MIN, 0.0f, 0x01},
      {level, 0, 1.0f, 0.0f, 0xff},      {level, 0, 0.0f, 1.0f, 0xff},
      {level, 4, 0.5f, 0.0f, 0x03},      {level, 4, 0.5f, 1.0f, 0x03},
      {two_steps, 5, 0.0f, 0.0f, 0x9b},  {two_steps, 0, 0.0f, 1.0f, 0x9a},
      {two_steps, 2, 0.0f, 0.0f, 0x0a},  {two_steps, 0, 0.0f, 0.36f, 0xff},
      {two_steps, 0, 0.0f, 0.38f, 0x9a},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_sampler_options options = at_temperature(1.0f, i);
    options.top_k = cases[i].top_k;
    options.top_p = cases[i].top_p;
    options.min_p = cases[i].min_p;
    unsigned drawn = tokens_drawn(options, cases[i].logits, 8);
    if (drawn != cases[i].expected)
      fail_msg("case %zu: tokens %#x were drawn, expected %#x", i, drawn, cases[i].expected);
  }
}

/* top-p is a share of what top-k leaves: of {4, 2, 1, 1} / 8 the first two are 3/4 of all, but 6/7
 * of the first three; and min-p looks at the best one, whatever was left out. */
static void each_filter_works_on_what_the_one_before_leaves(void **state)
{
  (void)state;
  const float logits[] = {logf(4.0f), logf(2.0f), logf(1.0f), logf(1.0f)};
  gpt2_sampler_options options = at_temperature(1.0f, 4);
  options.top_p = 0.8f;
  assert_int_equal(tokens_drawn(options, logits, 4), 0x7);
  options.top_k = 3;
  assert_int_equal(tokens_drawn(options, logits, 4), 0x3);
  options.min_p = 0.6f;
  assert_int_equal(tokens_drawn(options, logits, 4), 0x1);
}

static void the_temperature_comes_before_the_filters(void **state)
{
  (void)state;
  const float logits[] = {logf(8.0f), logf(1.0f), logf(1.0f)};
  gpt2_sampler_options options = at_temperature(1.0f, 4);
  options.top_p = 0.7f;
  assert_int_equal(tokens_drawn(options, logits, 3), 0x1);
  options.temperature = 3.0f; /* 2 : 1 : 1 */
  assert_int_equal(tokens_drawn(options, logits, 3), 0x3);
}

/* ---- How often ---- */

/* Pearson's statistic of counts (n) against probabilities p (n). */
static double chi_square(const int *counts, const double *p, int n)
{
  double total = 0.0, sum = 0.0;
  for (int i = 0; i < n; i++)
    total += counts[i];
  for (int i = 0; i < n; i++)
    sum += (counts[i] - total * p[i]) * (counts[i] - total * p[i]) / (total * p[i]);
  return sum;
}

/* The 0.9999 quantiles of chi-square with 7 and with 63 degrees of freedom (scipy.stats.chi2.ppf).
 * Seeds are fixed: what passes once passes always. */
static const double MOST_OF_7 = 29.88, MOST_OF_63 = 111.1;

enum { TOKENS = 8, DRAWS = 100000 };
static const float uneven[TOKENS] = {0.0f, 1.0f, 2.0f, 3.0f, 0.5f, 1.5f, -1.0f, 2.5f};

static void tokens_come_as_often_as_they_are_probable(void **state)
{
  (void)state;
  for (uint64_t seed = 0; seed < 3; seed++) {
    gpt2_sampler_options options = at_temperature(0.8f, seed);
    double p[TOKENS];
    int counts[TOKENS] = {0};
    gpt2_sampler *sampler = new_sampler(options);
    assert_true(probabilities(uneven, TOKENS, &options, p));
    for (int i = 0; i < DRAWS; i++) {
      gpt2_token token = draw_from(sampler, uneven, TOKENS);
      counts[token]++;
      accept_token(sampler, token);
    }
    assert_true(chi_square(counts, p, TOKENS) < MOST_OF_7);
    gpt2_sampler_free(sampler);
  }
}

static void seeds_beside_one_another_begin_as_differently_as_any(void **state)
{
  (void)state;
  double p[TOKENS];
  int counts[TOKENS] = {0};
  gpt2_sampler_options options = at_temperature(0.8f, 0);
  assert_true(probabilities(uneven, TOKENS, &options, p));
  for (; options.seed < DRAWS / 10; options.seed++) {
    gpt2_sampler *sampler = new_sampler(options);
    counts[draw_from(sampler, uneven, TOKENS)]++;
    gpt2_sampler_free(sampler);
  }
  assert_true(chi_square(counts, p, TOKENS) < MOST_OF_7);
}

static void a_token_says_nothing_about_the_next(void **state)
{
  (void)state;
  static const float level[TOKENS];
  double p[TOKENS * TOKENS];
  int counts[TOKENS * TOKENS] = {0};
  gpt2_sampler *sampler = new_sampler(at_temperature(1.0f, 11));
  for (int i = 0; i < TOKENS * TOKENS; i++)
    p[i] = 1.0 / (TOKENS * TOKENS);
  for (int i = 0; i < DRAWS; i++) {
    gpt2_token first = draw_from(sampler, level, TOKENS);
    accept_token(sampler, first);
    gpt2_token second = draw_from(sampler, level, TOKENS);
    accept_token(sampler, second);
    counts[first * TOKENS + second]++;
  }
  assert_true(chi_square(counts, p, TOKENS * TOKENS) < MOST_OF_63);
  gpt2_sampler_free(sampler);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(draws_agree_with_an_implementation_that_sorts),
      cmocka_unit_test(of_equal_logits_the_lower_ids_are_kept),
      cmocka_unit_test(each_filter_works_on_what_the_one_before_leaves),
      cmocka_unit_test(the_temperature_comes_before_the_filters),
      cmocka_unit_test(tokens_come_as_often_as_they_are_probable),
      cmocka_unit_test(seeds_beside_one_another_begin_as_differently_as_any),
      cmocka_unit_test(a_token_says_nothing_about_the_next),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
