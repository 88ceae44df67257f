/* test_kernels.c - every entry of the table of kernels, for every instruction set that this processor
 * has, against plain loops in double precision.
 *
 * A kernel may add in any order, so a sum is allowed an error relative to the sum of the magnitudes of
 * its terms. Arrays end (or begin) at a page that nobody may touch, their lengths run through all
 * remainders of a vector's, and their numbers are of all sizes. */
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "gpt2.h"
#include "kernels/math.h"
#include "support/fenced.h"
#include "support/random_numbers.h"

/* Of the sum of the terms' magnitudes. */
static const double PRODUCT_TOLERANCE = 5e-7;
static const double SCORES_TOLERANCE = 5e-7;
static const double WEIGHTED_SUM_TOLERANCE = 2e-6; /* a thousand terms, one after another */
static const double EXPONENTIAL_SUM_TOLERANCE = 5e-7;
/* Of the greatest distance from the mean that a value may have for its own rounding, and of the bias. */
static const double LAYER_NORM_TOLERANCE = 1e-6;
/* Of the argument: GELU of a great negative number is a difference of nearly equal ones. */
static const double ACTIVATION_TOLERANCE = 3e-7;
/* In units of the last place. */
static const double EXPONENTIAL_ULPS = 2;

/* ---- What is tried ---- */

/* The numbers that arrays are filled with. */
typedef enum kind { NORMAL, TINY, HUGE_ONES, MIXED, SPARSE, EQUAL, N_KINDS } kind;
static const char *const kind_names[N_KINDS] = {"normal", "subnormal", "huge", "mixed", "sparse", "equal"};

/* Lengths around those of vectors, and two that need many of them. */
static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 31, 32, 33, 47, 48, 63, 64, 65, 100};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths, N_LONG = 1031, MOST = 1 << 16 };

/* Everything that tells one trial from another; a failure shows it. */
static struct {
  const char *set;
  size_t n;
  kind kind;
  bool at_end;
} now;

static random_numbers chance;

enum { X, W, B, Y, N_BUFFERS };
static fenced buffers[N_BUFFERS];

/* Room for n floats beside a forbidden page. */
static float *room(int buffer, size_t n)
{
  fenced f = buffers[buffer];
  return now.at_end ? before_fence(f, n * sizeof(float)) : behind_fence(f, n * sizeof(float));
}

static float draw(kind kind)
{
  double normal = random_normal(&chance);
  switch (kind) {
  case TINY:
    return (float)(normal * 1e-39);
  case HUGE_ONES:
    return (float)(normal * 1e15);
  case MIXED:
    return (float)ldexp(normal, random_below(&chance, 60) - 30);
  case SPARSE:
    return random_below(&chance, 4) > 0 ? (random_below(&chance, 2) ? 0.0f : -0.0f) : (float)normal;
  case EQUAL:
    return 3.3f;
  default:
    return (float)normal;
  }
}

static float *filled(int buffer, size_t n, kind kind)
{
  float *floats = room(buffer, n);
  for (size_t i = 0; i < n; i++)
    floats[i] = draw(kind);
  return floats;
}

static kind any_kind(void)
{
  return (kind)random_below(&chance, N_KINDS);
}

static float *copy_of(const float *floats, size_t n)
{
  float *copy = malloc(n * sizeof *copy + 1);
  assert_non_null(copy);
  return memcpy(copy, floats, n * sizeof *copy);
}

/* Calls `check` for every instruction set of this processor, length, kind of numbers and end. */
static void for_each_trial(void (*check)(const kernels *kernel))
{
  static const uint32_t sets[] = {0, CPU_AVX2, CPU_AVX2 | CPU_AVX512, UINT32_MAX};
  for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
    kernels kernel = {0};
    kernels_for(cpu_features() & sets[s], &kernel);
    now.set = kernel.name;
    for (size_t i = 0; i <= N_LENGTHS; i++)
      for (now.kind = 0; now.kind < N_KINDS; now.kind++)
        for (int at_end = 0; at_end <= 1; at_end++) {
          now.n = i < N_LENGTHS ? lengths[i] : N_LONG;
          now.at_end = at_end;
          check(&kernel);
        }
  }
}

static void wrong(const char *entry, size_t i, double found, double expected)
{
  fail_msg("%s.%s: element %zu is %.9g, not %.9g (n %zu, %s numbers, the page %s)", now.set, entry, i, found,
           expected, now.n, kind_names[now.kind], now.at_end ? "behind" : "before");
}

/* ---- Sums ---- */

/* What a sum should be, and the sum of the magnitudes of its terms. */
typedef struct exact_sum {
  double value, magnitude;
  size_t n_terms;
} exact_sum;

static void add_term(exact_sum *sum, double term)
{
  sum->value += term;
  sum->magnitude += fabs(term);
  sum->n_terms++;
}

static exact_sum exact_dot(double start, const float *a, size_t a_step, const float *b, size_t b_step, size_t n)
{
  exact_sum sum = {0};
  add_term(&sum, start);
  for (size_t i = 0; i < n; i++)
    add_term(&sum, (double)a[i * a_step] * (double)b[i * b_step]);
  return sum;
}

/* Each product, and each sum, of subnormal size is off by up to the least float. */
static void check_sum(const char *entry, size_t i, float found, exact_sum expected, double tolerance)
{
  double limit = tolerance * expected.magnitude + (double)expected.n_terms * 0x1p-149;
  if (!(fabs((double)found - expected.value) <= limit))
    wrong(entry, i, (double)found, expected.value);
}

