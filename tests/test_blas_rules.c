/* test_blas_rules.c - how a BLAS library is called follows from its threading: seen by a fake one.
 */
#define _GNU_SOURCE
#include "kernels/blas.h"
#include "kernels/matmul.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/fake_blas.h"

enum { HANG_SECONDS = 100 };

enum { N_ROWS = 100, N_IN = 7, N_OUT = 500, N_THREADS = 5 };

/* A product of many rows through matmul on five threads; its result must be right. That BLAS is
 * asked at all takes a processor without kernels of ours for so many rows: meson.build sets
 * GPT2_CPU=scalar. */
static void run_matmul(void)
{
  static float x[N_ROWS * N_IN], w[N_IN * N_OUT], y[N_ROWS * N_OUT];
  for (int i = 0; i < N_ROWS * N_IN; i++)
    x[i] = (float)(i % 5);
  for (int i = 0; i < N_IN * N_OUT; i++)
    w[i] = (float)(i % 3);
  matrix weight = {w, ELEMENT_F32, LAYOUT_IN_OUT, N_IN, N_OUT, false};
  gpt2_allocator allocator;
  pool *p = NULL;
  assert_int_equal(allocator_read(&allocator, NULL, NULL), GPT2_OK);
  assert_int_equal(pool_new(&allocator, N_THREADS, NULL, NULL, &p, NULL), GPT2_OK);
  assert_int_equal(pool_start(p, NULL), GPT2_OK);
  size_t size;
  assert_true(matmul_scratch(&weight, N_ROWS, N_THREADS, &size));
  void *scratch = aligned_alloc(64, size + 64 - size % 64);
  assert_non_null(scratch);
  matmul(p, &(product){.weight = &weight, .x = x, .n_rows = N_ROWS, .y = y, .scratch = scratch});
  free(scratch);
  pool_free(p);
  for (int r = 0; r < N_ROWS; r++)
    for (int j = 0; j < N_OUT; j++) {
      float expected = 0;
      for (int i = 0; i < N_IN; i++)
        expected += x[r * N_IN + i] * w[i * N_OUT + j];
      assert_true(y[r * N_OUT + j] == expected); /* small whole numbers: exact */
    }
}

static void products_are_passed_on_with_their_strides_and_factors(void **state)
{
  (void)state;
  static const float a[] = {1, 2, 99, 3, 4},
                     b[] = {1, 2, 99, 3, 4}; /* (2, 2), three floats from row to row */
  float c[] = {10, 20, 99, 30, 40};
  new_fake_blas(FAKE_PTHREADS);
  blas_product(false, 2, 2, 2, 2.0f, a, 3, b, 3, 1.0f, c, 3);
  assert_memory_equal(c, ((float[]){10 + 14, 20 + 20, 99, 30 + 30, 40 + 44}), sizeof c);
  blas_product(true, 2, 2, 2, 1.0f, a, 3, b, 3, 0.0f, c, 3);
  assert_memory_equal(c, ((float[]){5, 11, 99, 11, 25}), sizeof c);
}

#ifdef FAKE_BLAS_UNKNOWN

static void one_that_is_not_openblas_gets_whole_products_from_one_thread(void **state)
{
  (void)state;
  new_fake_blas(0);
  assert_int_equal(blas_max_workers(), 1);
  run_matmul();
  assert_int_equal(fake.n_calls, 1);
  assert_int_equal(fake.most_columns, N_OUT);
  assert_true(pthread_equal(fake.caller, pthread_self()));
}

static void it_is_described_as_unknown(void **state)
{
  (void)state;
  gpt2_build build = {0};
  new_fake_blas(0);
  blas_describe(&build);
  assert_string_equal(build.blas, "cblas");
  assert_string_equal(build.blas_core, "");
  assert_string_equal(build.blas_threading, "unknown");
  assert_string_equal(build.blas_linkage, "system");
  assert_int_equal(build.blas_threads, 0);
}

#else

/* One product of 1 by 1, by blas.c. */
static float multiply(float a, float b)
{
  float c = 1;
  blas_product(false, 1, 1, 1, 1.0f, &a, 1, &b, 1, 1.0f, &c, 1);
  return c;
}

static void *multiply_once(void *data)
{
  (void)data;
  multiply(2, 3);
  return NULL;
}

/* ---- OpenBLAS on OpenMP, and serial ---- */

static void one_on_openmp_gets_whole_products_and_keeps_its_count(void **state)
{
  (void)state;
  new_fake_blas(FAKE_OPENMP);
  assert_int_equal(blas_max_workers(), 1);
  run_matmul();
  assert_int_equal(fake.n_calls, 1);
  assert_int_equal(fake.most_columns, N_OUT);
  assert_true(pthread_equal(fake.caller, pthread_self()));
  assert_int_equal(fake.n_sets, 0);
  assert_int_equal(fake.most_threads, 4);
}

static void a_serial_one_is_called_by_one_thread_of_the_process_at_a_time(void **state)
{
  (void)state;
  enum { N = 8 };
  pthread_t threads[N];
  new_fake_blas(FAKE_SERIAL);
  assert_int_equal(blas_max_workers(), 1);
  fake.held = true;
  for (int i = 0; i < N; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, multiply_once, NULL), 0);
  await_inside(1);
  usleep(50000);
  fake.held = false;
  for (int i = 0; i < N; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(fake.n_calls, N);
  assert_int_equal(fake.most_inside, 1);
  assert_int_equal(fake.n_sets, 0);
}

static void check_description(int parallel, const char *threading)
{
  gpt2_build build = {0};
  new_fake_blas(parallel);
  blas_describe(&build);
  assert_string_equal(build.blas, "OpenBLAS 1.2.3");
  assert_string_equal(build.blas_core, "Fake");
  assert_string_equal(build.blas_threading, threading);
  assert_string_equal(build.blas_linkage, "system");
  assert_int_equal(build.blas_threads, 4);
}

