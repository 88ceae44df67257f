/* logits_avx2.h - what logits_vectors.h needs of AVX2, beside vector_avx2.h. The same names as in
 * logits_avx512.h. */
#ifndef KERNELS_LOGITS_AVX2_H
#define KERNELS_LOGITS_AVX2_H

#include "kernels/vector_avx2.h"

/* Bits of the lanes in which a = b, of those in which a > b, and of those in which one is a NaN. */
static inline uint32_t lanes_equal(vector a, vector b)
{
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}

static inline uint32_t lanes_greater(vector a, vector b)
{
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ));
}

static inline uint32_t lanes_nan(vector a, vector b)
{
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q));
}

/* Writes start + l for every bit l of `lanes`; returns how many. */
static inline size_t write_lanes(int32_t *out, uint32_t lanes, size_t start)
{
  size_t n = 0;
  for (; lanes; lanes &= lanes - 1)
    out[n++] = (int32_t)start + __builtin_ctz(lanes);
  return n;
}

/* A sum in double precision. */
typedef struct wide_sum {
  __m256d low, high;
} wide_sum;

static inline wide_sum wide_zero(void)
{
  return (wide_sum){_mm256_setzero_pd(), _mm256_setzero_pd()};
}

static inline wide_sum wide_add(wide_sum sum, vector v)
{
  sum.low = _mm256_add_pd(sum.low, _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
  sum.high = _mm256_add_pd(sum.high, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
  return sum;
}

static inline double wide_total(wide_sum sum)
{
  __m256d all = _mm256_add_pd(sum.low, sum.high);
  __m128d half = _mm_add_pd(_mm256_castpd256_pd128(all), _mm256_extractf128_pd(all, 1));
  return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

#endif
