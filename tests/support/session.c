/* session.c - a whole session of a host, failures included. */
#include "support/session.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "support/expect.h"
#include "support/opened.h"

#define TEXT "The quick brown fox, 3.14 or 2,71? caf\xc3\xa9 \xff"
enum { MOST = 256, N_THREADS = 3 };

static void keep_status(record *r, gpt2_status status)
{
  keep(r, &status, sizeof status);
}

/* A call that must fail, and its words. */
static void keep_failure(record *r, gpt2_status status, const gpt2_error *error)
{
  assert_int_not_equal(status, GPT2_OK);
  keep_status(r, status);
  keep(r, error->message, strlen(error->message));
}

/* ---- Loading ---- */

static void keep_log(int32_t level, const char *message, void *user)
{
  keep(user, &level, sizeof level);
  keep(user, message, strlen(message));
}

static void load_broken_files(record *r)
{
  static const char *const configs[] = {
      "{\"model_type\":\"gpt2\",\"n_embd\":16.5}",
      "{\"model_type\":\"gpt2\",\"layer_norm_epsilon\":-0.25}",
      "{\"model_type\":\"gpt2\",\"layer_norm_epsilon\":0,5}",
      "{\"model_type\":\"gpt2\",\"vocab_size\":12345678901234567890.5}",
      "{\"model_type\":\"gpt2\",\"n_head\":7,\"n_embd\":16}",
      "{\"model_type\":\"bert\"}",
      "[1.5, 2e-3",
  };
  for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
    const gpt2_blob blobs[] = {
        {.name = "config.json", .bytes = configs[i], .size = strlen(configs[i])},
        {.name = "model.safetensors", .bytes = "\x20\0\0\0\0\0\0\0{", .size = 9}};
    gpt2_error error = NO_ERROR_YET;
    gpt2_model *none = NULL;
    keep_failure(r, gpt2_load_memory(blobs, 2, NULL, &none, &error), &error);
    assert_null(none);
  }
}

static void load_nothing(record *r)
{
  gpt2_error error = NO_ERROR_YET;
  gpt2_model *none = NULL;
  keep_failure(r, gpt2_load("/nowhere/at all", NULL, &none, &error), &error);
  keep_failure(r, gpt2_load(NULL, NULL, &none, &error), &error);
  const gpt2_load_options wrong = {.struct_size = sizeof wrong, .weights = 77};
  keep_failure(r, gpt2_load("/nowhere/at all", &wrong, &none, &error), &error);
}

static gpt2_model *load(const char *path, uint32_t flags, int32_t weights, gpt2_log_callback log,
                        record *r)
{
  const gpt2_load_options options = {.struct_size = sizeof options,
                                     .flags = flags,
                                     .log = log,
                                     .log_user = r,
                                     .weights = weights,
                                     .n_threads = N_THREADS};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  must_have_succeeded(gpt2_load(path, &options, &model, &error), &error);
  return model;
}

/* ---- Text ---- */

static void use_text(gpt2_model *model, record *r)
{
  gpt2_token tokens[MOST];
  char text[MOST];
  size_t n = 0, size = 0;
  const char *view;
  gpt2_error error = NO_ERROR_YET;
  gpt2_decoder *decoder = NULL;
  must_have_succeeded(gpt2_encode(model, TEXT, strlen(TEXT), 0, tokens, MOST, &n, &error), &error);
  keep(r, tokens, n * sizeof *tokens);
  keep_failure(r, gpt2_encode(model, TEXT, strlen(TEXT), 0, tokens, 1, &size, &error), &error);
  must_have_succeeded(gpt2_decode(model, tokens, n, text, MOST, &size, &error), &error);
  keep(r, text, size);
  keep_failure(r, gpt2_decode(model, &(gpt2_token){-1}, 1, text, MOST, &size, &error), &error);
  must_have_succeeded(gpt2_decoder_new(model, GPT2_DECODE_REPLACE, &decoder, &error), &error);
  for (size_t i = 0; i < n; i++) {
    must_have_succeeded(gpt2_decoder_push(decoder, tokens[i], &view, &size, &error), &error);
    keep(r, view, size);
  }
  must_have_succeeded(gpt2_decoder_finish(decoder, &view, &size, &error), &error);
  keep(r, view, size);
  keep_failure(r, gpt2_decoder_push(decoder, INT32_MAX, &view, &size, &error), &error);
  gpt2_decoder_free(decoder);
}