static void each_kind_is_described(void **state)
{
  (void)state;
  check_description(FAKE_SERIAL, "serial");
  check_description(FAKE_PTHREADS, "pthreads");
  check_description(FAKE_OPENMP, "openmp");
  check_description(3, "unknown");
  check_description(-7, "unknown");
}

static void names_of_any_length_are_cut_to_what_fits(void **state)
{
  (void)state;
  static const char *const configs[] = {
      "", "X", "X ", "OpenBLAS 0.3.21",
      "A-library-whose-name-is-so-long-that-it-will-not-fit-into-the-description-at-all"};
  for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
    gpt2_build build = {0};
    new_fake_blas(FAKE_PTHREADS);
    fake.config = fake.core = configs[i];
    blas_describe(&build);
    assert_memory_equal(build.blas, configs[i], strnlen(configs[i], sizeof build.blas - 1));
    assert_true(strlen(build.blas) < sizeof build.blas &&
                strlen(build.blas_core) < sizeof build.blas_core);
  }
}

/* ---- OpenBLAS with threads of its own ---- */

/* What OpenBLAS shares with none of its threads, by its interface/gemm.c. */
enum { ALONE = 65536 * 4 };

static void one_with_threads_gets_tiles_and_keeps_its_count(void **state)
{
  (void)state;
  new_fake_blas(FAKE_PTHREADS);
  assert_int_equal(blas_max_workers(), 64);
  run_matmul();
  assert_true(fake.n_calls > 1 && fake.most_columns < N_OUT);
  assert_int_equal(fake.n_sets, 0);
  assert_int_equal(fake.n_threads, 4);
}

/* c (m, n) = 2 a . b + c for small whole numbers, which are exact: by one call for a BLAS without
 * threads of its own, and in pieces for one with them. */
static void check_product(int parallel, bool b_transposed, size_t m, size_t n, size_t k)
{
  size_t a_stride = k + 1, b_stride = (b_transposed ? k : n) + 2, c_stride = n + 3;
  float *a = calloc(m * a_stride, sizeof *a), *c = calloc(m * c_stride, sizeof *c);
  float *b = calloc((b_transposed ? n : k) * b_stride, sizeof *b);
  assert_true(a && b && c);
  for (size_t i = 0; i < m * a_stride; i++)
    a[i] = (float)(i % 7);
  for (size_t i = 0; i < (b_transposed ? n : k) * b_stride; i++)
    b[i] = (float)(i % 5);
  for (size_t i = 0; i < m * c_stride; i++)
    c[i] = (float)(i % 11);
  new_fake_blas(parallel);
  blas_product(b_transposed, m, n, k, 2.0f, a, a_stride, b, b_stride, 1.0f, c, c_stride);
  for (size_t i = 0; i < m * c_stride; i++) {
    size_t row = i / c_stride, column = i % c_stride;
    float expected = (float)(i % 11);
    for (size_t l = 0; column < n && l < k; l++)
      expected += 2 * a[row * a_stride + l] *
                  (b_transposed ? b[column * b_stride + l] : b[l * b_stride + column]);
    assert_true(c[i] == expected);
  }
  free(a);
  free(b);
  free(c);
}

static void products_for_one_with_threads_are_cut_so_small_that_it_shares_none(void **state)
{
  (void)state;
  static const size_t sizes[][3] = {{1, 1, 1},     {40, 192, 384}, {128, 64, 32}, {129, 65, 33},
                                    {200, 7, 500}, {3, 70, 3000},  {512, 5, 40},  {1, 1, 300000}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int transposed = 0; transposed <= 1; transposed++) {
      const size_t *s = sizes[i];
      check_product(FAKE_PTHREADS, transposed, s[0], s[1], s[2]);
      assert_true(fake.most_multiplications < ALONE);
      assert_int_equal(fake.n_sets, 0);
      check_product(FAKE_SERIAL, transposed, s[0], s[1], s[2]);
      assert_int_equal(fake.n_calls, 1);
    }
}

static void at_most_64_threads_are_inside_and_all_others_get_their_turn(void **state)
{
  (void)state;
  enum { N = 70 };
  pthread_t threads[N];
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 << 10);
  new_fake_blas(FAKE_PTHREADS);
  fake.held = true;
  for (int i = 0; i < N; i++)
    assert_int_equal(pthread_create(&threads[i], &small, multiply_once, NULL), 0);
  await_inside(64);
  usleep(50000);
  assert_int_equal(fake.n_inside, 64);
  fake.held = false;
  for (int i = 0; i < N; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(fake.n_calls, N);
  assert_int_equal(fake.most_inside, 64);
  pthread_attr_destroy(&small);
}

#endif

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_passed_on_with_their_strides_and_factors),
#ifdef FAKE_BLAS_UNKNOWN
      cmocka_unit_test(one_that_is_not_openblas_gets_whole_products_from_one_thread),
      cmocka_unit_test(it_is_described_as_unknown),
#else
      cmocka_unit_test(one_on_openmp_gets_whole_products_and_keeps_its_count),
      cmocka_unit_test(a_serial_one_is_called_by_one_thread_of_the_process_at_a_time),
      cmocka_unit_test(each_kind_is_described),
      cmocka_unit_test(names_of_any_length_are_cut_to_what_fits),
      cmocka_unit_test(one_with_threads_gets_tiles_and_keeps_its_count),
      cmocka_unit_test(products_for_one_with_threads_are_cut_so_small_that_it_shares_none),
      cmocka_unit_test(at_most_64_threads_are_inside_and_all_others_get_their_turn),
#endif
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
