/* test_weight_types.c - the model that the repository carries, with its weights in every type: how
 * far its predictions of real text are from those with the weights as they are stored. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_TOKENS = 300 };

static char *folder;
static gpt2_token tokens[N_TOKENS];
static float *stored; /* (N_TOKENS, n_vocab) logits with the weights as they are stored, F16 */
static size_t n_vocab;

static gpt2_model *load(int32_t weights, int32_t compute)
{
  gpt2_load_options options = {
      .struct_size = sizeof options, .weights = weights, .compute = compute};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  must_have_succeeded(gpt2_load(folder, &options, &model, &error), &error);
  return model;
}

/* Logits of all tokens, evaluated in pieces of so many at most; the caller frees them. */
static float *logits_of(gpt2_model *model, size_t at_once)
{
  float *logits = malloc(N_TOKENS * n_vocab * sizeof *logits);
  gpt2_context *context = open_context_for_rows(model, 2);
  assert_non_null(logits);
  for (size_t first = 0; first < N_TOKENS; first += at_once) {
    size_t n = N_TOKENS - first < at_once ? N_TOKENS - first : at_once;
    must_succeed(gpt2_eval(context, 0, tokens + first, n, GPT2_ROW_LOGITS), context);
    for (size_t row = 0; row < n; row++)
      memcpy(logits + (first + row) * n_vocab, gpt2_row_logits(context, row),
             n_vocab * sizeof *logits);
  }
  gpt2_context_free(context);
  return logits;
}

static int read_text(void **state)
{
  (void)state;
  enum { SIZE = 4096 };
  size_t size, n;
  char *path = test_data_path("data/val.txt"), *text = read_test_file(path, &size);
  gpt2_token *all = malloc(SIZE * sizeof *all);
  assert_true(all && size > SIZE);
  folder = test_data_path("../examples/models/tales");
  gpt2_model *model = open_model(folder);
  n_vocab = (size_t)info_of(model).n_vocab;
  assert_int_equal(gpt2_encode(model, text, SIZE, 0, all, SIZE, &n, NULL), GPT2_OK);
  assert_true(n >= N_TOKENS);
  memcpy(tokens, all, sizeof tokens);
  stored = logits_of(model, N_TOKENS);
  gpt2_model_free(model);
  free(all);
  free(text);
  free(path);
  return 0;
}

static int free_text(void **state)
{
  (void)state;
  free(stored);
  free(folder);
  return 0;
}

/* ln of the sum of e^logits. */
static double log_sum(const float *logits)
{
  double greatest = -INFINITY, sum = 0;
  for (size_t i = 0; i < n_vocab; i++)
    greatest = fmax(greatest, (double)logits[i]);
  for (size_t i = 0; i < n_vocab; i++)
    sum += exp((double)logits[i] - greatest);
  return greatest + log(sum);
}

/* The mean Kullback-Leibler divergence from the predictions with stored weights, in nats. */
static double divergence(const float *logits)
{
  double total = 0;
  for (size_t row = 0; row < N_TOKENS; row++) {
    const float *expected = stored + row * n_vocab, *found = logits + row * n_vocab;
    double of_expected = log_sum(expected), of_found = log_sum(found);
    for (size_t i = 0; i < n_vocab; i++) {
      double logprob = (double)expected[i] - of_expected;
      total += exp(logprob) * (logprob - ((double)found[i] - of_found));
    }
  }
  return total / N_TOKENS;
}

/* Measured (this test prints it): f32 and f16 0, bf16 2e-5, q8_0 exact 3e-4 and fast 7e-4, q4_0
 * 4e-2. */
static void predictions_are_near_those_of_the_stored_weights(void **state)
{
  (void)state;
  static const struct {
    int32_t weights, compute;
    double most; /* nats */
  } cases[] = {
      {GPT2_TYPE_F32, GPT2_COMPUTE_DEFAULT, 1e-9},  {GPT2_TYPE_F16, GPT2_COMPUTE_FAST, 1e-9},
      {GPT2_TYPE_BF16, GPT2_COMPUTE_DEFAULT, 1e-3}, {GPT2_TYPE_BF16, GPT2_COMPUTE_FAST, 1e-3},
      {GPT2_TYPE_Q8_0, GPT2_COMPUTE_EXACT, 1e-3},   {GPT2_TYPE_Q8_0, GPT2_COMPUTE_FAST, 1e-3},
      {GPT2_TYPE_Q4_0, GPT2_COMPUTE_EXACT, 5e-2},   {GPT2_TYPE_Q4_0, GPT2_COMPUTE_FAST, 5e-2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_model *model = load(cases[i].weights, cases[i].compute);
    float *logits = logits_of(model, N_TOKENS);
    double found = divergence(logits);
    print_message("weights %d, compute %d: %.2e nats\n", (int)cases[i].weights,
                  (int)cases[i].compute, found);
    assert_true(found < cases[i].most);
    free(logits);
    gpt2_model_free(model);
  }
}

/* With exact arithmetic; `range` is at most that of the logits. */
static void tokens_in_small_pieces_are_predicted_as_all_at_once(void **state)
{
  (void)state;
  for (int32_t weights = GPT2_TYPE_DEFAULT; weights <= GPT2_TYPE_Q4_0; weights++) {
    gpt2_model *model = load(weights, GPT2_COMPUTE_EXACT);
    float *at_once = logits_of(model, N_TOKENS), *by_seven = logits_of(model, 7);
    double range = 0, error = 0;
    for (size_t i = 0; i < N_TOKENS * n_vocab; i++) {
      range = fmax(range, fabs((double)at_once[i]));
      error = fmax(error, fabs((double)at_once[i] - (double)by_seven[i]));
    }
    assert_true(error <= 1e-5 * range);
    free(at_once);
    free(by_seven);
    gpt2_model_free(model);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(predictions_are_near_those_of_the_stored_weights),
      cmocka_unit_test(tokens_in_small_pieces_are_predicted_as_all_at_once),
  };
  return cmocka_run_group_tests(tests, read_text, free_text);
}
