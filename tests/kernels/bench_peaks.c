/* bench_peaks.c - what single instructions and caches give on one core: the limits that kernels are
 * measured against. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "kernels/bench.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* As many chains as hide an instruction's latency (4 to 5 cycles) on two ports, in registers all.
 */
enum { CHAINS = 12, STEPS = 4096 };

#define EACH_CHAIN(take, what)                                                                     \
  take(0, what) take(1, what) take(2, what) take(3, what) take(4, what) take(5, what)              \
      take(6, what) take(7, what) take(8, what) take(9, what) take(10, what) take(11, what)

/* Keeps the compiler from computing a chain beforehand, or not at all. */
#define KEEP(variable) __asm__ volatile("" : "+v"(variable));

#define BEGIN_CHAIN(c, type) type chain##c = a;
#define STEP_CHAIN(c, step)                                                                        \
  KEEP(a)                                                                                          \
  chain##c = step(chain##c, a, b);                                                                 \
  KEEP(chain##c)

/* A function that takes STEPS steps on each chain. */
#define DEFINE_PEAK(name, instructions, type, step)                                                \
  __attribute__((target(instructions))) static void name(const void *data)                         \
  {                                                                                                \
    (void)data;                                                                                    \
    type a = {0}, b = {0};                                                                         \
    KEEP(b)                                                                                        \
    EACH_CHAIN(BEGIN_CHAIN, type)                                                                  \
    for (int i = 0; i < STEPS; i++) {                                                              \
      EACH_CHAIN(STEP_CHAIN, step)                                                                 \
    }                                                                                              \
  }

#define FMA_256(sum, a, b) _mm256_fmadd_ps(a, b, sum)
#define FMA_512(sum, a, b) _mm512_fmadd_ps(a, b, sum)

/* Bytes times bytes to sums of 32 bits, without the instruction for it and with it. */
#define MADD_256(sum, a, b)                                                                        \
  _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))
#define MADD_512(sum, a, b)                                                                        \
  _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)))
#define DPBUSD_512(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)

#define DPBF16_512(sum, a, b) _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b)

#define WIDEN_256(chain, a, b) _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_castps_si256(chain)))
#define WIDEN_512(chain, a, b) _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_castps_si512(chain)))

DEFINE_PEAK(fma_256, "avx2,fma", __m256, FMA_256)
DEFINE_PEAK(maddubs_256, "avx2", __m256i, MADD_256)
DEFINE_PEAK(widen_256, "avx2,f16c", __m256, WIDEN_256)
DEFINE_PEAK(fma_512, "avx512f", __m512, FMA_512)
DEFINE_PEAK(maddubs_512, "avx512bw", __m512i, MADD_512)
DEFINE_PEAK(widen_512, "avx512f", __m512, WIDEN_512)
DEFINE_PEAK(vpdpbusd_512, "avx512vnni", __m512i, DPBUSD_512)
DEFINE_PEAK(vdpbf16ps_512, "avx512bf16", __m512, DPBF16_512)

static const struct {
  const char *name;
  uint32_t needs;
  double operations; /* multiplications and additions of a step; or numbers widened */
  const char *unit;
  void (*run)(const void *data);
} peaks[] = {
    {"f32: vfmadd, 256 bits", CPU_AVX2, 2 * 8, "GFLOP/s", fma_256},
    {"int8: vpmaddubsw, vpmaddwd, vpaddd, 256 bits", CPU_AVX2, 2 * 32, "GOP/s", maddubs_256},
    {"f16 to f32: vcvtph2ps, 256 bits", CPU_AVX2, 8, "G/s", widen_256},
    {"f32: vfmadd, 512 bits", CPU_AVX512, 2 * 16, "GFLOP/s", fma_512},
    {"int8: vpmaddubsw, vpmaddwd, vpaddd, 512 bits", CPU_AVX512, 2 * 64, "GOP/s", maddubs_512},
    {"f16 to f32: vcvtph2ps, 512 bits", CPU_AVX512, 16, "G/s", widen_512},
    {"int8: vpdpbusd, 512 bits", CPU_AVX512_VNNI, 2 * 64, "GOP/s", vpdpbusd_512},
    {"bf16: vdpbf16ps, 512 bits", CPU_AVX512_BF16, 2 * 32, "GFLOP/s", vdpbf16ps_512},
};

static void bench_instructions(void)
{
  if (!bench_title("peaks of instructions, one core"))
    return;
  for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++) {
    bench_job job = {.run = peaks[i].run};
    if ((cpu_features() & peaks[i].needs) == 0)
      continue;
    bench_jobs(&job, 1);
    printf("%-56s %10.1f %s\n", peaks[i].name,
           1e-9 * peaks[i].operations * CHAINS * STEPS / job.seconds, peaks[i].unit);
  }
}

/* ---- Reading ---- */

typedef struct reading {
  const char *bytes;
  size_t size; /* a multiple of 512 */
} reading;

__attribute__((target("avx2"))) static void read_256(const void *data)
{
  const reading *r = data;
  __m256i sum[4] = {_mm256_setzero_si256()};
  for (size_t i = 0; i < r->size; i += 512)
    _Pragma("GCC unroll 16") for (size_t k = 0; k < 16; k++) sum[k % 4] =
        _mm256_xor_si256(sum[k % 4], _mm256_loadu_si256((const __m256i *)(r->bytes + i + 32 * k)));
  for (int k = 0; k < 4; k++)
    KEEP(sum[k])
}

__attribute__((target("avx512f"))) static void read_512(const void *data)
{
  const reading *r = data;
  __m512i sum[4] = {_mm512_setzero_si512()};
  for (size_t i = 0; i < r->size; i += 512)
    _Pragma("GCC unroll 8") for (size_t k = 0; k < 8; k++) sum[k % 4] =
        _mm512_xor_si512(sum[k % 4], _mm512_loadu_si512(r->bytes + i + 64 * k));
  for (int k = 0; k < 4; k++)
    KEEP(sum[k])
}

static const struct {
  const char *what;
  size_t size;
} buffers[] = {
    {"16 KiB, in the first-level cache", 16 << 10},
    {"512 KiB, in the second-level cache", 512 << 10},
    {"16 MiB, in the last-level cache or memory", 16 << 20},
    {"512 MiB, in memory", 512 << 20},
};

static void bench_reading(void)
{
  if (!(cpu_features() & CPU_AVX2) || !bench_title("reading, one core"))
    return;
  enum { N_BUFFERS = sizeof buffers / sizeof *buffers };
  char *bytes = bench_bytes(buffers[N_BUFFERS - 1].size);
  for (size_t i = 0; i < N_BUFFERS; i++) {
    reading r = {bytes, buffers[i].size};
    bench_job job = {.run = cpu_features() & CPU_AVX512 ? read_512 : read_256, .data = &r};
    bench_jobs(&job, 1);
    printf("%-56s %10.1f GB/s\n", buffers[i].what, 1e-9 * (double)r.size / job.seconds);
  }
  free(bytes);
}

void bench_peaks(void)
{
  bench_instructions();
  bench_reading();
}

#else

void bench_peaks(void)
{
}

#endif
