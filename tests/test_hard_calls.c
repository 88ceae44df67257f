/* test_hard_calls.c - calls that are allowed, and hard: texts of ten megabytes, texts that are no
 * text, filters wider than the vocabulary, logits that are all alike. */
#include "gpt2.h"
#include "support/context_state.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/handles.h"
#include "support/opened.h"
#include "support/sampling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEN_MEGABYTES = 10000000 };

static gpt2_model *tales;

static int open_tales(void **state)
{
  (void)state;
  char *folder = test_data_path("../examples/models/tales");
  tales = open_model(folder);
  free(folder);
  return 0;
}

static int free_tales(void **state)
{
  (void)state;
  gpt2_model_free(tales);
  return 0;
}

static char *one_letter(void)
{
  char *text = malloc(TEN_MEGABYTES);
  assert_non_null(text);
  return memset(text, 'e', TEN_MEGABYTES);
}

/* ---- Ten megabytes ---- */

static void ten_megabytes_of_one_letter_become_tokens_and_text_again(void **state)
{
  (void)state;
  char *text = one_letter(), *back = malloc(TEN_MEGABYTES);
  size_t n = 0, found = 0, size = 0;
  gpt2_error error = NO_ERROR_YET;
  assert_non_null(back);
  expect_failure(gpt2_encode(tales, text, TEN_MEGABYTES, 0, NULL, 0, &n, &error),
                 GPT2_ERR_BUFFER_TOO_SMALL, &error, "capacity: is 0", NULL);
  assert_in_range(n, 1, TEN_MEGABYTES);
  gpt2_token *tokens = malloc(n * sizeof *tokens);
  assert_non_null(tokens);
  assert_int_equal(gpt2_encode(tales, text, TEN_MEGABYTES, 0, tokens, n, &found, NULL), GPT2_OK);
  assert_int_equal(found, n);
  assert_int_equal(gpt2_decode(tales, tokens, n, back, TEN_MEGABYTES, &size, NULL), GPT2_OK);
  assert_int_equal(size, TEN_MEGABYTES);
  assert_true(memcmp(back, text, size) == 0);
  free(tokens);
  free(back);
  free(text);
}

static void a_prompt_of_ten_megabytes_is_refused_for_its_length(void **state)
{
  (void)state;
  static const gpt2_token some[] = {5, 6, 7};
  char *text = one_letter();
  gpt2_context *context = open_context(tales, 1), *other = open_context(tales, 1);
  gpt2_generation *generation = (gpt2_generation *)context;
  must_succeed(gpt2_eval(context, 0, some, 2, 0), context);
  must_succeed(gpt2_eval(other, 0, some, 2, 0), other);
  context_state before = state_of(context);
  expect_failure(gpt2_generation_new(context, text, TEN_MEGABYTES, NULL, &generation),
                 GPT2_ERR_CONTEXT_FULL, gpt2_context_error(context), "prompt: has ", "room for");
  assert_null(generation);
  expect_failure(gpt2_generate(context, text, TEN_MEGABYTES, NULL, NULL, NULL, NULL),
                 GPT2_ERR_CONTEXT_FULL, gpt2_context_error(context), "prompt: has ", "room for");
  must_be_unchanged(context, &before, "a prompt of ten megabytes");
  must_succeed(gpt2_eval(context, 0, some + 2, 1, 0), context);
  must_succeed(gpt2_eval(other, 0, some + 2, 1, 0), other);
  must_have_logits(context, 0, gpt2_logits(other, 0));
  gpt2_context_free(context);
  gpt2_context_free(other);
  free(text);
}

/* ---- Texts that are none ---- */

/* NUL bytes, a cut character, bytes that UTF-8 never has, a surrogate, a code point beyond all. */
static const char no_text[] = "a\0b\xe2\x82\xff\xc0\x80\xed\xa0\x80\xf5\x90\x80\x80\0";
enum { NO_TEXT_SIZE = sizeof no_text - 1 };

static int32_t count_score(const gpt2_token_score *score, void *user)
{
  assert_int_equal(score->token, (uint8_t)no_text[(*(int *)user)++]);
  return 0;
}

