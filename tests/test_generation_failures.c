/* test_generation_failures.c - a generation that is stopped, cancelled, out of memory or without
 * numbers says so, loses nothing, and goes on when the same call is made again. */
#include "gpt2.h"
#include "support/collected.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/intruder.h"
#include "support/opened.h"
#include "support/scripted_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- The callback ---- */

static void a_callback_that_stops_is_a_success_and_the_text_can_go_on(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  collected all = {.stop_at = 3};
  must_succeed(generate_into(s.context, "p", NULL, &all), s.context);
  assert_string_equal(all.pieces, "a|b|c|");
  assert_int_equal(all.finish, GPT2_FINISH_NONE);
  assert_int_equal(all.result.finish, GPT2_FINISH_CANCELLED);
  assert_int_equal(all.result.n_tokens, 3);
  assert_string_equal(kv_text(s.context, 0), "pab");
  expect_pieces(s.context, "", NULL, "d|e|f||", GPT2_FINISH_END);
  scripted_close(&s);
}

static void a_callback_that_stops_at_the_last_piece_changes_no_finish(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  gpt2_generate_options options = at_most(3);
  collected all = {.stop_at = 3};
  must_succeed(generate_into(s.context, "p", &options, &all), s.context);
  assert_int_equal(all.result.finish, GPT2_FINISH_LENGTH);
  scripted_close(&s);
}

static void without_callback_and_result_the_tokens_are_drawn_all_the_same(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abc"});
  must_succeed(gpt2_generate(s.context, "p", 1, NULL, NULL, NULL, NULL), s.context);
  assert_string_equal(kv_text(s.context, 0), "pabc");
  scripted_close(&s);
}

/* ---- What a callback must not do ---- */

typedef struct intrusion {
  gpt2_context *context;
  gpt2_generation *generation; /* another one on the context */
  int n_calls;
} intrusion;

static void intrude(intrusion *i)
{
  must_all_be_busy(i->context, i->generation);
  i->n_calls++;
}

static int32_t intrude_with_a_piece(const gpt2_piece *piece, void *user)
{
  (void)piece;
  intrude(user);
  return 0;
}

static int32_t intrude_in_an_evaluation(void *user)
{
  intrude(user);
  return 0;
}

static void a_callback_that_uses_the_context_is_told_that_it_is_busy(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  intrusion intruder = {.context = s.context};
  must_succeed(gpt2_generation_new(s.context, "q", 1, NULL, &intruder.generation), s.context);
  must_succeed(gpt2_generate(s.context, "p", 1, NULL, intrude_with_a_piece, &intruder, NULL),
               s.context);
  assert_int_equal(intruder.n_calls, 7);
  assert_string_equal(kv_text(s.context, 0), "pabcdef");
  assert_int_equal(gpt2_context_error(s.context)->status, GPT2_OK);
  gpt2_generation_free(intruder.generation);
  scripted_close(&s);
}

static void an_abort_callback_that_uses_the_context_is_told_that_it_is_busy(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  intrusion intruder = {.context = NULL};
  gpt2_context_options options = {.struct_size = sizeof options,
                                  .abort_callback = intrude_in_an_evaluation,
                                  .abort_user = &intruder};
  gpt2_context_free(s.context);
  assert_int_equal(gpt2_context_new(s.model, &options, &s.context, NULL), GPT2_OK);
  intruder.context = s.context;
  must_succeed(gpt2_generation_new(s.context, "q", 1, NULL, &intruder.generation), s.context);
  assert_string_equal(generated(s.context, "p", NULL)->text, "abcdef");
  assert_true(intruder.n_calls >= 7);
  gpt2_generation_free(intruder.generation);
  scripted_close(&s);
}

/* ---- Cancelling ---- */

static int32_t cancel_at_c(const gpt2_piece *piece, void *user)
{
  if (piece->token == 'c')
    gpt2_cancel(user);
  return 0;
}

static void a_cancel_during_a_generation_is_an_error_and_the_text_can_go_on(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  gpt2_result result = {.struct_size = sizeof result};
  expect_failure(gpt2_generate(s.context, "p", 1, NULL, cancel_at_c, s.context, &result),
                 GPT2_ERR_CANCELLED, gpt2_context_error(s.context), "cancelled", NULL);
  assert_int_equal(result.n_tokens, 3);
  assert_int_equal(result.finish, GPT2_FINISH_NONE);
  expect_pieces(s.context, "", NULL, "d|e|f||", GPT2_FINISH_END);
  assert_string_equal(kv_text(s.context, 0), "pabcdef");
  scripted_close(&s);
}

