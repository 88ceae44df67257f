/* report.c - prints what was measured: JSON lines, or a table. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "support/json.h"

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

static void add_flag(buffer *json, const char *key, bool value)
{
  buffer_format(json, ",\"%s\":%s", key, value ? "true" : "false");
}

/* How this run was asked for, as far as the lines do not say. */
static void write_run(buffer *out, const bench *b)
{
  buffer_text(out, ",\"run\":{");
  add_text(out, "model", b->model_path.bytes);
  buffer_text(out, ",");
  add_text(out, "compute", name_of(compute_names, b->opening.compute));
  buffer_text(out, ",");
  add_text(out, "kv", b->opening.kv_type == GPT2_TYPE_F16 ? "f16" : "f32");
  add_flag(out, "prefault", b->opening.load_flags & GPT2_LOAD_PREFAULT);
  add_flag(out, "huge_pages", b->opening.load_flags & GPT2_LOAD_HUGE_PAGES);
  buffer_format(out, ",\"repeat\":%" PRId32, b->n_repeats);
  buffer_text(out, "}");
}

static void write_machine(buffer *out, const bench *b, const char *cpu, const gpt2_build *build)
{
  buffer_text(out, "{\"machine\":{");
  add_text(out, "cpu", cpu);
  buffer_format(out, ",\"cores\":%" PRId32 ",", build->n_cpus);
  add_text(out, "isa", build->instruction_sets);
  buffer_text(out, ",");
  add_text(out, "blas", build->blas);
  buffer_text(out, ",");
  add_text(out, "blas_core", *build->blas_core ? build->blas_core : NULL);
  add_number(out, "read_gb_s", median_value(&b->read_rates) / 1e9);
  add_number(out, "sgemm_gflop_s", median_value(&b->sgemm_rates) / 1e9);
  buffer_text(out, "}");
  write_run(out, b);
  buffer_text(out, "}\n");
}

static void write_heading(buffer *out, const bench *b, const char *cpu, const gpt2_build *build)
{
  buffer_format(out, "%s, %" PRId32 " cores; kernels %s, BLAS %s %s\n", cpu, build->n_cpus,
                build->instruction_sets, build->blas, build->blas_core);
  buffer_format(out, "%" PRId32 " threads read %.1f GB/s and multiply at %.0f GFLOP/s\n\n",
                b->n_threads, median_value(&b->read_rates) / 1e9,
                median_value(&b->sgemm_rates) / 1e9);
  buffer_format(out, "%-12s%-6s%8s%6s%9s%11s  %-10s%10s%7s\n", "what", "type", "threads", "rows",
                "context", "value", "unit", "limit", "share");
}

void report_machine(const bench *b)
{
  char cpu[128];
  gpt2_build build = {.struct_size = sizeof build};
  buffer out = {0};
  find_cpu_name(cpu, sizeof cpu);
  gpt2_build_info(&build, NULL);
  if (b->common.json)
    write_machine(&out, b, cpu, &build);
  else
    write_heading(&out, b, cpu, &build);
  output_buffer(&out);
  buffer_free(&out);
}

/* What there is to say about one measurement; NAN: nothing. */
typedef struct figures {
  double value, limit, share, ratio;
  bool compares; /* with an earlier run */
  double speedup, earlier_share;
} figures;

static figures figures_of(const bench *b, const report_line *line, const samples *measured)
{
  figures f = {.value = median_value(measured),
               .limit = median_limit(measured),
               .share = median_share(measured),
               .ratio = median_ratio(measured),
               .compares = b->earlier.n_lines > 0,
               .speedup = NAN,
               .earlier_share = NAN};
  const earlier_line *old = earlier_find(&b->earlier, line);
  if (old) {
    f.speedup = earlier_speedup(old, f.value);
    f.earlier_share = old->share;
  }
  return f;
}

static void write_json(buffer *out, const report_line *line, const figures *f)
{
  buffer_text(out, "{");
  add_text(out, "what", line->what);
  buffer_text(out, ",");
  add_text(out, "type", line->type);
  buffer_format(out, ",\"threads\":%" PRId32 ",\"rows\":%" PRId32 ",\"context\":%" PRId32,
                line->n_threads, line->n_rows, line->context);
  add_number(out, "value", f->value);
  buffer_text(out, ",");
  add_text(out, "unit", line->unit);
  add_number(out, "limit", f->limit);
  add_number(out, "share", f->share);
  add_number(out, "ratio_f32", f->ratio);
  if (f->compares) {
    add_number(out, "speedup", f->speedup);
    add_number(out, "earlier_share", f->earlier_share);
  }
  buffer_text(out, "}\n");
}

/* The columns that every line has; behind them, in words, what only some have. */
static void write_row(buffer *out, const report_line *line, const figures *f)
{
  buffer_format(out, "%-12s%-6s%8" PRId32 "%6" PRId32 "%9" PRId32 "%11.4g  %-10s", line->what,
                line->type ? line->type : "", line->n_threads, line->n_rows, line->context,
                f->value, line->unit);
  if (isfinite(f->limit))
    buffer_format(out, "%10.4g%6.0f%%", f->limit, f->share * 100);
  else if (f->compares)
    buffer_format(out, "%17s", "");
  if (isfinite(f->ratio) && strcmp(line->type, "f32") != 0)
    buffer_format(out, "  %.2fx f32 by sgemm", f->ratio);
  if (isfinite(f->speedup))
    buffer_format(out, "  %.2fx as good as before", f->speedup);
  if (isfinite(f->earlier_share))
    buffer_format(out, " (share then %.0f%%)", f->earlier_share * 100);
  while (out->bytes[out->size - 1] == ' ')
    out->size--;
  buffer_text(out, "\n");
}

void report(const bench *b, const report_line *line, const samples *measured)
{
  figures f = figures_of(b, line, measured);
  buffer out = {0};
  if (b->common.json)
    write_json(&out, line, &f);
  else
    write_row(&out, line, &f);
  output_buffer(&out);
  buffer_free(&out);
}
