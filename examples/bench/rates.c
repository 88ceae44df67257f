/* rates.c - the machine's own rates, which the limits are made of: reading, and multiplying. */
#include "bench/bench.h"
#include "support/program.h"

static void report_rate(const bench *b, const char *what, const char *type, const char *unit,
                        const samples *rates)
{
  samples scaled = {.n_samples = rates->n_samples};
  for (int32_t i = 0; i < rates->n_samples; i++)
    scaled.values[i] = rates->values[i] / 1e9;
  report(b, &(report_line){.what = what, .type = type, .unit = unit, .n_threads = b->n_threads},
         &scaled);
}

int measure_read(bench *b)
{
  report_rate(b, "read", b->info.weights_type, "GB/s", &b->read_rates);
  return EXIT_DONE;
}

int measure_sgemm(bench *b)
{
  report_rate(b, "sgemm", NULL, "GFLOP/s", &b->sgemm_rates);
  return EXIT_DONE;
}

void measure_rates(bench *b)
{
  b->read_rates.n_samples = b->sgemm_rates.n_samples = 0;
  for (int32_t i = 0; i < b->n_repeats; i++) {
    add_sample(&b->read_rates, read_probe_rate(&b->reader), (bound){0});
    add_sample(&b->sgemm_rates, products_peak(&b->products), (bound){0});
  }
}
