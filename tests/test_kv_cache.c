/* test_kv_cache.c - what sequences remember: their tokens can be read, cut and dropped, and what is
 * evaluated afterwards is as if the rest had never been there. */
#include "gpt2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/context_state.h"
#include "support/expect.h"
#include "support/little_model.h"
#include "support/opened.h"

/* Three blocks of the cache, the last one half full. */
static const gpt2_token text[LITTLE_CTX] = {3, 14, 15, 9, 2,  6,  5,  35, 8, 9, 7, 9, 3, 23,
                                            8, 4,  6,  2, 43, 38, 32, 7,  9, 5, 0, 2, 8, 8,
                                            4, 1,  9,  7, 16, 9,  39, 9,  3, 7, 5, 10};

/* The least, the last of the cache's first page and the first of its second, and the greatest. */
static const int32_t some_sequences[] = {0, 255, 256, GPT2_MAX_SEQUENCES - 1};
enum { N_SOME = sizeof some_sequences / sizeof *some_sequences };

/* What stands in buffers that must not be written to. */
enum { UNTOUCHED = -77 };

static little_model *little;

static int make_model(void **state)
{
  (void)state;
  little = little_new();
  return 0;
}

static int free_model(void **state)
{
  (void)state;
  little_free(little);
  return 0;
}

static gpt2_context *new_context(void)
{
  const gpt2_context_options options = {.struct_size = sizeof options, .n_threads = 1};
  return little_context(little, &options);
}

/* Appends text[from, to) token by token. */
static void append(gpt2_context *context, int32_t sequence, size_t from, size_t to)
{
  for (size_t i = from; i < to; i++)
    must_succeed(gpt2_eval(context, sequence, text + i, 1, 0), context);
}

/* Fails the test unless the sequence holds exactly these tokens (n). */
static void must_hold(gpt2_context *context, int32_t sequence, const gpt2_token *tokens, size_t n)
{
  gpt2_token found[LITTLE_CTX];
  size_t n_found = SIZE_MAX;
  assert_int_equal(gpt2_kv_length(context, sequence), n);
  must_succeed(gpt2_kv_tokens(context, sequence, found, LITTLE_CTX, &n_found), context);
  assert_int_equal(n_found, n);
  for (size_t i = 0; i < n; i++)
    assert_int_equal(found[i], tokens[i]);
}

/* The logits after each token of the text, in a context of their own: (LITTLE_CTX, LITTLE_VOCAB).
 * The caller frees them. */
static float *logits_of_text(void)
{
  gpt2_context *context = new_context();
  float *logits = malloc(LITTLE_CTX * LITTLE_VOCAB * sizeof *logits);
  assert_non_null(logits);
  for (size_t i = 0; i < LITTLE_CTX; i++) {
    append(context, 0, i, i + 1);
    memcpy(logits + i * LITTLE_VOCAB, gpt2_logits(context, 0), LITTLE_VOCAB * sizeof *logits);
  }
  gpt2_context_free(context);
  return logits;
}

/* ---- Refused calls ---- */

/* Five tokens in sequence 0, with views of their rows. */
static gpt2_context *used_context(void)
{
  gpt2_context *context = new_context();
  must_succeed(gpt2_eval(context, 0, text, 5, GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN), context);
  return context;
}

static void sequences_out_of_range_are_refused_by_number(void **state)
{
  (void)state;
  static const struct {
    int32_t sequence;
    const char *words;
  } cases[] = {{-1, "is -1"},
               {GPT2_MAX_SEQUENCES, "is 65536"},
               {INT32_MIN, "is -2147483648"},
               {INT32_MAX, "is 2147483647"}};
  gpt2_context *context = used_context();
  const gpt2_error *error = gpt2_context_error(context);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int32_t sequence = cases[i].sequence;
    gpt2_token token = UNTOUCHED;
    size_t n = 99;
    context_state before = state_of(context);
    expect_failure(gpt2_kv_tokens(context, sequence, &token, 1, &n), GPT2_ERR_ARGUMENT, error,
                   "sequence", cases[i].words);
    expect_failure(gpt2_kv_truncate(context, sequence, 0), GPT2_ERR_ARGUMENT, error, "sequence",
                   cases[i].words);
    expect_failure(gpt2_kv_drop(context, sequence), GPT2_ERR_ARGUMENT, error, "sequence",
                   cases[i].words);
    assert_int_equal(token, UNTOUCHED);
    assert_int_equal(n, 99);
    assert_int_equal(gpt2_kv_length(context, sequence), 0);
    assert_null(gpt2_logits(context, sequence));
    must_be_unchanged(context, &before, "a sequence out of range");
  }
  append(context, 0, 5, 6);
  must_hold(context, 0, text, 6);
  gpt2_context_free(context);
}

