/* test_score.c - scoring through the public functions: what is told of each token and of all, what
 * is refused, and what holds after a failure. Windows are test_score_windows's matter, numbers
 * test_model_scores's. */
#include "gpt2.h"
#include "support/collected.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/scripted_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The scores that were called back. */
typedef struct arrived {
  gpt2_token_score scores[64];
  int n;
  int stop_at; /* the number of the score at which the callback stops, from 1 on; 0: never */
} arrived;

static int32_t arrive(const gpt2_token_score *score, void *user)
{
  arrived *a = user;
  assert_true(a->n < 64);
  a->scores[a->n++] = *score;
  return a->n == a->stop_at ? -1 : 0;
}

static gpt2_score_options with_flags(uint32_t flags)
{
  return (gpt2_score_options){.struct_size = sizeof(gpt2_score_options), .flags = flags};
}

static bool is_near(double found, double expected)
{
  return fabs(found - expected) <= 1e-5 * fabs(expected);
}

/* Scores a string, which must work. */
static arrived score_string(gpt2_context *context, const char *text, uint32_t flags,
                            gpt2_score_result *result)
{
  arrived all = {.n = 0};
  gpt2_score_options options = with_flags(flags);
  *result = (gpt2_score_result){.struct_size = sizeof *result};
  must_succeed(gpt2_score(context, text, strlen(text), &options, arrive, &all, result), context);
  assert_int_equal(result->n_tokens, all.n);
  return all;
}

/* ---- Each token ---- */

static void a_token_that_the_model_says_has_rank_1_and_its_probability(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcd", .confidence = 5.0f});
  gpt2_score_result result;
  arrived all = score_string(s.context, "abcd", 0, &result);
  double logprob = scripted_logprob(&s, 5.0f), p = exp(logprob), q = (1 - p) / (s.n_vocab - 1);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(all.scores[i].position, i);
    assert_int_equal(all.scores[i].token, "abcd"[i]);
    assert_int_equal(all.scores[i].rank, 1);
    assert_true(is_near((double)all.scores[i].logprob, logprob));
    assert_true(is_near((double)all.scores[i].entropy, -p * logprob - (1 - p) * log(q)));
  }
  scripted_close(&s);
}

static void a_token_that_the_model_does_not_say_comes_after_the_one_it_does(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcd", .confidence = 5.0f});
  gpt2_score_result result;
  arrived all = score_string(s.context, "axcd", 0, &result);
  assert_int_equal(all.scores[1].rank, 2); /* all others are equal, and none of them is greater */
  assert_true(is_near((double)all.scores[1].logprob, scripted_logprob(&s, 5.0f) - 5.0));
  assert_int_equal(all.scores[2].rank, 1);
  scripted_close(&s);
}

static void without_bos_the_first_token_is_told_but_not_scored(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "bcd"});
  gpt2_score_result result;
  arrived all = score_string(s.context, "abcd", GPT2_SCORE_NO_BOS, &result);
  assert_int_equal(all.n, 4);
  assert_int_equal(all.scores[0].position, 0);
  assert_int_equal(all.scores[0].token, 'a');
  assert_int_equal(all.scores[0].rank, 0);
  assert_true(all.scores[0].logprob == 0.0f && all.scores[0].entropy == 0.0f);
  assert_int_equal(all.scores[1].rank, 1);
  assert_int_equal(result.n_scored, 3);
  assert_int_equal(result.scored_size, 3);
  scripted_close(&s);
}

static void a_model_without_bos_leaves_the_first_token_unscored_unasked(void **state)
{
  (void)state;
  static const gpt2_token text[] = {'x', 'a', 'b'};
  scripted_model s = scripted_open(
      &(model_script){.text = "ab", .special = "\"bos_token_id\":null", .has_no_tokenizer = true});
  arrived all = {.n = 0};
  must_succeed(gpt2_score_tokens(s.context, text, 3, NULL, arrive, &all, NULL), s.context);
  assert_int_equal(all.scores[0].rank, 0);
  assert_int_equal(all.scores[1].rank, 1);
  assert_int_equal(all.scores[2].rank, 1);
  scripted_close(&s);
}

static void special_tokens_are_read_only_on_request(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "a"});
  gpt2_score_result result;
  arrived all = score_string(s.context, "a<|endoftext|>", GPT2_SCORE_SPECIAL, &result);
  assert_int_equal(all.n, 2);
  assert_int_equal(all.scores[1].token, END_TOKEN);
  assert_int_equal(all.scores[1].rank, 1);
  all = score_string(s.context, "a<|endoftext|>", 0, &result);
  assert_int_equal(all.n, 14);
  scripted_close(&s);
}

