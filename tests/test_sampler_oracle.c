/* test_sampler_oracle.c - every combination of options on every kind of logits, against a sampler
 * that sorts the whole vocabulary and adds one by one.
 *
 * Both weigh tokens by the same kernel, so that they must keep the same ones, to the last: all that
 * is left to rounding is where sums in double precision end. */
#include "generate/random.h"
#include "gpt2.h"
#include "kernels/kernels.h"
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
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cmocka.h>

/* ---- The oracle ---- */

typedef struct ranked {
  gpt2_token token;
  float logit, weight;
} ranked;

enum { MOST = 60000 };
static float logits[MOST], weights[MOST];
static ranked ranking[MOST];
static double shares[MOST]; /* of the tokens, not yet divided by their sum */

static int by_logit_and_id(const void *a, const void *b)
{
  const ranked *x = a, *y = b;
  if (x->logit != y->logit)
    return x->logit > y->logit ? -1 : 1;
  return x->token < y->token ? -1 : 1;
}

static float greatest_logit(size_t n)
{
  float greatest = -INFINITY;
  for (size_t i = 0; i < n; i++)
    greatest = logits[i] > greatest ? logits[i] : greatest;
  return greatest;
}

static void rank_all(size_t n, float temperature)
{
  kernels_in_use()->exponentials(logits, greatest_logit(n), temperature, n, weights);
  for (size_t i = 0; i < n; i++)
    ranking[i] = (ranked){(gpt2_token)i, logits[i], weights[i]};
  qsort(ranking, n, sizeof *ranking, by_logit_and_id);
}

/* How many of the ranking's first n reach top_p; *is_certain becomes false if rounding decides. */
static size_t reach(size_t n, float top_p, bool *is_certain)
{
  double total = 0.0, sum = 0.0;
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    total += (double)ranking[i].weight;
  double enough = (double)top_p * total;
  while (kept < n && (kept == 0 || sum < enough)) {
    sum += (double)ranking[kept++].weight;
    if (fabs(sum - enough) <= 1e-12 * total && sum != enough)
      *is_certain = false;
  }
  return kept;
}

/* Fills `shares` (n) by these options; false if rounding decides which are kept. */
static bool find_shares(size_t n, const gpt2_sampler_options *o)
{
  bool is_certain = true;
  rank_all(n, o->temperature);
  size_t kept = o->top_k > 0 && (size_t)o->top_k < n ? (size_t)o->top_k : n;
  if (o->top_p > 0.0f && o->top_p < 1.0f)
    kept = reach(kept, o->top_p, &is_certain);
  memset(shares, 0, n * sizeof *shares);
  for (size_t i = 0; i < kept; i++)
    if (ranking[i].weight >= o->min_p)
      shares[ranking[i].token] = (double)ranking[i].weight;
  return is_certain;
}

/* Fails unless each of a few draws gives the token in whose share the random number falls. */
static void check_draws(size_t n, const gpt2_sampler_options *o, const char *kind)
{
  enum { DRAWS = 4 };
  const double rounding = 1e-9;
  double total = 0.0;
  gpt2_sampler *sampler = new_sampler(*o);
  for (size_t i = 0; i < n; i++)
    total += shares[i];
  for (uint64_t index = 0; index < DRAWS; index++) {
    gpt2_token token = draw_from(sampler, logits, n);
    double below = 0.0, random = random_uniform(o->seed, index);
    for (gpt2_token i = 0; i < token; i++)
      below += shares[i] / total;
    double share = shares[token] / total;
    if (!(share > 0.0 && random >= below - rounding && random <= below + share + rounding))
      fail_msg("%zu %s logits, temperature %g, top_k %d, top_p %.9g, min_p %.9g, seed %llu, draw "
               "%d: token %d, whose share is [%.17g, %.17g), not %.17g",
               n, kind, (double)o->temperature, (int)o->top_k, (double)o->top_p, (double)o->min_p,
               (unsigned long long)o->seed, (int)index, (int)token, below, below + share, random);
    accept_token(sampler, token);
  }
  gpt2_sampler_free(sampler);
}

/* ---- Logits ---- */

static const char *const KINDS[] = {
    "normal",    "flat", "peaked",    "level",  "few-valued", "ascending", "descending",
    "subnormal", "huge", "clustered", "sparse", "outlying",   "hopeless",  "below-zero"};
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

static float draw_logit(random_numbers *chance, int kind, size_t i, size_t n)
{
  double normal = random_normal(chance);
  switch (kind) {
  case 1:
    return (float)(normal * 0.1);
  case 2:
    return (float)(normal * 2.5 - 1.5 * log(1.0 + (double)i));
  case 3:
    return -1.25f;
  case 4:
    return (float)random_below(chance, 4);
  case 5:
    return (float)i / (float)n * 20.0f;
  case 6:
    return -(float)i / (float)n * 20.0f;
  case 7:
    return (float)(normal * 1e-41);
  case 8:
    return (float)(normal * 1e37);
  case 9: /* equal but for the last bits */
    return 1.0f + (float)random_below(chance, 50) * FLT_EPSILON;
  case 10: /* most are left out by another filter */
    return random_below(chance, 20) == 0 ? (float)normal : -INFINITY;
  case 11:
    return random_below(chance, 500) == 0 ? 1e30f : (float)(normal * 4.0);
  case 12:
    return i == n / 2 ? -1e20f : -INFINITY;
  default:
    return (float)(normal * 3.0 - 90.0);
  }
}

