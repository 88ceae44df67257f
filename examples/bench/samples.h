/* samples.h - values measured in turn with what they are judged by. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stdint.h>

enum { MAX_REPEATS = 1000 };

/* What a value is judged by, in the unit of the value; 0: nothing. */
typedef struct bound {
  double limit;     /* what the machine allows */
  double reference; /* what f32 would take by sgemm alone */
} bound;

typedef struct samples {
  double values[MAX_REPEATS];
  bound bounds[MAX_REPEATS];
  int32_t n_samples;
} samples;

void add_sample(samples *s, double value, bound judge);

/* Medians: of what was measured; of what was allowed; of the part of it that was reached, pair by
 * pair; of how many times as fast as the reference it was. NAN where there was no bound. */
double median_value(const samples *s);
double median_limit(const samples *s);
double median_share(const samples *s);
double median_ratio(const samples *s);

double median(const double *values, int32_t n_values);

#endif