/* ---- All of them ---- */

static void the_result_sums_up_the_scored_tokens(void **state)
{
  (void)state;
  static const char *const names[] = {"wide"};
  static const gpt2_token text[] = {'a', FIRST_OWN_TOKEN, 0xe2, FIRST_OWN_TOKEN + 1};
  scripted_model s = scripted_open(&(model_script){
      .tokens = text, .n_tokens = 3, .own_names = names, .n_own = 1, .n_more_rows = 1});
  gpt2_score_result result = {.struct_size = sizeof result};
  must_succeed(gpt2_score_tokens(s.context, text, 4, NULL, NULL, NULL, &result), s.context);
  double sum = 4 * scripted_logprob(&s, 0) - 8.0; /* the last one is not the one said */
  assert_int_equal(result.n_tokens, 4);
  assert_int_equal(result.n_scored, 4);
  assert_int_equal(result.scored_size, 1 + 4 + 1 + 0);
  assert_true(is_near(result.logprob, sum));
  assert_true(is_near(result.perplexity, exp(-sum / 4)));
  assert_true(is_near(result.bits_per_byte, -sum / log(2.0) / 6));
  scripted_close(&s);
}

static void an_empty_text_has_a_result_of_zeros(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  gpt2_score_result result = {.struct_size = sizeof result, .n_tokens = 7, .perplexity = 7.0};
  must_succeed(gpt2_score(s.context, NULL, 0, NULL, NULL, NULL, &result), s.context);
  assert_int_equal(result.n_tokens, 0);
  assert_int_equal(result.n_scored, 0);
  assert_true(result.logprob == 0.0 && result.perplexity == 0.0 && result.bits_per_byte == 0.0);
  result.n_tokens = 7;
  must_succeed(gpt2_score_tokens(s.context, NULL, 0, NULL, NULL, NULL, &result), s.context);
  assert_int_equal(result.n_tokens, 0);
  scripted_close(&s);
}

static void a_text_with_more_tokens_than_bytes_is_scored(void **state)
{
  (void)state;
  scripted_model s =
      scripted_open(&(model_script){.text = " x$ y", .tokenizer = "{\"add_prefix_space\":true}"});
  gpt2_score_result result;
  arrived all = score_string(s.context, "x", 0, &result);
  assert_int_equal(all.n, 2);
  assert_int_equal(all.scores[0].token, ' ');
  assert_int_equal(all.scores[1].rank, 1);
  scripted_close(&s);
}

static void a_result_is_filled_as_far_as_the_caller_knows_it(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  struct {
    gpt2_score_result known;
    uint8_t unknown[8];
  } result;
  memset(&result, 0x55, sizeof result);
  result.known.struct_size = offsetof(gpt2_score_result, perplexity);
  must_succeed(gpt2_score(s.context, "abc", 3, NULL, NULL, NULL, &result.known), s.context);
  assert_int_equal(result.known.n_scored, 3);
  assert_memory_equal(&result.known.perplexity, result.unknown, 8); /* neither was touched */
  result.known.struct_size = sizeof result;
  must_succeed(gpt2_score(s.context, "abc", 3, NULL, NULL, NULL, &result.known), s.context);
  assert_memory_equal(result.unknown, (uint8_t[8]){0}, 8);
  scripted_close(&s);
}

/* ---- Stopping ---- */

static void a_callback_stops_the_scoring_after_what_was_called_back(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .n_ctx = 4});
  for (int stop_at = 1; stop_at <= 6; stop_at++) {
    arrived all = {.stop_at = stop_at};
    char token[16];
    snprintf(token, sizeof token, "token %d", stop_at - 1);
    expect_failure(gpt2_score(s.context, "abcdef", 6, NULL, arrive, &all, NULL), GPT2_ERR_CANCELLED,
                   gpt2_context_error(s.context), "callback", token);
    assert_int_equal(all.n, stop_at);
  }
  gpt2_score_result result;
  assert_int_equal(score_string(s.context, "abcdef", 0, &result).n, 6);
  scripted_close(&s);
}

