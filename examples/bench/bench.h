/* bench.h - what the measurements of gpt2-bench share, and how they report. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <gpt2.h>

#include "bench/products.h"
#include "bench/read_rate.h"
#include "bench/team.h"
#include "support/options.h"
#include "support/output.h"

enum { MAX_REPEATS = 1000 };

typedef struct bench {
  common_options common;
  const char *text_path; /* a text to encode; NULL: one of our own */
  bool quick;            /* only the first size of each measurement */
  int32_t n_repeats;
  buffer model_path; /* ends with NUL */
  gpt2_model *model;
  gpt2_context *context;
  gpt2_info info;
  int32_t n_threads; /* of the context */
  team *threads;     /* as many of our own */
  read_probe reader;
  products products;
} bench;

/* Values measured in turn with what they are judged by. */
typedef struct samples {
  double values[MAX_REPEATS];
  double limits[MAX_REPEATS];
  int32_t n_samples;
  bool has_limits;
} samples;

/* One line of the report. `value` and `limit` are medians, `share` the median of limit / value. */
typedef struct report_line {
  const char *what;
  const char *type; /* of the weights; NULL where none are involved */
  const char *unit;
  int32_t n_threads;
  int32_t n_rows;  /* tokens, or sequences, that are evaluated at once */
  int32_t context; /* tokens that were there before */
} report_line;

/* Prints the machine, and then the lines: JSON, or a table. */
void report_machine(const bench *b, double read_rate, double sgemm_rate);
void report(const bench *b, const report_line *line, const samples *measured);

/* Adds a sample; the limit is used where it is given (> 0). */
void add_sample(samples *s, double value, double limit);
double median(const double *values, int32_t n_values);

/* The measurements. EXIT_DONE, or another status after a message. */
int measure_decode(bench *b);
int measure_batch(bench *b);
int measure_prefill(bench *b);
int measure_sample(bench *b);
int measure_load(bench *b);
int measure_memory(bench *b);
int measure_encode(bench *b);
int measure_decode_text(bench *b);

/* The other end of measure_load and measure_memory: a fresh process that opens the model, evaluates
 * `n_tokens` tokens and prints when it was done, how long one more step takes, and its peak memory.
 */
int run_child(const bench *b, int32_t n_tokens);

#endif
