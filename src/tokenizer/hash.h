/* hash.h - the multiplier of our hash tables.
 *
 * A key times an odd random number, of whose bits the highest count: multiply-shift (Dietzfelbinger
 * et al., "A reliable randomized algorithm for the closest-pair problem", 1997). No file can know
 * the number, so none can make its keys fall on a few slots. */
#ifndef TOKENIZER_HASH_H
#define TOKENIZER_HASH_H

#include <stdint.h>

/* As random as the place of the table in memory: SplitMix64's last steps over its address (Steele,
 * Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t hash_multiplier(const void *table)
{
  uint64_t bits = (uint64_t)(uintptr_t)table + 0x9e3779b97f4a7c15u;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
  return (bits ^ bits >> 31) | 1;
}

#endif
