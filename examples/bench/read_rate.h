/* read_rate.h - how fast the machine reads a buffer like the model's weights.
 *
 * Decoding reads every weight once a token, and the keys and values of the tokens before it, so its
 * limit is this rate. It depends on the buffer's size (what fits in a cache is faster) and on its
 * pages: those of a mapped file are small ones. So the probe reads as many bytes as the weights
 * have, in the same kinds of pages - the mapped part from the model's own files - and as many more
 * as keys and values have. */
#ifndef BENCH_READ_RATE_H
#define BENCH_READ_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/team.h"

enum { MAX_REGIONS = 64 };

typedef struct region {
  const unsigned char *bytes;
  size_t size;
  bool mapped; /* or allocated */
} region;

typedef struct read_probe {
  team *threads;
  bool huge;  /* huge pages are asked for */
  int reader; /* which of readers.h */
  region regions[MAX_REGIONS];
  int32_t n_regions;
  region cache;             /* in place of keys and values */
  size_t size;              /* of all regions, and what is read of the cache */
  int n_passes;             /* how often they are read, so that it lasts a while */
  _Atomic size_t n_claimed; /* chunks, of all passes */
} read_probe;

/* `path` is the model's, a folder or a file. EXIT_DONE, or EXIT_FAILED after a message. */
int read_probe_new(read_probe *probe, const char *path, uint64_t mapped_size,
                   uint64_t allocated_size, bool huge);
void read_probe_free(read_probe *probe);

/* From now on these threads read, in the way in which they are the fastest. */
void read_probe_use(read_probe *probe, team *threads);

/* From now on, reads so many bytes of keys and values besides the weights. EXIT_DONE, or
 * EXIT_FAILED after a message. */
int read_probe_set_cache(read_probe *probe, uint64_t size);

/* Bytes a second, all threads together. */
double read_probe_rate(read_probe *probe);

#endif
