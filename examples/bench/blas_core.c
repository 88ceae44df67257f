/* blas_core.c - whether BLAS makes the most of this processor. */
#include "bench/blas_core.h"

#include <gpt2.h>
#include <stddef.h>
#include <string.h>

#include "support/program.h"

/* What registers a kernel, or a processor, computes with. */
typedef enum width { SSE, AVX, AVX2, AVX512 } width;

static const char *const width_names[] = {"SSE", "AVX", "AVX2", "AVX-512"};

/* OpenBLAS's names for its kernels (cpuid_x86.c and kernel/x86_64 there): those that are older than
 * AVX-512. Names that are not here are newer, or of no x86. */
static const struct {
  const char *core;
  width width;
} old_cores[] = {
    {"Katmai", SSE},       {"Coppermine", SSE}, {"Northwood", SSE},  {"Prescott", SSE},
    {"Banias", SSE},       {"Atom", SSE},       {"Core2", SSE},      {"Penryn", SSE},
    {"Dunnington", SSE},   {"Nehalem", SSE},    {"Athlon", SSE},     {"Opteron", SSE},
    {"Opteron_SSE3", SSE}, {"Barcelona", SSE},  {"Bobcat", SSE},     {"Nano", SSE},
    {"Sandybridge", AVX},  {"Bulldozer", AVX},  {"Piledriver", AVX}, {"Steamroller", AVX},
    {"Excavator", AVX2},   {"Haswell", AVX2},   {"Zen", AVX2},
};

static width width_of_core(const char *core)
{
  for (size_t i = 0; i < sizeof old_cores / sizeof *old_cores; i++)
    if (strcmp(core, old_cores[i].core) == 0)
      return old_cores[i].width;
  return AVX512;
}

/* What the processor has, whatever GPT2_CPU lets the library see. */
static width width_of_processor(void)
{
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") ? AVX512
         : __builtin_cpu_supports("avx2")                                        ? AVX2
         : __builtin_cpu_supports("avx")                                         ? AVX
                                                                                 : SSE;
#else
  return SSE;
#endif
}

void warn_of_old_blas_kernels(void)
{
  gpt2_build build = {.struct_size = sizeof build};
  if (gpt2_build_info(&build, NULL) != GPT2_OK || !*build.blas_core)
    return;
  width kernels = width_of_core(build.blas_core), processor = width_of_processor();
  if (kernels < processor)
    program_say("%s runs its %s kernels (%s), older than this processor (%s): shares of prefill "
                "are too high; try OPENBLAS_CORETYPE=%s",
                build.blas, build.blas_core, width_names[kernels], width_names[processor],
                processor == AVX512 ? "SkylakeX"
                : processor == AVX2 ? "Haswell"
                                    : "Sandybridge");
}
