/* test_types.c - weights of every element type become the floats that they are, wherever they lie
 * in memory. */
#include "kernels/types.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cmocka.h>

#include "support/fenced.h"
#include "support/random_numbers.h"

enum { N_HALVES = 1 << 16 };

static uint32_t bits_of(float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* What the bits of an F16 or BF16 mean, by the definition: a sign, an exponent, a fraction. */
static double value_of(uint16_t half, int exponent_bits)
{
  int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  int exponent = (half & 0x7fff) >> fraction_bits, fraction = half & ((1 << fraction_bits) - 1);
  double magnitude;
  if (exponent == (1 << exponent_bits) - 1)
    magnitude = fraction ? (double)NAN : (double)INFINITY;
  else if (exponent == 0)
    magnitude = ldexp(fraction, 1 - bias - fraction_bits);
  else
    magnitude = ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
  return half & 0x8000 ? -magnitude : magnitude;
}

/* Converts all values of the type and compares them with their meaning, to the bit; NaNs need only
 * be NaNs of the same sign. */
static void check_all_halves(element_type type, int exponent_bits)
{
  uint16_t *halves = malloc(N_HALVES * sizeof *halves);
  float *floats = malloc(N_HALVES * sizeof *floats);
  assert_true(halves && floats);
  for (int i = 0; i < N_HALVES; i++)
    halves[i] = (uint16_t)i;
  elements_to_f32(floats, halves, type, N_HALVES);
  for (int i = 0; i < N_HALVES; i++) {
    uint32_t found = bits_of(floats[i]),
             expected = bits_of((float)value_of(halves[i], exponent_bits));
    bool is_nan = (expected & 0x7fffffff) > 0x7f800000;
    bool equal = is_nan ? (found & 0x7fffffff) > 0x7f800000 && found >> 31 == (uint32_t)(i >> 15)
                        : found == expected;
    if (!equal)
      fail_msg("%s %04x becomes %08x, not %08x", element_name(type), (unsigned)i, found, expected);
  }
  free(halves);
  free(floats);
}

static void every_f16_becomes_the_float_that_it_is(void **state)
{
  (void)state;
  check_all_halves(ELEMENT_F16, 5);
}

static void every_bf16_becomes_the_float_that_it_is(void **state)
{
  (void)state;
  check_all_halves(ELEMENT_BF16, 8);
}

/* ---- And back ---- */

typedef uint16_t (*rounding_function)(float value);
typedef float (*widening_function)(uint16_t half);

static void expect_rounded(rounding_function from_f32, float value, uint16_t expected)
{
  if (from_f32(value) != expected || from_f32(-value) != (expected | 0x8000))
    fail_msg("%a becomes %04x and %04x, not %04x", (double)value, (unsigned)from_f32(value),
             (unsigned)from_f32(-value), (unsigned)expected);
}

/* Every number of the type becomes itself; from between it and the next one, all goes to the
 * nearer, and the middle to the even one. The next one of the greatest is what infinity stands
 * for. */
static void check_rounding(rounding_function from_f32, widening_function to_f32, int exponent_bits)
{
  uint16_t infinity = (uint16_t)(((1 << exponent_bits) - 1) << (15 - exponent_bits));
  for (uint16_t half = 0; half < infinity; half++) {
    float value = to_f32(half);
    double next = half + 1 == infinity ? ldexp(1, 1 << (exponent_bits - 1))
                                       : value_of((uint16_t)(half + 1), exponent_bits);
    float middle = (float)(((double)value + next) / 2);
    expect_rounded(from_f32, value, half);
    expect_rounded(from_f32, nextafterf(middle, 0), half);
    expect_rounded(from_f32, middle, (uint16_t)(half + (half & 1)));
    expect_rounded(from_f32, nextafterf(middle, INFINITY), (uint16_t)(half + 1));
  }
  expect_rounded(from_f32, 0x1.fffffep127f, infinity);
  expect_rounded(from_f32, INFINITY, infinity);
}

static void floats_become_the_nearest_f16(void **state)
{
  (void)state;
  check_rounding(f16_from_f32, f16_to_f32, 5);
}

static void floats_become_the_nearest_bf16(void **state)
{
  (void)state;
  check_rounding(bf16_from_f32, bf16_to_f32, 8);
}

static void not_a_number_stays_none(void **state)
{
  (void)state;
  static const uint32_t nans[] = {0x7fc00000, 0x7f800001, 0x7fffffff, 0xffc00000, 0xff80ffff};
  for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
    float nan;
    memcpy(&nan, &nans[i], sizeof nan);
    assert_true(isnan(f16_to_f32(f16_from_f32(nan))));
    assert_true(isnan(bf16_to_f32(bf16_from_f32(nan))));
  }
}

#if defined(__x86_64__)
/* Bits 15 and 6 of MXCSR: results, and operands, that are subnormal count as zero. */
enum { FLUSH_TO_ZERO = 0x8040 };

static void convert_halves(element_type type, float *floats)
{
  uint16_t *halves = malloc(N_HALVES * sizeof *halves);
  assert_non_null(halves);
  for (int i = 0; i < N_HALVES; i++)
    halves[i] = (uint16_t)i;
  elements_to_f32(floats, halves, type, N_HALVES);
  free(halves);
}

