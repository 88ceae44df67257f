/* test_wrong_numbers.c - tokens and sequences that cannot be, given to every function that takes
 * one: each is refused by name and number, and harms nothing. */
#include "gpt2.h"
#include "support/context_state.h"
#include "support/expect.h"
#include "support/handles.h"
#include "support/opened.h"
#include "support/sampling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Options of a generation of the context. */
static gpt2_status generate_with(handles *h, gpt2_generate_options options, gpt2_error *error)
{
  gpt2_generation *generation = (gpt2_generation *)h;
  options.struct_size = sizeof options;
  gpt2_status status = gpt2_generation_new(h->context, "p", 1, &options, &generation);
  assert_int_equal(status == GPT2_OK, generation != NULL);
  gpt2_generation_free(generation);
  if (status != GPT2_OK)
    assert_int_equal(gpt2_generate(h->context, "p", 1, &options, NULL, NULL, NULL), status);
  return told(h->context, status, error);
}

/* ---- Tokens ---- */

typedef gpt2_status (*number_call)(handles *h, int32_t number, gpt2_error *error);

static gpt2_status eval_token(handles *h, int32_t token, gpt2_error *error)
{
  const gpt2_token tokens[] = {'a', token};
  return told(h->context, gpt2_eval(h->context, 0, tokens, 2, 0), error);
}

static gpt2_status batch_token(handles *h, int32_t token, gpt2_error *error)
{
  const gpt2_row rows[] = {{.token = 'a'}, {.token = token}};
  return told(h->context, gpt2_eval_batch(h->context, rows, 2), error);
}

static gpt2_status batch_target(handles *h, int32_t token, gpt2_error *error)
{
  const gpt2_row rows[] = {{.token = 'a', .flags = GPT2_ROW_SCORE, .target = token}};
  return told(h->context, gpt2_eval_batch(h->context, rows, 1), error);
}

static gpt2_status decode_token(handles *h, int32_t token, gpt2_error *error)
{
  char text[8] = "#######";
  size_t size;
  const gpt2_token tokens[] = {'a', token};
  gpt2_status status = gpt2_decode(h->model, tokens, 2, text, 8, &size, error);
  assert_string_equal(text, "#######");
  return status;
}

static gpt2_status bytes_of_token(handles *h, int32_t token, gpt2_error *error)
{
  const char *bytes;
  size_t size;
  assert_int_equal(gpt2_token_flags(h->model, token), 0);
  return gpt2_token_bytes(h->model, token, &bytes, &size, error);
}

static gpt2_status push_token(handles *h, int32_t token, gpt2_error *error)
{
  const char *bytes;
  size_t size;
  return gpt2_decoder_push(h->decoder, token, &bytes, &size, error);
}

static gpt2_status prompt_token(handles *h, int32_t token, gpt2_error *error)
{
  const gpt2_token tokens[] = {'a', token};
  return generate_with(h, (gpt2_generate_options){.prompt_tokens = tokens, .n_prompt_tokens = 2},
                       error);
}

static gpt2_status score_token(handles *h, int32_t token, gpt2_error *error)
{
  const gpt2_token tokens[] = {'a', token};
  return told(h->context, gpt2_score_tokens(h->context, tokens, 2, NULL, NULL, NULL, NULL), error);
}

/* Of the tokens that a sampler is told it knows only that they are not negative. */
static gpt2_status accept_token_of(handles *h, int32_t token, gpt2_error *error)
{
  return gpt2_sampler_accept(h->sampler, token < 0 ? token : -1 - token % 1000, error);
}

/* Fails the test unless the call is refused by the name, and leaves all as it was. */
static void must_refuse(handles *h, number_call call, int32_t number, gpt2_status expected,
                        const char *name, const char *words)
{
  gpt2_error error = NO_ERROR_YET;
  context_state before = state_of(h->context);
  expect_failure(call(h, number, &error), expected, &error, name, words);
  must_be_unchanged(h->context, &before, name);
}

typedef struct named_call {
  const char *name;
  number_call call;
} named_call;

static void tokens_that_are_none_are_refused_by_every_function(void **state)
{
  (void)state;
  static const named_call calls[] = {
      {"token 1", eval_token},
      {"token 1", batch_token},
      {"target 0", batch_target},
      {"tokens[1]", decode_token},
      {"token: is ", bytes_of_token},
      {"token: is ", push_token},
      {"options.prompt_tokens[1]", prompt_token},
      {"token 1 of the text", score_token},
      {"token: is -", accept_token_of},
  };
  handles h = open_handles();
  const int32_t bad[] = {-1, INT32_MIN, h.scripted.n_vocab, INT32_MAX};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
      char words[32];
      snprintf(words, sizeof words, "is %d;", (int)bad[k]);
      must_refuse(&h, calls[i].call, bad[k], GPT2_ERR_ARGUMENT, calls[i].name,
                  calls[i].call == accept_token_of ? NULL : words);
    }
  must_go_on_as_new(&h);
  close_handles(&h);
}

