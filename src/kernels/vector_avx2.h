/* vector_avx2.h - one register of 8 floats, for the kernels that are written by hand.
 *
 * The same names as in vector_avx512.h. A function that ends in _part reads or writes only the
 * first n < VECTOR elements; what is not read is 0. */
#ifndef KERNELS_VECTOR_AVX2_H
#define KERNELS_VECTOR_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { VECTOR = 8 };

/* A tile of a product of several rows: its sums, a register each, leave a few for what is loaded.
 * Dot products take 4 columns of DOT_ROWS rows; FEW_ROWS is no other tile here. */
enum { TILE_ROWS = 4, TILE_VECTORS = 3, DOT_ROWS = 2, FEW_ROWS = 2, FEW_COLUMNS = 4 };
enum { STREAM_VECTORS = 1 };
enum { ATTENTION_ROWS = 6, ATTENTION_VECTORS = 2 };

typedef __m256 vector;

static inline __m256i first_lanes(size_t n)
{
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vector vector_zero(void)
{
  return _mm256_setzero_ps();
}

static inline vector vector_all(float value)
{
  return _mm256_set1_ps(value);
}

static inline vector vector_load_f32(const float *p)
{
  return _mm256_loadu_ps(p);
}

static inline vector vector_load_f32_part(const float *p, size_t n)
{
  return _mm256_maskload_ps(p, first_lanes(n));
}

/* The first n lanes from p, the others from `rest`. */
static inline vector vector_load_f32_or(const float *p, size_t n, vector rest)
{
  __m256i lanes = first_lanes(n);
  return _mm256_blendv_ps(rest, _mm256_maskload_ps(p, lanes), _mm256_castsi256_ps(lanes));
}

/* Eight 16-bit elements, of which only n are read. */
static inline __m128i load_halves_part(const uint16_t *p, size_t n)
{
  uint16_t halves[VECTOR] = {0};
  memcpy(halves, p, n * sizeof *p);
  return _mm_loadu_si128((const __m128i *)halves);
}

static inline vector vector_load_f16(const uint16_t *p)
{
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

static inline vector vector_load_f16_part(const uint16_t *p, size_t n)
{
  return _mm256_cvtph_ps(load_halves_part(p, n));
}

static inline vector vector_load_bf16(const uint16_t *p)
{
  __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline vector vector_load_bf16_part(const uint16_t *p, size_t n)
{
  __m256i wide = _mm256_cvtepu16_epi32(load_halves_part(p, n));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline void vector_store(float *p, vector v)
{
  _mm256_storeu_ps(p, v);
}

static inline void vector_store_part(float *p, vector v, size_t n)
{
  _mm256_maskstore_ps(p, first_lanes(n), v);
}

/* a * b + c, rounded once. */
static inline vector vector_fma(vector a, vector b, vector c)
{
  return _mm256_fmadd_ps(a, b, c);
}

static inline vector vector_add(vector a, vector b)
{
  return _mm256_add_ps(a, b);
}

static inline vector vector_multiply(vector a, vector b)
{
  return _mm256_mul_ps(a, b);
}

static inline vector vector_subtract(vector a, vector b)
{
  return _mm256_sub_ps(a, b);
}

static inline vector vector_divide(vector a, vector b)
{
  return _mm256_div_ps(a, b);
}

/* The greater and the lesser one; b if either is a NaN. */
static inline vector vector_max(vector a, vector b)
{
  return _mm256_max_ps(a, b);
}

static inline vector vector_min(vector a, vector b)
{
  return _mm256_min_ps(a, b);
}

/* v * 2^n for an n that is a whole number from -200 to 200: in two factors, as 2^n may lie outside
 * the floats where the result does not. */
static inline vector vector_times_power(vector v, vector n)
{
  __m256i exponent = _mm256_cvtps_epi32(n), bias = _mm256_set1_epi32(127);
  __m256i half = _mm256_srai_epi32(exponent, 1), rest = _mm256_sub_epi32(exponent, half);
  __m256i factor = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  v = _mm256_mul_ps(v, _mm256_castsi256_ps(factor));
  factor = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
  return _mm256_mul_ps(v, _mm256_castsi256_ps(factor));
}

/* The lanes of a where `test` is less than `limit`, else those of b. */
static inline vector vector_where_less(vector test, vector limit, vector a, vector b)
{
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(test, limit, _CMP_LT_OQ));
}

static inline vector vector_magnitude(vector v)
{
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* A magnitude with the sign of another number. */
static inline vector vector_with_sign(vector magnitude, vector sign)
{
  return _mm256_or_ps(magnitude, _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}

/* The sum of all lanes: of halves, of their halves, and so on. */
static inline float vector_sum(vector v)
{
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* The greatest of all lanes, none of which is a NaN. */
static inline float vector_greatest(vector v)
{
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

#endif