static void draw_logits(random_numbers *chance, int kind, size_t n)
{
  for (size_t i = 0; i < n; i++)
    logits[i] = draw_logit(chance, kind, i, n);
  if (kind == 10) /* one at least is possible */
    logits[random_below(chance, (int)n)] = 0.5f;
}

/* ---- Options ---- */

#define ANY_OF(chance, list) list[random_below(chance, sizeof(list) / sizeof *(list))]

static gpt2_sampler_options draw_options(random_numbers *chance, size_t n)
{
  static const float temperatures[] = {1.0f,  0.8f,    0.8f,  1.0f,         0.1f,
                                       30.0f, FLT_MAX, 1e-6f, FLT_TRUE_MIN, FLT_MIN};
  static const float top_p[] = {0.0f,        0.0f,   0.95f, 0.95f,     0.5f,
                                0.05f,       0.999f, 1.0f,  0.999999f, 1.0f - FLT_EPSILON / 2,
                                FLT_TRUE_MIN};
  static const float min_p[] = {0.0f, 0.0f, 0.0f, 0.05f, 0.5f, 1e-4f, 1e-30f, FLT_TRUE_MIN, 1.0f};
  int size = (int)n;
  const int32_t top_k[] = {0, 0,         0,        40,       1,
                           2, size / 2,  size,     size - 1, 1 + random_below(chance, size),
                           5, size / 64, INT32_MAX};
  gpt2_sampler_options o = at_temperature(ANY_OF(chance, temperatures), random_bits(chance));
  o.top_k = ANY_OF(chance, top_k);
  o.top_p = ANY_OF(chance, top_p);
  o.min_p = ANY_OF(chance, min_p);
  return o;
}

static int try_options(random_numbers *chance, int kind, size_t n)
{
  gpt2_sampler_options o = draw_options(chance, n);
  draw_logits(chance, kind, n);
  if (!find_shares(n, &o))
    return 0;
  check_draws(n, &o, KINDS[kind]);
  return 1;
}

/* ---- Tests ---- */

static void small_vocabularies_are_drawn_from_as_by_sorting(void **state)
{
  (void)state;
  enum { TRIALS = 6000 };
  int n_certain = 0;
  random_numbers chance = random_from_seed(__func__);
  for (int i = 0; i < TRIALS; i++)
    n_certain += try_options(&chance, i % N_KINDS, 1 + (size_t)random_below(&chance, 1 + i % 700));
  assert_in_range(n_certain, TRIALS * 9 / 10, TRIALS);
}

static void large_vocabularies_are_drawn_from_as_by_sorting(void **state)
{
  (void)state;
  enum { TRIALS = 20 * N_KINDS };
  int n_certain = 0;
  random_numbers chance = random_from_seed(__func__);
  for (int i = 0; i < TRIALS; i++)
    n_certain += try_options(&chance, i % N_KINDS, (size_t)(1000 + random_below(&chance, 9000)));
  for (int i = 0; i < N_KINDS; i++)
    n_certain += try_options(&chance, i, i % 2 ? 50257 : MOST);
  assert_in_range(n_certain, TRIALS * 9 / 10, TRIALS + N_KINDS);
}

/* One sampler goes from row to row, whatever their sizes: what a draw leaves in its memory is not
 * seen by the next. */
static void a_draw_does_not_depend_on_the_draws_before(void **state)
{
  (void)state;
  random_numbers chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 200; repeat++) {
    gpt2_sampler_options o = draw_options(&chance, 500);
    gpt2_sampler *used = new_sampler(o);
    for (int i = 0; i < 10; i++) {
      size_t n = 1 + (size_t)random_below(&chance, 1000);
      draw_logits(&chance, random_below(&chance, N_KINDS), n);
      gpt2_sampler *fresh = new_sampler(o);
      assert_int_equal(draw_from(used, logits, n), draw_from(fresh, logits, n));
      gpt2_sampler_free(fresh);
    }
    gpt2_sampler_free(used);
  }
}

#if defined(__x86_64__)
/* Audio programs have the processor take subnormal numbers for zero (MXCSR's FTZ and DAZ). A draw
 * must end, and give a token that is possible, there as well. */
static void draws_work_where_the_host_takes_subnormal_numbers_for_zero(void **state)
{
  (void)state;
  enum { FLUSH_AND_DENORMALS_ARE_ZERO = 0x8040 };
  random_numbers chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 500; repeat++) {
    size_t n = 1 + (size_t)random_below(&chance, 500);
    gpt2_sampler_options o = draw_options(&chance, n);
    draw_logits(&chance, repeat % N_KINDS, n);
    gpt2_sampler *sampler = new_sampler(o), *greedy = new_sampler(at_temperature(0.0f, 0));
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_AND_DENORMALS_ARE_ZERO);
    gpt2_token best = draw_from(greedy, logits, n), token = draw_from(sampler, logits, n);
    _mm_setcsr(before);
    assert_true(logits[token] > -INFINITY);
    assert_true(greatest_logit(n) - logits[best] < FLT_MIN);
    gpt2_sampler_free(sampler);
    gpt2_sampler_free(greedy);
  }
}
#endif

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(small_vocabularies_are_drawn_from_as_by_sorting),
    cmocka_unit_test(large_vocabularies_are_drawn_from_as_by_sorting),
    cmocka_unit_test(a_draw_does_not_depend_on_the_draws_before),
#if defined(__x86_64__)
    cmocka_unit_test(draws_work_where_the_host_takes_subnormal_numbers_for_zero),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
