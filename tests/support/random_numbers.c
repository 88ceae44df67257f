/* random_numbers.c - random numbers for tests. */
#include "support/random_numbers.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

random_numbers random_from_seed(const char *test)
{
  const char *wanted = getenv("GPT2_TEST_SEED");
  uint64_t seed = wanted ? strtoull(wanted, NULL, 0) : (uint64_t)time(NULL);
  print_message("# %s: GPT2_TEST_SEED=%" PRIu64 "\n", test, seed);
  return (random_numbers){seed};
}

uint64_t random_bits(random_numbers *random)
{
  uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

int random_below(random_numbers *random, int n)
{
  return (int)(random_bits(random) % (uint64_t)n);
}

double random_normal(random_numbers *random)
{
  /* Twelve uniform numbers have a variance of one. Each takes 21 bits. */
  double sum = -6;
  for (int i = 0; i < 4; i++) {
    uint64_t bits = random_bits(random);
    for (int k = 0; k < 3; k++, bits >>= 21)
      sum += ((double)(bits & 0x1fffff) + 0.5) / 0x200000;
  }
  return sum;
}