static void a_cancel_stops_the_scoring_once(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  arrived all = {.n = 0};
  gpt2_score_result result;
  gpt2_cancel(s.context);
  expect_failure(gpt2_score(s.context, "abcdef", 6, NULL, arrive, &all, NULL), GPT2_ERR_CANCELLED,
                 gpt2_context_error(s.context), "cancelled", NULL);
  assert_int_equal(all.n, 0);
  assert_int_equal(score_string(s.context, "abcdef", 0, &result).n, 6);
  scripted_close(&s);
}

static int32_t use_the_context(const gpt2_token_score *score, void *user)
{
  gpt2_token token = score->token;
  assert_int_equal(gpt2_eval(user, 0, &token, 1, 0), GPT2_ERR_BUSY);
  assert_int_equal(gpt2_score_tokens(user, &token, 1, NULL, NULL, NULL, NULL), GPT2_ERR_BUSY);
  return 0;
}

static void a_callback_that_uses_the_context_is_told_that_it_is_busy(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  must_succeed(gpt2_score(s.context, "abc", 3, NULL, use_the_context, s.context, NULL), s.context);
  assert_int_equal(gpt2_context_error(s.context)->status, GPT2_OK);
  scripted_close(&s);
}

/* ---- Failures ---- */

static void logits_that_are_no_numbers_are_an_error_that_names_the_token(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .broken_at = 3});
  arrived all = {.n = 0};
  gpt2_score_result result = {.struct_size = sizeof result};
  expect_failure(gpt2_score(s.context, "abcdef", 6, NULL, arrive, &all, &result),
                 GPT2_ERR_NON_FINITE, gpt2_context_error(s.context), "token 3 (id 100)",
                 "not finite");
  assert_int_equal(all.n, 3); /* what was called back stands */
  assert_int_equal(all.scores[2].rank, 1);
  assert_int_equal(score_string(s.context, "abc", 0, &result).n, 3);
  scripted_close(&s);
}

static void logits_that_overflow_are_an_error_too(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .confidence = INFINITY});
  expect_failure(gpt2_score(s.context, "abcdef", 6, NULL, NULL, NULL, NULL), GPT2_ERR_NON_FINITE,
                 gpt2_context_error(s.context), "token 0 (id 97)", "not finite");
  scripted_close(&s);
}

static void whichever_allocation_is_refused_the_same_call_works_afterwards(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .allocator = &hooks});
  gpt2_status status = GPT2_ERR_MEMORY;
  gpt2_score_result result;
  int n = 0;
  for (; status != GPT2_OK && n < 200; n++) {
    gpt2_context_free(s.context);
    s.context = open_context(s.model, 1);
    counter.refused = counter.n_calls + (size_t)n + 1;
    status = gpt2_score(s.context, "abcdef", 6, NULL, NULL, NULL, NULL);
    if (status != GPT2_OK)
      expect_failure(status, GPT2_ERR_MEMORY, gpt2_context_error(s.context), "memory", NULL);
    counter.refused = 0;
    assert_int_equal(score_string(s.context, "abcdef", 0, &result).n, 6);
  }
  assert_in_range(n, 10, 199);
  scripted_close(&s);
  assert_int_equal(counter.n_live, 0);
}

/* ---- What is refused ---- */

static void wrong_options_are_refused_by_their_names(void **state)
{
  (void)state;
  static const uint32_t size = sizeof(gpt2_score_options);
  const struct {
    gpt2_score_options options;
    gpt2_status status;
    const char *name, *found;
  } cases[] = {
      {{.struct_size = size, .flags = 4}, GPT2_ERR_UNSUPPORTED, "options.flags", "0x4"},
      {{.struct_size = size, .reserved = 1}, GPT2_ERR_UNSUPPORTED, "options.reserved", "not zero"},
      {{.struct_size = size, .stride = -1}, GPT2_ERR_ARGUMENT, "options.stride", "is -1"},
      {{.struct_size = size, .stride = 9}, GPT2_ERR_ARGUMENT, "options.stride", "1 to 8"},
      {{.struct_size = 2}, GPT2_ERR_ARGUMENT, "options", "struct_size is 2"},
  };
  scripted_model s = scripted_open(&(model_script){.text = "abc", .n_ctx = 8});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    arrived all = {.n = 0};
    expect_failure(gpt2_score(s.context, "abc", 3, &cases[i].options, arrive, &all, NULL),
                   cases[i].status, gpt2_context_error(s.context), cases[i].name, cases[i].found);
    assert_int_equal(all.n, 0);
  }
  gpt2_score_options most = {.struct_size = size, .stride = 8};
  must_succeed(gpt2_score(s.context, "abc", 3, &most, NULL, NULL, NULL), s.context);
  scripted_close(&s);
}

