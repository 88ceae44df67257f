/* test_reference.c - the reference model computes what transformers computes in float64, for every
 * configuration: an oracle must be tested itself. */
#include "reference/reference.h"
#include "support/fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Two orders of summation in double: far above their rounding, far below any mistake. Of the
 * logits' range. */
static const double REFERENCE_TOLERANCE = 1e-9;

static double distance(const double *a, const double *b, size_t n)
{
  double greatest = 0;
  for (size_t i = 0; i < n; i++)
    greatest = isnan(a[i] - b[i]) ? INFINITY : fmax(greatest, fabs(a[i] - b[i]));
  return greatest;
}

static void check_prompt(const model_fixture *fixture)
{
  int n = (int)fixture->prompt.n;
  size_t n_logits = fixture->prompt.n * (size_t)fixture->n_vocab;
  size_t n_hidden = fixture->prompt.n * (size_t)fixture->n_embd;
  double *logits = reference_doubles(n_logits), *hidden = reference_doubles(n_hidden);
  reference_model *model = reference_load(fixture->folder);
  assert_non_null(model);
  reference_logits(model, fixture->prompt.tokens, n, logits);
  reference_hidden(model, fixture->prompt.tokens, n, hidden);
  double allowed = REFERENCE_TOLERANCE * logits_range(fixture->logits, n_logits);
  double logits_error = distance(logits, fixture->logits, n_logits);
  double hidden_error = distance(hidden, fixture->hidden, n_hidden);
  if (!(logits_error <= allowed && hidden_error <= allowed))
    fail_msg("%s: logits differ by %g, hidden states by %g, allowed is %g", fixture->name,
             logits_error, hidden_error, allowed);
  reference_free(model);
  free(logits);
  free(hidden);
}

static void it_agrees_with_transformers_on_every_fixture(void **state)
{
  (void)state;
  for_each_fixture(check_prompt);
}

/* Fails unless `token` has the greatest of the logits (n_vocab). */
static void check_greatest(const model_fixture *fixture, const double *logits, int32_t token)
{
  for (int other = 0; other < fixture->n_vocab; other++)
    if (other != token && !(logits[other] < logits[token]))
      fail_msg("%s: token %d is as likely as %d", fixture->name, other, token);
}

static void check_continuation(const model_fixture *fixture)
{
  reference_model *model = reference_load(fixture->folder);
  assert_non_null(model);
  token_list text = concatenate(fixture->prompt, fixture->continuation);
  double *hidden = reference_doubles(text.n * (size_t)fixture->n_embd);
  double *logits = reference_doubles((size_t)fixture->n_vocab);
  reference_hidden(model, text.tokens, (int)text.n, hidden);
  for (size_t i = fixture->prompt.n; i < text.n; i++) {
    reference_unembed(model, hidden + (i - 1) * (size_t)fixture->n_embd, logits);
    check_greatest(fixture, logits, text.tokens[i]);
  }
  free(hidden);
  free(logits);
  free_tokens(text);
  reference_free(model);
}

static void it_continues_every_prompt_as_transformers_does(void **state)
{
  (void)state;
  for_each_fixture(check_continuation);
}

static void a_folder_that_is_not_there_is_no_model(void **state)
{
  (void)state;
  char *folder = test_data_path("fixtures/models/none");
  assert_null(reference_load(folder));
  free(folder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_agrees_with_transformers_on_every_fixture),
      cmocka_unit_test(it_continues_every_prompt_as_transformers_does),
      cmocka_unit_test(a_folder_that_is_not_there_is_no_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
