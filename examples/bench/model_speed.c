/* model_speed.c - how fast the model is evaluated: decode, batch, prefill; and how fast tokens are
 * drawn.
 *
 * Every repetition measures the limit and then what it judges, so that a busy machine slows both.
 * The limit of decode and batch is the weights and the cache that must be read, at the rate at
 * which a buffer like the weights is read; that of prefill the blocks' products by bare sgemm, the
 * causal half of attention at their rate, and the unembedding of the last row at the read rate. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "support/program.h"
#include "support/progress.h"

static const double shortest = 0.02; /* seconds of evaluation that are worth timing */

enum { N_BATCH = 8 };

static int failed(const bench *b)
{
  return program_fail_error(gpt2_context_error(b->context));
}

/* OpenBLAS's threads go on spinning for a while after a product; what is measured next should not
 * feel it. */
static void rest(void)
{
  struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
  nanosleep(&pause, NULL);
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
  return status == GPT2_OK ? EXIT_DONE : failed(b);
}

/* One more token for each of n sequences after `context` tokens, several times; the seconds of one
 * time. */
static int time_steps(bench *b, int32_t n_sequences, int32_t context, double *seconds)
{
  gpt2_row rows[N_BATCH];
  for (int32_t i = 0; i < n_sequences; i++)
    rows[i] = (gpt2_row){.sequence = i};
  double spent = 0;
  int n_steps = -1; /* the first one warms caches that something else had */
  for (; spent < shortest; n_steps++) {
    int status = set_length(b, n_sequences, context);
    if (status != EXIT_DONE)
      return status;
    double start = clock_seconds();
    if (gpt2_eval_batch(b->context, rows, (size_t)n_sequences) != GPT2_OK)
      return failed(b);
    if (n_steps >= 0)
      spent += clock_seconds() - start;
  }
  *seconds = spent / n_steps;
  return EXIT_DONE;
}

static int measure_steps(bench *b, const char *what, int32_t n_sequences, int32_t context)
{
  samples measured = {0};
  double kv_tokens = (double)n_sequences * (context + 1);
  double size = (double)b->info.weights_size + (double)b->info.kv_token_size * kv_tokens;
  double seconds = 0;
  for (int32_t i = 0; i < b->n_repeats; i++) {
    double rate = read_probe_rate(&b->reader);
    int status = time_steps(b, n_sequences, context, &seconds);
    if (status != EXIT_DONE)
      return status;
    add_sample(&measured, seconds / n_sequences * 1e3, size / rate / n_sequences * 1e3);
  }
  report(b,
         &(report_line){.what = what,
                        .type = b->info.weights_type,
                        .unit = "ms/token",
                        .n_threads = b->n_threads,
                        .n_rows = n_sequences,
                        .context = context},
         &measured);
  gpt2_kv_clear(b->context);
  return EXIT_DONE;
}

int measure_decode(bench *b)
{
  const int32_t contexts[] = {0, b->info.n_ctx / 2, b->info.n_ctx - 1};
  int status = EXIT_DONE;
  for (int i = 0; i < (b->quick ? 1 : 3) && status == EXIT_DONE; i++)
    if (i == 0 || contexts[i] > contexts[i - 1])
      status = measure_steps(b, "decode", 1, contexts[i]);
  return status;
}

int measure_batch(bench *b)
{
  return measure_steps(b, "batch", N_BATCH, 0);
}

/* Bytes of one element of a type; the smallest where it is a mixture. */
static double element_size(const char *type)
{
  return strstr(type, "16") ? 2 : 4;
}

/* The seconds that a prompt of `n_rows` tokens takes at least. */
static double prefill_limit(bench *b, int32_t n_rows)
{
  double read_rate = read_probe_rate(&b->reader);
  double seconds = products_seconds(&b->products, n_rows);
  double rate = products_flop(&b->products, n_rows) / seconds;
  /* Row t multiplies n_embd wide queries with t + 1 keys, and the result with as many values. */
  double attention = 2.0 * b->info.n_layer * b->info.n_embd * (double)n_rows * (n_rows + 1);
  double logits = (double)b->info.n_vocab * b->info.n_embd * element_size(b->info.unembedding_type);
  return seconds + attention / rate + logits / read_rate;
}

