/* test_matmul.c - products of rows with weights are right for every shape and way, and equal to the
 * bit on any number of threads. */
#include "kernels/matmul.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpt2.h"
#include "support/fenced.h"
#include "support/random_numbers.h"

/* Of the sum of the terms' magnitudes, where these are random: 3.4e-7 was measured at most. */
static const double TOLERANCE = 1e-6;

static random_numbers chance;

/* ---- A product with all that belongs to it ---- */

typedef struct example {
  matrix weight;
  float *w, *bias, *x, *start; /* start: what y holds before */
  float *y;                    /* ends at a page that nobody may touch */
  fenced y_room;
  size_t n_rows;
} example;

static float *random_floats(size_t n)
{
  float *floats = malloc((n ? n : 1) * sizeof *floats);
  assert_non_null(floats);
  for (size_t i = 0; i < n; i++)
    floats[i] = (float)random_below(&chance, 2000001) / 1e6f - 1.0f;
  return floats;
}

static example new_example(layout order, size_t n_in, size_t n_out, size_t n_rows)
{
  example e = {.n_rows = n_rows, .y_room = fence(n_rows * n_out * sizeof(float))};
  e.w = random_floats(n_in * n_out);
  e.bias = random_floats(n_out);
  e.x = random_floats(n_rows * n_in);
  e.start = random_floats(n_rows * n_out);
  e.y = before_fence(e.y_room, n_rows * n_out * sizeof(float));
  e.weight = (matrix){e.w, ELEMENT_F32, order, n_in, n_out, false};
  return e;
}

static void free_example(example *e)
{
  free(e->w);
  free(e->bias);
  free(e->x);
  free(e->start);
  unfence(e->y_room);
}

static size_t y_size(const example *e)
{
  return e->n_rows * e->weight.n_out * sizeof(float);
}

/* What is done beside the product itself. */
typedef struct way {
  bool bias, accumulate;
  int activation; /* GPT2_ACTIVATION_... or -1 */
} way;

static const way PLAIN = {.activation = -1};
static const way ways[] = {
    {.activation = -1},
    {.bias = true, .activation = -1},
    {.accumulate = true, .activation = -1},
    {.bias = true, .accumulate = true, .activation = -1},
    {.bias = true, .activation = GPT2_ACTIVATION_GELU_TANH},
    {.bias = true, .accumulate = true, .activation = GPT2_ACTIVATION_RELU},
};
enum { N_WAYS = sizeof ways / sizeof *ways };

static pool *new_pool(int n_threads, gpt2_parallel_for parallel_for)
{
  gpt2_allocator allocator;
  pool *p = NULL;
  assert_int_equal(allocator_read(&allocator, NULL, NULL), GPT2_OK);
  assert_int_equal(pool_new(&allocator, n_threads, parallel_for, NULL, &p, NULL), GPT2_OK);
  assert_int_equal(pool_start(p, NULL), GPT2_OK);
  return p;
}

/* e->y = the product of its first n_rows rows. */
static void run(pool *p, example *e, size_t n_rows, way w)
{
  size_t size;
  assert_true(matmul_scratch(&e->weight, n_rows, pool_threads(p), &size));
  void *scratch = aligned_alloc(64, size + 64 - size % 64);
  assert_non_null(scratch);
  memcpy(e->y, e->start, y_size(e));
  matmul(p, &(product){.weight = &e->weight,
                       .bias = w.bias ? e->bias : NULL,
                       .x = e->x,
                       .n_rows = n_rows,
                       .y = e->y,
                       .accumulate = w.accumulate,
                       .activation =
                           w.activation < 0 ? NULL : kernels_in_use()->activation[w.activation],
                       .scratch = scratch});
  free(scratch);
}

/* ---- Right ---- */

static double activated(int activation, double x)
{
  switch (activation) {
  case GPT2_ACTIVATION_GELU_TANH:
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
  case GPT2_ACTIVATION_RELU:
    return x > 0 ? x : 0;
  default:
    return x;
  }
}

