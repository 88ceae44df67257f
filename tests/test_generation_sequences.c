/* test_generation_sequences.c - what a generation leaves in its sequence and what the next one
 * makes of it; several at once; seeds and samplers; and who keeps whom alive. */
#include "gpt2.h"
#include "support/collected.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/scripted_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The next piece, which must come. */
static gpt2_piece next_of(gpt2_generation *generation, const gpt2_context *context)
{
  gpt2_piece piece = {.struct_size = sizeof piece};
  must_succeed(gpt2_generation_next(generation, &piece), context);
  return piece;
}

static gpt2_generation *begin(gpt2_context *context, const char *prompt, int32_t sequence,
                              int32_t max_tokens)
{
  gpt2_generation *generation = NULL;
  gpt2_generate_options options = at_most(max_tokens);
  options.sequence = sequence;
  must_succeed(gpt2_generation_new(context, prompt, strlen(prompt), &options, &generation),
               context);
  return generation;
}

/* ---- The next generation on a sequence ---- */

static void an_empty_prompt_goes_on_with_the_token_drawn_last(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh"});
  gpt2_generate_options options = at_most(3);
  expect_pieces(s.context, "p", &options, "a|b|c|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "pab");
  expect_pieces(s.context, "", &options, "d|e|f|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "pabcde");
  scripted_close(&s);
}

static void a_prompt_comes_after_the_token_drawn_last(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh"});
  gpt2_generate_options options = at_most(2);
  expect_pieces(s.context, "p", &options, "a|b|", GPT2_FINISH_LENGTH);
  expect_pieces(s.context, "xy", &options, "e|f|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "pabxye");
  scripted_close(&s);
}

static void an_end_token_stands_before_the_next_prompt(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "ab"});
  expect_pieces(s.context, "p", NULL, "a|b||", GPT2_FINISH_END);
  expect_pieces(s.context, "q", NULL, "|", GPT2_FINISH_END);
  assert_string_equal(kv_text(s.context, 0), "pab$q");
  scripted_close(&s);
}

static void a_text_cut_by_a_stop_string_goes_on_behind_it(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abXYcd"});
  gpt2_generate_options options = at_most(0);
  options.stops = &(gpt2_string){"XY", 2};
  options.n_stops = 1;
  expect_pieces(s.context, "p", &options, "a|b|||", GPT2_FINISH_STOP);
  expect_pieces(s.context, "", &options, "c|d||", GPT2_FINISH_END);
  assert_string_equal(kv_text(s.context, 0), "pabXYcd");
  scripted_close(&s);
}

/* Evaluation and the KV functions set the sequence as the caller wants it: what was drawn but not
 * evaluated is no part of that. */
static void a_sequence_that_the_caller_changes_forgets_the_token_drawn_last(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh"});
  gpt2_generate_options options = at_most(2);
  generated(s.context, "p", &options);
  must_succeed(gpt2_eval(s.context, 0, &(gpt2_token){'x'}, 1, 0), s.context);
  expect_pieces(s.context, "", &options, "c|d|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "paxc");
  must_succeed(gpt2_kv_truncate(s.context, 0, 4), s.context);
  expect_pieces(s.context, "", &options, "d|e|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "paxcd");
  must_succeed(gpt2_kv_truncate(s.context, 0, 2), s.context);
  expect_pieces(s.context, "y", &options, "c|d|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "payc");
  must_succeed(gpt2_kv_drop(s.context, 0), s.context);
  expect_pieces(s.context, "", &options, "a|b|", GPT2_FINISH_LENGTH);
  assert_string_equal(kv_text(s.context, 0), "$a");
  must_succeed(gpt2_kv_clear(s.context), s.context);
  expect_pieces(s.context, "", &options, "a|b|", GPT2_FINISH_LENGTH);
  scripted_close(&s);
}

static void a_sequence_cut_short_has_nothing_to_go_on_from_without_a_prompt(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh"});
  gpt2_generate_options options = at_most(2);
  collected all = {.stop_at = 0};
  must_succeed(gpt2_eval(s.context, 0, (gpt2_token[]){'x', 'y'}, 2, 0), s.context);
  expect_pieces(s.context, "", &options, "b|c|", GPT2_FINISH_LENGTH);
  must_succeed(gpt2_kv_truncate(s.context, 0, 1), s.context);
  expect_failure(generate_into(s.context, "", &options, &all), GPT2_ERR_NO_LOGITS,
                 gpt2_context_error(s.context), "prompt: is empty", "sequence 0");
  expect_pieces(s.context, "z", &options, "b|c|", GPT2_FINISH_LENGTH);
  scripted_close(&s);
}

/* On a model that looks at its tokens, unlike the scripted ones. */
static void in_parts_a_text_is_the_same_as_at_once(void **state)
{
  (void)state;
  model_fixture *fixture = fixture_open("base");
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 1);
  gpt2_generate_options options = at_most(40);
  collected whole = *generated(context, "Hello", &options);
  options.sequence = 1;
  options.max_tokens = 7;
  for (int at = 0, n = 0; at < 40; at += n) {
    options.max_tokens = 40 - at < 7 ? 40 - at : 7;
    const collected *part = generated(context, at == 0 ? "Hello" : "", &options);
    n = part->n;
    assert_memory_equal(part->tokens, whole.tokens + at, (size_t)n * sizeof *part->tokens);
  }
  assert_int_equal(gpt2_kv_length(context, 1), gpt2_kv_length(context, 0));
  gpt2_context_free(context);
  gpt2_model_free(model);
  fixture_close(fixture);
}

/* ---- Several at once ---- */

static void two_generations_on_two_sequences_do_not_disturb_each_other(void **state)
{
  (void)state;
  model_fixture *fixture = fixture_open("base");
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 1);
  static const char *const prompts[] = {"Hello", "Another text altogether"};
  gpt2_generate_options options = at_most(20);
  collected alone[2];
  gpt2_generation *generations[2];
  for (int i = 0; i < 2; i++) {
    options.sequence = 65534 + i;
    alone[i] = *generated(context, prompts[i], &options);
    generations[i] = begin(context, prompts[i], i, 20);
  }
  assert_int_not_equal(alone[0].tokens[1], alone[1].tokens[1]);
  for (int n = 0; n < 20; n++)
    for (int i = 0; i < 2; i++)
      assert_int_equal(next_of(generations[i], context).token, alone[i].tokens[n]);
  gpt2_generation_free(generations[1]);
  gpt2_generation_free(generations[0]);
  gpt2_context_free(context);
  gpt2_model_free(model);
  fixture_close(fixture);
}

static void two_generations_on_one_sequence_go_on_with_each_others_tokens(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh"});
  gpt2_generation *one = begin(s.context, "p", 0, 9), *other;
  assert_int_equal(next_of(one, s.context).token, 'a');
  other = begin(s.context, "q", 0, 9);
  assert_int_equal(next_of(one, s.context).token, 'b');
  assert_int_equal(next_of(other, s.context).token, 'd');
  assert_int_equal(next_of(one, s.context).token, 'e');
  assert_string_equal(kv_text(s.context, 0), "pabqd");
  gpt2_generation_free(one);
  gpt2_generation_free(other);
  scripted_close(&s);
}

static void a_generation_between_two_pieces_notices_what_became_of_its_sequence(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh", .n_ctx = 8});
  gpt2_piece piece = {.struct_size = sizeof piece};
  gpt2_generation *generation = begin(s.context, "1234", 0, 0);
  must_succeed(gpt2_eval(s.context, 0, (gpt2_token[]){'v', 'w', 'x', 'y', 'z'}, 5, 0), s.context);
  expect_failure(gpt2_generation_next(generation, &piece), GPT2_ERR_CONTEXT_FULL,
                 gpt2_context_error(s.context), "sequence 0", "8 positions");
  must_succeed(gpt2_kv_drop(s.context, 0), s.context);
  assert_int_equal(next_of(generation, s.context).token, 'd');
  must_succeed(gpt2_kv_truncate(s.context, 0, 1), s.context);
  expect_failure(gpt2_generation_next(generation, &piece), GPT2_ERR_NO_LOGITS,
                 gpt2_context_error(s.context), "sequence 0", "logits");
  must_succeed(gpt2_eval(s.context, 0, &(gpt2_token){'x'}, 1, 0), s.context);
  assert_int_equal(next_of(generation, s.context).token, 'b');
  gpt2_generation_free(generation);
  scripted_close(&s);
}

/* ---- Seeds and samplers ---- */

static void a_seed_gives_one_text_and_is_told_in_the_result(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh", .confidence = 1.0f});
  gpt2_sampler_options sampling = {
      .struct_size = sizeof sampling, .temperature = 1.0f, .seed = UINT64_C(1) << 40};
  gpt2_generate_options options = at_most(12);
  options.sampling = &sampling;
  collected first = *generated(s.context, "p", &options);
  assert_true(first.result.seed == UINT64_C(1) << 40);
  options.sequence = 1;
  const collected *again = generated(s.context, "p", &options);
  assert_memory_equal(again->tokens, first.tokens, 12 * sizeof *first.tokens);
  sampling.seed++;
  options.sequence = 2;
  const collected *other = generated(s.context, "p", &options);
  assert_memory_not_equal(other->tokens, first.tokens, 12 * sizeof *first.tokens);
  scripted_close(&s);
}

static void a_generation_draws_as_a_sampler_does_by_itself(void **state)
{
  (void)state;
  enum { DRAWS = 12 };
  static const float level[FIRST_OWN_TOKEN]; /* so are all logits of this model, very nearly */
  scripted_model s = scripted_open(&(model_script){.text = "", .confidence = 1e-30f});
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 1.0f, .seed = 4};
  gpt2_sampler *sampler;
  gpt2_token token;
  gpt2_generate_options options = at_most(DRAWS);
  options.sampling = &sampling;
  options.flags = GPT2_GENERATE_IGNORE_END;
  const collected *all = generated(s.context, "p", &options);
  assert_int_equal(gpt2_sampler_new(&sampling, &sampler, NULL), GPT2_OK);
  for (int i = 0; i < DRAWS; i++) {
    assert_int_equal(gpt2_sampler_draw(sampler, level, FIRST_OWN_TOKEN, &token, NULL), GPT2_OK);
    assert_int_equal(all->tokens[i], token);
    assert_int_equal(gpt2_sampler_accept(sampler, token, NULL), GPT2_OK);
  }
  gpt2_sampler_free(sampler);
  scripted_close(&s);
}

static void a_seed_from_the_system_is_told_and_gives_the_same_text_again(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh", .confidence = 1.0f});
  gpt2_sampler_options sampling = {
      .struct_size = sizeof sampling, .temperature = 1.0f, .flags = GPT2_SAMPLER_RANDOM_SEED};
  gpt2_generate_options options = at_most(12);
  options.sampling = &sampling;
  collected first = *generated(s.context, "p", &options);
  sampling.flags = 0;
  sampling.seed = first.result.seed;
  options.sequence = 1;
  const collected *again = generated(s.context, "p", &options);
  assert_memory_equal(again->tokens, first.tokens, 12 * sizeof *first.tokens);
  scripted_close(&s);
}

static void the_callers_own_sampler_is_used_and_moves_on(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh", .confidence = 1.0f});
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 1.0f, .seed = 5};
  gpt2_sampler_options unused = {.struct_size = sizeof unused, .seed = 6};
  gpt2_sampler *sampler;
  gpt2_generate_options options = at_most(12);
  options.sampling = &sampling;
  collected whole = *generated(s.context, "p", &options);
  assert_int_equal(gpt2_sampler_new(&sampling, &sampler, NULL), GPT2_OK);
  options.sampler = sampler;
  options.sampling = &unused;
  options.sequence = 1;
  options.max_tokens = 4;
  for (int part = 0; part < 3; part++) {
    const collected *all = generated(s.context, part == 0 ? "p" : "", &options);
    assert_true(all->result.seed == 5);
    assert_memory_equal(all->tokens, whole.tokens + 4 * part, 4 * sizeof *whole.tokens);
  }
  gpt2_sampler_free(sampler);
  scripted_close(&s);
}

