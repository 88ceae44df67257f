/* test_wrong_sizes.c - counts, bits and threads that cannot be, given to every function that takes
 * them: each is refused by name, and harms nothing; and room without end is no reason to use it. */
#include "gpt2.h"
#include "support/context_state.h"
#include "support/expect.h"
#include "support/handles.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/sampling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- Counts ---- */

/* Nothing of such an array may be read: what is given is one element. */
static void arrays_that_memory_cannot_hold_are_refused_unread(void **state)
{
  (void)state;
  static const size_t bad[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX / 2 + 2};
  handles h = open_handles();
  const gpt2_token token = 'a';
  const gpt2_row row = {.token = 'a'};
  const gpt2_blob blob = {"config.json", "{}", 2, 0};
  const gpt2_error *of_context = gpt2_context_error(h.context);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    gpt2_model *model = (gpt2_model *)&h;
    gpt2_generation *generation = (gpt2_generation *)&h;
    gpt2_error error = NO_ERROR_YET;
    gpt2_token tokens[2];
    char text[2];
    size_t n;
    context_state before = state_of(h.context);
#define REFUSED(call, words, name)                                                                 \
  expect_failure(call, GPT2_ERR_ARGUMENT, words, name ": is ", "more than memory can hold")
    REFUSED(gpt2_encode(h.model, "a", bad[i], 0, tokens, 2, &n, &error), &error, "size");
    REFUSED(gpt2_decode(h.model, &token, bad[i], text, 2, &n, &error), &error, "n_tokens");
    REFUSED(gpt2_load_memory(&blob, bad[i], NULL, &model, &error), &error, "n_blobs");
    assert_null(model);
    REFUSED(gpt2_eval_batch(h.context, &row, bad[i]), of_context, "n_rows");
    REFUSED(gpt2_score(h.context, "a", bad[i], NULL, NULL, NULL, NULL), of_context, "size");
    REFUSED(gpt2_score_tokens(h.context, &token, bad[i], NULL, NULL, NULL, NULL), of_context,
            "n_tokens");
    REFUSED(gpt2_generation_new(h.context, "a", bad[i], NULL, &generation), of_context, "size");
    assert_null(generation);
    REFUSED(gpt2_generate(h.context, "a", bad[i], NULL, NULL, NULL, NULL), of_context, "size");
#undef REFUSED
    expect_failure(gpt2_eval(h.context, 0, &token, bad[i], 0), GPT2_ERR_CONTEXT_FULL, of_context,
                   "n_tokens", "64 positions");
    must_be_unchanged(h.context, &before, "a count beyond memory");
  }
  must_go_on_as_new(&h);
  close_handles(&h);
}

static void a_capacity_without_end_is_no_reason_to_use_it(void **state)
{
  (void)state;
  handles h = open_handles();
  gpt2_token tokens[3] = {-7, -7, -7};
  char text[3] = "##";
  size_t n = 0;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_encode(h.model, "ab", 2, 0, tokens, SIZE_MAX, &n, &error), &error);
  assert_true(n == 2 && tokens[0] == 'a' && tokens[1] == 'b' && tokens[2] == -7);
  expect_success(gpt2_decode(h.model, tokens, 1, text, SIZE_MAX, &n, &error), &error);
  assert_int_equal(n, 1);
  assert_string_equal(text, "a#");
  must_succeed(gpt2_kv_tokens(h.context, 0, tokens, SIZE_MAX, &n), h.context);
  assert_true(n == 2 && tokens[0] == 'p' && tokens[1] == 'q' && tokens[2] == -7);
  must_go_on_as_new(&h);
  close_handles(&h);
}

static void rows_and_indices_without_end_show_nothing(void **state)
{
  (void)state;
  handles h = open_handles();
  gpt2_token_score score;
  assert_null(gpt2_row_logits(h.context, SIZE_MAX));
  assert_null(gpt2_row_hidden(h.context, SIZE_MAX));
  assert_null(gpt2_ignored_tensor(h.model, SIZE_MAX));
  assert_int_equal(gpt2_eos_token(h.model, SIZE_MAX), -1);
  expect_failure(gpt2_row_score(h.context, SIZE_MAX, &score), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(h.context), "row: is 18446744073709551615", "3 rows");
  expect_failure(gpt2_kv_truncate(h.context, 0, SIZE_MAX), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(h.context), "length: is 18446744073709551615", "2 tokens");
  must_go_on_as_new(&h);
  close_handles(&h);
}

/* ---- Bits ---- */

typedef gpt2_status (*bits_call)(handles *h, uint32_t bits, gpt2_error *error);

static gpt2_status load_with(const gpt2_load_options *options, const gpt2_blob *blobs,
                             gpt2_error *error)
{
  gpt2_model *model = (gpt2_model *)error;
  gpt2_status status = gpt2_load_memory(blobs, 1, options, &model, error);
  assert_null(model);
  return status;
}

