/* test_generation.c - a generation says what the model says: from a prompt of any kind to each of
 * its finishes. */
#include "gpt2.h"
#include "support/collected.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/scripted_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- Finishes ---- */

static void a_text_goes_on_token_by_token_until_it_is_long_enough(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "hello world"});
  gpt2_generate_options options = at_most(5);
  expect_pieces(s.context, "p", &options, "h|e|l|l|o|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "phell");
  scripted_close(&s);
}

static void an_end_token_ends_the_text_and_is_no_part_of_it(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "hi"});
  const collected *all = generated(s.context, "p", NULL);
  assert_string_equal(all->pieces, "h|i||");
  assert_int_equal(all->finish, GPT2_FINISH_END);
  assert_int_equal(all->tokens[2], END_TOKEN);
  assert_string_equal(kv_text(s.context, 0), "phi");
  scripted_close(&s);
}

static void an_end_token_that_comes_last_is_an_end(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "hi"});
  gpt2_generate_options options = at_most(3);
  expect_pieces(s.context, "p", &options, "h|i||", GPT2_FINISH_END);
  scripted_close(&s);
}

static void an_ignored_end_token_leaves_no_text_and_ends_nothing(void **state)
{
  (void)state;
  static const gpt2_token tokens[] = {'a', END_TOKEN, 'b', END_TOKEN};
  scripted_model s = scripted_open(&(model_script){.tokens = tokens, .n_tokens = 4});
  gpt2_generate_options options = at_most(5);
  options.flags = GPT2_GENERATE_IGNORE_END;
  expect_pieces(s.context, "p", &options, "a||b|||", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "pa$b$");
  scripted_close(&s);
}

static void each_of_several_end_tokens_ends_the_text(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){
      .text = "axbyc", .special = "\"bos_token_id\":256,\"eos_token_id\":[120,121]"});
  expect_pieces(s.context, "p", NULL, "a||", GPT2_FINISH_END);
  expect_pieces(s.context, "", NULL, "b||", GPT2_FINISH_END);
  assert_string_equal(kv_text(s.context, 0), "paxb");
  scripted_close(&s);
}

static void without_an_end_token_the_text_fills_the_context(void **state)
{
  (void)state;
  scripted_model s = scripted_open(
      &(model_script){.text = "abcdefghijkl", .n_ctx = 8, .special = "\"eos_token_id\":null"});
  expect_pieces(s.context, "123", NULL, "c|d|e|f|g|h|", GPT2_FINISH_CONTEXT);
  assert_string_equal(kv_text(s.context, 0), "123cdefg");
  scripted_close(&s);
}

static void a_prompt_that_fills_the_context_exactly_gives_one_token(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefghijkl", .n_ctx = 8});
  expect_pieces(s.context, "12345678", NULL, "h|", GPT2_FINISH_CONTEXT);
  assert_string_equal(kv_text(s.context, 0), "12345678");
  scripted_close(&s);
}

static void a_prompt_of_one_token_more_is_refused_and_a_shorter_one_works(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefghijkl", .n_ctx = 8});
  gpt2_generation *generation = (gpt2_generation *)&s;
  expect_failure(gpt2_generation_new(s.context, "123456789", 9, NULL, &generation),
                 GPT2_ERR_CONTEXT_FULL, gpt2_context_error(s.context), "prompt: has 9 tokens",
                 "room for 8 of the model's 8");
  assert_null(generation);
  assert_int_equal(gpt2_kv_length(s.context, 0), 0);
  expect_pieces(s.context, "1234567", NULL, "g|h|", GPT2_FINISH_CONTEXT);
  scripted_close(&s);
}

