/* select.c - keeps the greatest of many candidates without sorting them.
 *
 * Radix selection: a float's bits, made to sort like the number, are looked at eleven at a time from the top. At each
 * digit the weights of the candidates that are still in doubt are added up by bucket; the bucket in which the sum,
 * from the greatest down, reaches the goal holds the smallest value to keep. After three digits that value is known
 * exactly. (D. Knuth, "The Art of Computer Programming", volume 3, 5.2.5 on radix sorting.) */
#include "generate/select.h"

#include <stdint.h>
#include <string.h>

enum { DIGITS = 3, DIGIT_BITS = 11, BUCKETS = 1 << DIGIT_BITS, KEY_BITS = 32 };

/* Bits that order as the floats do: negative numbers grow downwards, so theirs are inverted; -0 equals 0. */
static uint32_t key_of(float value)
{
  uint32_t bits;
  value += 0.0f;
  memcpy(&bits, &value, sizeof bits);
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

/* The digits are bits 31-21, 20-10 and 9-0 of the key. */
static int shift_of(int digit)
{
  int shift = KEY_BITS - DIGIT_BITS * (digit + 1);
  return shift > 0 ? shift : 0;
}

/* The key of the smallest value to keep; *enough becomes what is still missing when all greater ones are kept. */
static uint32_t smallest_kept(const candidate *candidates, size_t n, double *enough)
{
  uint32_t key = 0, known = 0; /* the bits of the key in `known` are decided */
  for (int digit = 0; digit < DIGITS; digit++) {
    double sum[BUCKETS] = {0.0};
    uint8_t used[BUCKETS] = {0};
    int shift = shift_of(digit);
    uint32_t mask = ~known >> shift & (BUCKETS - 1);
    for (size_t i = 0; i < n; i++) {
      uint32_t k = key_of(candidates[i].value);
      if ((k & known) != key)
        continue;
      sum[k >> shift & mask] += (double)candidates[i].weight;
      used[k >> shift & mask] = 1;
    }
    uint32_t lowest = 0, bucket;
    while (!used[lowest])
      lowest++;
    double greater = 0.0;
    for (bucket = BUCKETS - 1; bucket > lowest && greater + sum[bucket] < *enough; bucket--)
      greater += sum[bucket];
    *enough -= greater;
    key |= bucket << shift;
    known |= mask << shift;
  }
  return key;
}

size_t select_greatest(candidate *candidates, size_t n, double enough)
{
  if (n == 0)
    return 0;
  uint32_t smallest = smallest_kept(candidates, n, &enough);
  size_t kept = 0;
  double of_smallest = 0.0;
  for (size_t i = 0; i < n; i++) {
    uint32_t key = key_of(candidates[i].value);
    if (key < smallest || (key == smallest && of_smallest > 0.0 && of_smallest >= enough))
      continue;
    if (key == smallest)
      of_smallest += (double)candidates[i].weight;
    candidates[kept++] = candidates[i];
  }
  return kept;
}
