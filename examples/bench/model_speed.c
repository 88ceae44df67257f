/* model_speed.c - how fast single tokens are evaluated: decode, batch, and decode beside a busy
 * core.
 *
 * The limit of decode and batch is the weights and the cache that must be read, at the rate at
 * which a buffer like the weights is read; that of a busy machine, what it does when it is idle. */
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/spinner.h"
#include "support/program.h"
#include "support/progress.h"

/* Seconds of evaluation that are worth timing: several times what the system gives a thread before
 * the next one, where threads share a core. */
static const double shortest = 0.02, shortest_when_busy = 0.25;

enum { MAX_BATCH = 32 };

int context_failed(const bench *b)
{
  return program_fail_error(gpt2_context_error(b->context));
}

/* Makes every sequence `length` tokens long. */
static int set_length(bench *b, int32_t n_sequences, int32_t length)
{
  gpt2_status status = GPT2_OK;
  for (int32_t i = 0; i < n_sequences && status == GPT2_OK; i++) {
    int32_t have = (int32_t)gpt2_kv_length(b->context, i);
    if (have > length) {
      status = gpt2_kv_truncate(b->context, i, (size_t)length);
    } else if (have < length) {
      gpt2_token *tokens = calloc((size_t)(length - have), sizeof *tokens);
      if (!tokens)
        return program_fail("out of memory for %d tokens", (int)length);
      status = gpt2_eval(b->context, i, tokens, (size_t)(length - have), 0);
      free(tokens);
    }
  }
  return status == GPT2_OK ? EXIT_DONE : context_failed(b);
}

int time_steps(bench *b, int32_t n_sequences, int32_t context, double at_least, double *seconds)
{
  gpt2_row rows[MAX_BATCH];
  for (int32_t i = 0; i < n_sequences; i++)
    rows[i] = (gpt2_row){.sequence = i};
  double spent = 0;
  int n_steps = -1; /* the first one warms caches that something else had */
  for (; spent < at_least; n_steps++) {
    int status = set_length(b, n_sequences, context);
    if (status != EXIT_DONE)
      return status;
    double start = clock_seconds();
    if (gpt2_eval_batch(b->context, rows, (size_t)n_sequences) != GPT2_OK)
      return context_failed(b);
    if (n_steps >= 0)
      spent += clock_seconds() - start;
  }
  *seconds = spent / n_steps;
  return EXIT_DONE;
}

int measure_in_turn(bench *b, timed_work work, timed_bound judge, void *data, double scale,
                    samples *measured)
{
  bound before = {0}, after = {0};
  double seconds = 0;
  int status = work(b, data, &seconds); /* the first time memory grows and caches are cold */
  if (status == EXIT_DONE)
    status = judge(b, data, &before);
  for (int32_t i = 0; i < b->n_repeats && status == EXIT_DONE; i++, before = after) {
    status = work(b, data, &seconds);
    if (status == EXIT_DONE)
      status = judge(b, data, &after);
    if (program_interrupted())
      return EXIT_INTERRUPTED;
    bound mean = {(before.limit + after.limit) / 2 * scale,
                  (before.reference + after.reference) / 2 * scale};
    add_sample(measured, seconds * scale, mean);
  }
  return status;
}

/* Steps of so many sequences, so many tokens long. */
typedef struct steps {
  int32_t n_sequences, context;
} steps;

static int time_work(bench *b, void *data, double *seconds)
{
  const steps *s = data;
  return time_steps(b, s->n_sequences, s->context, shortest, seconds);
}

/* Bytes of keys and values that are read, or written. */
static double cache_size(const bench *b, const steps *s)
{
  return b->kv_token_size * s->n_sequences * (s->context + 1);
}

/* What must be read, by a machine that does nothing else. */
static int bound_by_reading(bench *b, void *data, bound *seconds)
{
  double size = (double)b->info.weights_size + cache_size(b, data);
  seconds->limit = size / read_probe_rate(&b->reader);
  return EXIT_DONE;
}

static int measure_steps(bench *b, const char *what, steps s)
{
  samples measured = {0};
  int status = read_probe_set_cache(&b->reader, (uint64_t)cache_size(b, &s));
  if (status == EXIT_DONE)
    status = measure_in_turn(b, time_work, bound_by_reading, &s, 1e3 / s.n_sequences, &measured);
  if (status == EXIT_DONE)
    report(b,
           &(report_line){.what = what,
                          .type = b->info.weights_type,
                          .unit = "ms/token",
                          .n_threads = b->n_threads,
                          .n_rows = s.n_sequences,
                          .context = s.context},
           &measured);
  gpt2_kv_clear(b->context);
  read_probe_set_cache(&b->reader, 0);
  return status;
}

int measure_decode(bench *b)
{
  const int32_t contexts[] = {0, b->info.n_ctx / 2, b->info.n_ctx - 1};
  int status = EXIT_DONE;
  for (int i = 0; i < (b->quick ? 1 : 3) && status == EXIT_DONE; i++)
    if (i == 0 || contexts[i] > contexts[i - 1])
      status = measure_steps(b, "decode", (steps){1, contexts[i]});
  return status;
}

int measure_batch(bench *b)
{
  static const int32_t all[] = {1, 2, 4, 8, 16, MAX_BATCH}, some[] = {8};
  const int32_t *sizes = b->quick ? some : all;
  int status = EXIT_DONE;
  for (int i = 0; i < (b->quick ? 1 : 6) && status == EXIT_DONE; i++)
    status = measure_steps(b, "batch", (steps){sizes[i], 0});
  return status;
}

static int time_beside_spinner(bench *b, void *data, double *seconds)
{
  (void)data;
  spinner *busy = spinner_start();
  if (!busy)
    return program_fail("the system refuses one more thread, to keep a core busy");
  int status = time_steps(b, 1, 0, shortest_when_busy, seconds);
  spinner_stop(busy);
  return status;
}

static int time_idle(bench *b, void *data, bound *seconds)
{
  (void)data;
  return time_steps(b, 1, 0, shortest_when_busy, &seconds->limit);
}

int measure_busy(bench *b)
{
  samples measured = {0};
  int status = measure_in_turn(b, time_beside_spinner, time_idle, NULL, 1e3, &measured);
  if (status == EXIT_DONE)
    report(b,
           &(report_line){.what = "busy",
                          .type = b->info.weights_type,
                          .unit = "ms/token",
                          .n_threads = b->n_threads,
                          .n_rows = 1},
           &measured);
  gpt2_kv_clear(b->context);
  return status;
}