static void a_cancel_before_a_generation_stops_it_once(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  collected all = {.stop_at = 0};
  gpt2_cancel(s.context);
  gpt2_cancel(s.context);
  expect_failure(generate_into(s.context, "p", NULL, &all), GPT2_ERR_CANCELLED,
                 gpt2_context_error(s.context), "cancelled", NULL);
  assert_int_equal(all.n, 0);
  assert_int_equal(gpt2_kv_length(s.context, 0), 0);
  expect_pieces(s.context, "p", NULL, "a|b|c|d|e|f||", GPT2_FINISH_END);
  gpt2_cancel(NULL);
  scripted_close(&s);
}

typedef struct stop_request {
  int n_calls, stop_at;
} stop_request;

static int32_t abort_once(void *user)
{
  stop_request *a = user;
  return ++a->n_calls == a->stop_at;
}

/* Generates with the abort callback stopping at its stop_at-th call; whether it did. The call that
 * was stopped is made again. */
static bool is_aborted_and_goes_on(gpt2_model *model, int stop_at)
{
  stop_request request = {.stop_at = stop_at};
  gpt2_context_options options = {
      .struct_size = sizeof options, .abort_callback = abort_once, .abort_user = &request};
  gpt2_context *context;
  gpt2_generation *generation;
  gpt2_piece piece = {.struct_size = sizeof piece};
  char text[16] = "";
  int n_aborted = 0;
  assert_int_equal(gpt2_context_new(model, &options, &context, NULL), GPT2_OK);
  must_succeed(gpt2_generation_new(context, "pq", 2, NULL, &generation), context);
  while (piece.finish == GPT2_FINISH_NONE) {
    gpt2_status status = gpt2_generation_next(generation, &piece);
    if (status != GPT2_OK) {
      expect_failure(status, GPT2_ERR_CANCELLED, gpt2_context_error(context), "cancelled", NULL);
      assert_int_equal(piece.token, -1);
      assert_int_equal(piece.size, 0);
      n_aborted++;
    }
    strncat(text, piece.text, (size_t)piece.size);
  }
  assert_string_equal(text, "bcd");
  assert_string_equal(kv_text(context, 0), "pqbcd");
  gpt2_generation_free(generation);
  gpt2_context_free(context);
  return n_aborted == 1;
}

static void wherever_the_abort_callback_stops_it_the_same_call_goes_on(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcd"});
  int n = 0;
  while (n < 100 && is_aborted_and_goes_on(s.model, n + 1))
    n++;
  assert_in_range(n, 8, 99); /* before each of four tokens, and in its evaluation */
  scripted_close(&s);
}

/* ---- Memory ---- */

/* Whether a call failed for want of memory; the only other thing that it may do is to work. */
static bool is_out_of_memory(gpt2_status status, const gpt2_error *error)
{
  if (status == GPT2_OK)
    return false;
  expect_failure(status, GPT2_ERR_MEMORY, error, "memory", NULL);
  return true;
}

/* Makes a context and generates, with the refused-th allocation from here on refused; what fails is
 * called again. Whether all worked at once. */
static bool has_memory(scripted_model *s, counting_allocator *counter, size_t refused)
{
  gpt2_context *context = NULL;
  gpt2_generation *generation = NULL;
  gpt2_error error = NO_ERROR_YET;
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 0.1f, .top_k = 1};
  gpt2_generate_options options = at_most(0);
  gpt2_piece piece = {.struct_size = sizeof piece};
  char text[64] = "";
  int n_refused = 0;
  options.sampling = &sampling;
  options.stops = (gpt2_string[]){{"xx", 2}, {"rst", 3}};
  options.n_stops = 2;
  counter->refused = counter->n_calls + refused;
  while (is_out_of_memory(gpt2_context_new(s->model, NULL, &context, &error), &error)) {
    assert_null(context);
    n_refused++;
  }
  while (is_out_of_memory(gpt2_generation_new(context, "p", 1, &options, &generation),
                          gpt2_context_error(context))) {
    assert_null(generation);
    n_refused++;
  }
  for (; piece.finish == GPT2_FINISH_NONE; strncat(text, piece.text, (size_t)piece.size))
    n_refused +=
        is_out_of_memory(gpt2_generation_next(generation, &piece), gpt2_context_error(context));
  assert_int_equal(piece.finish, GPT2_FINISH_STOP);
  assert_string_equal(text, "abcdefghijklmnopq");
  assert_string_equal(kv_text(context, 0), "pabcdefghijklmnopqrs");
  gpt2_generation_free(generation);
  gpt2_context_free(context);
  assert_in_range(n_refused, 0, 1);
  return n_refused == 0;
}

