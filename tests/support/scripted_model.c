/* scripted_model.c - tiny models in memory that say what the test wrote down.
 *
 * wte and the block are zero and wpe is the identity, so the residual stream of position p is the
 * p-th unit vector. The last layer norm makes it n / sqrt(n - 1) there, n being its width, and its
 * bias makes it zero elsewhere; lm_head has an entry in column p for the token that follows. */
#include "support/scripted_model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/opened.h"
#include "support/safetensors_builder.h"

enum { DEFAULT_N_CTX = 64, DEFAULT_CONFIDENCE = 8 };

/* ---- What the script says ---- */

static gpt2_token token_after(const model_script *script, int n)
{
  size_t i = (size_t)n - 1;
  if (script->text)
    return i < strlen(script->text) ? (uint8_t)script->text[i] : END_TOKEN;
  return i < script->n_tokens ? script->tokens[i] : END_TOKEN;
}

static float confidence_of(float confidence)
{
  return confidence == 0.0f ? DEFAULT_CONFIDENCE : confidence;
}

double scripted_logprob(const scripted_model *scripted, float confidence)
{
  return -log1p((scripted->n_vocab - 1) * exp(-(double)confidence_of(confidence)));
}

/* ---- Weights ---- */

static float *zeros(int n)
{
  float *values = calloc((size_t)n, sizeof *values);
  assert_non_null(values);
  return values;
}

static float *filled(int n, float value)
{
  float *values = zeros(n);
  for (int i = 0; i < n; i++)
    values[i] = value;
  return values;
}

/* wpe (n, n): the identity, and NaN where the script is broken. */
static float *make_wpe(const model_script *script, int n)
{
  float *wpe = zeros(n * n);
  for (int p = 0; p < n; p++)
    wpe[p * n + p] = script->broken_at > 0 && p >= script->broken_at ? NAN : 1.0f;
  return wpe;
}

/* lm_head (n_vocab, n). */
static float *make_lm_head(const model_script *script, int n_vocab, int n)
{
  float *lm_head = zeros(n_vocab * n), confidence = confidence_of(script->confidence);
  double normed = n / sqrt(n - 1.0); /* what the last layer norm makes of a unit vector's 1 */
  float entry = isinf(confidence) ? 3e38f : (float)(confidence / normed);
  for (int p = 0; p < n; p++)
    lm_head[token_after(script, p + 1) * n + p] = entry;
  return lm_head;
}

/* The .safetensors file; *size is its size. The width and the number of positions are n. */
static void *make_weights(const model_script *script, int n_vocab, int n, size_t *size)
{
  uint64_t v = (uint64_t)n_vocab, e = (uint64_t)n;
  float *wpe = make_wpe(script, n), *lm_head = make_lm_head(script, n_vocab, n);
  float *ones = filled(n, 1.0f), *lift = filled(n, (float)(1.0 / sqrt(n - 1.0)));
  built_tensor tensors[] = {
      {.name = "wte.weight", .rank = 2, .shape = {v, e}},
      {.name = "wpe.weight", .rank = 2, .shape = {e, e}, .data = wpe},
      {.name = "h.0.ln_1.weight", .rank = 1, .shape = {e}, .data = ones},
      {.name = "h.0.ln_1.bias", .rank = 1, .shape = {e}},
      {.name = "h.0.attn.c_attn.weight", .rank = 2, .shape = {e, 3 * e}},
      {.name = "h.0.attn.c_attn.bias", .rank = 1, .shape = {3 * e}},
      {.name = "h.0.attn.c_proj.weight", .rank = 2, .shape = {e, e}},
      {.name = "h.0.attn.c_proj.bias", .rank = 1, .shape = {e}},
      {.name = "h.0.ln_2.weight", .rank = 1, .shape = {e}, .data = ones},
      {.name = "h.0.ln_2.bias", .rank = 1, .shape = {e}},
      {.name = "h.0.mlp.c_fc.weight", .rank = 2, .shape = {e, 1}},
      {.name = "h.0.mlp.c_fc.bias", .rank = 1, .shape = {1}},
      {.name = "h.0.mlp.c_proj.weight", .rank = 2, .shape = {1, e}},
      {.name = "h.0.mlp.c_proj.bias", .rank = 1, .shape = {e}},
      {.name = "ln_f.weight", .rank = 1, .shape = {e}, .data = ones},
      {.name = "ln_f.bias", .rank = 1, .shape = {e}, .data = lift},
      {.name = "lm_head.weight", .rank = 2, .shape = {v, e}, .data = lm_head},
  };
  size_t n_tensors = sizeof tensors / sizeof *tensors;
  for (size_t i = 0; i < n_tensors; i++) {
    tensors[i].dtype = "F32";
    tensors[i].size = tensors[i].shape[0] * sizeof(float);
    if (tensors[i].rank == 2)
      tensors[i].size *= tensors[i].shape[1];
  }
  void *file = build_safetensors(tensors, n_tensors, size);
  free(wpe);
  free(lm_head);
  free(ones);
  free(lift);
  return file;
}

