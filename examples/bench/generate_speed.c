/* generate_speed.c - how fast text is generated, beside the bare evaluation of as many tokens.
 *
 * The difference is all that gpt2_generate does besides: a draw with the filters of gpt2-generate,
 * the token's log-probability, its bytes in whole characters, and a callback. */
#include "bench/bench.h"
#include "support/program.h"
#include "support/progress.h"

static const double shortest = 0.25; /* seconds: the difference is small */

enum { N_TOKENS = 16 }; /* of one generation */

typedef struct generating {
  gpt2_sampler_options sampling;
  gpt2_generate_options options;
  uint64_t n_bytes; /* of text, which a reader would have got */
} generating;

static int32_t take_piece(const gpt2_piece *piece, void *user)
{
  generating *g = user;
  g->n_bytes += piece->size;
  return 0;
}

/* Evaluates as many tokens as it draws: the first one follows the prompt, one token. */
static int time_generation(bench *b, void *data, double *seconds)
{
  generating *g = data;
  double spent = 0;
  int64_t n_tokens = 0;
  do {
    gpt2_result result = {.struct_size = sizeof result};
    gpt2_kv_clear(b->context);
    double start = clock_seconds();
    if (gpt2_generate(b->context, NULL, 0, &g->options, take_piece, g, &result) != GPT2_OK)
      return context_failed(b);
    spent += clock_seconds() - start;
    n_tokens += result.n_tokens;
  } while (spent < shortest);
  *seconds = spent / (double)n_tokens;
  return EXIT_DONE;
}

static int time_evaluation(bench *b, void *data, bound *seconds)
{
  const generating *g = data;
  int32_t n_tokens = b->info.n_ctx < N_TOKENS ? b->info.n_ctx : N_TOKENS;
  double spent = 0;
  int64_t n_evaluated = 0;
  do {
    gpt2_kv_clear(b->context);
    double start = clock_seconds();
    for (int32_t i = 0; i < n_tokens; i++)
      if (gpt2_eval(b->context, 0, g->options.prompt_tokens, 1, 0) != GPT2_OK)
        return context_failed(b);
    spent += clock_seconds() - start;
    n_evaluated += n_tokens;
  } while (spent < shortest);
  seconds->limit = spent / (double)n_evaluated;
  return EXIT_DONE;
}

int measure_generate(bench *b)
{
  static const gpt2_token first = 0;
  samples measured = {0};
  generating g = {
      .sampling = {.struct_size = sizeof g.sampling,
                   .seed = 1,
                   .temperature = 0.8f,
                   .top_k = 40,
                   .top_p = 0.95f},
      .options = {.struct_size = sizeof g.options,
                  .flags = GPT2_GENERATE_IGNORE_END | GPT2_GENERATE_REPLACE,
                  .max_tokens = N_TOKENS,
                  .prompt_tokens = &first,
                  .n_prompt_tokens = 1},
  };
  g.options.sampling = &g.sampling;
  int status = measure_in_turn(b, time_generation, time_evaluation, &g, 1e3, &measured);
  if (status == EXIT_DONE)
    report(b,
           &(report_line){.what = "generate",
                          .type = b->info.weights_type,
                          .unit = "ms/token",
                          .n_threads = b->n_threads,
                          .n_rows = 1},
           &measured);
  gpt2_kv_clear(b->context);
  return status;
}