static void a_generation_tells_its_seed_and_the_length_of_its_prompt(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdefgh"});
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 1.0f, .seed = 9};
  gpt2_generate_options options = at_most(1);
  options.sampling = &sampling;
  gpt2_generation *sampled, *greedy = begin(s.context, "abc", 0, 1);
  must_succeed(gpt2_generation_new(s.context, "", 0, &options, &sampled), s.context);
  assert_true(gpt2_generation_seed(sampled) == 9);
  assert_int_equal(gpt2_generation_prompt_length(sampled), 1);
  assert_true(gpt2_generation_seed(greedy) == 0);
  assert_int_equal(gpt2_generation_prompt_length(greedy), 3);
  assert_true(gpt2_generation_seed(NULL) == 0);
  assert_int_equal(gpt2_generation_prompt_length(NULL), 0);
  gpt2_generation_free(sampled);
  gpt2_generation_free(greedy);
  gpt2_generation_free(NULL);
  scripted_close(&s);
}

/* ---- Who keeps whom ---- */

static void a_generation_goes_on_when_context_and_model_are_given_up(void **state)
{
  (void)state;
  for (int order = 0; order < 2; order++) {
    scripted_model s = scripted_open(&(model_script){.text = "abc"});
    gpt2_generation *generation = begin(s.context, "p", 0, 0);
    if (order == 0)
      gpt2_model_free(s.model);
    gpt2_context_free(s.context);
    if (order == 1)
      gpt2_model_free(s.model);
    s.model = NULL;
    s.context = NULL;
    char text[8] = "";
    gpt2_piece piece = {.struct_size = sizeof piece};
    while (piece.finish == GPT2_FINISH_NONE) {
      assert_int_equal(gpt2_generation_next(generation, &piece), GPT2_OK);
      strncat(text, piece.text, (size_t)piece.size);
    }
    assert_string_equal(text, "abc");
    gpt2_generation_free(generation);
    scripted_close(&s);
  }
}

