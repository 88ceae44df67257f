/* test_generation_errors.c - what a generation is refused, it says by name; callers of other
 * versions; and gpt2_sample, one token at a time. */
#include "gpt2.h"
#include "support/collected.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/sampling.h"
#include "support/scripted_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- Options ---- */

static void a_wrong_option_is_refused_by_its_name(void **state)
{
  (void)state;
  static const gpt2_token too_great[] = {'a', 257}, negative[] = {-1};
  const gpt2_sampler_options cold = {.struct_size = sizeof cold, .temperature = -1.0f};
  const gpt2_sampler_options sizeless = {.temperature = 1.0f};
  const struct {
    gpt2_generate_options options;
    gpt2_status status;
    const char *name, *found;
  } cases[] = {
      {{.sequence = -1}, GPT2_ERR_ARGUMENT, "sequence", "-1"},
      {{.sequence = GPT2_MAX_SEQUENCES}, GPT2_ERR_ARGUMENT, "sequence", "65536"},
      {{.flags = 0x18}, GPT2_ERR_UNSUPPORTED, "options.flags", "0x18"},
      {{.max_tokens = -1}, GPT2_ERR_ARGUMENT, "options.max_tokens", "-1"},
      {{.n_prompt_tokens = 1}, GPT2_ERR_ARGUMENT, "options.prompt_tokens", "NULL"},
      {{.n_prompt_tokens = 2, .prompt_tokens = too_great},
       GPT2_ERR_ARGUMENT,
       "options.prompt_tokens[1]",
       "is 257"},
      {{.n_prompt_tokens = 1, .prompt_tokens = negative},
       GPT2_ERR_ARGUMENT,
       "options.prompt_tokens[0]",
       "is -1"},
      {{.sampling = &cold}, GPT2_ERR_ARGUMENT, "temperature", NULL},
      {{.sampling = &sizeless}, GPT2_ERR_ARGUMENT, "options.sampling", "struct_size"},
  };
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_generate_options options = cases[i].options;
    gpt2_generation *generation = (gpt2_generation *)&s;
    collected all = {.stop_at = 0};
    options.struct_size = sizeof options;
    expect_failure(gpt2_generation_new(s.context, "p", 1, &options, &generation), cases[i].status,
                   gpt2_context_error(s.context), cases[i].name, cases[i].found);
    assert_null(generation);
    expect_failure(generate_into(s.context, "p", &options, &all), cases[i].status,
                   gpt2_context_error(s.context), cases[i].name, cases[i].found);
  }
  assert_int_equal(gpt2_kv_length(s.context, 0), 0);
  assert_string_equal(generated(s.context, "p", NULL)->text, "abc");
  scripted_close(&s);
}

static void arguments_that_are_missing_are_named(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  gpt2_generation *generation = (gpt2_generation *)&s;
  gpt2_piece piece = {.struct_size = sizeof piece};
  const gpt2_error *error = gpt2_context_error(s.context);
  assert_int_equal(gpt2_generation_new(NULL, "p", 1, NULL, &generation), GPT2_ERR_ARGUMENT);
  assert_null(generation);
  expect_failure(gpt2_generation_new(s.context, NULL, 1, NULL, &generation), GPT2_ERR_ARGUMENT,
                 error, "prompt", "NULL");
  expect_failure(gpt2_generation_new(s.context, "p", 1, NULL, NULL), GPT2_ERR_ARGUMENT, error,
                 "generation", "NULL");
  assert_int_equal(gpt2_generation_next(NULL, &piece), GPT2_ERR_ARGUMENT);
  assert_int_equal(gpt2_generate(NULL, "p", 1, NULL, NULL, NULL, NULL), GPT2_ERR_ARGUMENT);
  expect_failure(gpt2_generate(s.context, NULL, 1, NULL, NULL, NULL, NULL), GPT2_ERR_ARGUMENT,
                 error, "prompt", "NULL");
  must_succeed(gpt2_generation_new(s.context, NULL, 0, NULL, &generation), s.context);
  expect_failure(gpt2_generation_next(generation, NULL), GPT2_ERR_ARGUMENT, error, "piece", "NULL");
  must_succeed(gpt2_generation_next(generation, &piece), s.context);
  assert_int_equal(piece.token, 'a'); /* the refused call has drawn nothing */
  gpt2_generation_free(generation);
  scripted_close(&s);
}