/* ---- Sequences ---- */

static gpt2_status eval_sequence(handles *h, int32_t sequence, gpt2_error *error)
{
  return told(h->context, gpt2_eval(h->context, sequence, &(gpt2_token){'a'}, 1, 0), error);
}

static gpt2_status batch_sequence(handles *h, int32_t sequence, gpt2_error *error)
{
  const gpt2_row rows[] = {{.token = 'a'}, {.token = 'b', .sequence = sequence}};
  return told(h->context, gpt2_eval_batch(h->context, rows, 2), error);
}

static gpt2_status tokens_of_sequence(handles *h, int32_t sequence, gpt2_error *error)
{
  gpt2_token tokens[64];
  size_t n;
  return told(h->context, gpt2_kv_tokens(h->context, sequence, tokens, 64, &n), error);
}

static gpt2_status truncate_sequence(handles *h, int32_t sequence, gpt2_error *error)
{
  return told(h->context, gpt2_kv_truncate(h->context, sequence, 0), error);
}

static gpt2_status drop_sequence(handles *h, int32_t sequence, gpt2_error *error)
{
  return told(h->context, gpt2_kv_drop(h->context, sequence), error);
}

static gpt2_status sample_sequence(handles *h, int32_t sequence, gpt2_error *error)
{
  gpt2_token token;
  return told(h->context, gpt2_sample(h->context, sequence, NULL, &token), error);
}

static gpt2_status generate_sequence(handles *h, int32_t sequence, gpt2_error *error)
{
  return generate_with(h, (gpt2_generate_options){.sequence = sequence}, error);
}

static const number_call sequence_calls[] = {
    eval_sequence,      batch_sequence,    sample_sequence, generate_sequence,
    tokens_of_sequence, truncate_sequence, drop_sequence};
enum { N_SEQUENCE_CALLS = sizeof sequence_calls / sizeof *sequence_calls };

static void sequences_that_are_none_are_refused_by_every_function(void **state)
{
  (void)state;
  static const int32_t bad[] = {-1, GPT2_MAX_SEQUENCES, INT32_MIN, INT32_MAX};
  handles h = open_handles();
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    char words[32];
    snprintf(words, sizeof words, "is %d;", (int)bad[k]);
    assert_int_equal(gpt2_kv_length(h.context, bad[k]), 0);
    assert_null(gpt2_logits(h.context, bad[k]));
    for (size_t i = 0; i < N_SEQUENCE_CALLS; i++)
      must_refuse(&h, sequence_calls[i], bad[k], GPT2_ERR_ARGUMENT, "sequence", words);
  }
  must_go_on_as_new(&h);
  close_handles(&h);
}

static void the_last_sequence_is_as_good_as_any(void **state)
{
  (void)state;
  handles h = open_handles();
  for (size_t i = 0; i < N_SEQUENCE_CALLS; i++) {
    gpt2_error error = NO_ERROR_YET;
    expect_success(sequence_calls[i](&h, GPT2_MAX_SEQUENCES - 1, &error), &error);
  }
  assert_int_equal(gpt2_kv_length(h.context, GPT2_MAX_SEQUENCES - 1), 0); /* it was dropped */
  must_succeed(gpt2_kv_truncate(h.context, 0, 2), h.context);
  close_handles(&h);
}

static void a_sequence_never_used_is_empty_and_has_no_logits(void **state)
{
  (void)state;
  handles h = open_handles();
  const gpt2_error *error = gpt2_context_error(h.context);
  gpt2_token token;
  size_t n = 9;
  for (int32_t sequence = 2; sequence < GPT2_MAX_SEQUENCES; sequence += 9362) {
    assert_int_equal(gpt2_kv_length(h.context, sequence), 0);
    assert_null(gpt2_logits(h.context, sequence));
    must_succeed(gpt2_kv_tokens(h.context, sequence, NULL, 0, &n), h.context);
    assert_int_equal(n, 0);
    must_succeed(gpt2_kv_truncate(h.context, sequence, 0), h.context);
    must_succeed(gpt2_kv_drop(h.context, sequence), h.context);
    expect_failure(gpt2_sample(h.context, sequence, NULL, &token), GPT2_ERR_NO_LOGITS, error,
                   "has no next-token logits", NULL);
    expect_failure(gpt2_kv_truncate(h.context, sequence, 1), GPT2_ERR_ARGUMENT, error,
                   "length: is 1", "has 0 tokens");
  }
  must_go_on_as_new(&h);
  close_handles(&h);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens_that_are_none_are_refused_by_every_function),
      cmocka_unit_test(sequences_that_are_none_are_refused_by_every_function),
      cmocka_unit_test(the_last_sequence_is_as_good_as_any),
      cmocka_unit_test(a_sequence_never_used_is_empty_and_has_no_logits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