static void nothing_follows_in_a_sequence_that_is_full(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefghijkl", .n_ctx = 8});
  collected all = {.stop_at = 0};
  generated(s.context, "1234567", NULL);
  expect_failure(generate_into(s.context, "", NULL, &all), GPT2_ERR_CONTEXT_FULL,
                 gpt2_context_error(s.context), "sequence 0: is full", "8 positions");
  expect_failure(generate_into(s.context, "x", NULL, &all), GPT2_ERR_CONTEXT_FULL,
                 gpt2_context_error(s.context), "sequence 0: is full", "8 positions");
  must_succeed(gpt2_kv_truncate(s.context, 0, 6), s.context);
  expect_pieces(s.context, "x", NULL, "g|h|", GPT2_FINISH_CONTEXT);
  scripted_close(&s);
}

static void a_prompt_needs_room_beside_the_token_drawn_last(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefghijkl", .n_ctx = 8});
  gpt2_generate_options options = at_most(1);
  gpt2_generation *generation = NULL;
  generated(s.context, "12345", &options);
  expect_failure(gpt2_generation_new(s.context, "xyz", 3, &options, &generation),
                 GPT2_ERR_CONTEXT_FULL, gpt2_context_error(s.context), "prompt: has 3 tokens",
                 "room for 2");
  expect_pieces(s.context, "xy", &options, "h|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "12345exy");
  scripted_close(&s);
}

static void after_the_last_piece_the_finish_is_told_again_without_text(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "hi"});
  gpt2_generate_options options = at_most(1);
  gpt2_generation *generation;
  gpt2_piece piece = {.struct_size = sizeof piece};
  must_succeed(gpt2_generation_new(s.context, "p", 1, &options, &generation), s.context);
  must_succeed(gpt2_generation_next(generation, &piece), s.context);
  assert_int_equal(piece.size, 1);
  for (int i = 0; i < 2; i++) {
    must_succeed(gpt2_generation_next(generation, &piece), s.context);
    assert_int_equal(piece.finish, GPT2_FINISH_LENGTH);
    assert_int_equal(piece.token, -1);
    assert_int_equal(piece.size, 0);
    assert_non_null(piece.text);
  }
  gpt2_generation_free(generation);
  scripted_close(&s);
}

/* ---- Prompts ---- */

static void an_empty_prompt_starts_an_empty_sequence_with_bos(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "hi"});
  const collected *all = generated(s.context, "", NULL);
  assert_string_equal(all->text, "hi");
  assert_int_equal(all->result.n_prompt_tokens, 1);
  assert_string_equal(kv_text(s.context, 0), "$hi");
  scripted_close(&s);
}

static void a_prompt_gets_no_bos(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcd"});
  const collected *all = generated(s.context, "xyz", NULL);
  assert_string_equal(all->text, "cd");
  assert_int_equal(all->result.n_prompt_tokens, 3);
  assert_string_equal(kv_text(s.context, 0), "xyzcd");
  scripted_close(&s);
}

static void a_model_that_names_no_bos_begins_with_the_end_of_text(void **state)
{
  (void)state;
  scripted_model s =
      scripted_open(&(model_script){.text = "hi", .special = "\"bos_token_id\":null"});
  generated(s.context, "", &(gpt2_generate_options){.struct_size = 4});
  assert_int_equal(kv_text(s.context, 0)[0], '$');
  scripted_close(&s);
}

static void without_any_bos_an_empty_prompt_is_refused_and_another_works(void **state)
{
  (void)state;
  scripted_model s = scripted_open(
      &(model_script){.text = "hi", .special = "\"bos_token_id\":null", .has_no_tokenizer = true});
  static const gpt2_token prompt[] = {'p'};
  gpt2_generate_options options = at_most(2);
  collected all = {.stop_at = 0};
  expect_failure(generate_into(s.context, "", &options, &all), GPT2_ERR_NO_LOGITS,
                 gpt2_context_error(s.context), "prompt: is empty", "begins a text");
  options.prompt_tokens = prompt;
  options.n_prompt_tokens = 1;
  assert_int_equal(generated(s.context, "", &options)->tokens[0], 'h');
  scripted_close(&s);
}

