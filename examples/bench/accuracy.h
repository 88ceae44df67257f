/* accuracy.h - what an element type, or the arithmetic, costs in accuracy. */
#ifndef BENCH_ACCURACY_H
#define BENCH_ACCURACY_H

#include "bench/bench.h"

/* Compares the model in each of the types with itself in f32 and exact arithmetic, over the text in
 * a file, and reports a line for each. EXIT_DONE, or another status after a message. */
int measure_accuracy(bench *b, const number_list *types, int32_t n_threads, const char *path);

#endif