/* ---- Structs of other sizes ---- */

static void options_may_be_shorter_or_longer_than_ours(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  struct {
    gpt2_generate_options known;
    uint64_t unknown;
  } options = {.known = at_most(2)};
  collected all = {.stop_at = 0};
  options.known.struct_size = sizeof options;
  expect_pieces(s.context, "p", &options.known, "a|b|", GPT2_FINISH_LENGTH);
  options.unknown = 1;
  expect_failure(generate_into(s.context, "p", &options.known, &all), GPT2_ERR_UNSUPPORTED,
                 gpt2_context_error(s.context), "options", "struct_size");
  options.known.struct_size = offsetof(gpt2_generate_options, sampling);
  options.known.sampling = (const gpt2_sampler_options *)&s; /* beyond the caller's struct */
  options.known.sequence = 1;
  expect_pieces(s.context, "p", &options.known, "a|b|", GPT2_FINISH_LENGTH);
  options.known.struct_size = 0;
  expect_failure(generate_into(s.context, "p", &options.known, &all), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(s.context), "options", "struct_size");
  scripted_close(&s);
}

static void a_piece_is_filled_as_far_as_the_caller_knows_it(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  struct {
    gpt2_piece known;
    uint8_t unknown[8];
  } piece;
  gpt2_generation *generation;
  must_succeed(gpt2_generation_new(s.context, "p", 1, NULL, &generation), s.context);
  memset(&piece, 0x55, sizeof piece);
  piece.known.struct_size = offsetof(gpt2_piece, logprob);
  must_succeed(gpt2_generation_next(generation, &piece.known), s.context);
  assert_int_equal(piece.known.token, 'a');
  assert_true(piece.known.size == UINT64_C(0x5555555555555555));
  piece.known.struct_size = sizeof piece;
  must_succeed(gpt2_generation_next(generation, &piece.known), s.context);
  assert_int_equal(piece.known.token, 'b');
  assert_int_equal(piece.known.struct_size, sizeof piece);
  assert_memory_equal(piece.unknown, (uint8_t[8]){0}, 8);
  piece.known.struct_size = 3;
  expect_failure(gpt2_generation_next(generation, &piece.known), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(s.context), "piece", "struct_size is 3");
  piece.known.struct_size = sizeof piece.known;
  must_succeed(gpt2_generation_next(generation, &piece.known), s.context);
  assert_int_equal(piece.known.token, 'c');
  gpt2_generation_free(generation);
  scripted_close(&s);
}

static void a_result_is_filled_as_far_as_the_caller_knows_it(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  struct {
    gpt2_result known;
    uint8_t unknown[8];
  } result;
  memset(&result, 0x55, sizeof result);
  result.known.struct_size = offsetof(gpt2_result, seed);
  must_succeed(gpt2_generate(s.context, "p", 1, NULL, NULL, NULL, &result.known), s.context);
  assert_int_equal(result.known.finish, GPT2_FINISH_END);
  assert_int_equal(result.known.n_prompt_tokens, 1);
  assert_int_equal(result.known.n_tokens, 4);
  assert_true(result.known.seed == UINT64_C(0x5555555555555555));
  result.known.struct_size = sizeof result;
  must_succeed(gpt2_generate(s.context, "p", 1, NULL, NULL, NULL, &result.known), s.context);
  assert_memory_equal(result.unknown, (uint8_t[8]){0}, 8);
  size_t length = gpt2_kv_length(s.context, 0);
  result.known.struct_size = 0;
  expect_failure(gpt2_generate(s.context, "p", 1, NULL, NULL, NULL, &result.known),
                 GPT2_ERR_ARGUMENT, gpt2_context_error(s.context), "result", "struct_size");
  assert_int_equal(gpt2_kv_length(s.context, 0), length);
  scripted_close(&s);
}

static void every_finish_has_a_name(void **state)
{
  (void)state;
  static const char *const names[] = {"none", "length", "stop", "end", "context", "cancelled"};
  for (int32_t finish = 0; finish < 6; finish++)
    assert_string_equal(gpt2_finish_name(finish), names[finish]);
  assert_string_equal(gpt2_finish_name(-1), "none");
  assert_string_equal(gpt2_finish_name(6), "none");
  assert_string_equal(gpt2_finish_name(INT32_MAX), "none");
  assert_string_equal(gpt2_finish_name(INT32_MIN), "none");
}