static void a_length_beyond_the_end_is_refused_with_the_end(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  const gpt2_error *error = gpt2_context_error(context);
  context_state before = state_of(context);
  expect_failure(gpt2_kv_truncate(context, 0, 6), GPT2_ERR_ARGUMENT, error, "length: is 6",
                 "sequence 0 has 5 tokens");
  expect_failure(gpt2_kv_truncate(context, 0, SIZE_MAX), GPT2_ERR_ARGUMENT, error, "length",
                 "sequence 0 has 5 tokens");
  expect_failure(gpt2_kv_truncate(context, 7, 1), GPT2_ERR_ARGUMENT, error, "length: is 1",
                 "sequence 7 has 0 tokens");
  must_be_unchanged(context, &before, "a length beyond the end");
  append(context, 0, 5, 6);
  must_hold(context, 0, text, 6);
  gpt2_context_free(context);
}

static void tokens_need_a_place_to_be_put(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  const gpt2_error *error = gpt2_context_error(context);
  gpt2_token tokens[5];
  size_t n = 99;
  context_state before = state_of(context);
  expect_failure(gpt2_kv_tokens(context, 0, tokens, 5, NULL), GPT2_ERR_ARGUMENT, error, "n_tokens",
                 "NULL");
  expect_failure(gpt2_kv_tokens(context, 0, NULL, 5, &n), GPT2_ERR_ARGUMENT, error, "tokens",
                 "NULL");
  assert_int_equal(n, 99);
  must_be_unchanged(context, &before, "tokens without a place");
  gpt2_context_free(context);
}

/* ---- Tokens ---- */

static void tokens_that_do_not_fit_are_counted_and_not_written(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  for (size_t capacity = 0; capacity < 5; capacity++) {
    gpt2_token tokens[5] = {UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED};
    size_t n = 0;
    expect_failure(gpt2_kv_tokens(context, 0, capacity ? tokens : NULL, capacity, &n),
                   GPT2_ERR_BUFFER_TOO_SMALL, gpt2_context_error(context), "capacity",
                   "sequence 0 has 5 tokens");
    assert_int_equal(n, 5);
    for (int i = 0; i < 5; i++)
      assert_int_equal(tokens[i], UNTOUCHED);
  }
  must_hold(context, 0, text, 5);
  gpt2_context_free(context);
}

static void a_sequence_without_tokens_needs_no_buffer(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  size_t n = 99;
  must_succeed(gpt2_kv_tokens(context, 1, NULL, 0, &n), context);
  assert_int_equal(n, 0);
  must_succeed(gpt2_kv_truncate(context, 1, 0), context);
  must_succeed(gpt2_kv_drop(context, 1), context);
  assert_int_equal(gpt2_kv_length(context, 1), 0);
  gpt2_context_free(context);
}

static void tokens_are_read_as_they_were_appended_in_whatever_pieces(void **state)
{
  (void)state;
  static const size_t ends[] = {1, 2, 17, 31, 32, 33, LITTLE_CTX};
  gpt2_context *context = new_context();
  for (size_t i = 0, from = 0; i < sizeof ends / sizeof *ends; from = ends[i++]) {
    must_succeed(gpt2_eval(context, 0, text + from, ends[i] - from, 0), context);
    must_hold(context, 0, text, ends[i]);
  }
  gpt2_context_free(context);
}

/* ---- Truncating ---- */

static void a_truncated_sequence_goes_on_as_if_it_had_never_been_longer(void **state)
{
  (void)state;
  float *logits = logits_of_text();
  gpt2_context *context = new_context();
  for (size_t length = 0; length < LITTLE_CTX; length++) {
    append(context, 0, gpt2_kv_length(context, 0), LITTLE_CTX);
    must_succeed(gpt2_kv_truncate(context, 0, length), context);
    must_hold(context, 0, text, length);
    assert_null(gpt2_logits(context, 0));
    append(context, 0, length, length + 1);
    must_have_logits(context, 0, logits + length * LITTLE_VOCAB);
  }
  gpt2_context_free(context);
  free(logits);
}

