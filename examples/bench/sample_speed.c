/* sample_speed.c - how fast tokens are drawn. */
#include "bench/bench.h"
#include "support/program.h"
#include "support/progress.h"

static const double shortest = 0.02; /* seconds of drawing that are worth timing */

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
  gpt2_token first = 0;
  samples measured = {0};
  double seconds = 0;
  if (gpt2_sampler_new(&options, &sampler, &error) != GPT2_OK)
    return program_fail_error(&error);
  int status = gpt2_eval(b->context, 0, &first, 1, 0) == GPT2_OK ? EXIT_DONE : context_failed(b);
  for (int32_t i = -1; i < b->n_repeats && status == EXIT_DONE; i++) {
    status = time_draws(sampler, gpt2_logits(b->context, 0), b->info.n_vocab, &seconds);
    if (i >= 0)
      add_sample(&measured, seconds * 1e6, (bound){0});
  }
  gpt2_sampler_free(sampler);
  gpt2_kv_clear(b->context);
  if (status == EXIT_DONE)
    report(b, &(report_line){.what = "sample", .unit = "us/token", .n_threads = 1, .n_rows = 1},
           &measured);
  return status;
}
