/* cpu.h - what the processor can do and how much of it we may use. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdint.h>

enum {
  CPU_AVX2 = 1 << 0,   /* AVX2, FMA and F16C */
  CPU_AVX512 = 1 << 1, /* AVX-512 F, BW, VL and DQ */
  CPU_AVX512_VNNI = 1 << 2,
  CPU_AVX512_BF16 = 1 << 3,
  /* vdpbf16ps is no faster than widening and multiplying f32: so it is on Intel's processors, where
   * it starts every other cycle or less (tests/test_kernels --bench measures it). */
  CPU_SLOW_BF16 = 1 << 4
};

/* CPU_... bits, found once. The environment variable GPT2_CPU (scalar, avx2 or avx512) masks those
 * above it. */
uint32_t cpu_features(void);

/* Physical cores that this process may run on: by its affinity mask, and by its cgroup's quota,
 * rounded up. At least 1. Read anew at every call. */
int cpu_cores(void);

#endif
