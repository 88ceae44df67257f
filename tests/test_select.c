/* test_select.c - the greatest of many, and the few logits that a draw needs: against sorting. */
#include "generate/collect.h"
#include "kernels/kernels.h"
#include "support/random_numbers.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/expect.h"

enum { MOST = 4000, FEW = 60 };

/* Candidates in arrays of their own, and the same once more, to be sorted. */
typedef struct sorted_candidate {
  gpt2_token token;
  float value, weight;
} sorted_candidate;

static candidates found;
static sorted_candidate expected[MOST];

static int open_candidates(void **state)
{
  (void)state;
  gpt2_allocator allocator;
  gpt2_error error = NO_ERROR_YET;
  expect_success(allocator_read(&allocator, NULL, &error), &error);
  expect_success(candidates_reserve(&found, &allocator, MOST, &error), &error);
  return 0;
}

static int close_candidates(void **state)
{
  (void)state;
  gpt2_allocator allocator;
  assert_int_equal(allocator_read(&allocator, NULL, NULL), GPT2_OK);
  candidates_free(&found, &allocator);
  return 0;
}

static int by_value_and_place(const void *a, const void *b)
{
  const sorted_candidate *x = a, *y = b;
  if (x->value != y->value)
    return x->value > y->value ? -1 : 1;
  return x->token < y->token ? -1 : 1;
}

static int by_place(const void *a, const void *b)
{
  const sorted_candidate *x = a, *y = b;
  return x->token < y->token ? -1 : 1;
}

/* Sorts the expected ones (n) and keeps the greatest that add up to `enough`; returns how many. */
static size_t keep_by_sorting(size_t n, double enough)
{
  double sum = 0.0;
  size_t kept = 0;
  qsort(expected, n, sizeof *expected, by_value_and_place);
  while (kept < n && (kept == 0 || sum < enough))
    sum += (double)expected[kept++].weight;
  qsort(expected, kept, sizeof *expected, by_place);
  return kept;
}

static void check_candidates(size_t n)
{
  assert_int_equal(found.n, n);
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(found.tokens[i], expected[i].token);
    assert_true(found.values[i] == expected[i].value);
  }
}

/* Values of all sizes and signs, with many ties. */
static float random_value(random_numbers *chance)
{
  static const float odd[] = {0.0f,     -0.0f,        INFINITY,      -INFINITY, FLT_MAX,
                              -FLT_MAX, FLT_TRUE_MIN, -FLT_TRUE_MIN, 1.0f,      FLT_MIN};
  switch (random_below(chance, 4)) {
  case 0:
    return odd[random_below(chance, sizeof odd / sizeof *odd)];
  case 1:
    return (float)(random_below(chance, 9) - 4);
  case 2:
    return (float)ldexp(random_normal(chance), random_below(chance, 200) - 100);
  default:
    return 1.0f + (float)random_below(chance, 50) * FLT_EPSILON; /* equal but for the last bits */
  }
}

/* Fills both with n candidates. Whole weights: their sums are exact. */
static void draw_candidates(random_numbers *chance, size_t n)
{
  found.n = n;
  for (size_t i = 0; i < n; i++) {
    expected[i] = (sorted_candidate){.token = (gpt2_token)i,
                                     .value = random_value(chance),
                                     .weight = (float)random_below(chance, 4)};
    found.tokens[i] = expected[i].token;
    found.values[i] = expected[i].value;
    found.weights[i] = expected[i].weight;
  }
}

static size_t random_size(random_numbers *chance, int repeat)
{
  return 1 + (size_t)random_below(chance, repeat % 50 == 0 ? MOST : repeat % 2 ? FEW : 8);
}

/* ---- Keeping ---- */

static void the_heaviest_are_those_that_sorting_gives(void **state)
{
  (void)state;
  random_numbers chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 6000; repeat++) {
    size_t n = random_size(&chance, repeat);
    draw_candidates(&chance, n);
    double enough = random_below(&chance, (int)(2 * n));
    keep_heaviest(&found, enough);
    check_candidates(keep_by_sorting(n, enough));
    for (size_t i = 0; i < found.n; i++)
      assert_true(found.weights[i] == expected[i].weight);
  }
}

static void the_k_greatest_are_those_that_sorting_gives(void **state)
{
  (void)state;
  random_numbers chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 6000; repeat++) {
    size_t n = random_size(&chance, repeat), k = 1 + (size_t)random_below(&chance, (int)n + 2);
    draw_candidates(&chance, n);
    for (size_t i = 0; i < n; i++)
      expected[i].weight = 1.0f;
    if (k <= n) {
      float kth = kth_greatest(found.values, n, k);
      qsort(expected, n, sizeof *expected, by_value_and_place);
      assert_true(kth == expected[k - 1].value);
    }
    keep_greatest(&found, k);
    check_candidates(keep_by_sorting(n, (double)k));
  }
}

