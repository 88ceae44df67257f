/* earlier.h - what an earlier run of gpt2-bench --json measured. */
#ifndef BENCH_EARLIER_H
#define BENCH_EARLIER_H

#include <stddef.h>
#include <stdint.h>

struct report_line;

/* One measurement of it. */
typedef struct earlier_line {
  char *what, *type, *unit; /* type: NULL where no weights are involved */
  int32_t n_threads, n_rows, context;
  double value;
  double share; /* NAN: none */
} earlier_line;

typedef struct earlier_run {
  earlier_line *lines; /* (n_lines) */
  size_t n_lines;
} earlier_run;

/* Reads the file. EXIT_DONE, or EXIT_FAILED after a message that names the file and the line. */
int earlier_read(earlier_run *run, const char *path);
void earlier_free(earlier_run *run);

/* What it measured at the same place: `what`, type, threads, rows and context alike. Of several the
 * last; NULL: nothing. */
const earlier_line *earlier_find(const earlier_run *run, const struct report_line *line);

/* How many times as fast (or as small) `value` is: more is better, whatever the unit. */
double earlier_speedup(const earlier_line *old, double value);

#endif
