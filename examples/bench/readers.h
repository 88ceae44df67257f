/* readers.h - ways to read memory fast. Which one is the fastest, the machine must be asked. */
#ifndef BENCH_READERS_H
#define BENCH_READERS_H

#include <stddef.h>
#include <stdint.h>

enum { N_READERS = 3 };

/* Reads `size` bytes (all but the last few) in one of the ways, from 0 to N_READERS - 1, and adds
 * them up. */
uint64_t read_bytes(int reader, const unsigned char *bytes, size_t size);

#endif
