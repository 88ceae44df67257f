/* readers.c - ways to read memory fast. Which one is the fastest, the machine must be asked.
 *
 * All add the bytes up as integers, which cost the same whatever they are, in independent sums, so
 * that only the memory has to be waited for. They differ in how they keep it busy: a processor
 * fetches ahead of what it reads by itself, but stops at the end of each page. */
#include "bench/readers.h"

#include <stdbool.h>

typedef uint64_t wide __attribute__((vector_size(64), aligned(1), may_alias));

/* One copy for each vector width; what a sanitizer adds to the choice between them does not start
 * up. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) &&             \
    !defined(__SANITIZE_THREAD__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

enum { N_SUMS = 8, LINE = sizeof(wide) };

/* The sum of all lanes. */
#define TOTAL(total, sums)                                                                         \
  for (int i = 0; i < N_SUMS; i++)                                                                 \
    for (size_t lane = 0; lane < sizeof(wide) / sizeof(uint64_t); lane++)                          \
  (total) += (sums)[i][lane]

FOR_EACH_CPU static uint64_t read_plainly(const unsigned char *bytes, size_t size)
{
  const wide *at = (const void *)bytes;
  const wide *end = at + size / (LINE * N_SUMS) * N_SUMS;
  wide sums[N_SUMS] = {{0}};
  for (; at < end; at += N_SUMS)
    for (int i = 0; i < N_SUMS; i++)
      sums[i] += at[i];
  uint64_t total = 0;
  TOTAL(total, sums);
  return total;
}

/* The same, and asks for what stands a page further on. */
FOR_EACH_CPU static uint64_t read_a_page_ahead(const unsigned char *bytes, size_t size)
{
  const wide *at = (const void *)bytes;
  const wide *end = at + size / (LINE * N_SUMS) * N_SUMS;
  wide sums[N_SUMS] = {{0}};
  for (; at < end; at += N_SUMS)
    for (int i = 0; i < N_SUMS; i++) {
      __builtin_prefetch((const char *)(at + i) + 4096);
      sums[i] += at[i];
    }
  uint64_t total = 0;
  TOTAL(total, sums);
  return total;
}

enum { N_STREAMS = 8, AHEAD = 512 };

/* Eight places at once, so that while one is at the end of a page the others go on. */
FOR_EACH_CPU static uint64_t read_streams(const unsigned char *bytes, size_t size)
{
  const size_t step = LINE * N_SUMS / 2, part = size / N_STREAMS / step * step;
  wide sums[N_SUMS] = {{0}};
  for (size_t at = 0; at < part; at += step)
    for (size_t stream = 0; stream < N_STREAMS; stream++) {
      const unsigned char *from = bytes + stream * part + at;
      for (int i = 0; i < N_SUMS / 2; i++) {
        __builtin_prefetch(from + i * LINE + AHEAD);
        sums[stream % 2 * (N_SUMS / 2) + i] += *(const wide *)(const void *)(from + i * LINE);
      }
    }
  uint64_t total = 0;
  TOTAL(total, sums);
  return total;
}

uint64_t read_bytes(int reader, const unsigned char *bytes, size_t size)
{
  switch (reader) {
  case 0:
    return read_plainly(bytes, size);
  case 1:
    return read_a_page_ahead(bytes, size);
  default:
    return read_streams(bytes, size);
  }
}
