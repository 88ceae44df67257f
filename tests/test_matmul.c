/* test_matmul.c - products of rows with weights of every kind are right for every shape and way,
 * and equal to the bit on any number of threads and in any company. */
#include "kernels/matmul.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "gpt2.h"
#include "support/product_example.h"

/* Rows of bf16 are multiplied as such wherever the processor can, though it may be slow at it. */
uint32_t __real_cpu_features(void);
uint32_t __wrap_cpu_features(void);

uint32_t __wrap_cpu_features(void)
{
  return __real_cpu_features() & ~(uint32_t)CPU_SLOW_BF16;
}

static const product_way PLAIN = {.activation = -1};
static const product_way ways[] = {
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

/* ---- Right ---- */

static void check_shape(pool *p, size_t n_in, size_t n_out, size_t n_rows, int n_ways)
{
  for (int kind = 0; kind < N_WEIGHT_KINDS; kind++) {
    example e = new_example(&weight_kinds[kind], n_in, n_out, n_rows);
    for (int i = 0; i < n_ways; i++) {
      run_example(p, &e, n_rows, ways[i]);
      check_example(&e, ways[i]);
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
  const product_way w = {.bias = true, .activation = GPT2_ACTIVATION_GELU_TANH};
  for (int kind = 0; kind < N_WEIGHT_KINDS; kind++) {
    example e = new_example(&weight_kinds[kind], n_in, n_out, n_rows);
    float *expected = malloc(y_size(&e));
    assert_non_null(expected);
    for (size_t i = 0; i <= sizeof counts / sizeof *counts; i++) { /* the last round: the host's */
      bool host = i == sizeof counts / sizeof *counts;
      pool *p = new_pool(host ? 4 : counts[i], host ? host_in_reverse : NULL);
      run_example(p, &e, n_rows, w);
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
  check_bits_for_all_threads(300, 200, 300); /* whose rows are cut, too, for 8 threads */
  check_bits_for_all_threads(3072, 768, 1);
  check_bits_for_all_threads(100, 50257, 1);
}

/* Fast bf16 products are as exact in any number of rows, but not equal to the bit: the processor's
 * own bf16 sums take over at some number. */
static bool has_one_way_of_summing(const weight_kind *kind)
{
  return !(kind->type == ELEMENT_BF16 && kind->fast && kernels_in_use()->bf16);
}

/* `most` rows and less: the first row has the bits that it has alone, and rows behind those that
 * were asked for stay as they were. */
static void check_company(pool *p, example *e, size_t most)
{
  static const size_t counts[] = {1, 2, 3, 5, 8, 9, 17, 31, 32, 33, 40, 64, 100, 513};
  size_t n_out = e->weight.n_out, row_size = n_out * sizeof(float);
  float *alone = malloc(row_size);
  assert_non_null(alone);
  run_example(p, e, 1, PLAIN);
  memcpy(alone, e->y, row_size);
  for (size_t i = 0; i < sizeof counts / sizeof *counts && counts[i] <= most; i++) {
    run_example(p, e, counts[i], PLAIN);
    assert_memory_equal(e->y, alone, row_size);
    for (size_t j = counts[i] * n_out; j < e->n_rows * n_out; j++)
      assert_true(e->y[j] == e->start[j]);
  }
  memcpy(e->x + (most - 1) * e->weight.n_in, e->x, e->weight.n_in * sizeof(float));
  run_example(p, e, most, PLAIN); /* the same row first and last */
  assert_memory_equal(e->y + (most - 1) * n_out, alone, row_size);
  free(alone);
}

static void a_row_has_the_same_bits_in_any_company(void **state)
{
  (void)state;
  pool *p = new_pool(2, NULL);
  size_t own_rows = kernels_in_use()->own_rows, most = own_rows < 513 ? own_rows : 513;
  chance = random_from_seed(__func__);
  for (int kind = 0; kind < N_WEIGHT_KINDS; kind++)
    for (int wide = 0; wide < 2; wide++) {
      example e = new_example(&weight_kinds[kind], wide ? 768 : 401, wide ? 1000 : 37, most);
      if (has_one_way_of_summing(e.kind))
        check_company(p, &e, most);
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
    run_example(p, &own, own.n_rows, PLAIN);
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
  example e = new_example(&weight_kinds[0], 256, 384, 100);
  float *expected = malloc(y_size(&e));
  pool *p = new_pool(1, NULL);
  assert_non_null(expected);
  run_example(p, &e, e.n_rows, PLAIN);
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
      cmocka_unit_test(a_row_has_the_same_bits_in_any_company),
      cmocka_unit_test(products_at_the_same_time_do_not_disturb_each_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
