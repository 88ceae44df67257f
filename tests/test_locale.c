/* test_locale.c - a host whose locale has decimal commas gets the same models, texts, numbers and
 * words, to the bit. */
#include "gpt2.h"
#include "support/comma_locale.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/record.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The only thing that a refused option leaves. */
static void keep_words(record *r, gpt2_sampler_options options)
{
  gpt2_error error = NO_ERROR_YET;
  gpt2_sampler *sampler = NULL;
  options.struct_size = sizeof options;
  assert_int_equal(gpt2_sampler_new(&options, &sampler, &error), GPT2_ERR_ARGUMENT);
  keep(r, error.message, strlen(error.message));
}

static void keep_all_words(record *r)
{
  keep_words(r, (gpt2_sampler_options){.temperature = -0.5f});
  keep_words(r, (gpt2_sampler_options){.temperature = -1e-3f});
  keep_words(r, (gpt2_sampler_options){.top_p = 1.25f});
  keep_words(r, (gpt2_sampler_options){.min_p = 1234567.875f});
  keep_words(r, (gpt2_sampler_options){.min_p = NAN});
}

static int32_t keep_piece(const gpt2_piece *piece, void *user)
{
  keep(user, piece->text, (size_t)piece->size);
  keep(user, &piece->logprob, sizeof piece->logprob);
  return 0;
}

/* A model that its config's fractions make what it is, one that is opened by its tokenizer.json,
 * and one that tells tales. */
static void keep_model(record *r, const char *below, const char *prompt)
{
  char *folder = test_data_path(below);
  gpt2_model *model = open_model(folder);
  gpt2_context *context = open_context(model, 1);
  gpt2_info info = info_of(model);
  const gpt2_sampler_options sampling = {
      .struct_size = sizeof sampling, .seed = 3, .temperature = 0.7f, .top_p = 0.95f};
  const gpt2_token tokens[] = {7, 8, 9};
  const gpt2_generate_options options = {.struct_size = sizeof options,
                                         .max_tokens = 20,
                                         .sampling = &sampling,
                                         .prompt_tokens = tokens,
                                         .n_prompt_tokens = 3};
  gpt2_score_result result = {.struct_size = sizeof result};
  keep(r, &info, sizeof info);
  must_succeed(gpt2_generate(context, prompt, strlen(prompt), &options, keep_piece, r, NULL),
               context);
  must_succeed(gpt2_score_tokens(context, tokens, 3, NULL, NULL, NULL, &result), context);
  keep(r, &result, sizeof result);
  gpt2_context_free(context);
  gpt2_model_free(model);
  free(folder);
}

static void keep_everything(record *r)
{
  gpt2_build build = {.struct_size = sizeof build};
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_OK);
  keep(r, &build, sizeof build);
  keep_all_words(r);
  keep_model(r, "fixtures/models/epsilon", "");
  keep_model(r, "fixtures/models/extra_rows", "the 3.5");
  keep_model(r, "../examples/models/tales", "It was 1.5 or 1,5");
}

static void decimal_commas_change_nothing(void **state)
{
  (void)state;
  static record expected, found;
  keep_everything(&expected);
  if (!use_comma_locale())
    skip(); /* a C library that cannot take the locale (data/locale/README.md) */
  keep_everything(&found);
  assert_string_equal(localeconv()->decimal_point, ","); /* the host's is still what it was */
  leave_comma_locale();
  expect_same(&found, &expected);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decimal_commas_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