/* ---- Words about them ---- */

static char *make_config(const model_script *script, int n_vocab, int n)
{
  char special[64], *config = malloc(512);
  assert_non_null(config);
  snprintf(special, sizeof special, "\"bos_token_id\":%d,\"eos_token_id\":%d", END_TOKEN,
           END_TOKEN);
  int size = snprintf(config, 512,
                      "{\"model_type\":\"gpt2\",\"vocab_size\":%d,\"n_positions\":%d,\"n_embd\":%d,"
                      "\"n_layer\":1,\"n_head\":1,\"n_inner\":1,\"layer_norm_epsilon\":0,"
                      "\"tie_word_embeddings\":false,%s}",
                      n_vocab, n, n, script->special ? script->special : special);
  assert_in_range(size, 1, 511);
  return config;
}

/* The letter that vocabulary files write for a byte, in UTF-8: the byte itself where that is
 * printable in Latin-1, and the letters from U+0100 on for the others in turn. */
static void letter_of(int byte, char letter[3])
{
  int code_point = 0x100;
  for (int b = 0; b <= byte; b++) {
    bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xff && b != 0xad);
    if (b == byte && printable)
      code_point = b;
    else if (b < byte && !printable)
      code_point++;
  }
  memset(letter, 0, 3);
  if (code_point < 0x80) {
    letter[0] = (char)code_point;
    return;
  }
  letter[0] = (char)(0xc0 | code_point >> 6);
  letter[1] = (char)(0x80 | (code_point & 0x3f));
}

/* vocab.json */
static char *make_vocabulary(const model_script *script)
{
  json_t *vocabulary = json_object();
  char letter[3];
  for (int byte = 0; byte < END_TOKEN; byte++) {
    letter_of(byte, letter);
    assert_int_equal(json_object_set_new(vocabulary, letter, json_integer(byte)), 0);
  }
  json_object_set_new(vocabulary, "<|endoftext|>", json_integer(END_TOKEN));
  for (size_t i = 0; i < script->n_own; i++)
    json_object_set_new(vocabulary, script->own_names[i],
                        json_integer(FIRST_OWN_TOKEN + (json_int_t)i));
  char *text = json_dumps(vocabulary, JSON_COMPACT);
  assert_non_null(text);
  json_decref(vocabulary);
  return text;
}

/* ---- The model ---- */

scripted_model scripted_open(const model_script *script)
{
  static const char no_merges[] = "#version: 0.2\n";
  int n_ctx = script->n_ctx ? script->n_ctx : DEFAULT_N_CTX;
  int n_vocab = FIRST_OWN_TOKEN + (int)script->n_own + script->n_more_rows;
  size_t weights_size;
  scripted_model scripted = {.n_vocab = n_vocab,
                             .n_ctx = n_ctx,
                             .config = make_config(script, n_vocab, n_ctx),
                             .weights = make_weights(script, n_vocab, n_ctx, &weights_size),
                             .vocabulary = make_vocabulary(script)};
  const char *tokenizer = script->tokenizer ? script->tokenizer : "{}";
  gpt2_blob blobs[] = {
      {.name = "config.json", .bytes = scripted.config, .size = strlen(scripted.config)},
      {.name = "model.safetensors", .bytes = scripted.weights, .size = weights_size},
      {.name = "vocab.json", .bytes = scripted.vocabulary, .size = strlen(scripted.vocabulary)},
      {.name = "merges.txt", .bytes = no_merges, .size = sizeof no_merges - 1},
      {.name = "tokenizer_config.json", .bytes = tokenizer, .size = strlen(tokenizer)},
  };
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = script->allocator};
  size_t n_blobs = script->has_no_tokenizer ? 2 : sizeof blobs / sizeof *blobs;
  must_have_succeeded(gpt2_load_memory(blobs, n_blobs, &options, &scripted.model, &error), &error);
  if (!script->has_no_tokenizer)
    assert_string_equal(info_of(scripted.model).tokenizer_message, "");
  scripted.context = open_context(scripted.model, 1);
  return scripted;
}

void scripted_close(scripted_model *scripted)
{
  gpt2_context_free(scripted->context);
  gpt2_model_free(scripted->model);
  free(scripted->config);
  free(scripted->weights);
  free(scripted->vocabulary);
  *scripted = (scripted_model){.model = NULL};
}
