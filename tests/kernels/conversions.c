/* conversions.c - rows from one element type to another, to the bit: against the scalar functions,
 * and these against what the bits mean. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"

static bool is_nan_half(uint16_t half, element_type type)
{
  return (half & 0x7fff) > (type == ELEMENT_F16 ? 0x7c00 : 0x7f80);
}

/* NaNs need only be NaNs, of the same sign. */
static bool same_half(uint16_t a, uint16_t b, element_type type)
{
  return a == b || (is_nan_half(a, type) && is_nan_half(b, type) && (a ^ b) >> 15 == 0);
}

static bool same_float(float a, float b)
{
  return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b) && !signbit(a) == !signbit(b));
}

static float widened(uint16_t half, element_type type)
{
  return type == ELEMENT_F16 ? f16_to_f32(half) : bf16_to_f32(half);
}

static uint16_t rounded(float value, element_type type)
{
  return type == ELEMENT_F16 ? f16_from_f32(value) : bf16_from_f32(value);
}

/* ---- To f32 ---- */

/* Halves of any bits, at any address. */
static void check_to_f32(const kernel_trial *trial)
{
  element_type type = (element_type)trial->index;
  uint8_t *from = trial_bytes(trial, ARRAY_X, trial->n * sizeof(uint16_t), 1);
  float *to = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  for (size_t i = 0; i < trial->n * sizeof(uint16_t); i++)
    from[i] = (uint8_t)some(256);
  trial->kernel->to_f32[type](to, from, trial->n);
  for (size_t i = 0; i < trial->n; i++) {
    uint16_t half;
    memcpy(&half, from + i * sizeof half, sizeof half);
    if (!same_float(to[i], widened(half, type)))
      wrong_element(trial, "to_f32", i, (double)to[i], (double)widened(half, type));
  }
}

static void check_f32_to_f32(const kernel_trial *trial)
{
  size_t size = trial->n * sizeof(float);
  uint8_t *from = trial_bytes(trial, ARRAY_X, size, 1);
  float *to = trial_array(trial, ARRAY_Y, trial->n, NORMAL);
  for (size_t i = 0; i < size; i++)
    from[i] = (uint8_t)some(256);
  trial->kernel->to_f32[ELEMENT_F32](to, from, trial->n);
  check_same_bytes(trial, "to_f32", to, from, size);
}

void elements_widen_to_the_floats_that_they_are(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(to_f32, ELEMENT_F32), check_f32_to_f32);
  try_entry(ENTRY_AT(to_f32, ELEMENT_F16), check_to_f32);
  try_entry(ENTRY_AT(to_f32, ELEMENT_BF16), check_to_f32);
}

/* ---- From f32 ---- */

/* A float where rounding is decided: half-way between two neighbours, or just beside that; or of
 * any bits. */
static float any_float(element_type type)
{
  uint32_t bits = (uint32_t)random_bits(&trial_numbers);
  float value;
  if (some(3) > 0) {
    uint16_t half = (uint16_t)some(1 << 16), next = (uint16_t)(half + 1);
    value = (float)(((double)widened(half, type) + (double)widened(next, type)) / 2);
    memcpy(&bits, &value, sizeof bits);
    bits += (uint32_t)some(3) - 1;
  }
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void check_from_f32(const kernel_trial *trial)
{
  element_type type = (element_type)trial->index;
  float *from = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  for (size_t i = 0; trial->kind == NORMAL && i < trial->n; i++)
    from[i] = any_float(type);
  uint8_t *to = trial_bytes(trial, ARRAY_Y, trial->n * sizeof(uint16_t), 1);
  trial->kernel->from_f32[type](to, from, trial->n);
  for (size_t i = 0; i < trial->n; i++) {
    uint16_t half, expected = rounded(from[i], type);
    memcpy(&half, to + i * sizeof half, sizeof half);
    if (!same_half(half, expected, type))
      wrong_element(trial, "from_f32", i, half, expected);
  }
}

static void check_f32_from_f32(const kernel_trial *trial)
{
  size_t size = trial->n * sizeof(float);
  float *from = trial_array(trial, ARRAY_X, trial->n, trial->kind);
  uint8_t *to = trial_bytes(trial, ARRAY_Y, size, 1);
  trial->kernel->from_f32[ELEMENT_F32](to, from, trial->n);
  check_same_bytes(trial, "from_f32", to, from, size);
}

void floats_round_to_the_nearest_element_and_ties_to_even(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(from_f32, ELEMENT_F32), check_f32_from_f32);
  try_entry(ENTRY_AT(from_f32, ELEMENT_F16), check_from_f32);
  try_entry(ENTRY_AT(from_f32, ELEMENT_BF16), check_from_f32);
}

/* ---- All halves, and the places between them ---- */

/* What stands half-way between two neighbours goes to the even one, what is nearer to one goes
 * there: with both, every float has been decided. Beyond the greatest half its neighbour would be
 * the next power of two. */
static void check_between(const kernel_trial *trial, uint16_t half, element_type type)
{
  uint16_t next = (uint16_t)(half + 1), even = half % 2 ? next : half, found[3];
  double low = (double)widened(half, type), high = (double)widened(next, type);
  if (isinf(high))
    high = low + (low - (double)widened((uint16_t)(half - 1), type));
  float middle = (float)((low + high) / 2);
  float sign = signbit(middle) ? -1.0f : 1.0f;
  float floats[3] = {nextafterf(middle, 0), middle, nextafterf(middle, sign * INFINITY)};
  uint16_t expected[3] = {half, even, next};
  trial->kernel->from_f32[type](found, floats, 3);
  for (int i = 0; i < 3; i++)
    if (found[i] != expected[i])
      wrong_element(trial, "from_f32 between halves", half, found[i], expected[i]);
}

static void check_all_halves(const kernel_trial *trial)
{
  element_type type = (element_type)trial->index;
  uint16_t infinity = type == ELEMENT_F16 ? 0x7c00 : 0x7f80;
  for (uint32_t half = 0; half < 1 << 16; half++) {
    uint16_t from = (uint16_t)half, back;
    float wide;
    trial->kernel->to_f32[type](&wide, &from, 1);
    trial->kernel->from_f32[type](&back, &wide, 1);
    if (!same_float(wide, widened(from, type)) || !same_half(back, from, type))
      wrong_element(trial, "to_f32 and back", half, back, from);
    if ((half & 0x7fff) < infinity)
      check_between(trial, from, type);
  }
}

void every_half_survives_and_what_is_between_goes_to_the_nearer(void **state)
{
  (void)state;
  try_entry_once(ENTRY_AT(to_f32, ELEMENT_F16), 1, check_all_halves);
  try_entry_once(ENTRY_AT(to_f32, ELEMENT_BF16), 1, check_all_halves);
  try_entry_once(ENTRY_AT(from_f32, ELEMENT_F16), 1, check_all_halves);
  try_entry_once(ENTRY_AT(from_f32, ELEMENT_BF16), 1, check_all_halves);
}