static void all_memory_comes_from_the_models_hooks_and_goes_back(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 1.0f};
  gpt2_generate_options options = at_most(4);
  scripted_model s = scripted_open(&(model_script){.text = "abc", .allocator = &hooks});
  size_t n_at_first = counter.n_live;
  gpt2_generation *greedy = begin(s.context, "p", 0, 4), *sampled;
  size_t n_greedy = counter.n_live - n_at_first;
  assert_true(n_greedy > 0);
  options.sampling = &sampling;
  must_succeed(gpt2_generation_new(s.context, "p", 1, &options, &sampled), s.context);
  assert_int_equal(counter.n_live, n_at_first + 2 * n_greedy + 2); /* a sampler, and its room */
  next_of(greedy, s.context);
  next_of(sampled, s.context); /* the prompts are evaluated; another token takes no memory */
  size_t n_calls = counter.n_calls;
  next_of(sampled, s.context);
  assert_int_equal(counter.n_calls, n_calls);
  gpt2_generation_free(greedy);
  gpt2_generation_free(sampled);
  scripted_close(&s);
  assert_int_equal(counter.n_live, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_prompt_goes_on_with_the_token_drawn_last),
      cmocka_unit_test(a_prompt_comes_after_the_token_drawn_last),
      cmocka_unit_test(an_end_token_stands_before_the_next_prompt),
      cmocka_unit_test(a_text_cut_by_a_stop_string_goes_on_behind_it),
      cmocka_unit_test(a_sequence_that_the_caller_changes_forgets_the_token_drawn_last),
      cmocka_unit_test(a_sequence_cut_short_has_nothing_to_go_on_from_without_a_prompt),
      cmocka_unit_test(in_parts_a_text_is_the_same_as_at_once),
      cmocka_unit_test(two_generations_on_two_sequences_do_not_disturb_each_other),
      cmocka_unit_test(two_generations_on_one_sequence_go_on_with_each_others_tokens),
      cmocka_unit_test(a_generation_between_two_pieces_notices_what_became_of_its_sequence),
      cmocka_unit_test(a_seed_gives_one_text_and_is_told_in_the_result),
      cmocka_unit_test(a_generation_draws_as_a_sampler_does_by_itself),
      cmocka_unit_test(a_seed_from_the_system_is_told_and_gives_the_same_text_again),
      cmocka_unit_test(the_callers_own_sampler_is_used_and_moves_on),
      cmocka_unit_test(a_generation_tells_its_seed_and_the_length_of_its_prompt),
      cmocka_unit_test(a_generation_goes_on_when_context_and_model_are_given_up),
      cmocka_unit_test(all_memory_comes_from_the_models_hooks_and_goes_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
