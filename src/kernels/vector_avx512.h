/* vector_avx512.h - one register of 16 floats, for the kernels that are written by hand.
 *
 * The same names as in vector_avx2.h. A function that ends in _part reads or writes only the first
 * n < VECTOR elements; what is not read is 0. */
#ifndef KERNELS_VECTOR_AVX512_H
#define KERNELS_VECTOR_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { VECTOR = 16 };

/* A tile of a product of several rows: its sums, a register each, leave a few for what is loaded.
 * Dot products take 4 columns of DOT_ROWS rows, or FEW_COLUMNS of FEW_ROWS. */
enum { TILE_ROWS = 8, TILE_VECTORS = 3, DOT_ROWS = 6, FEW_ROWS = 8, FEW_COLUMNS = 3 };
enum { STREAM_VECTORS = 2 };
enum { ATTENTION_ROWS = 4, ATTENTION_VECTORS = 4 };

typedef __m512 vector;

static inline __mmask16 first_lanes(size_t n)
{
  return (__mmask16)((1u << n) - 1);
}

static inline vector vector_zero(void)
{
  return _mm512_setzero_ps();
}

static inline vector vector_all(float value)
{
  return _mm512_set1_ps(value);
}

static inline vector vector_load_f32(const float *p)
{
  return _mm512_loadu_ps(p);
}

static inline vector vector_load_f32_part(const float *p, size_t n)
{
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

/* The first n lanes from p, the others from `rest`. */
static inline vector vector_load_f32_or(const float *p, size_t n, vector rest)
{
  return _mm512_mask_loadu_ps(rest, first_lanes(n), p);
}

static inline vector vector_load_f16(const uint16_t *p)
{
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

static inline vector vector_load_f16_part(const uint16_t *p, size_t n)
{
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}

static inline vector vector_load_bf16(const uint16_t *p)
{
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline vector vector_load_bf16_part(const uint16_t *p, size_t n)
{
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n), p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline void vector_store(float *p, vector v)
{
  _mm512_storeu_ps(p, v);
}

static inline void vector_store_part(float *p, vector v, size_t n)
{
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

/* a * b + c, rounded once. */
static inline vector vector_fma(vector a, vector b, vector c)
{
  return _mm512_fmadd_ps(a, b, c);
}

static inline vector vector_add(vector a, vector b)
{
  return _mm512_add_ps(a, b);
}

static inline vector vector_multiply(vector a, vector b)
{
  return _mm512_mul_ps(a, b);
}

static inline vector vector_subtract(vector a, vector b)
{
  return _mm512_sub_ps(a, b);
}

static inline vector vector_divide(vector a, vector b)
{
  return _mm512_div_ps(a, b);
}

/* The greater and the lesser one; b if either is a NaN. */
static inline vector vector_max(vector a, vector b)
{
  return _mm512_max_ps(a, b);
}

static inline vector vector_min(vector a, vector b)
{
  return _mm512_min_ps(a, b);
}

/* v * 2^n for an n that is a whole number from -200 to 200, rounded once. */
static inline vector vector_times_power(vector v, vector n)
{
  return _mm512_scalef_ps(v, n);
}

/* The lanes of a where `test` is less than `limit`, else those of b. */
static inline vector vector_where_less(vector test, vector limit, vector a, vector b)
{
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(test, limit, _CMP_LT_OQ), b, a);
}

static inline vector vector_magnitude(vector v)
{
  return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), v);
}

/* A magnitude with the sign of another number. */
static inline vector vector_with_sign(vector magnitude, vector sign)
{
  return _mm512_or_ps(magnitude, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign));
}

/* The sum of all lanes: of halves, of their halves, and so on. */
static inline float vector_sum(vector v)
{
  __m256 sum = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* The greatest of all lanes, none of which is a NaN. */
static inline float vector_greatest(vector v)
{
  __m256 most = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

#endif