/* ---- Contexts ---- */

static void use_logits(gpt2_context *context, record *r)
{
  static const gpt2_token tokens[] = {1, 2, 3, 4, 5, 6, 7, 8}, wrong = -1;
  size_t n_vocab = (size_t)info_of(gpt2_context_model(context)).n_vocab;
  keep_failure(r, gpt2_eval(context, 0, &wrong, 1, 0), gpt2_context_error(context));
  keep_failure(r, gpt2_eval(context, -1, tokens, 8, 0), gpt2_context_error(context));
  must_succeed(gpt2_eval(context, 0, tokens, 8, 0), context);
  keep(r, gpt2_logits(context, 0), n_vocab * sizeof(float));
  keep_failure(r, gpt2_kv_truncate(context, 0, 99), gpt2_context_error(context));
  must_succeed(gpt2_kv_truncate(context, 0, 4), context);
  gpt2_token token;
  keep_failure(r, gpt2_sample(context, 0, NULL, &token), gpt2_context_error(context));
  must_succeed(gpt2_kv_clear(context), context);
}

static void make_wrong_samplers(record *r)
{
  static const gpt2_sampler_options wrong[] = {{.temperature = -1.5f},
                                               {.temperature = INFINITY},
                                               {.temperature = 0.5f, .top_p = 1.5f},
                                               {.min_p = -0.25f},
                                               {.temperature = 1, .top_p = NAN},
                                               {.top_k = -3}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    gpt2_sampler_options options = wrong[i];
    gpt2_sampler *none = NULL;
    gpt2_error error = NO_ERROR_YET;
    options.struct_size = sizeof options;
    keep_failure(r, gpt2_sampler_new(&options, &none, &error), &error);
  }
}

static int32_t keep_piece(const gpt2_piece *piece, void *user)
{
  keep(user, &piece->token, sizeof piece->token);
  keep(user, &piece->logprob, sizeof piece->logprob);
  keep(user, piece->text, (size_t)piece->size);
  return 0;
}

static void generate(gpt2_context *context, record *r)
{
  const gpt2_sampler_options sampling = {
      .struct_size = sizeof sampling, .seed = 5, .temperature = 0.75f, .top_p = 0.875f};
  gpt2_generate_options options = {
      .struct_size = sizeof options, .max_tokens = 12, .sampling = &sampling};
  gpt2_result result = {.struct_size = sizeof result};
  must_succeed(gpt2_generate(context, TEXT, strlen(TEXT), &options, keep_piece, r, &result),
               context);
  keep(r, &result, sizeof result);
  options.max_tokens = -1;
  keep_failure(r, gpt2_generate(context, TEXT, strlen(TEXT), &options, NULL, NULL, NULL),
               gpt2_context_error(context));
}

static int32_t keep_score(const gpt2_token_score *score, void *user)
{
  keep(user, &score->token, sizeof score->token);
  keep(user, &score->logprob, sizeof score->logprob);
  return 0;
}

static void score(gpt2_context *context, record *r)
{
  gpt2_score_options options = {.struct_size = sizeof options, .stride = -1};
  gpt2_score_result result = {.struct_size = sizeof result};
  keep_failure(r, gpt2_score(context, TEXT, strlen(TEXT), &options, NULL, NULL, NULL),
               gpt2_context_error(context));
  options.stride = 0;
  must_succeed(gpt2_score(context, TEXT, strlen(TEXT), &options, keep_score, r, &result), context);
  keep(r, &result, sizeof result);
}

/* ---- All of it ---- */

static void use_model(gpt2_model *model, record *r)
{
  gpt2_info info = info_of(model);
  keep(r, &info, sizeof info);
  use_text(model, r);
  gpt2_context *context = open_context(model, N_THREADS);
  use_logits(context, r);
  generate(context, r);
  score(context, r);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

void run_session(const char *const *paths, record *r)
{
  gpt2_build build = {.struct_size = sizeof build};
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_OK);
  keep(r, &build, sizeof build);
  load_nothing(r);
  load_broken_files(r);
  make_wrong_samplers(r);
  for (; *paths; paths++) {
    use_model(load(*paths, 0, GPT2_TYPE_DEFAULT, NULL, NULL), r);
    use_model(load(*paths, GPT2_LOAD_COPY, GPT2_TYPE_Q8_0, keep_log, r), r);
  }
}