static void tokens_of_the_prompt_come_after_its_text(void **state)
{
  (void)state;
  static const gpt2_token tokens[] = {END_TOKEN, 'b', END_TOKEN};
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  gpt2_generate_options options = at_most(1);
  options.prompt_tokens = tokens;
  options.n_prompt_tokens = 3;
  assert_int_equal(generated(s.context, "xy", &options)->result.n_prompt_tokens, 5);
  assert_string_equal(kv_text(s.context, 0), "xy$b$");
  options.sequence = 1;
  assert_int_equal(generated(s.context, "", &options)->result.n_prompt_tokens, 3);
  assert_string_equal(kv_text(s.context, 1), "$b$");
  scripted_close(&s);
}

static void special_tokens_in_a_prompt_are_read_only_on_request(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefghijklmnopq"});
  gpt2_generate_options options = at_most(1);
  generated(s.context, "x<|endoftext|>", &options);
  assert_string_equal(kv_text(s.context, 0), "x<|endoftext|>");
  options.sequence = 1;
  options.flags = GPT2_GENERATE_SPECIAL;
  generated(s.context, "x<|endoftext|>", &options);
  assert_string_equal(kv_text(s.context, 1), "x$");
  scripted_close(&s);
}

static void a_prompt_may_hold_nul_bytes_and_bytes_that_are_no_text(void **state)
{
  (void)state;
  static const char prompt[] = {'a', '\0', (char)0xff, (char)0xe2, 'b'};
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  gpt2_generate_options options = at_most(1);
  must_succeed(gpt2_generate(s.context, prompt, sizeof prompt, &options, NULL, NULL, NULL),
               s.context);
  assert_int_equal(gpt2_kv_length(s.context, 0), sizeof prompt);
  assert_memory_equal(kv_text(s.context, 0), prompt, sizeof prompt);
  scripted_close(&s);
}

static void a_tokenizer_that_adds_spaces_makes_more_tokens_than_bytes(void **state)
{
  (void)state;
  scripted_model s =
      scripted_open(&(model_script){.text = "abcdef", .tokenizer = "{\"add_prefix_space\":true}"});
  gpt2_generate_options options = at_most(1);
  options.flags = GPT2_GENERATE_SPECIAL;
  generated(s.context, "x<|endoftext|>y", &options);
  assert_string_equal(kv_text(s.context, 0), " x$ y");
  assert_int_equal(gpt2_context_error(s.context)->status, GPT2_OK);
  scripted_close(&s);
}

static void a_prompt_of_tokens_that_the_model_lacks_is_refused(void **state)
{
  (void)state;
  static const char *const names[] = {"wide"};
  scripted_model s =
      scripted_open(&(model_script){.text = "hi",
                                    .own_names = names,
                                    .n_own = 1,
                                    .n_more_rows = -1,
                                    .tokenizer = "{\"additional_special_tokens\":[\"wide\"]}"});
  gpt2_generate_options options = at_most(1);
  collected all = {.stop_at = 0};
  options.flags = GPT2_GENERATE_SPECIAL;
  expect_failure(generate_into(s.context, "wide", &options, &all), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(s.context), "prompt: becomes token 257", "from 0 to 256");
  expect_pieces(s.context, "p", &options, "h|", GPT2_FINISH_LENGTH);
  scripted_close(&s);
}

/* ---- Models without text ---- */

static void a_model_without_tokenizer_gives_pieces_without_text(void **state)
{
  (void)state;
  static const gpt2_token prompt[] = {'p', 'q'};
  scripted_model s = scripted_open(&(model_script){.text = "abc", .has_no_tokenizer = true});
  gpt2_generate_options options = at_most(3);
  options.prompt_tokens = prompt;
  options.n_prompt_tokens = 2;
  const collected *all = generated(s.context, "", &options);
  assert_string_equal(all->pieces, "|||");
  assert_int_equal(all->tokens[0], 'b');
  assert_int_equal(all->tokens[1], 'c');
  assert_int_equal(all->tokens[2], END_TOKEN);
  assert_int_equal(all->finish, GPT2_FINISH_END);
  scripted_close(&s);
}

