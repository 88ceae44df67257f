/* bench.c - how fast the library is, beside how fast the machine lets it be.
 *
 * Shows: evaluation with gpt2_eval and gpt2_eval_batch, and the KV cache, under a clock; and what a
 * model can be loaded as. A speed says little by itself, so each stands beside a limit that is
 * measured at the same time: bench/model_speed.c and bench/prefill_speed.c have the formulas. */
#include <gpt2.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/accuracy.h"
#include "bench/bench.h"
#include "bench/blas_core.h"
#include "bench/options.h"
#include "support/model.h"
#include "support/program.h"
#include "support/progress.h"

typedef struct measurement {
  const char *name;
  int (*measure)(bench *b);
  bool once;     /* neither the weights' type nor the number of threads matters */
  bool by_sgemm; /* its limit is made of sgemm's rate */
} measurement;

static const measurement measurements[] = {
    {"read", measure_read, false, false},
    {"sgemm", measure_sgemm, false, false},
    {"decode", measure_decode, false, false},
    {"busy", measure_busy, false, false},
    {"batch", measure_batch, false, false},
    {"prefill", measure_prefill, false, true},
    {"generate", measure_generate, false, false},
    {"sample", measure_sample, true, false},
    {"load", measure_load, false, false},
    {"memory", measure_memory, false, false},
    {"encode", measure_encode, true, false},
    {"decode_text", measure_decode_text, true, false},
};

enum { N_MEASUREMENTS = sizeof measurements / sizeof *measurements };

/* What --what names; all without it. */
static void choose(const char *list, bool wanted[N_MEASUREMENTS])
{
  named_number names[N_MEASUREMENTS + 1] = {{NULL, 0}};
  for (int i = 0; i < N_MEASUREMENTS; i++) {
    names[i] = (named_number){measurements[i].name, i};
    wanted[i] = !list;
  }
  number_list chosen = list ? option_names("--what", list, names) : (number_list){0};
  for (int32_t i = 0; i < chosen.n_values; i++)
    wanted[chosen.values[i]] = true;
}

/* A run through all types, numbers of threads and measurements. */
typedef struct run {
  bench *bench;
  const settings *settings;
  const bool *wanted; /* (N_MEASUREMENTS) */
  bool started;       /* something has been measured */
  progress bar;
  size_t n_done, n_in_all; /* measurements */
} run;

/* Makes a context with as many threads, and has as many of our own measure the machine. */
static int use_threads(bench *b, int32_t n_threads)
{
  int status = subject_context(&b->opening, b->model, n_threads, 0, &b->context);
  if (status != EXIT_DONE)
    return status;
  b->n_threads = gpt2_context_threads(b->context);
  b->threads = team_new(b->n_threads);
  if (!b->threads)
    return program_fail("the system refuses %" PRId32 " threads; choose fewer by --threads",
                        b->n_threads);
  read_probe_use(&b->reader, b->threads);
  products_use(&b->products, b->threads, b->n_threads);
  return program_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

static void leave_threads(bench *b)
{
  program_watch(NULL);
  gpt2_context_free(b->context);
  team_free(b->threads);
  b->context = NULL;
  b->threads = NULL;
}

/* What is to be known before the first measurement. */
static void introduce(const run *r)
{
  bool by_sgemm = false;
  for (int i = 0; i < N_MEASUREMENTS; i++)
    by_sgemm = by_sgemm || (r->wanted[i] && measurements[i].by_sgemm);
  if (by_sgemm)
    warn_of_old_blas_kernels();
  report_machine(r->bench);
}

static int measure_all(run *r)
{
  bench *b = r->bench;
  int status = EXIT_DONE;
  measure_rates(b);
  if (!r->started)
    introduce(r);
  for (int i = 0; i < N_MEASUREMENTS && status == EXIT_DONE && !output_failed(); i++) {
    if (r->wanted[i] && !(measurements[i].once && r->started))
      status = measurements[i].measure(b);
    progress_update(&r->bar, ++r->n_done, r->n_in_all);
  }
  r->started = true;
  return status;
}

/* Opens the model in one type, and makes a buffer like its weights. */
static int use_type(bench *b, int32_t type)
{
  b->type = type;
  int status = subject_load(&b->opening, b->model_path.bytes, type, 0, &b->model, &b->info);
  if (status != EXIT_DONE)
    return status;
  b->kv_token_size = subject_kv_size(&b->opening, &b->info);
  status = read_probe_new(&b->reader, b->model_path.bytes, b->info.mapped_size,
                          b->info.allocated_size, b->opening.load_flags & GPT2_LOAD_HUGE_PAGES);
  if (status == EXIT_DONE && !b->products.weights)
    status = products_new(&b->products, &b->info);
  return status;
}

static void leave_type(bench *b)
{
  read_probe_free(&b->reader);
  gpt2_model_free(b->model);
  b->model = NULL;
}

static int measure_type(run *r, int32_t type)
{
  const number_list *counts = &r->settings->thread_counts;
  int status = use_type(r->bench, type);
  for (int32_t i = 0; i < counts->n_values && status == EXIT_DONE && !output_failed(); i++) {
    status = use_threads(r->bench, counts->values[i]);
    if (status == EXIT_DONE)
      status = measure_all(r);
    leave_threads(r->bench);
  }
  leave_type(r->bench);
  return status;
}

/* One model is open at a time. */
static int measure_types(bench *b, const settings *s, const bool *wanted)
{
  run r = {.bench = b, .settings = s, .wanted = wanted};
  int status = EXIT_DONE;
  r.n_in_all =
      (size_t)s->types.n_values * (size_t)s->thread_counts.n_values * (size_t)N_MEASUREMENTS;
  if (s->compare_path)
    status = earlier_read(&b->earlier, s->compare_path);
  progress_start(&r.bar, true);
  for (int32_t i = 0; i < s->types.n_values && status == EXIT_DONE && !output_failed(); i++)
    status = measure_type(&r, s->types.values[i]);
  progress_end(&r.bar);
  products_free(&b->products);
  earlier_free(&b->earlier);
  return status;
}

/* What the first of each list is to be measured as, by the process that started this one. */
static int be_child(bench *b, const settings *s)
{
  b->type = s->types.values[0];
  b->n_threads = s->thread_counts.values[0];
  return run_child(b, s->n_child_tokens);
}

int main(int argc, char **argv)
{
  static bench b;
  settings s = {0};
  bool wanted[N_MEASUREMENTS];

  program_start(argv, "gpt2-bench");
  read_options(argc, argv, &s, &b);
  choose(s.what, wanted);
  int status = find_model(&b.common, &b.model_path);
  if (status == EXIT_DONE)
    status = s.n_child_tokens ? be_child(&b, &s)
             : s.accuracy_path
                 ? measure_accuracy(&b, &s.types, s.thread_counts.values[0], s.accuracy_path)
                 : measure_types(&b, &s, wanted);
  buffer_free(&b.model_path);
  return program_end(status);
}
