/* bench_report.h - reads what gpt2-bench writes. */
#ifndef TESTS_PROGRAMS_BENCH_REPORT_H
#define TESTS_PROGRAMS_BENCH_REPORT_H

#include <stdbool.h>

#include "programs/run.h"

/* It succeeded, and said nothing on standard error but, perhaps, that BLAS is older than the
 * processor. */
void assert_success(const outcome *o);

/* Takes the next line, a JSON object, off `text`; json_decref it. */
json_t *next_line(char **text);

/* The line that describes the machine; is freed. */
void expect_machine(json_t *line);

/* A line of these words and numbers. */
typedef struct expected_line {
  const char *what;
  const char *type; /* NULL: null */
  int threads, rows, context;
  const char *unit;
  bool has_limit, has_ratio;
} expected_line;

/* Fails the test unless the next line is so and has a plausible value, limit and share. */
void expect_line(char **text, expected_line expected);

#endif
