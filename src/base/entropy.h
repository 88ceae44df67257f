/* entropy.h - random bits from the system, for seeds that nobody chose. */
#ifndef BASE_ENTROPY_H
#define BASE_ENTROPY_H

#include <stdbool.h>
#include <stdint.h>

/* False when the system has none to give; *bits is then as it was. */
bool entropy_bits(uint64_t *bits);

#endif
