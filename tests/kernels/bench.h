/* bench.h - how fast the kernels are: each entry of the table at every instruction set, what single
 * instructions and caches can give, and sgemm beside our own products.
 *
 * All is of one thread. What is compared is measured in turns. Rates come from the best time, as a
 * busy machine makes all slower, never faster; ratios are medians of those of each turn. */
#ifndef TESTS_KERNELS_BENCH_H
#define TESTS_KERNELS_BENCH_H

#include <stdbool.h>

#include "kernels/entries.h"

/* Measures all whose line has the pattern, and prints it; an exit status. */
int run_benchmarks(const char *pattern);

/* ---- For the files that measure ---- */

/* Something to be timed. */
typedef struct bench_job {
  void (*run)(const void *data);
  const void *data;
  double seconds; /* of one run, at best */
  double ratio;   /* how many times as fast as the first job: the median of all rounds */
} bench_job;

/* Times them in turns, at most 16. */
void bench_jobs(bench_job *jobs, size_t n);

/* What an entry of the table is given to do. */
typedef struct bench_work {
  const kernel_entry *entry;
  char shape[48];    /* "rows 8, 768 x 3072" */
  double operations; /* multiplications and additions; or 0 */
  double bytes;      /* that must be read or written */
  void (*run)(const kernels *kernel, const void *data);
  const void *data;
} bench_work;

/* Whether the line of this work has the pattern; then its data are worth being made. */
bool bench_wants(const bench_work *work);

/* Prints a line for every set that has a function of its own there. */
void bench_entry(const bench_work *work);

/* Memory for the data, filled with ordinary numbers; the program ends when there is none. It is
 * given back by free. */
void *bench_bytes(size_t size);
void *bench_elements(element_type type, size_t n);

/* Whether a title has the pattern; it is printed then. */
bool bench_title(const char *title);

/* The tables and titles of each file. */
void bench_peaks(void);
void bench_products(void);
void bench_attention(void);
void bench_vectors(void);
void bench_against_blas(void);

#endif
