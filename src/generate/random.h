/* random.h - random numbers that are a function of (seed, index).
 *
 * Philox4x32-10: J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel random numbers: as easy as 1,
 * 2, 3", SC 2011. Having no state but an index, it can be asked twice for the same number, copied
 * and set back for nothing. */
#ifndef GENERATE_RANDOM_H
#define GENERATE_RANDOM_H

#include <stdint.h>

/* Encrypts the counter (four words) in place under the key (two words), which each round adds to:
 * the golden ratio, and the square root of 3 less 1, as 32-bit fractions. */
static inline void philox4x32_10(uint32_t counter[4], uint32_t key_0, uint32_t key_1)
{
  for (int round = 0; round < 10; round++) {
    uint64_t product_0 = (uint64_t)0xd2511f53 * counter[0];
    uint64_t product_1 = (uint64_t)0xcd9e8d57 * counter[2];
    uint32_t next_0 = (uint32_t)(product_1 >> 32) ^ counter[1] ^ key_0;
    uint32_t next_2 = (uint32_t)(product_0 >> 32) ^ counter[3] ^ key_1;
    counter[0] = next_0;
    counter[1] = (uint32_t)product_1;
    counter[2] = next_2;
    counter[3] = (uint32_t)product_0;
    key_0 += 0x9e3779b9;
    key_1 += 0xbb67ae85;
  }
}

/* The index-th number of a seed: uniform in [0, 1), a multiple of 2^-53. */
static inline double random_uniform(uint64_t seed, uint64_t index)
{
  uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), 0, 0};
  philox4x32_10(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
  uint64_t bits = (uint64_t)counter[0] << 32 | counter[1];
  return (double)(bits >> 11) * 0x1p-53;
}

#endif