static const gpt2_blob no_model = {"vocab.json", "{}", 2, 0};

static gpt2_status load_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  (void)h;
  return load_with(&(gpt2_load_options){.struct_size = sizeof(gpt2_load_options), .flags = bits},
                   &no_model, error);
}

static gpt2_status encode_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  gpt2_token tokens[8];
  size_t n;
  return gpt2_encode(h->model, "a", 1, bits, tokens, 8, &n, error);
}

static gpt2_status decoder_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  gpt2_decoder *decoder = (gpt2_decoder *)h;
  gpt2_status status = gpt2_decoder_new(h->model, bits, &decoder, error);
  gpt2_decoder_free(decoder);
  return status;
}

static gpt2_status eval_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  return told(h->context, gpt2_eval(h->context, 0, &(gpt2_token){'a'}, 1, bits), error);
}

static gpt2_status batch_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  const gpt2_row rows[] = {{.token = 'a'}, {.token = 'b', .flags = bits}};
  return told(h->context, gpt2_eval_batch(h->context, rows, 2), error);
}

static gpt2_status sampler_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  (void)h;
  gpt2_sampler *sampler = (gpt2_sampler *)error;
  gpt2_sampler_options options = {.struct_size = sizeof options, .flags = bits};
  gpt2_status status = gpt2_sampler_new(&options, &sampler, error);
  gpt2_sampler_free(sampler);
  return status;
}

static gpt2_status generate_with(handles *h, const gpt2_generate_options *options,
                                 gpt2_error *error)
{
  gpt2_generation *generation = (gpt2_generation *)h;
  gpt2_status status = gpt2_generation_new(h->context, "p", 1, options, &generation);
  gpt2_generation_free(generation);
  return told(h->context, status, error);
}

static gpt2_status generate_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  const gpt2_generate_options options = {.struct_size = sizeof options, .flags = bits};
  return generate_with(h, &options, error);
}

static gpt2_status sampling_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  const gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .flags = bits};
  const gpt2_generate_options options = {.struct_size = sizeof options, .sampling = &sampling};
  return generate_with(h, &options, error);
}

static gpt2_status score_with(handles *h, const gpt2_score_options *options, gpt2_error *error)
{
  static const gpt2_token tokens[] = {'a', 'b'};
  gpt2_status status = gpt2_score(h->context, "ab", 2, options, NULL, NULL, NULL);
  assert_int_equal(gpt2_score_tokens(h->context, tokens, 2, options, NULL, NULL, NULL), status);
  return told(h->context, status, error);
}

static gpt2_status score_flags(handles *h, uint32_t bits, gpt2_error *error)
{
  const gpt2_score_options options = {.struct_size = sizeof options, .flags = bits};
  return score_with(h, &options, error);
}

/* Fails the test unless the call is refused by the name, and leaves all as it was. */
static void must_refuse(handles *h, bits_call call, uint32_t bits, gpt2_status expected,
                        const char *name, const char *words)
{
  gpt2_error error = NO_ERROR_YET;
  context_state before = state_of(h->context);
  expect_failure(call(h, bits, &error), expected, &error, name, words);
  must_be_unchanged(h->context, &before, name);
}

static void bits_that_are_not_known_are_refused_by_every_function(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    bits_call call;
    uint32_t known;
  } calls[] = {{"options.flags", load_flags, 7},     {"flags", encode_flags, 1},
               {"flags", decoder_flags, 1},          {"flags", eval_flags, 15},
               {"flags: row 1", batch_flags, 15},    {"options.flags", sampler_flags, 1},
               {"options.flags", generate_flags, 7}, {"options.sampling.flags", sampling_flags, 1},
               {"options.flags", score_flags, 3}};
  handles h = open_handles();
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
      char words[40];
      snprintf(words, sizeof words, "unknown bits: 0x%x", (unsigned)bit);
      if (!(bit & calls[i].known))
        must_refuse(&h, calls[i].call, bit, GPT2_ERR_UNSUPPORTED, calls[i].name, words);
    }
  must_go_on_as_new(&h);
  close_handles(&h);
}

/* ---- Reserved fields ---- */

static gpt2_status load_reserved(handles *h, uint32_t bits, gpt2_error *error)
{
  (void)h;
  return load_with(
      &(gpt2_load_options){.struct_size = sizeof(gpt2_load_options), .reserved = (int32_t)bits},
      &no_model, error);
}

static gpt2_status blob_reserved(handles *h, uint32_t bits, gpt2_error *error)
{
  (void)h;
  const gpt2_blob blob = {"config.json", "{}", 2, bits};
  return load_with(NULL, &blob, error);
}

