/* select.c - keeps the greatest of many candidates without sorting them.
 *
 * Radix selection: a float's bits, made to sort like the number, are looked at a byte at a time
 * from the top. At each digit the weights of the candidates that are still in doubt are added up by
 * bucket; the bucket in which the sum, from the greatest down, reaches the goal holds the smallest
 * value to keep. After four digits that value is known exactly. (D. Knuth, "The Art of Computer
 * Programming", volume 3, 5.2.5 on radix sorting.) */
#include "generate/select.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { DIGIT_BITS = 8, BUCKETS = 1 << DIGIT_BITS, KEY_BITS = 32 };

/* Bits that order as the floats do: negative numbers grow downwards, so theirs are inverted; -0
 * equals 0. */
static uint32_t key_of(float value)
{
  uint32_t bits;
  value += 0.0f;
  memcpy(&bits, &value, sizeof bits);
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

/* What the candidates of one bucket weigh together, and whether there are any. */
typedef struct bucket {
  double weight;
  bool used;
} bucket;

/* The bucket in which the weights, from the greatest bucket down, reach *enough, or else the lowest
 * one in use; *enough becomes what is still missing when all greater ones are kept. */
static uint32_t bucket_that_reaches(const bucket *buckets, double *enough)
{
  uint32_t lowest = 0, at = BUCKETS - 1;
  double greater = 0.0;
  while (!buckets[lowest].used)
    lowest++;
  for (; at > lowest && (!buckets[at].used || greater + buckets[at].weight < *enough); at--)
    greater += buckets[at].weight;
  *enough -= greater;
  return at;
}

/* The key of the smallest value to keep; *enough becomes what candidates of that value must add. */
static uint32_t smallest_kept(const candidate *candidates, size_t n, double *enough)
{
  uint32_t key = 0, known = 0; /* the bits of the key in `known` are decided */
  for (int shift = KEY_BITS - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
    bucket buckets[BUCKETS] = {{0.0, false}};
    for (size_t i = 0; i < n; i++) {
      uint32_t k = key_of(candidates[i].value);
      if ((k & known) != key)
        continue;
      bucket *b = &buckets[k >> shift & (BUCKETS - 1)];
      b->weight += (double)candidates[i].weight;
      b->used = true;
    }
    key |= bucket_that_reaches(buckets, enough) << shift;
    known |= (uint32_t)(BUCKETS - 1) << shift;
  }
  return key;
}

size_t select_greatest(candidate *candidates, size_t n, double enough)
{
  if (n == 0)
    return 0;
  uint32_t smallest = smallest_kept(candidates, n, &enough);
  size_t kept = 0, n_smallest = 0;
  double of_smallest = 0.0;
  for (size_t i = 0; i < n; i++) {
    uint32_t key = key_of(candidates[i].value);
    if (key < smallest || (key == smallest && n_smallest > 0 && of_smallest >= enough))
      continue;
    if (key == smallest) {
      n_smallest++;
      of_smallest += (double)candidates[i].weight;
    }
    candidates[kept++] = candidates[i];
  }
  return kept;
}