static int time_prompt(bench *b, const gpt2_token *tokens, int32_t n_rows, double *seconds)
{
  gpt2_kv_clear(b->context);
  double start = clock_seconds();
  if (gpt2_eval(b->context, 0, tokens, (size_t)n_rows, 0) != GPT2_OK)
    return failed(b);
  *seconds = clock_seconds() - start;
  return EXIT_DONE;
}

static int measure_prompt(bench *b, const gpt2_token *tokens, int32_t n_rows)
{
  samples measured = {0};
  double seconds = 0;
  int status = time_prompt(b, tokens, n_rows, &seconds); /* memory grows the first time */
  prefill_limit(b, n_rows);
  for (int32_t i = 0; i < b->n_repeats && status == EXIT_DONE; i++) {
    double limit = prefill_limit(b, n_rows);
    rest();
    status = time_prompt(b, tokens, n_rows, &seconds);
    add_sample(&measured, seconds * 1e3, limit * 1e3);
  }
  if (status != EXIT_DONE)
    return status;
  report(b,
         &(report_line){.what = "prefill",
                        .type = b->info.weights_type,
                        .unit = "ms",
                        .n_threads = b->n_threads,
                        .n_rows = n_rows},
         &measured);
  return EXIT_DONE;
}

int measure_prefill(bench *b)
{
  static const int32_t all[] = {16, 128, 512, 1024}, some[] = {128};
  const int32_t *sizes = b->quick ? some : all;
  int n_sizes = b->quick ? 1 : 4;
  gpt2_token *tokens = calloc((size_t)b->info.n_ctx, sizeof *tokens);
  if (!tokens)
    return program_fail("out of memory for %d tokens", (int)b->info.n_ctx);
  for (int32_t i = 0; i < b->info.n_ctx; i++)
    tokens[i] = i % b->info.n_vocab;
  int status = EXIT_DONE;
  for (int i = 0; i < n_sizes && status == EXIT_DONE; i++)
    if (sizes[i] <= b->info.n_ctx)
      status = measure_prompt(b, tokens, sizes[i]);
  free(tokens);
  gpt2_kv_clear(b->context);
  return status;
}

/* Draws from real logits, with the filters that gpt2-generate uses; the seconds of one draw. */
static int time_draws(gpt2_sampler *sampler, const float *logits, int32_t n_vocab, double *seconds)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_token token;
  double start = clock_seconds();
  int n_draws = 0;
  do {
    if (gpt2_sampler_draw(sampler, logits, (size_t)n_vocab, &token, &error) != GPT2_OK ||
        gpt2_sampler_accept(sampler, token, &error) != GPT2_OK)
      return program_fail_error(&error);
    n_draws++;
    *seconds = (clock_seconds() - start) / n_draws;
  } while (*seconds * n_draws < shortest);
  return EXIT_DONE;
}

int measure_sample(bench *b)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_sampler_options options = {
      .struct_size = sizeof options, .seed = 1, .temperature = 0.8f, .top_k = 40, .top_p = 0.95f};
  gpt2_sampler *sampler = NULL;
  samples measured = {0};
  double seconds = 0;
  if (gpt2_sampler_new(&options, &sampler, &error) != GPT2_OK)
    return program_fail_error(&error);
  int status = set_length(b, 1, 1);
  for (int32_t i = -1; i < b->n_repeats && status == EXIT_DONE; i++) {
    status = time_draws(sampler, gpt2_logits(b->context, 0), b->info.n_vocab, &seconds);
    if (i >= 0)
      add_sample(&measured, seconds * 1e6, 0);
  }
  gpt2_sampler_free(sampler);
  gpt2_kv_clear(b->context);
  if (status == EXIT_DONE)
    report(b, &(report_line){.what = "sample", .unit = "us/token", .n_threads = 1, .n_rows = 1},
           &measured);
  return status;
}