static void nothing_is_left_of_other_tokens_that_stood_there(void **state)
{
  (void)state;
  float *logits = logits_of_text();
  gpt2_context *context = new_context();
  for (size_t length = 0; length < LITTLE_CTX; length += 3) {
    gpt2_token others[LITTLE_CTX];
    for (size_t i = 0; i < LITTLE_CTX; i++)
      others[i] = LITTLE_VOCAB - 1 - text[i];
    append(context, 0, 0, length);
    must_succeed(gpt2_eval(context, 0, others, LITTLE_CTX - length, 0), context);
    must_succeed(gpt2_kv_truncate(context, 0, length), context);
    append(context, 0, length, LITTLE_CTX);
    must_hold(context, 0, text, LITTLE_CTX);
    must_have_logits(context, 0, logits + (LITTLE_CTX - 1) * LITTLE_VOCAB);
    must_succeed(gpt2_kv_truncate(context, 0, 0), context);
  }
  gpt2_context_free(context);
  free(logits);
}

static void truncating_to_the_present_length_changes_nothing(void **state)
{
  (void)state;
  gpt2_context *context = used_context();
  context_state before = state_of(context);
  must_succeed(gpt2_kv_truncate(context, 0, 5), context);
  must_be_unchanged(context, &before, "gpt2_kv_truncate to the present length");
  gpt2_context_free(context);
}

/* ---- Dropping ---- */

/* The text's first tokens in every one of some_sequences: three in the first, four in the next. */
static gpt2_context *context_with_some(void)
{
  gpt2_context *context = new_context();
  for (size_t i = 0; i < N_SOME; i++)
    append(context, some_sequences[i], 0, 3 + i);
  return context;
}

static void must_have_some(gpt2_context *context, const float *logits, size_t from)
{
  for (size_t i = from; i < N_SOME; i++) {
    must_hold(context, some_sequences[i], text, 3 + i);
    must_have_logits(context, some_sequences[i], logits + (2 + i) * LITTLE_VOCAB);
  }
}

static void a_dropped_sequence_is_as_if_never_used_and_the_others_are_as_before(void **state)
{
  (void)state;
  float *logits = logits_of_text();
  gpt2_context *context = context_with_some();
  must_have_some(context, logits, 0);
  for (size_t i = 0; i < N_SOME; i++) {
    must_succeed(gpt2_kv_drop(context, some_sequences[i]), context);
    assert_int_equal(gpt2_kv_length(context, some_sequences[i]), 0);
    assert_null(gpt2_logits(context, some_sequences[i]));
    must_have_some(context, logits, i + 1);
  }
  append(context, 256, 0, 20);
  must_have_logits(context, 256, logits + 19 * LITTLE_VOCAB);
  gpt2_context_free(context);
  free(logits);
}

static void a_cleared_context_is_as_good_as_new(void **state)
{
  (void)state;
  float *logits = logits_of_text();
  gpt2_context *context = context_with_some();
  must_succeed(gpt2_kv_clear(context), context);
  must_succeed(gpt2_kv_clear(context), context);
  for (size_t i = 0; i < N_SOME; i++) {
    assert_int_equal(gpt2_kv_length(context, some_sequences[i]), 0);
    assert_null(gpt2_logits(context, some_sequences[i]));
    append(context, some_sequences[i], 0, 3 + i);
  }
  must_have_some(context, logits, 0);
  gpt2_context_free(context);
  free(logits);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sequences_out_of_range_are_refused_by_number),
      cmocka_unit_test(a_length_beyond_the_end_is_refused_with_the_end),
      cmocka_unit_test(tokens_need_a_place_to_be_put),
      cmocka_unit_test(tokens_that_do_not_fit_are_counted_and_not_written),
      cmocka_unit_test(a_sequence_without_tokens_needs_no_buffer),
      cmocka_unit_test(tokens_are_read_as_they_were_appended_in_whatever_pieces),
      cmocka_unit_test(a_truncated_sequence_goes_on_as_if_it_had_never_been_longer),
      cmocka_unit_test(nothing_is_left_of_other_tokens_that_stood_there),
      cmocka_unit_test(truncating_to_the_present_length_changes_nothing),
      cmocka_unit_test(a_dropped_sequence_is_as_if_never_used_and_the_others_are_as_before),
      cmocka_unit_test(a_cleared_context_is_as_good_as_new),
  };
  return cmocka_run_group_tests(tests, make_model, free_model);
}