static void a_model_without_tokenizer_refuses_text(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc", .has_no_tokenizer = true});
  gpt2_generate_options options = at_most(1);
  collected all = {.stop_at = 0};
  expect_failure(generate_into(s.context, "p", &options, &all), GPT2_ERR_NO_TOKENIZER,
                 gpt2_context_error(s.context), "tokenizer", "tokenizer.json");
  options.stops = &(gpt2_string){"x", 1};
  options.n_stops = 1;
  expect_failure(generate_into(s.context, "", &options, &all), GPT2_ERR_NO_TOKENIZER,
                 gpt2_context_error(s.context), "options.stops", "tokenizer.json");
  options.n_stops = 0;
  assert_int_equal(generated(s.context, "", &options)->tokens[0], 'a');
  scripted_close(&s);
}

static void rows_that_the_tokenizer_has_no_text_for_add_none(void **state)
{
  (void)state;
  static const gpt2_token tokens[] = {'a', FIRST_OWN_TOKEN, FIRST_OWN_TOKEN + 1, 'b'};
  scripted_model s =
      scripted_open(&(model_script){.tokens = tokens, .n_tokens = 4, .n_more_rows = 2});
  gpt2_generate_options options = at_most(4);
  expect_pieces(s.context, "p", &options, "a|||b|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "paAB");
  scripted_close(&s);
}

/* ---- Probabilities ---- */

static void a_log_probability_is_the_models_whatever_the_sampler_does(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "hello", .confidence = 5.0f});
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 3.0f, .top_k = 1};
  gpt2_generate_options options = at_most(5);
  double expected = scripted_logprob(&s, 5.0f);
  for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
    options.sampling = is_sampled ? &sampling : NULL;
    options.sequence = is_sampled;
    const collected *all = generated(s.context, "p", &options);
    assert_string_equal(all->text, "hello");
    for (int i = 0; i < all->n; i++)
      assert_true(fabs((double)all->logprobs[i] - expected) < 1e-5);
  }
  scripted_close(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_text_goes_on_token_by_token_until_it_is_long_enough),
      cmocka_unit_test(an_end_token_ends_the_text_and_is_no_part_of_it),
      cmocka_unit_test(an_end_token_that_comes_last_is_an_end),
      cmocka_unit_test(an_ignored_end_token_leaves_no_text_and_ends_nothing),
      cmocka_unit_test(each_of_several_end_tokens_ends_the_text),
      cmocka_unit_test(without_an_end_token_the_text_fills_the_context),
      cmocka_unit_test(a_prompt_that_fills_the_context_exactly_gives_one_token),
      cmocka_unit_test(a_prompt_of_one_token_more_is_refused_and_a_shorter_one_works),
      cmocka_unit_test(nothing_follows_in_a_sequence_that_is_full),
      cmocka_unit_test(a_prompt_needs_room_beside_the_token_drawn_last),
      cmocka_unit_test(after_the_last_piece_the_finish_is_told_again_without_text),
      cmocka_unit_test(an_empty_prompt_starts_an_empty_sequence_with_bos),
      cmocka_unit_test(a_prompt_gets_no_bos),
      cmocka_unit_test(a_model_that_names_no_bos_begins_with_the_end_of_text),
      cmocka_unit_test(without_any_bos_an_empty_prompt_is_refused_and_another_works),
      cmocka_unit_test(tokens_of_the_prompt_come_after_its_text),
      cmocka_unit_test(special_tokens_in_a_prompt_are_read_only_on_request),
      cmocka_unit_test(a_prompt_may_hold_nul_bytes_and_bytes_that_are_no_text),
      cmocka_unit_test(a_tokenizer_that_adds_spaces_makes_more_tokens_than_bytes),
      cmocka_unit_test(a_prompt_of_tokens_that_the_model_lacks_is_refused),
      cmocka_unit_test(a_model_without_tokenizer_gives_pieces_without_text),
      cmocka_unit_test(a_model_without_tokenizer_refuses_text),
      cmocka_unit_test(rows_that_the_tokenizer_has_no_text_for_add_none),
      cmocka_unit_test(a_log_probability_is_the_models_whatever_the_sampler_does),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
