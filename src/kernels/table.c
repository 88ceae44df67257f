/* table.c - chooses the kernels for this processor. */
#include <pthread.h>

#include "base/cpu.h"
#include "kernels/kernels.h"

void kernels_scalar(kernels *filled)
{
  *filled = (kernels){.name = "scalar"};
  kernels_scalar_blocks(filled);
  kernels_scalar_types(filled);
  kernels_scalar_products(filled);
  kernels_scalar_attention(filled);
}

/* Later sets override earlier ones, so they stand from the plainest to the most capable. */
static const struct {
  uint32_t needs, unless; /* CPU_... bits: all of those, and none of these */
  void (*fill)(kernels *table);
} sets[] = {
    {0, 0, kernels_scalar},
#if defined(__x86_64__)
    {CPU_AVX2, 0, kernels_avx2},
    {CPU_AVX512, 0, kernels_avx512},
    {CPU_AVX512 | CPU_AVX512_VNNI, 0, kernels_avx512_vnni},
    {CPU_AVX512 | CPU_AVX512_BF16, CPU_SLOW_BF16, kernels_avx512_bf16},
#endif
};

void kernels_for(uint32_t features, kernels *filled)
{
  static const char *const with_avx512[2][2] = {{"avx512", "avx512+bf16"},
                                                {"avx512+vnni", "avx512+vnni+bf16"}};
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
    if ((features & sets[i].needs) == sets[i].needs && !(features & sets[i].unless))
      sets[i].fill(filled);
  if (features & CPU_AVX512)
    filled->name = with_avx512[(features & CPU_AVX512_VNNI) != 0][filled->bf16 != NULL];
}

static kernels table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
  kernels_for(cpu_features(), &table);
}

const kernels *kernels_in_use(void)
{
  pthread_once(&once, fill);
  return &table;
}