static gpt2_status allocator_reserved(handles *h, uint32_t bits, gpt2_error *error)
{
  (void)h;
  const gpt2_allocator allocator = {.struct_size = sizeof allocator, .reserved = bits};
  const gpt2_sampler_options options = {.struct_size = sizeof options, .allocator = &allocator};
  gpt2_sampler *sampler = (gpt2_sampler *)error;
  gpt2_error inner = NO_ERROR_YET;
  gpt2_status status = gpt2_sampler_new(&options, &sampler, &inner);
  assert_null(sampler);
  const gpt2_load_options load = {.struct_size = sizeof load, .allocator = &allocator};
  assert_int_equal(load_with(&load, &no_model, error), status);
  return status;
}

static gpt2_status source_reserved(handles *h, uint32_t bits, gpt2_error *error)
{
  host_source host = {.blobs = &no_model, .n_blobs = 1};
  gpt2_source source = host_callbacks(&host);
  gpt2_model *model = h->model;
  source.reserved = bits;
  gpt2_status status = gpt2_load_source(&source, NULL, &model, error);
  assert_null(model);
  assert_int_equal(host.n_released, 0); /* it was not taken over */
  return status;
}

static gpt2_status context_reserved(handles *h, uint32_t bits, gpt2_error *error)
{
  const gpt2_context_options options = {.struct_size = sizeof options, .reserved = (int32_t)bits};
  gpt2_context *context = h->context;
  gpt2_status status = gpt2_context_new(h->model, &options, &context, error);
  gpt2_context_free(context);
  return status;
}

static gpt2_status score_reserved(handles *h, uint32_t bits, gpt2_error *error)
{
  const gpt2_score_options options = {.struct_size = sizeof options, .reserved = (int32_t)bits};
  return score_with(h, &options, error);
}

static void fields_that_are_reserved_must_be_zero(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    bits_call call;
  } calls[] = {{"options.reserved", load_reserved},        {"blobs[0]: reserved", blob_reserved},
               {"allocator.reserved", allocator_reserved}, {"source.reserved", source_reserved},
               {"options.reserved", context_reserved},     {"options.reserved", score_reserved}};
  handles h = open_handles();
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (uint32_t bit = 1; bit != 0; bit <<= 1)
      must_refuse(&h, calls[i].call, bit, GPT2_ERR_UNSUPPORTED, calls[i].name, "not zero");
  must_go_on_as_new(&h);
  close_handles(&h);
}

/* ---- Threads ---- */

static gpt2_status load_threads(handles *h, uint32_t n, gpt2_error *error)
{
  (void)h;
  return load_with(
      &(gpt2_load_options){.struct_size = sizeof(gpt2_load_options), .n_threads = (int32_t)n},
      &no_model, error);
}

static gpt2_status context_threads(handles *h, uint32_t n, gpt2_error *error)
{
  const gpt2_context_options options = {.struct_size = sizeof options, .n_threads = (int32_t)n};
  gpt2_context *context = h->context;
  gpt2_status status = gpt2_context_new(h->model, &options, &context, error);
  assert_int_equal(status == GPT2_OK, context != NULL);
  gpt2_context_free(context);
  return status;
}

static void threads_below_none_or_beyond_a_thousand_are_refused(void **state)
{
  (void)state;
  static const bits_call calls[] = {load_threads, context_threads};
  handles h = open_handles();
  for (size_t i = 0; i < 2; i++) {
    must_refuse(&h, calls[i], (uint32_t)-1, GPT2_ERR_ARGUMENT, "options.n_threads", "-1");
    must_refuse(&h, calls[i], 1u << 31, GPT2_ERR_ARGUMENT, "options.n_threads", "-2147483648");
    must_refuse(&h, calls[i], 1025, GPT2_ERR_LIMIT, "options.n_threads", "is 1025, at most 1024");
    must_refuse(&h, calls[i], 10000, GPT2_ERR_LIMIT, "options.n_threads", "is 10000, at most 1024");
    must_refuse(&h, calls[i], INT32_MAX, GPT2_ERR_LIMIT, "options.n_threads", "is 2147483647");
  }
  gpt2_error error = NO_ERROR_YET;
  expect_success(context_threads(&h, 1024, &error), &error); /* none starts before its time */
  expect_success(context_threads(&h, 0, &error), &error);
  must_go_on_as_new(&h);
  close_handles(&h);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arrays_that_memory_cannot_hold_are_refused_unread),
      cmocka_unit_test(a_capacity_without_end_is_no_reason_to_use_it),
      cmocka_unit_test(rows_and_indices_without_end_show_nothing),
      cmocka_unit_test(bits_that_are_not_known_are_refused_by_every_function),
      cmocka_unit_test(fields_that_are_reserved_must_be_zero),
      cmocka_unit_test(threads_below_none_or_beyond_a_thousand_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