static void check_element(const example *e, way w, size_t row, size_t column)
{
  const matrix *m = &e->weight;
  size_t at = row * m->n_out + column;
  double sum = w.bias ? (double)e->bias[column] : 0, magnitude = 1;
  sum += w.accumulate ? (double)e->start[at] : 0;
  for (size_t i = 0; i < m->n_in; i++) {
    size_t weight_at = m->layout == LAYOUT_IN_OUT ? i * m->n_out + column : column * m->n_in + i;
    double term = (double)e->x[row * m->n_in + i] * (double)e->w[weight_at];
    sum += term;
    magnitude += fabs(term);
  }
  double expected = activated(w.activation, sum);
  if (!(fabs((double)e->y[at] - expected) <=
        TOLERANCE * magnitude)) /* no activation is steeper than 1.13 */
    fail_msg("%s, %zu rows of %zu to %zu, bias %d, accumulate %d, activation %d: y[%zu, %zu] is "
             "%.9g, not %.9g",
             m->layout == LAYOUT_IN_OUT ? "(in, out)" : "(out, in)", e->n_rows, m->n_in, m->n_out,
             w.bias, w.accumulate, w.activation, row, column, (double)e->y[at], expected);
}

/* All elements of a small product, some thousands of a large one, its corners among them. */
static void check_result(const example *e, way w)
{
  enum { MOST = 4000 };
  size_t n_out = e->weight.n_out, n = e->n_rows * n_out;
  for (size_t i = 0; n <= MOST && i < n; i++)
    check_element(e, w, i / n_out, i % n_out);
  for (size_t i = 0; n > MOST && i < MOST / 4; i++)
    check_element(e, w, (size_t)random_below(&chance, (int)e->n_rows),
                  (size_t)random_below(&chance, (int)n_out));
  check_element(e, w, 0, 0);
  check_element(e, w, e->n_rows - 1, n_out - 1);
}

static void check_shape(pool *p, size_t n_in, size_t n_out, size_t n_rows, int n_ways)
{
  for (layout order = LAYOUT_IN_OUT; order <= LAYOUT_OUT_IN; order++) {
    example e = new_example(order, n_in, n_out, n_rows);
    for (int i = 0; i < n_ways; i++) {
      run(p, &e, n_rows, ways[i]);
      check_result(&e, ways[i]);
    }
    free_example(&e);
  }
}

static void products_of_1_to_600_rows_are_right_in_every_way(void **state)
{
  (void)state;
  static const size_t more_rows[] = {40, 64, 100, 200, 512, 513, 600};
  pool *p = new_pool(3, NULL);
  chance = random_from_seed(__func__);
  for (size_t n_rows = 1; n_rows <= 34; n_rows++)
    check_shape(p, 33, 250, n_rows, N_WAYS);
  for (size_t i = 0; i < sizeof more_rows / sizeof *more_rows; i++)
    check_shape(p, 20, 200, more_rows[i], N_WAYS);
  pool_free(p);
}

static void products_of_every_width_are_right(void **state)
{
  (void)state;
  static const size_t widths[] = {1,  2,  3,  7,   8,   9,   15,  16,  17,
                                  63, 64, 65, 191, 192, 193, 383, 384, 385};
  enum { N = sizeof widths / sizeof *widths };
  pool *p = new_pool(2, NULL);
  chance = random_from_seed(__func__);
  for (size_t i = 0; i < N; i++)
    for (size_t k = 0; k < N; k++)
      check_shape(p, widths[i], widths[k], k % 3 == 0 ? 33 : 1 + k % 5, 2);
  pool_free(p);
}

/* GPT-2 124M: attn_qkv, attn_proj, mlp_fc, mlp_proj, and a piece of the unembedding. */
static const size_t of_124m[][2] = {{768, 2304}, {768, 768}, {768, 3072}, {3072, 768}, {768, 5003}};
enum { N_OF_124M = sizeof of_124m / sizeof *of_124m };

static void products_of_the_124m_shapes_are_right(void **state)
{
  (void)state;
  pool *p = new_pool(2, NULL);
  chance = random_from_seed(__func__);
  for (size_t i = 0; i < N_OF_124M; i++) {
    check_shape(p, of_124m[i][0], of_124m[i][1], 1, 1);
    check_shape(p, of_124m[i][0], of_124m[i][1], 40, 1);
  }
  pool_free(p);
}

/* ---- Equal to the bit ---- */

static void host_in_reverse(int32_t n, void (*task)(int32_t index, void *data), void *data,
                            void *user)
{
  (void)user;
  for (int32_t i = n; i-- > 0;)
    task(i, data);
}

static void check_bits_for_all_threads(size_t n_in, size_t n_out, size_t n_rows)
{
  static const int counts[] = {1, 2, 3, 5, 8};
  const way w = {.bias = true, .activation = GPT2_ACTIVATION_GELU_TANH};
  for (layout order = LAYOUT_IN_OUT; order <= LAYOUT_OUT_IN; order++) {
    example e = new_example(order, n_in, n_out, n_rows);
    float *expected = malloc(y_size(&e));
    assert_non_null(expected);
    for (size_t i = 0; i <= sizeof counts / sizeof *counts; i++) { /* the last round: the host's */
      bool host = i == sizeof counts / sizeof *counts;
      pool *p = new_pool(host ? 4 : counts[i], host ? host_in_reverse : NULL);
      run(p, &e, n_rows, w);
      if (i == 0)
        memcpy(expected, e.y, y_size(&e));
      assert_memory_equal(e.y, expected, y_size(&e));
      pool_free(p);
    }
    free(expected);
    free_example(&e);
  }
}

