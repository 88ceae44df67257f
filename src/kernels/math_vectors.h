/* math_vectors.h - exp and erf for a register at a time, as math.h has them for one number: the
 * same formulas, with fused multiply-adds. Included after an instruction set's vector_....h. */
#ifndef KERNELS_MATH_VECTORS_H
#define KERNELS_MATH_VECTORS_H

/* 0 where the result would be less than the normal floats: to make a subnormal one costs the
 * processor as much as a hundred others. */
static inline vector vector_exp_or_zero(vector x)
{
  const vector round_to_integer = vector_all(0x1.8p23f), least = vector_all(-87.33f), given = x;
  x = vector_max(least, x); /* a NaN is the second one, and stays */
  x = vector_min(vector_all(89.0f), x);
  vector n = vector_fma(x, vector_all(0x1.715476p0f), round_to_integer); /* 1 / ln 2 */
  n = vector_subtract(n, round_to_integer);
  vector r = vector_fma(n, vector_all(-0x1.63p-1f), x); /* ln 2 in two parts */
  r = vector_fma(n, vector_all(0x1.bd0106p-13f), r);
  vector p = vector_all(1.9790244e-4f);
  p = vector_fma(p, r, vector_all(1.3944758e-3f));
  p = vector_fma(p, r, vector_all(8.333498e-3f));
  p = vector_fma(p, r, vector_all(4.1666295e-2f));
  p = vector_fma(p, r, vector_all(0.16666666f));
  p = vector_fma(p, r, vector_all(0.5f));
  p = vector_fma(p, r, vector_all(1.0f));
  vector e = vector_times_power(vector_fma(p, r, vector_all(1.0f)), n);
  return vector_where_less(given, least, vector_zero(), e);
}

static inline vector vector_erf(vector x)
{
  vector magnitude = vector_magnitude(x), z = vector_multiply(x, x);
  vector p = vector_all(8.5388e-5f);
  p = vector_fma(p, z, vector_all(-8.181917e-4f));
  p = vector_fma(p, z, vector_all(5.204435e-3f));
  p = vector_fma(p, z, vector_all(-2.6860753e-2f));
  p = vector_fma(p, z, vector_all(0.112837195f));
  p = vector_fma(p, z, vector_all(-0.37612635f));
  p = vector_fma(p, z, vector_all(0.12837917f));
  vector near_zero = vector_fma(p, x, x);
  vector m = vector_min(vector_all(4.0f), magnitude); /* a NaN is the second one, and stays */
  vector q = vector_all(2.0828566e-5f);
  q = vector_fma(q, m, vector_all(-4.31393e-4f));
  q = vector_fma(q, m, vector_all(4.1562524e-3f));
  q = vector_fma(q, m, vector_all(-2.508061e-2f));
  q = vector_fma(q, m, vector_all(0.108220376f));
  q = vector_fma(q, m, vector_all(0.63340086f));
  q = vector_fma(q, m, vector_all(1.1294883f));
  q = vector_fma(q, m, vector_all(-1.6920459e-4f));
  vector far =
      vector_subtract(vector_all(1.0f), vector_exp_or_zero(vector_subtract(vector_zero(), q)));
  far = vector_with_sign(far, x);
  return vector_where_less(magnitude, vector_all(0.9f), near_zero, far);
}

#endif
