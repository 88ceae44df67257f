/* all_work.c - all that a host does with a model. */
#include "support/all_work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/random_numbers.h"
#include "support/sampling.h"

enum { N_VOCAB = 301, N_CTX = 128, TEXT_SIZE = 120, MOST_TOKENS = TEXT_SIZE, N_DRAWN = 8 };

gpt2_model *open_base_model(int32_t weights, const gpt2_allocator *allocator)
{
  gpt2_load_options options = {
      .struct_size = sizeof options, .weights = weights, .allocator = allocator, .n_threads = 2};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  char *folder = test_data_path("fixtures/models/base");
  expect_success(gpt2_load(folder, &options, &model, &error), &error);
  free(folder);
  assert_int_equal(info_of(model).n_vocab, N_VOCAB);
  assert_int_equal(info_of(model).n_ctx, N_CTX);
  return model;
}

/* Words, spaces, characters of several bytes and what is no character. */
static void make_text(random_numbers *random, char *text)
{
  static const char *const parts[] = {"the ",     "once", " upon", "\n\n",
                                      "\xc3\xa9", "\xff", "12 ",   "!"};
  size_t size = 0;
  while (size < TEXT_SIZE - 8) {
    const char *part = parts[random_below(random, sizeof parts / sizeof *parts)];
    memcpy(text + size, part, strlen(part));
    size += strlen(part);
  }
  memset(text + size, 'e', TEXT_SIZE - size);
}

/* ---- What needs no context ---- */

static void stream_tokens(gpt2_model *model, const gpt2_token *tokens, size_t n, record *r)
{
  gpt2_decoder *decoder = NULL;
  gpt2_error error = NO_ERROR_YET;
  const char *text = NULL;
  size_t size = 0;
  expect_success(gpt2_decoder_new(model, GPT2_DECODE_REPLACE, &decoder, &error), &error);
  for (size_t i = 0; i < n; i++) {
    expect_success(gpt2_decoder_push(decoder, tokens[i], &text, &size, &error), &error);
    keep(r, text, size);
  }
  expect_success(gpt2_decoder_finish(decoder, &text, &size, &error), &error);
  keep(r, text, size);
  gpt2_decoder_free(decoder);
}

static void draw_tokens(uint64_t seed, record *r)
{
  float logits[N_VOCAB];
  random_numbers random = {seed};
  gpt2_sampler_options options = at_temperature(0.8f, seed);
  options.top_k = 40;
  options.top_p = 0.9f;
  gpt2_sampler *sampler = new_sampler(options), *clone = NULL;
  expect_success(gpt2_sampler_clone(sampler, &clone, NULL), &NO_ERROR_YET);
  for (int i = 0; i < N_VOCAB; i++)
    logits[i] = (float)random_normal(&random);
  for (int i = 0; i < N_DRAWN; i++) {
    gpt2_token token = draw_from(sampler, logits, N_VOCAB);
    assert_int_equal(draw_from(clone, logits, N_VOCAB), token);
    keep(r, &token, sizeof token);
    accept_token(sampler, token);
    accept_token(clone, token);
  }
  gpt2_sampler_free(clone);
  gpt2_sampler_free(sampler);
}

static void ask_model(gpt2_model *model, gpt2_token token, record *r)
{
  gpt2_info info = info_of(model);
  gpt2_error error = NO_ERROR_YET;
  const char *bytes = NULL;
  size_t size = 0;
  uint32_t flags = gpt2_token_flags(model, token);
  expect_success(gpt2_token_bytes(model, token, &bytes, &size, &error), &error);
  keep(r, &info, sizeof info);
  keep(r, &flags, sizeof flags);
  keep(r, bytes, size);
}

void work_with_model(gpt2_model *model, uint64_t seed, record *r)
{
  random_numbers random = {seed};
  char text[TEXT_SIZE], decoded[TEXT_SIZE];
  gpt2_token tokens[MOST_TOKENS];
  gpt2_error error = NO_ERROR_YET;
  size_t n = 0, size = 0;
  model = gpt2_model_ref(model);
  make_text(&random, text);
  expect_success(gpt2_encode(model, text, sizeof text, 0, tokens, MOST_TOKENS, &n, &error), &error);
  expect_success(gpt2_decode(model, tokens, n, decoded, sizeof decoded, &size, &error), &error);
  assert_int_equal(size, sizeof text);
  assert_memory_equal(decoded, text, size);
  keep(r, tokens, n * sizeof *tokens);
  stream_tokens(model, tokens, n, r);
  draw_tokens(seed, r);
  ask_model(model, tokens[0], r);
  gpt2_model_free(model);
}

/* ---- What needs one ---- */

