/* bench.c - how fast the library is, beside how fast the machine lets it be.
 *
 * Shows: evaluation with gpt2_eval and gpt2_eval_batch, and the KV cache, under a clock. A speed
 * says little by itself, so each stands beside a limit that is measured at the same time:
 * bench/model_speed.c has the formulas. */
#include <gpt2.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "support/model.h"
#include "support/program.h"

static const char help[] =
    "Usage: gpt2-bench [options]\n"
    "Measures the library on this machine: a table, or with --json a line for the\n"
    "machine and one for each measurement. `limit` is what the machine allows, where\n"
    "that can be told; `share` is the part of it that was reached.\n"
    "\n"
    "      --what LIST       what to measure, separated by commas: decode, batch,\n"
    "                        prefill, sample, load, memory, encode, decode_text (all)\n"
    "      --repeat N        measurements of each; medians are printed (7)\n"
    "      --quick           only the first size of each, and 3 times\n"
    "      --text FILE       a text to encode instead of invented sentences\n";

typedef struct measurement {
  const char *name;
  int (*measure)(bench *b);
} measurement;

static const measurement measurements[] = {
    {"decode", measure_decode},   {"batch", measure_batch},
    {"prefill", measure_prefill}, {"sample", measure_sample},
    {"load", measure_load},       {"memory", measure_memory},
    {"encode", measure_encode},   {"decode_text", measure_decode_text},
};

enum { N_MEASUREMENTS = sizeof measurements / sizeof *measurements };

typedef struct settings {
  bool wanted[N_MEASUREMENTS];
  bool chosen;            /* --what was given */
  int32_t n_repeats;      /* 0: not given */
  int32_t n_child_tokens; /* this is the process that another one measures; 0: it is not */
} settings;

static int find_measurement(const char *name, size_t size)
{
  for (int i = 0; i < N_MEASUREMENTS; i++)
    if (strlen(measurements[i].name) == size && memcmp(measurements[i].name, name, size) == 0)
      return i;
  return -1;
}

static void choose(settings *s, const char *list)
{
  s->chosen = true;
  for (const char *name = list; name; name = strchr(name, ',') ? strchr(name, ',') + 1 : NULL) {
    size_t size = strcspn(name, ",");
    int found = find_measurement(name, size);
    if (found < 0)
      program_usage_error("--what: \"%.*s\" is not something to measure; --help names what is",
                          (int)size, name);
    s->wanted[found] = true;
  }
}

enum { WHAT = OPTION_OWN, REPEAT, QUICK, TEXT, CHILD };

static void take_option(int option, settings *s, bench *b)
{
  switch (option) {
  case WHAT:
    choose(s, optarg);
    break;
  case REPEAT:
    s->n_repeats = option_integer("--repeat", optarg, 1, MAX_REPEATS);
    break;
  case QUICK:
    b->quick = true;
    break;
  case TEXT:
    b->text_path = optarg;
    break;
  case CHILD:
    s->n_child_tokens = option_integer("--child", optarg, 1, INT32_MAX);
    break;
  default:
    common_option(&b->common, option, help);
  }
}

static void read_options(int argc, char **argv, settings *s, bench *b)
{
  static const struct option options[] = {{"what", required_argument, NULL, WHAT},
                                          {"repeat", required_argument, NULL, REPEAT},
                                          {"quick", no_argument, NULL, QUICK},
                                          {"text", required_argument, NULL, TEXT},
                                          {"child", required_argument, NULL, CHILD},
                                          COMMON_LONG_OPTIONS,
                                          {0}};
  int option;
  while ((option = getopt_long(argc, argv, COMMON_SHORT_OPTIONS, options, NULL)) != -1)
    take_option(option, s, b);
  no_operand(argc, argv);
  b->n_repeats = s->n_repeats ? s->n_repeats : b->quick ? 3 : 7;
}

/* Opens the model, and makes what it is judged by: as many threads, a buffer like its weights, its
 * products. */
static int prepare(bench *b)
{
  int status = find_model(&b->common, &b->model_path);
  if (status == EXIT_DONE)
    status = open_context(&b->common, &b->model, &b->context);
  if (status != EXIT_DONE)
    return status;
  gpt2_error error = {.struct_size = sizeof error};
  b->info.struct_size = sizeof b->info;
  if (gpt2_model_info(b->model, &b->info, &error) != GPT2_OK)
    return program_fail_error(&error);
  b->n_threads = gpt2_context_threads(b->context);
  b->threads = team_new(b->n_threads);
  if (!b->threads)
    return program_fail("the system refuses %" PRId32 " threads; choose fewer by --threads",
                        b->n_threads);
  status = read_probe_new(&b->reader, b->threads, b->model_path.bytes, b->info.mapped_size,
                          b->info.allocated_size);
  if (status == EXIT_DONE)
    status = products_new(&b->products, b->threads, b->n_threads, &b->info);
  return status;
}

static void measure_machine(bench *b)
{
  samples reading = {0}, multiplying = {0};
  products_peak(&b->products);
  for (int32_t i = 0; i < b->n_repeats; i++) {
    add_sample(&reading, read_probe_rate(&b->reader), 0);
    add_sample(&multiplying, products_peak(&b->products), 0);
  }
  report_machine(b, median(reading.values, reading.n_samples),
                 median(multiplying.values, multiplying.n_samples));
}

static int measure_all(bench *b, const settings *s)
{
  int status = prepare(b);
  if (status != EXIT_DONE)
    return status;
  measure_machine(b);
  for (int i = 0; i < N_MEASUREMENTS && status == EXIT_DONE && !output_failed(); i++)
    if (!s->chosen || s->wanted[i])
      status = measurements[i].measure(b);
  return status;
}

static void clean_up(bench *b)
{
  products_free(&b->products);
  read_probe_free(&b->reader);
  team_free(b->threads);
  close_context(b->model, b->context);
  buffer_free(&b->model_path);
}

int main(int argc, char **argv)
{
  bench b = {0};
  settings s = {0};

  program_start(argv, "gpt2-bench");
  read_options(argc, argv, &s, &b);
  int status = s.n_child_tokens ? run_child(&b, s.n_child_tokens) : measure_all(&b, &s);
  clean_up(&b);
  return program_end(status);
}