static void wrong_arguments_are_refused_by_their_names(void **state)
{
  (void)state;
  static const gpt2_token bad[] = {'a', 'b', 257}, negative[] = {-1};
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  const gpt2_error *error = gpt2_context_error(s.context);
  gpt2_score_result sizeless = {.struct_size = 0}, result;
  arrived all = {.n = 0};
  assert_int_equal(gpt2_score(NULL, "a", 1, NULL, NULL, NULL, NULL), GPT2_ERR_ARGUMENT);
  assert_int_equal(gpt2_score_tokens(NULL, bad, 1, NULL, NULL, NULL, NULL), GPT2_ERR_ARGUMENT);
  expect_failure(gpt2_score(s.context, NULL, 1, NULL, arrive, &all, NULL), GPT2_ERR_ARGUMENT, error,
                 "text", "NULL");
  expect_failure(gpt2_score_tokens(s.context, NULL, 1, NULL, arrive, &all, NULL), GPT2_ERR_ARGUMENT,
                 error, "tokens", "NULL");
  expect_failure(gpt2_score_tokens(s.context, bad, 3, NULL, arrive, &all, NULL), GPT2_ERR_ARGUMENT,
                 error, "token 2 of the text: is 257", "from 0 to 256");
  expect_failure(gpt2_score_tokens(s.context, negative, 1, NULL, arrive, &all, NULL),
                 GPT2_ERR_ARGUMENT, error, "token 0 of the text: is -1", "from 0 to 256");
  expect_failure(gpt2_score(s.context, "abc", 3, NULL, arrive, &all, &sizeless), GPT2_ERR_ARGUMENT,
                 error, "result", "struct_size");
  assert_int_equal(all.n, 0);
  assert_int_equal(score_string(s.context, "abc", 0, &result).n, 3);
  scripted_close(&s);
}

static void a_model_without_tokenizer_scores_tokens_only(void **state)
{
  (void)state;
  static const gpt2_token text[] = {'a', 'b'};
  scripted_model s = scripted_open(&(model_script){.text = "ab", .has_no_tokenizer = true});
  gpt2_score_result result = {.struct_size = sizeof result};
  expect_failure(gpt2_score(s.context, "ab", 2, NULL, NULL, NULL, &result), GPT2_ERR_NO_TOKENIZER,
                 gpt2_context_error(s.context), "no tokenizer", "vocab.json");
  must_succeed(gpt2_score_tokens(s.context, text, 2, NULL, NULL, NULL, &result), s.context);
  assert_int_equal(result.n_scored, 2);
  assert_int_equal(result.scored_size, 0);
  assert_true(result.bits_per_byte == 0.0);
  assert_true(is_near(result.perplexity, exp(-scripted_logprob(&s, 0))));
  scripted_close(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_token_that_the_model_says_has_rank_1_and_its_probability),
      cmocka_unit_test(a_token_that_the_model_does_not_say_comes_after_the_one_it_does),
      cmocka_unit_test(without_bos_the_first_token_is_told_but_not_scored),
      cmocka_unit_test(a_model_without_bos_leaves_the_first_token_unscored_unasked),
      cmocka_unit_test(special_tokens_are_read_only_on_request),
      cmocka_unit_test(the_result_sums_up_the_scored_tokens),
      cmocka_unit_test(an_empty_text_has_a_result_of_zeros),
      cmocka_unit_test(a_text_with_more_tokens_than_bytes_is_scored),
      cmocka_unit_test(a_result_is_filled_as_far_as_the_caller_knows_it),
      cmocka_unit_test(a_callback_stops_the_scoring_after_what_was_called_back),
      cmocka_unit_test(a_cancel_stops_the_scoring_once),
      cmocka_unit_test(a_callback_that_uses_the_context_is_told_that_it_is_busy),
      cmocka_unit_test(logits_that_are_no_numbers_are_an_error_that_names_the_token),
      cmocka_unit_test(logits_that_overflow_are_an_error_too),
      cmocka_unit_test(whichever_allocation_is_refused_the_same_call_works_afterwards),
      cmocka_unit_test(wrong_options_are_refused_by_their_names),
      cmocka_unit_test(wrong_arguments_are_refused_by_their_names),
      cmocka_unit_test(a_model_without_tokenizer_scores_tokens_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
