/* entropy.c - random bits from the system. */
#define _DEFAULT_SOURCE /* getentropy is younger than the POSIX that the rest is written for */
#include "base/entropy.h"

#include <unistd.h>

bool entropy_bits(uint64_t *bits)
{
  uint64_t drawn;
  if (getentropy(&drawn, sizeof drawn) != 0)
    return false;
  *bits = drawn;
  return true;
}
