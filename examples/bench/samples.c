/* samples.c - values measured in turn with what they are judged by. */
#include "bench/samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void add_sample(samples *s, double value, bound judge)
{
  s->values[s->n_samples] = value;
  s->bounds[s->n_samples] = judge;
  s->n_samples++;
}

static int compare(const void *a, const void *b)
{
  const double *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

double median(const double *values, int32_t n_values)
{
  double sorted[MAX_REPEATS];
  memcpy(sorted, values, (size_t)n_values * sizeof *values);
  qsort(sorted, (size_t)n_values, sizeof *sorted, compare);
  return (sorted[(n_values - 1) / 2] + sorted[n_values / 2]) / 2;
}

double median_value(const samples *s)
{
  return median(s->values, s->n_samples);
}

/* NAN when a sample has none. */
static double known(double judge)
{
  return judge > 0 ? judge : NAN;
}

double median_limit(const samples *s)
{
  double limits[MAX_REPEATS];
  for (int32_t i = 0; i < s->n_samples; i++)
    limits[i] = known(s->bounds[i].limit);
  return median(limits, s->n_samples);
}

double median_share(const samples *s)
{
  double shares[MAX_REPEATS];
  for (int32_t i = 0; i < s->n_samples; i++)
    shares[i] = known(s->bounds[i].limit) / s->values[i];
  return median(shares, s->n_samples);
}

double median_ratio(const samples *s)
{
  double ratios[MAX_REPEATS];
  for (int32_t i = 0; i < s->n_samples; i++)
    ratios[i] = known(s->bounds[i].reference) / s->values[i];
  return median(ratios, s->n_samples);
}
