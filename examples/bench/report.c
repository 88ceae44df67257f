/* report.c - prints what was measured: JSON lines, or a table. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "support/json.h"

void add_sample(samples *s, double value, double limit)
{
  s->values[s->n_samples] = value;
  s->limits[s->n_samples] = limit;
  s->has_limits = limit > 0;
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

static double median_share(const samples *s)
{
  double shares[MAX_REPEATS];
  for (int32_t i = 0; i < s->n_samples; i++)
    shares[i] = s->limits[i] / s->values[i];
  return median(shares, s->n_samples);
}

/* What the system calls its processor; "unknown" where it does not say. */
static void find_cpu_name(char *name, size_t capacity)
{
  char line[256];
  snprintf(name, capacity, "unknown");
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon)
      continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(name, capacity, "%s", colon + 1 + strspn(colon + 1, " "));
    break;
  }
  if (file)
    fclose(file);
}

static void add_text(buffer *json, const char *key, const char *value)
{
  buffer_format(json, "\"%s\":", key);
  if (value)
    write_string(json, value, strlen(value));
  else
    buffer_text(json, "null");
}

/* Two digits behind the point say all that such a measurement can; small values get more. */
static void add_number(buffer *json, const char *key, double value)
{
  char rounded[32];
  snprintf(rounded, sizeof rounded, "%.4g", value);
  buffer_format(json, ",\"%s\":", key);
  write_double(json, isfinite(value) ? strtod(rounded, NULL) : value);
}

void report_machine(const bench *b, double read_rate, double sgemm_rate)
{
  char cpu[128];
  gpt2_build build = {.struct_size = sizeof build};
  buffer out = {0};
  find_cpu_name(cpu, sizeof cpu);
  gpt2_build_info(&build, NULL);
  if (b->common.json) {
    buffer_text(&out, "{\"machine\":{");
    add_text(&out, "cpu", cpu);
    buffer_format(&out, ",\"cores\":%" PRId32 ",", build.n_cpus);
    add_text(&out, "isa", build.instruction_sets);
    buffer_text(&out, ",");
    add_text(&out, "blas", build.blas);
    buffer_text(&out, ",");
    add_text(&out, "blas_core", *build.blas_core ? build.blas_core : NULL);
    add_number(&out, "read_gb_s", read_rate / 1e9);
    add_number(&out, "sgemm_gflop_s", sgemm_rate / 1e9);
    buffer_text(&out, "}}\n");
  } else {
    buffer_format(&out, "%s, %" PRId32 " cores; kernels %s, BLAS %s %s\n", cpu, build.n_cpus,
                  build.instruction_sets, build.blas, build.blas_core);
    buffer_format(&out, "%" PRId32 " threads read %.1f GB/s and multiply at %.0f GFLOP/s\n\n",
                  b->n_threads, read_rate / 1e9, sgemm_rate / 1e9);
    buffer_format(&out, "%-12s%-6s%8s%6s%9s%11s  %-10s%10s%7s\n", "what", "type", "threads", "rows",
                  "context", "value", "unit", "limit", "share");
  }
  output_buffer(&out);
  buffer_free(&out);
}

static void write_json(buffer *out, const report_line *line, double value, double limit,
                       double share)
{
  buffer_text(out, "{");
  add_text(out, "what", line->what);
  buffer_text(out, ",");
  add_text(out, "type", line->type);
  buffer_format(out, ",\"threads\":%" PRId32 ",\"rows\":%" PRId32 ",\"context\":%" PRId32,
                line->n_threads, line->n_rows, line->context);
  add_number(out, "value", value);
  buffer_text(out, ",");
  add_text(out, "unit", line->unit);
  add_number(out, "limit", limit);
  add_number(out, "share", share);
  buffer_text(out, "}\n");
}

static void write_row(buffer *out, const report_line *line, double value, double limit,
                      double share)
{
  buffer_format(out, "%-12s%-6s%8" PRId32 "%6" PRId32 "%9" PRId32 "%11.4g  %-10s", line->what,
                line->type ? line->type : "", line->n_threads, line->n_rows, line->context, value,
                line->unit);
  if (isfinite(limit))
    buffer_format(out, "%10.4g%6.0f%%", limit, share * 100);
  buffer_text(out, "\n");
}

void report(const bench *b, const report_line *line, const samples *measured)
{
  double value = median(measured->values, measured->n_samples);
  double limit = measured->has_limits ? median(measured->limits, measured->n_samples) : NAN;
  double share = measured->has_limits ? median_share(measured) : NAN;
  buffer out = {0};
  if (b->common.json)
    write_json(&out, line, value, limit, share);
  else
    write_row(&out, line, value, limit, share);
  output_buffer(&out);
  buffer_free(&out);
}
