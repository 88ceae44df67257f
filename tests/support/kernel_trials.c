/* kernel_trials.c - what kernels are tried with. */
#include "support/kernel_trials.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "support/fenced.h"

random_numbers trial_numbers;

static const char *const kind_names[N_NUMBER_KINDS] = {"normal", "subnormal", "large",
                                                       "mixed",  "sparse",    "equal"};
static const char *const place_names[N_PLACES] = {"behind a page", "before a page", "shifted"};

/* ---- Instruction sets ---- */

static const uint32_t known_sets[] = {
    0,
    CPU_AVX2,
    CPU_AVX2 | CPU_AVX512,
    CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI,
    CPU_AVX2 | CPU_AVX512 | CPU_AVX512_BF16,
    CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_BF16,
};
enum { N_KNOWN_SETS = sizeof known_sets / sizeof *known_sets, MOST_SETS = N_KNOWN_SETS + 1 };

static void add_set(kernel_set *sets, size_t *n, uint32_t features)
{
  kernel_set *set = &sets[(*n)++];
  set->features = features;
  kernels_for(features, &set->table);
  set->name = set->table.name;
}

/* The last one is what this processor is given, which may be less than it could do. */
const kernel_set *kernel_sets(size_t *n)
{
  static kernel_set sets[MOST_SETS];
  static size_t n_sets;
  if (n_sets == 0) {
    for (size_t i = 0; i < N_KNOWN_SETS; i++)
      if ((known_sets[i] & cpu_features()) == known_sets[i])
        add_set(sets, &n_sets, known_sets[i]);
    add_set(sets, &n_sets, cpu_features());
  }
  *n = n_sets;
  return sets;
}

/* ---- Arrays ---- */

/* Bytes on either side of an array that are looked at: two vectors. */
enum { MARGIN = 128, MARGIN_BYTE = 0xa5 };

static struct {
  fenced fence;
  uint8_t *start, *end; /* of the array, or NULL */
} arrays[N_ARRAYS];

int begin_kernel_trials(void **state)
{
  (void)state;
  trial_numbers = random_from_seed("kernels");
  for (int i = 0; i < N_ARRAYS; i++)
    arrays[i].fence = fence((LONG_TRIAL + 8) * 132 * sizeof(float)); /* the rows of a product */
  return 0;
}

int end_kernel_trials(void **state)
{
  (void)state;
  for (int i = 0; i < N_ARRAYS; i++)
    unfence(arrays[i].fence);
  return 0;
}

static size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* How many bytes before and behind the array are ours. */
static void margins(int array, size_t *before, size_t *behind)
{
  uint8_t *room = behind_fence(arrays[array].fence, 0);
  *before = smaller(MARGIN, (size_t)(arrays[array].start - room));
  *behind = smaller(MARGIN, (size_t)(room + arrays[array].fence.room - arrays[array].end));
}

void *trial_bytes(const kernel_trial *trial, int array, size_t size, size_t alignment)
{
  size_t shift = alignment * (1 + 2 * some(8)), before, behind;
  uint8_t *start = trial->place == AT_START ? behind_fence(arrays[array].fence, size)
                   : trial->place == AT_END
                       ? before_fence(arrays[array].fence, size)
                       : (uint8_t *)behind_fence(arrays[array].fence, shift + size) + shift;
  arrays[array].start = start;
  arrays[array].end = start + size;
  margins(array, &before, &behind);
  memset(start - before, MARGIN_BYTE, before);
  memset(start + size, MARGIN_BYTE, behind);
  return start;
}

static bool all_bytes_are(const uint8_t *bytes, size_t n, uint8_t value)
{
  for (size_t i = 0; i < n; i++)
    if (bytes[i] != value)
      return false;
  return true;
}

void check_margins(const kernel_trial *trial)
{
  for (int i = 0; i < N_ARRAYS; i++) {
    size_t before, behind;
    if (!arrays[i].start)
      continue;
    margins(i, &before, &behind);
    if (!all_bytes_are(arrays[i].start - before, before, MARGIN_BYTE) ||
        !all_bytes_are(arrays[i].end, behind, MARGIN_BYTE))
      fail_msg("%s, entry of index %d: something was written beside array %d (n %zu, %s)",
               trial->set, trial->index, i, trial->n, place_names[trial->place]);
    arrays[i].start = NULL;
  }
}

/* ---- Trials ---- */

void run_trials(kernel_trial trial, void (*check)(const kernel_trial *trial))
{
  for (size_t n = 1; n <= 101; n++)
    for (trial.kind = 0; trial.kind < N_NUMBER_KINDS; trial.kind++) {
      trial.n = n <= 100 ? n : LONG_TRIAL;
      trial.place = (array_place)((n + trial.kind) % N_PLACES);
      check(&trial);
      check_margins(&trial);
    }
}

size_t some(size_t n)
{
  return (size_t)random_below(&trial_numbers, (int)n);
}

