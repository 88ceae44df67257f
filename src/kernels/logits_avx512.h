/* logits_avx512.h - what logits_vectors.h needs of AVX-512, beside vector_avx512.h. The same names
 * as in logits_avx2.h. */
#ifndef KERNELS_LOGITS_AVX512_H
#define KERNELS_LOGITS_AVX512_H

#include "kernels/vector_avx512.h"

/* Bits of the lanes in which a = b, of those in which a > b, and of those in which one is a NaN. */
static inline uint32_t lanes_equal(vector a, vector b)
{
  return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline uint32_t lanes_greater(vector a, vector b)
{
  return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

static inline uint32_t lanes_nan(vector a, vector b)
{
  return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
}

/* Writes start + l for every bit l of `lanes`; returns how many. */
static inline size_t write_lanes(int32_t *out, uint32_t lanes, size_t start)
{
  __m512i l = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i place = _mm512_add_epi32(l, _mm512_set1_epi32((int32_t)start));
  size_t n = (size_t)__builtin_popcount(lanes);
  _mm512_mask_storeu_epi32(out, first_lanes(n),
                           _mm512_maskz_compress_epi32((__mmask16)lanes, place));
  return n;
}

/* A sum in double precision. */
typedef struct wide_sum {
  __m512d low, high;
} wide_sum;

static inline wide_sum wide_zero(void)
{
  return (wide_sum){_mm512_setzero_pd(), _mm512_setzero_pd()};
}

static inline wide_sum wide_add(wide_sum sum, vector v)
{
  sum.low = _mm512_add_pd(sum.low, _mm512_cvtps_pd(_mm512_castps512_ps256(v)));
  sum.high = _mm512_add_pd(sum.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
  return sum;
}

static inline double wide_total(wide_sum sum)
{
  return _mm512_reduce_add_pd(_mm512_add_pd(sum.low, sum.high));
}

#endif