static void bytes_that_are_no_text_are_scored_and_gone_on_from(void **state)
{
  (void)state;
  handles h = open_handles();
  gpt2_token tokens[NO_TEXT_SIZE];
  gpt2_score_result result = {.struct_size = sizeof result};
  gpt2_result generated = {.struct_size = sizeof generated};
  int n_scores = 0;
  size_t n = 0;
  must_succeed(gpt2_score(h.spare, no_text, NO_TEXT_SIZE, NULL, count_score, &n_scores, &result),
               h.spare);
  assert_int_equal(n_scores, NO_TEXT_SIZE);
  assert_int_equal(result.scored_size, NO_TEXT_SIZE);
  must_succeed(gpt2_kv_drop(h.spare, 0), h.spare);
  must_succeed(gpt2_generate(h.spare, no_text, NO_TEXT_SIZE, NULL, NULL, NULL, &generated),
               h.spare);
  assert_int_equal(generated.n_prompt_tokens, NO_TEXT_SIZE);
  must_succeed(gpt2_kv_tokens(h.spare, 0, tokens, NO_TEXT_SIZE, &n), h.spare);
  for (size_t i = 0; i < n; i++)
    assert_int_equal(tokens[i], (uint8_t)no_text[i]);
  must_go_on_as_new(&h);
  close_handles(&h);
}

/* ---- Filters and logits ---- */

enum { N_LOGITS = 50, N_DRAWS = 200 };

/* The tokens that options give from logits without order. */
static void draw_many(gpt2_sampler_options options, gpt2_token *tokens)
{
  float logits[N_LOGITS];
  for (int i = 0; i < N_LOGITS; i++)
    logits[i] = (float)((i * 37) % N_LOGITS) / 20.0f;
  gpt2_sampler *sampler = new_sampler(options);
  for (int i = 0; i < N_DRAWS; i++) {
    tokens[i] = draw_from(sampler, logits, N_LOGITS);
    accept_token(sampler, tokens[i]);
  }
  gpt2_sampler_free(sampler);
}

static void filters_as_wide_as_the_vocabulary_or_wider_leave_all(void **state)
{
  (void)state;
  static const int32_t top_k[] = {N_LOGITS, N_LOGITS + 1, INT32_MAX, 0, 0};
  static const float top_p[] = {0, 0, 0, 1, 0}, min_p[] = {0, 0, 0, 0, 1e-30f};
  gpt2_token expected[N_DRAWS], found[N_DRAWS];
  draw_many(at_temperature(1.0f, 9), expected);
  for (int i = 0; i < 5; i++) {
    gpt2_sampler_options options = at_temperature(1.0f, 9);
    options.top_k = top_k[i];
    options.top_p = top_p[i];
    options.min_p = min_p[i];
    draw_many(options, found);
    assert_memory_equal(found, expected, sizeof expected);
  }
}

static void the_narrowest_filters_leave_the_first_of_the_greatest(void **state)
{
  (void)state;
  static const float level[N_LOGITS];
  gpt2_sampler_options narrow[3] = {at_temperature(1.0f, 1), at_temperature(1.0f, 2),
                                    at_temperature(0.0f, 3)};
  narrow[0].top_k = 1;
  narrow[1].top_p = 1e-30f;
  for (int i = 0; i < 3; i++) {
    gpt2_sampler *sampler = new_sampler(narrow[i]);
    for (int k = 0; k < 20; k++) {
      assert_int_equal(draw_from(sampler, level, N_LOGITS), 0);
      accept_token(sampler, 0);
    }
    gpt2_sampler_free(sampler);
  }
}

static void logits_that_are_all_alike_are_drawn_alike(void **state)
{
  (void)state;
  static const float values[] = {0, -1e30f, 3e38f, -3e38f, 1e-45f};
  gpt2_token expected[N_DRAWS];
  for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
    float level[N_LOGITS];
    gpt2_sampler *sampler = new_sampler(at_temperature(1.0f, 4));
    for (int i = 0; i < N_LOGITS; i++)
      level[i] = values[v];
    for (int i = 0; i < N_DRAWS; i++) {
      gpt2_token token = draw_from(sampler, level, N_LOGITS);
      accept_token(sampler, token);
      assert_true(v == 0 || token == expected[i]);
      expected[i] = token;
    }
    gpt2_sampler_free(sampler);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ten_megabytes_of_one_letter_become_tokens_and_text_again),
      cmocka_unit_test(a_prompt_of_ten_megabytes_is_refused_for_its_length),
      cmocka_unit_test(bytes_that_are_no_text_are_scored_and_gone_on_from),
      cmocka_unit_test(filters_as_wide_as_the_vocabulary_or_wider_leave_all),
      cmocka_unit_test(the_narrowest_filters_leave_the_first_of_the_greatest),
      cmocka_unit_test(logits_that_are_all_alike_are_drawn_alike),
  };
  return cmocka_run_group_tests(tests, open_tales, free_tales);
}