/* ---- Products of a few rows ---- */

typedef struct few_rows {
  size_t n_rows, n_in, n_out, x_stride, w_stride, y_stride;
  bool out_in;
  const float *x, *w;
} few_rows;

static void multiply(const kernels *kernel, const few_rows *p, size_t row, size_t n_rows, float *y)
{
  const float *x = p->x + row * p->x_stride;
  if (p->out_in)
    kernel->product_out_in(x, p->x_stride, n_rows, p->w, p->n_in, p->n_out, y, p->y_stride);
  else
    kernel->product_in_out(x, p->x_stride, n_rows, p->w, p->w_stride, p->n_in, p->n_out, y, p->y_stride);
}

static const char *entry_of(const few_rows *p)
{
  return p->out_in ? "product_out_in" : "product_in_out";
}

/* Floats from the first of the first row to the last of the last. */
static size_t span(size_t n_rows, size_t stride, size_t n)
{
  return (n_rows - 1) * stride + n;
}

/* Rows and columns in n, in random proportion; x, w and y with something between their rows. */
static few_rows draw_product(bool out_in)
{
  few_rows p = {.out_in = out_in,
                .n_rows = 1 + (size_t)random_below(&chance, random_below(&chance, 4) ? 5 : 32),
                .n_in = now.n,
                .n_out = now.n == N_LONG ? 3 : lengths[random_below(&chance, N_LENGTHS)]};
  if (random_below(&chance, 2)) {
    size_t n_in = p.n_in;
    p.n_in = p.n_out;
    p.n_out = n_in;
  }
  p.x_stride = p.n_in + (size_t)random_below(&chance, 3);
  p.w_stride = out_in ? p.n_in : p.n_out + (size_t)random_below(&chance, 3);
  p.y_stride = p.n_out + (size_t)random_below(&chance, 3);
  p.x = filled(X, span(p.n_rows, p.x_stride, p.n_in), any_kind());
  p.w = filled(W, out_in ? p.n_out * p.n_in : span(p.n_in, p.w_stride, p.n_out), now.kind);
  return p;
}

static void check_product_sums(const few_rows *p, const float *before, const float *y)
{
  for (size_t r = 0; r < p->n_rows; r++)
    for (size_t j = 0; j < p->n_out; j++) {
      size_t i = r * p->y_stride + j;
      const float *w = p->out_in ? p->w + j * p->n_in : p->w + j;
      exact_sum expected = exact_dot((double)before[i], p->x + r * p->x_stride, 1, w, p->out_in ? 1 : p->w_stride, p->n_in);
      check_sum(entry_of(p), i, y[i], expected, PRODUCT_TOLERANCE);
    }
}

/* Each row alone must give the bits that it gave among the others, and nothing between rows may change. */
static void check_rows_alone(const kernels *kernel, const few_rows *p, float *before, const float *y)
{
  for (size_t r = 0; r < p->n_rows; r++)
    multiply(kernel, p, r, 1, before + r * p->y_stride);
  for (size_t i = 0; i < span(p->n_rows, p->y_stride, p->n_out); i++)
    if (bits_of_float(before[i]) != bits_of_float(y[i]))
      wrong(entry_of(p), i, (double)y[i], (double)before[i]);
}

static void check_product(const kernels *kernel, bool out_in)
{
  few_rows p = draw_product(out_in);
  size_t size = span(p.n_rows, p.y_stride, p.n_out);
  float *y = filled(Y, size, any_kind()), *before = copy_of(y, size);
  multiply(kernel, &p, 0, p.n_rows, y);
  check_product_sums(&p, before, y);
  check_rows_alone(kernel, &p, before, y);
  free(before);
}

static void check_product_in_out(const kernels *kernel)
{
  check_product(kernel, false);
}

static void check_product_out_in(const kernels *kernel)
{
  check_product(kernel, true);
}

static void rows_times_in_out_weights_are_right_and_the_same_bits_alone(void **state)
{
  (void)state;
  for_each_trial(check_product_in_out);
}

static void rows_times_out_in_weights_are_right_and_the_same_bits_alone(void **state)
{
  (void)state;
  for_each_trial(check_product_out_in);
}

/* A number that is none, somewhere in x, shows in the whole of its row and nowhere else. */
static void check_spreading(const kernels *kernel)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  if (now.kind != NORMAL)
    return;
  for (int out_in = 0; out_in <= 1; out_in++) {
    few_rows p = draw_product(out_in);
    size_t size = span(p.n_rows, p.y_stride, p.n_out), row = (size_t)random_below(&chance, (int)p.n_rows);
    float *x = filled(X, span(p.n_rows, p.x_stride, p.n_in), NORMAL), *y = filled(Y, size, NORMAL);
    p.x = x;
    x[row * p.x_stride + (size_t)random_below(&chance, (int)p.n_in)] = bad[random_below(&chance, 3)];
    multiply(kernel, &p, 0, p.n_rows, y);
    for (size_t r = 0; r < p.n_rows; r++)
      for (size_t j = 0; j < p.n_out; j++)
        if (!isfinite(y[r * p.y_stride + j]) != (r == row))
          wrong(entry_of(&p), r * p.y_stride + j, (double)y[r * p.y_stride + j], r == row ? (double)NAN : 0);
  }
}

static void what_is_not_finite_in_a_row_shows_in_all_of_it_and_in_no_other(void **state)
{
  (void)state;
  for_each_trial(check_spreading);
}
