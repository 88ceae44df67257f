/* accuracy_report.c - sums up what was found at every position, and prints it. */
#include "bench/accuracy_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/json.h"
#include "support/program.h"

typedef struct summary {
  double mean, percentile, greatest; /* of the divergences: nats; the 99th in a hundred */
  double same_best;                  /* part of the positions, 0 to 1 */
  double perplexity, reference_perplexity;
} summary;

static int compare(const void *a, const void *b)
{
  const double *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

/* The mean, and where those below are 99 in a hundred (the nearest rank). */
static int sum_up_divergences(summary *s, const verdict *verdicts, size_t n)
{
  double *sorted = malloc(n * sizeof *sorted), sum = 0;
  if (!sorted)
    return program_fail("out of memory for %zu positions", n);
  for (size_t i = 0; i < n; i++)
    sum += sorted[i] = verdicts[i].divergence;
  qsort(sorted, n, sizeof *sorted, compare);
  s->mean = sum / (double)n;
  s->percentile = sorted[(n * 99 + 99) / 100 - 1];
  s->greatest = sorted[n - 1];
  free(sorted);
  return EXIT_DONE;
}

static void sum_up_losses(summary *s, const verdict *verdicts, size_t n)
{
  double loss = 0, reference_loss = 0, n_same = 0;
  for (size_t i = 0; i < n; i++) {
    loss += verdicts[i].loss;
    reference_loss += verdicts[i].reference_loss;
    n_same += verdicts[i].same_best;
  }
  s->perplexity = exp(loss / (double)(n - 1));
  s->reference_perplexity = exp(reference_loss / (double)(n - 1));
  s->same_best = n_same / (double)n;
}

static const char *compute_of(const gpt2_info *info)
{
  const char *name = name_of(compute_names, info->compute);
  return name ? name : "unknown";
}

static const char *kv_of(const bench *b)
{
  return b->opening.kv_type == GPT2_TYPE_F16 ? "f16" : "f32";
}

static void add_number(buffer *json, const char *key, double value)
{
  buffer_format(json, ",\"%s\":", key);
  write_double(json, value);
}

static void write_json(buffer *out, const bench *b, const gpt2_info *info, const summary *s,
                       size_t n)
{
  buffer_text(out, "{\"accuracy\":{\"type\":");
  write_string(out, info->weights_type, strlen(info->weights_type));
  buffer_format(out, ",\"compute\":\"%s\",\"kv\":\"%s\",\"tokens\":%zu", compute_of(info), kv_of(b),
                n);
  add_number(out, "kl_mean", s->mean);
  add_number(out, "kl_p99", s->percentile);
  add_number(out, "kl_max", s->greatest);
  add_number(out, "same_top", s->same_best);
  add_number(out, "perplexity", s->perplexity);
  add_number(out, "perplexity_f32", s->reference_perplexity);
  buffer_text(out, "}}\n");
}

static void write_row(buffer *out, const bench *b, const gpt2_info *info, const summary *s,
                      size_t n)
{
  buffer_format(out, "%-6s%-8s%-4s%9zu%12.3g%12.3g%12.3g%9.2f%%%13.6g%13.6g\n", info->weights_type,
                compute_of(info), kv_of(b), n, s->mean, s->percentile, s->greatest,
                s->same_best * 100, s->perplexity, s->reference_perplexity);
}

void report_accuracy_heading(const bench *b)
{
  buffer out = {0};
  if (!b->common.json)
    buffer_format(&out, "%-6s%-8s%-4s%9s%12s%12s%12s%10s%13s%13s\n", "type", "compute", "kv",
                  "tokens", "mean KL", "99% KL", "max KL", "same top", "perplexity", "of f32");
  output_buffer(&out);
  buffer_free(&out);
}

int report_accuracy(const bench *b, const gpt2_info *info, const verdict *verdicts,
                    size_t n_positions)
{
  summary s = {0};
  buffer out = {0};
  int status = sum_up_divergences(&s, verdicts, n_positions);
  if (status != EXIT_DONE)
    return status;
  sum_up_losses(&s, verdicts, n_positions);
  if (b->common.json)
    write_json(&out, b, info, &s, n_positions);
  else
    write_row(&out, b, info, &s, n_positions);
  output_buffer(&out);
  buffer_free(&out);
  return EXIT_DONE;
}