static void keep_logits(gpt2_context *context, int32_t sequence, record *r)
{
  const float *logits = gpt2_logits(context, sequence);
  assert_non_null(logits);
  keep(r, logits, N_VOCAB * sizeof *logits);
}

/* A prompt of 40 rows, which a BLAS multiplies where our kernels leave it any, and tokens one by
 * one. */
static void evaluate_tokens(gpt2_context *context, random_numbers *random, record *r)
{
  gpt2_token tokens[40];
  for (int i = 0; i < 40; i++)
    tokens[i] = random_below(random, N_VOCAB);
  must_succeed(gpt2_eval(context, 0, tokens, 40, GPT2_ROW_HIDDEN), context);
  keep(r, gpt2_row_hidden(context, 17), 40 * sizeof(float));
  keep_logits(context, 0, r);
  must_succeed(gpt2_kv_truncate(context, 0, 30), context);
  for (int i = 0; i < 3; i++)
    must_succeed(gpt2_eval(context, 0, tokens + i, 1, 0), context);
  keep_logits(context, 0, r);
}

static void evaluate_batch(gpt2_context *context, random_numbers *random, record *r)
{
  gpt2_row rows[36];
  gpt2_token tokens[N_CTX];
  gpt2_token_score score = {0};
  size_t n = 0;
  for (int i = 0; i < 36; i++)
    rows[i] = (gpt2_row){.token = random_below(random, N_VOCAB),
                         .sequence = i % 3,
                         .flags = i % 4 ? 0 : GPT2_ROW_SCORE | GPT2_ROW_LOGITS,
                         .target = random_below(random, N_VOCAB)};
  must_succeed(gpt2_eval_batch(context, rows, 36), context);
  for (size_t row = 0; row < 36; row += 4) {
    must_succeed(gpt2_row_score(context, row, &score), context);
    keep(r, &score, sizeof score);
  }
  keep(r, gpt2_row_logits(context, 8), N_VOCAB * sizeof(float));
  keep_logits(context, 2, r);
  must_succeed(gpt2_kv_tokens(context, 0, tokens, N_CTX, &n), context);
  keep(r, tokens, n * sizeof *tokens);
  must_succeed(gpt2_kv_drop(context, 1), context);
}

static int32_t keep_score(const gpt2_token_score *score, void *user)
{
  keep(user, score, sizeof *score);
  return 0;
}

static int32_t keep_piece(const gpt2_piece *piece, void *user)
{
  keep(user, &piece->token, sizeof piece->token);
  keep(user, &piece->logprob, sizeof piece->logprob);
  keep(user, piece->text, (size_t)piece->size);
  return 0;
}

static void generate_and_score(gpt2_context *context, uint64_t seed, record *r)
{
  gpt2_sampler_options sampling = at_temperature(1.0f, seed);
  gpt2_generate_options options = {.struct_size = sizeof options,
                                   .flags = GPT2_GENERATE_IGNORE_END,
                                   .sequence = 5,
                                   .max_tokens = 12,
                                   .sampling = &sampling};
  gpt2_generation *generation = NULL;
  gpt2_piece piece = {.struct_size = sizeof piece};
  gpt2_score_result result = {.struct_size = sizeof result};
  must_succeed(gpt2_generate(context, "once upon", 9, &options, keep_piece, r, NULL), context);
  must_succeed(gpt2_generation_new(context, NULL, 0, &options, &generation), context);
  for (int i = 0; i < 4; i++) {
    must_succeed(gpt2_generation_next(generation, &piece), context);
    keep_piece(&piece, r);
  }
  gpt2_generation_free(generation);
  must_succeed(gpt2_score(context, "the 12 \xc3\xa9!", 10, NULL, keep_score, r, &result), context);
  keep(r, &result, sizeof result);
}

void work_in_context(gpt2_context *context, uint64_t seed, record *r)
{
  random_numbers random = {seed};
  gpt2_sampler *sampler = new_sampler(at_temperature(0.7f, seed));
  gpt2_token token = -1;
  must_succeed(gpt2_kv_clear(context), context);
  evaluate_tokens(context, &random, r);
  must_succeed(gpt2_sample(context, 0, sampler, &token), context);
  keep(r, &token, sizeof token);
  evaluate_batch(context, &random, r);
  generate_and_score(context, seed, r);
  gpt2_sampler_free(sampler);
}

void do_all_work(gpt2_model *model, const gpt2_context_options *options, uint64_t seed, record *r)
{
  gpt2_context *context = NULL;
  gpt2_error error = NO_ERROR_YET;
  r->size = 0;
  work_with_model(model, seed, r);
  expect_success(gpt2_context_new(model, options, &context, &error), &error);
  work_in_context(context, seed, r);
  gpt2_context_free(context);
}