static void a_host_that_flushes_subnormals_to_zero_gets_the_same_weights(void **state)
{
  (void)state;
  size_t size = N_HALVES * sizeof(float);
  float *expected = malloc(size), *found = malloc(size);
  assert_true(expected && found);
  for (element_type type = ELEMENT_F16; type <= ELEMENT_BF16; type++) {
    convert_halves(type, expected);
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_TO_ZERO);
    convert_halves(type, found);
    _mm_setcsr(before);
    assert_memory_equal(found, expected, size);
  }
  free(expected);
  free(found);
}
#endif

/* ---- F64 ---- */

typedef struct rounding {
  double from;
  float to;
} rounding;

static void doubles_are_rounded_to_the_nearest_float_and_ties_to_even(void **state)
{
  (void)state;
  static const rounding cases[] = {
      {0.0, 0.0f},
      {-0.0, -0.0f},
      {1.0 + 0x1p-24, 1.0f},                      /* a tie: the lower one is even */
      {1.0 + 0x1.8p-23, 1.0f + 0x1p-22f},         /* a tie: the upper one is */
      {1.0 + 0x1p-24 + 0x1p-50, 1.0f + 0x1p-23f}, /* just above a tie */
      {-1.0 - 0x1p-24 - 0x1p-50, -1.0f - 0x1p-23f},
      {0x1.fffffep127, 0x1.fffffep127f},        /* the greatest float */
      {0x1.fffffefffffffp127, 0x1.fffffep127f}, /* less than half a unit above it */
      {0x1.ffffffp127, INFINITY},               /* half a unit: to even, which is infinity */
      {-1e300, -INFINITY},
      {0x1p-149, 0x1p-149f}, /* the least subnormal */
      {0x1p-150, 0.0f},      /* a tie with zero */
      {0x1.8p-149, 0x1p-148f},
      {0x1.000001p-150, 0x1p-149f},
      {INFINITY, INFINITY},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float found;
    elements_to_f32(&found, &cases[i].from, ELEMENT_F64, 1);
    if (bits_of(found) != bits_of(cases[i].to))
      fail_msg("%a becomes %a, not %a", cases[i].from, (double)found, (double)cases[i].to);
  }
  double nan = NAN;
  float found;
  elements_to_f32(&found, &nan, ELEMENT_F64, 1);
  assert_true(isnan(found));
}

/* ---- Wherever they lie ---- */

/* n elements at an odd address, ended by a page that nobody may touch, become n floats before
 * another such page: equal to those converted one by one. */
static void check_at_fence(element_type type, size_t n, fenced from_fence, fenced to_fence,
                           random_numbers *random)
{
  size_t size = element_size(type);
  for (size_t shift = 0; shift < size; shift++) {
    uint8_t *from = before_fence(from_fence, n * size + shift);
    float *to = before_fence(to_fence, n * sizeof *to);
    for (size_t i = 0; i < n * size; i++)
      from[i] = (uint8_t)random_bits(random);
    elements_to_f32(to, from, type, n);
    for (size_t i = 0; i < n; i++) {
      float one;
      elements_to_f32(&one, from + i * size, type, 1);
      if (bits_of(one) != bits_of(to[i]))
        fail_msg("%s: element %zu of %zu at an address shifted by %zu differs", element_name(type),
                 i, n, shift);
    }
  }
}

static void elements_may_lie_anywhere_and_nothing_beside_them_is_touched(void **state)
{
  (void)state;
  random_numbers random = random_from_seed(__func__);
  fenced from = fence(1024 * 8), to = fence(1024 * sizeof(float));
  for (element_type type = 0; element_size(type) > 0; type++) {
    for (size_t n = 0; n <= 70; n++)
      check_at_fence(type, n, from, to, &random);
    check_at_fence(type, 1000, from, to, &random);
  }
  unfence(from);
  unfence(to);
}

static void blocks_are_as_large_as_in_gguf_files(void **state)
{
  (void)state;
  assert_int_equal(sizeof(q8_0_block), 34);
  assert_int_equal(sizeof(q4_0_block), 18);
}

static void every_type_has_its_size_and_its_name(void **state)
{
  (void)state;
  static const size_t sizes[N_ELEMENT_TYPES] = {4, 2, 2, 8}; /* blocks have no single elements */
  static const char *const names[] = {"f32", "f16", "bf16", "f64", "q8_0", "q4_0"};
  for (element_type type = 0; type < N_ELEMENT_TYPES; type++) {
    assert_int_equal(element_size(type), sizes[type]);
    assert_string_equal(element_name(type), names[type]);
  }
  assert_int_equal(element_size(N_ELEMENT_TYPES), 0);
  assert_string_equal(element_name(N_ELEMENT_TYPES), "unknown");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_f16_becomes_the_float_that_it_is),
    cmocka_unit_test(every_bf16_becomes_the_float_that_it_is),
    cmocka_unit_test(floats_become_the_nearest_f16),
    cmocka_unit_test(floats_become_the_nearest_bf16),
    cmocka_unit_test(not_a_number_stays_none),
#if defined(__x86_64__)
    cmocka_unit_test(a_host_that_flushes_subnormals_to_zero_gets_the_same_weights),
#endif
    cmocka_unit_test(doubles_are_rounded_to_the_nearest_float_and_ties_to_even),
    cmocka_unit_test(elements_may_lie_anywhere_and_nothing_beside_them_is_touched),
    cmocka_unit_test(every_type_has_its_size_and_its_name),
    cmocka_unit_test(blocks_are_as_large_as_in_gguf_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
