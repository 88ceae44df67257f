/* threads.c - a program that uses one model from several threads at once, each with a context of
 * its own: all must compute what one alone computes, to the bit. Prints how the BLAS library in use
 * is threaded. */
#include <gpt2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_THREADS = 4, N_ROUNDS = 12, N_TOKENS = 300 };

static gpt2_model *model;
static gpt2_token tokens[N_TOKENS];
static size_t n_vocab;
static float *expected; /* (n_vocab) logits after the tokens */

static gpt2_context *open_context(void)
{
  gpt2_context_options options = {.struct_size = sizeof options, .n_threads = 2};
  gpt2_context *context = NULL;
  gpt2_context_new(model, &options, &context, NULL);
  return context;
}

/* The logits after the tokens, evaluated anew; NULL if something fails. */
static const float *evaluate(gpt2_context *context)
{
  if (!context || gpt2_kv_clear(context) != GPT2_OK ||
      gpt2_eval(context, 0, tokens, N_TOKENS, 0) != GPT2_OK)
    return NULL;
  return gpt2_logits(context, 0);
}

/* Counts its wrong rounds in *data. */
static void *run(void *data)
{
  int *n_wrong = data;
  gpt2_context *context = open_context();
  for (int round = 0; round < N_ROUNDS; round++) {
    const float *logits = evaluate(context);
    *n_wrong += !logits || memcmp(logits, expected, n_vocab * sizeof *expected) != 0;
  }
  gpt2_context_free(context);
  return NULL;
}

static int run_all(void)
{
  pthread_t threads[N_THREADS];
  int wrong[N_THREADS] = {0}, n_wrong = 0;
  for (int i = 0; i < N_THREADS; i++)
    if (pthread_create(&threads[i], NULL, run, &wrong[i]) != 0)
      abort();
  for (int i = 0; i < N_THREADS; i++) {
    pthread_join(threads[i], NULL);
    n_wrong += wrong[i];
  }
  return n_wrong;
}

int main(int argc, char **argv)
{
  gpt2_info info = {.struct_size = sizeof info};
  gpt2_build build = {.struct_size = sizeof build};
  if (argc != 2 || gpt2_load(argv[1], NULL, &model, NULL) != GPT2_OK ||
      gpt2_model_info(model, &info, NULL) != GPT2_OK || gpt2_build_info(&build, NULL) != GPT2_OK)
    return 2;
  n_vocab = (size_t)info.n_vocab;
  for (int i = 0; i < N_TOKENS; i++)
    tokens[i] = i * 37 % info.n_vocab;

  gpt2_context *context = open_context();
  const float *logits = evaluate(context);
  expected = malloc(n_vocab * sizeof *expected);
  if (!logits || !expected)
    return 2;
  memcpy(expected, logits, n_vocab * sizeof *expected);
  int n_wrong = run_all();
  fprintf(stderr, "%d of %d evaluations were wrong\n", n_wrong, N_THREADS * N_ROUNDS);
  printf("%s", build.blas_threading);
  free(expected);
  gpt2_context_free(context);
  gpt2_model_free(model);
  return n_wrong != 0;
}
