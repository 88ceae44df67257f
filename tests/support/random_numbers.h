/* random_numbers.h - random numbers for tests: from a seed that is told, so that a failure can be
 * repeated.
 *
 * Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (SplitMix64), OOPSLA
 * 2014. */
#ifndef TESTS_SUPPORT_RANDOM_NUMBERS_H
#define TESTS_SUPPORT_RANDOM_NUMBERS_H

#include <stdint.h>

typedef struct random_numbers {
  uint64_t state;
} random_numbers;

/* The seed is the environment variable GPT2_TEST_SEED, or else the time; it is printed. */
random_numbers random_from_seed(const char *test);

uint64_t random_bits(random_numbers *random);
int random_below(random_numbers *random, int n); /* in [0, n) */
double random_normal(random_numbers *random);    /* nearly: mean 0, deviation 1, never beyond 6 */

#endif