size_t any_trial_length(void)
{
  return 1 + some(100);
}

number_kind any_kind(void)
{
  return (number_kind)some(N_NUMBER_KINDS);
}

size_t trial_rows(const kernel_trial *trial)
{
  if (trial->kind == MIXED && trial->n == LONG_TRIAL)
    return 130;
  return trial->kind == NORMAL ? 1 + (trial->n - 1) % 40 : 1 + some(5);
}

/* The exponents that a type has room for, as the kinds of numbers use them. */
static float draw(number_kind kind, element_type type)
{
  double normal = random_normal(&trial_numbers); /* never beyond 6 */
  bool narrow = type == ELEMENT_F16;
  switch (kind) {
  case SUBNORMAL:
    return (float)(normal * (narrow ? 1e-5 : 1e-39));
  case LARGE:
    return (float)(normal * (narrow ? 1e4 : 1e15));
  case MIXED:
    return (float)ldexp(normal, narrow ? (int)some(26) - 14 : (int)some(60) - 30);
  case SPARSE:
    return some(4) == 0 ? (float)normal : some(2) ? 0.0f : -0.0f;
  case EQUAL:
    return 3.3f;
  default:
    return (float)normal;
  }
}

float *trial_array(const kernel_trial *trial, int array, size_t n, number_kind kind)
{
  return trial_elements(trial, array, n, kind, ELEMENT_F32);
}

void *trial_elements(const kernel_trial *trial, int array, size_t n, number_kind kind,
                     element_type type)
{
  void *elements = trial_bytes(trial, array, n * element_size(type), element_size(type));
  float *floats = elements;
  uint16_t *halves = elements;
  for (size_t i = 0; i < n; i++) {
    float value = draw(kind, type);
    if (type == ELEMENT_F32)
      floats[i] = value;
    else
      halves[i] = type == ELEMENT_F16 ? f16_from_f32(value) : bf16_from_f32(value);
  }
  return elements;
}

float *copy_floats(const float *floats, size_t n)
{
  return widen_elements(floats, ELEMENT_F32, n);
}

float *widen_elements(const void *elements, element_type type, size_t n)
{
  float *floats = malloc(n * sizeof *floats);
  assert_non_null(floats);
  elements_to_f32(floats, elements, type, n);
  return floats;
}

size_t span(size_t n_rows, size_t stride, size_t n)
{
  return (n_rows - 1) * stride + n;
}

void spoil_gaps(void *rows, size_t size, size_t n_rows, size_t stride, size_t n)
{
  for (size_t r = 0; r + 1 < n_rows; r++)
    memset((uint8_t *)rows + (r * stride + n) * size, 0xff, (stride - n) * size);
}

bool gaps_are_spoiled(const void *rows, size_t size, size_t n_rows, size_t stride, size_t n)
{
  for (size_t r = 0; r + 1 < n_rows; r++)
    if (!all_bytes_are((const uint8_t *)rows + (r * stride + n) * size, (stride - n) * size, 0xff))
      return false;
  return true;
}

/* ---- Judging ---- */

void wrong_element(const kernel_trial *trial, const char *entry, size_t i, double found,
                   double expected)
{
  fail_msg("%s: %s: element %zu is %.9g, not %.9g (index %d, n %zu, %s numbers, %s)", trial->set,
           entry, i, found, expected, trial->index, trial->n, kind_names[trial->kind],
           place_names[trial->place]);
}

void check_same_bits(const kernel_trial *trial, const char *entry, const float *found,
                     const float *expected, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (memcmp(&found[i], &expected[i], sizeof *found) != 0)
      wrong_element(trial, entry, i, (double)found[i], (double)expected[i]);
}

void check_same_bytes(const kernel_trial *trial, const char *entry, const void *found,
                      const void *expected, size_t size)
{
  const uint8_t *a = found, *b = expected;
  for (size_t i = 0; i < size; i++)
    if (a[i] != b[i])
      wrong_element(trial, entry, i, a[i], b[i]);
}

/* ---- Sums ---- */

void add_term(exact_sum *sum, double term)
{
  sum->value += term;
  sum->magnitude += fabs(term);
  sum->n_terms++;
}

exact_sum exact_dot(double start, const float *a, size_t a_step, const float *b, size_t b_step,
                    size_t n)
{
  exact_sum sum = {0};
  add_term(&sum, start);
  for (size_t i = 0; i < n; i++)
    add_term(&sum, (double)a[i * a_step] * (double)b[i * b_step]);
  return sum;
}

/* Where terms are subnormal, each is off by up to the least float. */
void check_sum(const kernel_trial *trial, const char *entry, size_t i, double found,
               const exact_sum *expected, double tolerance)
{
  double limit = tolerance * expected->magnitude + (double)expected->n_terms * 0x1p-149;
  if (!(fabs(found - expected->value) <= limit))
    wrong_element(trial, entry, i, found, expected->value);
}