static void products_are_equal_to_the_bit_on_any_number_of_threads(void **state)
{
  (void)state;
  static const size_t n_rows[] = {1, 32, 33, 200};
  chance = random_from_seed(__func__);
  for (size_t i = 0; i < sizeof n_rows / sizeof *n_rows; i++)
    check_bits_for_all_threads(768, n_rows[i] < 200 ? 2304 : 768, n_rows[i]);
  check_bits_for_all_threads(3072, 768, 1);
  check_bits_for_all_threads(100, 50257, 1);
}

static void up_to_32_rows_are_equal_to_the_bit_in_any_company(void **state)
{
  (void)state;
  pool *p = new_pool(2, NULL);
  chance = random_from_seed(__func__);
  for (layout order = LAYOUT_IN_OUT; order <= LAYOUT_OUT_IN; order++) {
    example e = new_example(order, 768, 1000, MAX_STREAM_ROWS);
    size_t row_size = e.weight.n_out * sizeof(float);
    float *alone = malloc(row_size);
    assert_non_null(alone);
    run(p, &e, 1, PLAIN);
    memcpy(alone, e.y, row_size);
    for (size_t n_rows = 1; n_rows <= MAX_STREAM_ROWS;
         n_rows += n_rows < 3 || n_rows == 31 ? 1 : 7) {
      run(p, &e, n_rows, PLAIN);
      assert_memory_equal(e.y, alone, row_size);
      for (size_t i = 0; n_rows < MAX_STREAM_ROWS && i < e.weight.n_out;
           i++) /* the rows behind stay as they were */
        assert_true(e.y[n_rows * e.weight.n_out + i] == e.start[n_rows * e.weight.n_out + i]);
    }
    memcpy(e.x, e.x + 31 * e.weight.n_in,
           e.weight.n_in * sizeof(float)); /* the same row first and last */
    run(p, &e, MAX_STREAM_ROWS, PLAIN);
    assert_memory_equal(e.y, e.y + 31 * e.weight.n_out, row_size);
    free(alone);
    free_example(&e);
  }
  pool_free(p);
}

/* ---- Several at once ---- */

typedef struct loop {
  example *e;
  const float *expected;
  int n_wrong;
} loop;

static void *multiply_often(void *data)
{
  loop *l = data;
  example own = *l->e;
  pool *p = new_pool(2, NULL);
  own.y_room = fence(y_size(&own));
  own.y = before_fence(own.y_room, y_size(&own));
  for (int i = 0; i < 20; i++) {
    run(p, &own, own.n_rows, PLAIN);
    l->n_wrong += memcmp(own.y, l->expected, y_size(&own)) != 0;
  }
  unfence(own.y_room);
  pool_free(p);
  return NULL;
}

static void products_at_the_same_time_do_not_disturb_each_other(void **state)
{
  (void)state;
  enum { N = 4 };
  pthread_t threads[N];
  loop loops[N];
  chance = random_from_seed(__func__);
  example e = new_example(LAYOUT_IN_OUT, 256, 384, 100);
  float *expected = malloc(y_size(&e));
  pool *p = new_pool(1, NULL);
  assert_non_null(expected);
  run(p, &e, e.n_rows, PLAIN);
  memcpy(expected, e.y, y_size(&e));
  for (int i = 0; i < N; i++) {
    loops[i] = (loop){&e, expected, 0};
    assert_int_equal(pthread_create(&threads[i], NULL, multiply_often, &loops[i]), 0);
  }
  for (int i = 0; i < N; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(loops[i].n_wrong, 0);
  }
  pool_free(p);
  free(expected);
  free_example(&e);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_of_1_to_600_rows_are_right_in_every_way),
      cmocka_unit_test(products_of_every_width_are_right),
      cmocka_unit_test(products_of_the_124m_shapes_are_right),
      cmocka_unit_test(products_are_equal_to_the_bit_on_any_number_of_threads),
      cmocka_unit_test(up_to_32_rows_are_equal_to_the_bit_in_any_company),
      cmocka_unit_test(products_at_the_same_time_do_not_disturb_each_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