static void whichever_allocation_is_refused_the_same_call_works_afterwards(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  scripted_model s =
      scripted_open(&(model_script){.text = "abcdefghijklmnopqrstu", .allocator = &hooks});
  size_t n_live = counter.n_live, n = 0;
  while (n < 200 && !has_memory(&s, &counter, n + 1)) {
    assert_int_equal(counter.n_live, n_live);
    n++;
  }
  assert_in_range(n, 15, 199); /* the second block of the cache is among them */
  counter.refused = 0;
  scripted_close(&s);
  assert_int_equal(counter.n_live, 0);
}

static void a_generation_at_once_that_ran_out_of_memory_works_afterwards(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .allocator = &hooks});
  collected all = {.stop_at = 0};
  size_t n = 0;
  for (;; n++) {
    gpt2_context_free(s.context);
    assert_int_equal(gpt2_context_new(s.model, NULL, &s.context, NULL), GPT2_OK);
    counter.refused = counter.n_calls + n + 1;
    if (!is_out_of_memory(generate_into(s.context, "p", NULL, &all), gpt2_context_error(s.context)))
      break;
    must_succeed(gpt2_kv_clear(s.context), s.context);
    expect_pieces(s.context, "p", NULL, "a|b|c|d|e|f||", GPT2_FINISH_END);
  }
  assert_in_range(n, 10, 199);
  counter.refused = 0;
  scripted_close(&s);
  assert_int_equal(counter.n_live, 0);
}

/* ---- Logits that are no numbers ---- */

static void logits_that_are_no_numbers_are_an_error_after_the_text_before_them(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .broken_at = 3});
  collected all = {.stop_at = 0};
  expect_failure(generate_into(s.context, "p", NULL, &all), GPT2_ERR_NON_FINITE,
                 gpt2_context_error(s.context), "logits", "not a number");
  assert_string_equal(all.pieces, "a|b|c|");
  assert_int_equal(all.result.n_tokens, 3);
  assert_int_equal(all.result.finish, GPT2_FINISH_NONE);
  gpt2_generate_options options = at_most(3);
  options.sequence = 1;
  expect_pieces(s.context, "p", &options, "a|b|c|", GPT2_FINISH_LENGTH);
  scripted_close(&s);
}

static void logits_that_are_no_numbers_fail_a_generation_again_and_again(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .broken_at = 1});
  gpt2_generation *generation;
  gpt2_piece piece = {.struct_size = sizeof piece};
  must_succeed(gpt2_generation_new(s.context, "pq", 2, NULL, &generation), s.context);
  for (int i = 0; i < 2; i++) {
    expect_failure(gpt2_generation_next(generation, &piece), GPT2_ERR_NON_FINITE,
                   gpt2_context_error(s.context), "logits", "not a number");
    assert_int_equal(piece.token, -1);
    assert_string_equal(kv_text(s.context, 0), "pq");
  }
  gpt2_generation_free(generation);
  scripted_close(&s);
}

static void logits_that_overflow_are_an_error_that_says_so(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef", .confidence = INFINITY});
  collected all = {.stop_at = 0};
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 1.0f};
  gpt2_generate_options options = at_most(3);
  for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
    options.sampling = is_sampled ? &sampling : NULL;
    options.sequence = is_sampled;
    expect_failure(generate_into(s.context, "p", &options, &all), GPT2_ERR_NON_FINITE,
                   gpt2_context_error(s.context), "token 97", "+infinity");
    assert_int_equal(all.n, 0);
  }
  scripted_close(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_callback_that_stops_is_a_success_and_the_text_can_go_on),
      cmocka_unit_test(a_callback_that_stops_at_the_last_piece_changes_no_finish),
      cmocka_unit_test(without_callback_and_result_the_tokens_are_drawn_all_the_same),
      cmocka_unit_test(a_callback_that_uses_the_context_is_told_that_it_is_busy),
      cmocka_unit_test(an_abort_callback_that_uses_the_context_is_told_that_it_is_busy),
      cmocka_unit_test(a_cancel_during_a_generation_is_an_error_and_the_text_can_go_on),
      cmocka_unit_test(a_cancel_before_a_generation_stops_it_once),
      cmocka_unit_test(wherever_the_abort_callback_stops_it_the_same_call_goes_on),
      cmocka_unit_test(whichever_allocation_is_refused_the_same_call_works_afterwards),
      cmocka_unit_test(a_generation_at_once_that_ran_out_of_memory_works_afterwards),
      cmocka_unit_test(logits_that_are_no_numbers_are_an_error_after_the_text_before_them),
      cmocka_unit_test(logits_that_are_no_numbers_fail_a_generation_again_and_again),
      cmocka_unit_test(logits_that_overflow_are_an_error_that_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