/* ---- gpt2_sample ---- */

static void a_sample_is_drawn_from_the_sequence_and_accepted(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.confidence = 1e-30f}); /* all are as likely */
  gpt2_sampler *one = new_sampler(at_temperature(1.0f, 3));
  gpt2_sampler *other = new_sampler(at_temperature(1.0f, 3));
  gpt2_token token;
  must_succeed(gpt2_eval(s.context, 2, &(gpt2_token){'p'}, 1, 0), s.context);
  for (int i = 0; i < 10; i++) {
    must_succeed(gpt2_sample(s.context, 2, one, &token), s.context);
    assert_int_equal(token, draw_from(other, gpt2_logits(s.context, 2), (size_t)s.n_vocab));
    accept_token(other, token);
  }
  assert_string_equal(kv_text(s.context, 2), "p");
  gpt2_sampler_free(one);
  gpt2_sampler_free(other);
  scripted_close(&s);
}

static void a_sample_without_sampler_is_the_likeliest_token(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  gpt2_token token;
  must_succeed(gpt2_eval(s.context, 0, (gpt2_token[]){'p', 'q'}, 2, 0), s.context);
  must_succeed(gpt2_sample(s.context, 0, NULL, &token), s.context);
  assert_int_equal(token, 'b');
  scripted_close(&s);
}

static void a_sample_that_cannot_be_drawn_is_refused_and_the_sampler_stays(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.confidence = 1e-30f, .broken_at = 1});
  gpt2_sampler *sampler = new_sampler(at_temperature(1.0f, 3));
  const gpt2_error *error = gpt2_context_error(s.context);
  gpt2_token token = -7, first;
  must_succeed(gpt2_eval(s.context, 0, &(gpt2_token){'p'}, 1, 0), s.context);
  must_succeed(gpt2_eval(s.context, 1, (gpt2_token[]){'p', 'q'}, 2, 0), s.context);
  first = draw_from(sampler, gpt2_logits(s.context, 0), (size_t)s.n_vocab);
  assert_int_equal(gpt2_sample(NULL, 0, sampler, &token), GPT2_ERR_ARGUMENT);
  expect_failure(gpt2_sample(s.context, 0, sampler, NULL), GPT2_ERR_ARGUMENT, error, "token",
                 "NULL");
  expect_failure(gpt2_sample(s.context, -1, sampler, &token), GPT2_ERR_ARGUMENT, error, "sequence",
                 "-1");
  expect_failure(gpt2_sample(s.context, 65536, sampler, &token), GPT2_ERR_ARGUMENT, error,
                 "sequence", "65536");
  expect_failure(gpt2_sample(s.context, 5, sampler, &token), GPT2_ERR_NO_LOGITS, error,
                 "sequence 5", "logits");
  expect_failure(gpt2_sample(s.context, 1, sampler, &token), GPT2_ERR_NON_FINITE, error, "token 0",
                 "not a number");
  must_succeed(gpt2_kv_truncate(s.context, 1, 1), s.context);
  expect_failure(gpt2_sample(s.context, 1, NULL, &token), GPT2_ERR_NO_LOGITS, error, "sequence 1",
                 "logits");
  assert_int_equal(token, -7);
  must_succeed(gpt2_sample(s.context, 0, sampler, &token), s.context);
  assert_int_equal(token, first);
  gpt2_sampler_free(sampler);
  scripted_close(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_wrong_option_is_refused_by_its_name),
      cmocka_unit_test(arguments_that_are_missing_are_named),
      cmocka_unit_test(options_may_be_shorter_or_longer_than_ours),
      cmocka_unit_test(a_piece_is_filled_as_far_as_the_caller_knows_it),
      cmocka_unit_test(a_result_is_filled_as_far_as_the_caller_knows_it),
      cmocka_unit_test(every_finish_has_a_name),
      cmocka_unit_test(a_sample_is_drawn_from_the_sequence_and_accepted),
      cmocka_unit_test(a_sample_without_sampler_is_the_likeliest_token),
      cmocka_unit_test(a_sample_that_cannot_be_drawn_is_refused_and_the_sampler_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
