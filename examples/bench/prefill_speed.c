/* prefill_speed.c - how fast prompts are evaluated, and the machine's rates that bound it.
 *
 * The limit is the products of all blocks by sgemm alone, each at its own shape, the causal half of
 * attention at the rate that they reach, and the unembedding of the last row at the read rate. What
 * multiplies other types faster than f32 may pass it: `ratio_f32` is how many times as fast as
 * these products in f32 the prompt was. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <time.h>

#include "bench/bench.h"
#include "support/program.h"
#include "support/progress.h"

/* OpenBLAS's threads go on spinning for a while after a product; what is measured next should not
 * feel it. */
static void rest(void)
{
  struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
  nanosleep(&pause, NULL);
}

/* A prompt. */
typedef struct prompt {
  const gpt2_token *tokens;
  int32_t n_rows;
} prompt;

static int bound_by_sgemm(bench *b, void *data, bound *judge)
{
  const double n_rows = ((const prompt *)data)->n_rows;
  double read_rate = read_probe_rate(&b->reader);
  double seconds = products_seconds(&b->products, (int32_t)n_rows);
  double rate = products_flop(&b->products, (int32_t)n_rows) / seconds;
  /* Row t multiplies n_embd wide queries with t + 1 keys, and the result with as many values. */
  double attention = 2.0 * b->info.n_layer * b->info.n_embd * n_rows * (n_rows + 1);
  double unembedding = (double)b->info.n_vocab * b->info.n_embd / read_rate; /* seconds a byte */
  double blocks = seconds + attention / rate;
  judge->limit = blocks + unembedding * weight_size(b->info.unembedding_type);
  judge->reference = blocks + unembedding * weight_size("f32");
  return EXIT_DONE;
}

static int time_prompt(bench *b, void *data, double *seconds)
{
  const prompt *p = data;
  rest();
  gpt2_kv_clear(b->context);
  double start = clock_seconds();
  if (gpt2_eval(b->context, 0, p->tokens, (size_t)p->n_rows, 0) != GPT2_OK)
    return context_failed(b);
  *seconds = clock_seconds() - start;
  return EXIT_DONE;
}

static int measure_prompt(bench *b, const gpt2_token *tokens, int32_t n_rows)
{
  samples measured = {0};
  prompt p = {tokens, n_rows};
  products_tune(&b->products, n_rows);
  int status = measure_in_turn(b, time_prompt, bound_by_sgemm, &p, 1e3, &measured);
  if (status == EXIT_DONE)
    report(b,
           &(report_line){.what = "prefill",
                          .type = b->info.weights_type,
                          .unit = "ms",
                          .n_threads = b->n_threads,
                          .n_rows = n_rows},
           &measured);
  return status;
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
