/* lanes.h - sums in interleaved partial sums: so a compiler can keep them in vector registers
 * without changing a bit, and rounding errors grow with n / LANES instead of n. */
#ifndef KERNELS_LANES_H
#define KERNELS_LANES_H

enum { LANES = 16 };

/* Adds the lanes pairwise. They are used up. */
static inline float sum_of_lanes(float *lane)
{
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++)
      lane[l] += lane[l + half];
  return lane[0];
}

#endif
