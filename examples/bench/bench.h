/* bench.h - what the measurements of gpt2-bench share, and how they report. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <gpt2.h>

#include "bench/earlier.h"
#include "bench/lists.h"
#include "bench/products.h"
#include "bench/read_rate.h"
#include "bench/samples.h"
#include "bench/subject.h"
#include "bench/team.h"
#include "support/options.h"
#include "support/output.h"

/* The options, and what is measured at the moment: a model in one type, with one number of threads,
 * and beside it what it is judged by. */
typedef struct bench {
  common_options common;
  subject_options opening;
  const char *text_path; /* a text to encode; NULL: one of our own */
  bool quick;            /* only the first size of each measurement */
  int32_t n_repeats;
  buffer model_path; /* ends with NUL */
  earlier_run earlier;
  int32_t type; /* GPT2_TYPE_..., as asked for */
  gpt2_model *model;
  gpt2_context *context;
  gpt2_info info;
  double kv_token_size; /* bytes of keys and values of one token */
  int32_t n_threads;    /* of the context */
  team *threads;        /* as many of our own */
  read_probe reader;
  products products;
  samples read_rates, sgemm_rates; /* bytes, and operations, a second */
} bench;

/* One line of the report. */
typedef struct report_line {
  const char *what;
  const char *type; /* of the weights; NULL where none are involved */
  const char *unit;
  int32_t n_threads;
  int32_t n_rows;  /* tokens, or sequences, that are evaluated at once */
  int32_t context; /* tokens that were there before */
} report_line;

/* Prints the machine, and then the lines: JSON, or a table. */
void report_machine(const bench *b);
void report(const bench *b, const report_line *line, const samples *measured);

/* Seconds: of what is measured, and of what it is judged by. EXIT_DONE, or another status after a
 * message. */
typedef int (*timed_work)(bench *b, void *data, double *seconds);
typedef int (*timed_bound)(bench *b, void *data, bound *seconds);

/* Measures work and bound in turn, each piece of work between two bounds whose mean it is judged
 * by: what the machine was busy with then slowed both. The samples are the seconds times `scale`.
 */
int measure_in_turn(bench *b, timed_work work, timed_bound judge, void *data, double scale,
                    samples *measured);

/* Seconds of one more token for each of n sequences after `context` tokens: the mean of as many
 * times as last `at_least` seconds. */
int time_steps(bench *b, int32_t n_sequences, int32_t context, double at_least, double *seconds);

/* A context's failure, told to the user. */
int context_failed(const bench *b);

/* Measures the machine's rates again and again; measure_read and measure_sgemm report them. */
void measure_rates(bench *b);

/* The measurements. EXIT_DONE, or another status after a message. */
int measure_read(bench *b);
int measure_sgemm(bench *b);
int measure_decode(bench *b);
int measure_busy(bench *b);
int measure_batch(bench *b);
int measure_prefill(bench *b);
int measure_generate(bench *b);
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