static void one_is_kept_at_least_and_all_at_most(void **state)
{
  (void)state;
  static const float values[] = {1.0f, 2.0f, 2.0f};
  for (int i = 0; i < 3; i++) {
    found.tokens[i] = i;
    found.values[i] = values[i];
    found.weights[i] = 1.0f;
  }
  found.n = 3;
  keep_heaviest(&found, 1e300);
  assert_int_equal(found.n, 3);
  keep_heaviest(&found, 0.0);
  assert_int_equal(found.n, 1);
  assert_int_equal(found.tokens[0], 1);
  found.n = 0;
  keep_heaviest(&found, 1.0);
  assert_int_equal(found.n, 0);
}

/* ---- Collecting ---- */

/* Rows of MOST logits or fewer, in orders that are as bad as can be for a search. */
static float *draw_row(random_numbers *chance, size_t n)
{
  static float row[MOST];
  int kind = random_below(chance, 6);
  for (size_t i = 0; i < n; i++)
    row[i] = kind == 0   ? (float)i
             : kind == 1 ? -(float)i
             : kind == 2 ? 1.0f
             : kind == 3 ? (float)random_below(chance, 3)
             : kind == 4 ? (float)random_normal(chance)
                         : random_value(chance);
  for (size_t i = 0; i < n; i++)
    row[i] = row[i] < INFINITY ? row[i] : 7.0f;
  return row;
}

/* What top_k should find: the k greatest, but none that is -infinity. */
static size_t top_k_by_sorting(const float *row, size_t n, size_t k)
{
  size_t n_possible = 0;
  for (size_t i = 0; i < n; i++)
    if (row[i] > -INFINITY)
      expected[n_possible++] =
          (sorted_candidate){.token = (gpt2_token)i, .value = row[i], .weight = 1.0f};
  return n_possible == 0 ? 0 : keep_by_sorting(n_possible, (double)k);
}

static void the_top_k_of_a_row_are_those_that_sorting_gives(void **state)
{
  (void)state;
  random_numbers chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 3000; repeat++) {
    size_t n = 2 + (size_t)random_below(&chance, repeat % 4 ? MOST / 4 : MOST - 1);
    size_t k = 1 + (size_t)random_below(&chance, repeat % 2 ? 20 : (int)n - 1);
    k = k < n ? k : n - 1;
    const float *row = draw_row(&chance, n);
    size_t room = found.capacity, needed = top_k_capacity(k, n);
    found.capacity = needed < room ? needed : room; /* a full room must be emptied */
    float threshold, greatest = collect_maximum(&found, row, n, k, &threshold);
    collect_top_k(&found, row, n, k, threshold);
    found.capacity = room;
    check_candidates(top_k_by_sorting(row, n, k));
    for (size_t i = 0; i < n; i++)
      assert_true(row[i] <= greatest);
    assert_true(row[kernels_in_use()->first_equal(row, greatest, n)] == greatest);
  }
}

static void a_search_ends_with_the_most_that_it_may_find(void **state)
{
  (void)state;
  float row[200] = {0};
  for (size_t i = 0; i < 200; i += 2)
    row[i] = 1.0f;
  assert_true(collect_greater(&found, row, 200, 0.5f, 101));
  assert_int_equal(found.n, 100);
  assert_false(collect_greater(&found, row, 200, 0.5f, 99));
  assert_int_equal(found.n, 99);
  assert_int_equal(found.tokens[98], 196);
  assert_true(collect_greater(&found, row, 200, 1.0f, 1));
  assert_int_equal(found.n, 0);
}

/* As a host may have the processor see numbers. */
static float without_subnormals(float x)
{
  return fabsf(x) < FLT_MIN ? 0.0f : x;
}

static void a_little_less_is_less_also_where_subnormal_numbers_are_zero(void **state)
{
  (void)state;
  static const float values[] = {0.0f,         -0.0f,         1.0f,           -1.0f,
                                 FLT_MIN,      -FLT_MIN,      1.5f * FLT_MIN, 2 * FLT_MIN,
                                 FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MAX,        1e-30f};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    float less = little_less((double)values[i]);
    assert_true(less < values[i]);
    assert_true(without_subnormals(less) < without_subnormals(values[i]));
    assert_true(fabsf(less - values[i]) <= 1e-5f * fabsf(values[i]) + 3 * FLT_MIN);
  }
  assert_true(little_less(-(double)FLT_MAX) == -INFINITY);
  assert_true(little_less(-1e300) == -INFINITY);
  assert_true(little_less((double)-INFINITY) == -INFINITY);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_heaviest_are_those_that_sorting_gives),
      cmocka_unit_test(the_k_greatest_are_those_that_sorting_gives),
      cmocka_unit_test(one_is_kept_at_least_and_all_at_most),
      cmocka_unit_test(the_top_k_of_a_row_are_those_that_sorting_gives),
      cmocka_unit_test(a_search_ends_with_the_most_that_it_may_find),
      cmocka_unit_test(a_little_less_is_less_also_where_subnormal_numbers_are_zero),
  };
  return cmocka_run_group_tests(tests, open_candidates, close_candidates);
}
