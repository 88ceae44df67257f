/* accuracy_report.h - sums up what was found at every position, and prints it. */
#ifndef BENCH_ACCURACY_REPORT_H
#define BENCH_ACCURACY_REPORT_H

#include "bench/bench.h"
#include "bench/divergence.h"

/* The table's first line; nothing for JSON. */
void report_accuracy_heading(const bench *b);

/* One line. `info` is that of the model that was compared with the exact one; `verdicts`
 * (n_positions) are those of a text: only the last has no token that came after it. EXIT_DONE, or
 * EXIT_FAILED after a message. */
int report_accuracy(const bench *b, const gpt2_info *info, const verdict *verdicts,
                    size_t n_positions);

#endif
