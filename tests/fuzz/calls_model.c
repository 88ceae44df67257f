/* calls_model.c - the model whose calls are fuzzed, and what it must compute. */
#include "fuzz/calls_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"
#include "support/safetensors_builder.h"

enum { V = CALLS_VOCAB, E = CALLS_EMBD, N_TENSORS = 4 + 12 * CALLS_LAYERS };

const char *const calls_texts[CALLS_VOCAB] = {"a",    "b",  "c",    "d",    "e",
                                              "f",    " ",  "\xe2", "\x82", "\xac",
                                              "\xff", "ab", "cd",   "abcd", "<|endoftext|>",
                                              "<p>",  "",   ""};

static const char vocab_json[] =
    "{\"a\": 0, \"b\": 1, \"c\": 2, \"d\": 3, \"e\": 4, \"f\": 5, \"\\u0120\": 6, \"\\u00e2\": 7, "
    "\"\\u0124\": 8, \"\\u00ac\": 9, \"\\u00ff\": 10, \"ab\": 11, \"cd\": 12, \"abcd\": 13, "
    "\"<|endoftext|>\": 14}";
static const char added_json[] = "{\"<p>\": 15}";
static const char merges_txt[] = "a b\nc d\nab cd\n";

/* ---- Weights ---- */

/* One tensor after another, for the file and for the reference. */
typedef struct weights {
  built_tensor tensors[N_TENSORS];
  char names[N_TENSORS][48];
  size_t n;
  uint32_t random;
} weights;

/* Values about `mean`, large enough for every part of the model to matter; a copy in doubles. */
static double *add_tensor(weights *w, int layer, const char *name, size_t n_rows, size_t n_columns,
                          float mean)
{
  size_t n = (n_rows ? n_rows : 1) * n_columns;
  float *values = malloc(n * sizeof *values);
  double *doubles = reference_doubles(n);
  must(values, "no memory");
  for (size_t i = 0; i < n; i++) {
    w->random = w->random * 1664525u + 1013904223u; /* Numerical Recipes */
    values[i] = mean + (float)(w->random >> 16) / 65536.0f - 0.5f;
    doubles[i] = (double)values[i];
  }
  snprintf(w->names[w->n], sizeof w->names[0], layer < 0 ? "%s" : "h.%2$d.%1$s", name, layer);
  built_tensor *t = &w->tensors[w->n];
  *t = (built_tensor){
      .name = w->names[w->n++], .dtype = "F32", .data = values, .size = n * sizeof *values};
  if (n_rows > 0)
    t->shape[t->rank++] = n_rows;
  t->shape[t->rank++] = n_columns;
  return doubles;
}

static reference_linear add_pair(weights *w, int layer, const char *name, size_t n_in, size_t n_out)
{
  char full[40];
  snprintf(full, sizeof full, "%s.weight", name);
  double *weight = add_tensor(w, layer, full, n_in, n_out, n_in ? 0.0f : 1.0f);
  snprintf(full, sizeof full, "%s.bias", name);
  return (reference_linear){weight, add_tensor(w, layer, full, 0, n_out, 0.0f)};
}

static const reference_model *make_reference(weights *w)
{
  static reference_block blocks[CALLS_LAYERS];
  static reference_model model;
  model.config = (reference_config){
      V,    CALLS_CTX, E,     CALLS_HEADS, CALLS_LAYERS, CALLS_INNER, REFERENCE_GELU_TANH,
      1e-5, true,      false, true};
  model.wte = model.unembedding = add_tensor(w, -1, "wte.weight", V, E, 0);
  model.wpe = add_tensor(w, -1, "wpe.weight", CALLS_CTX, E, 0);
  for (int i = 0; i < CALLS_LAYERS; i++)
    blocks[i] = (reference_block){.ln_1 = add_pair(w, i, "ln_1", 0, E),
                                  .attn_qkv = add_pair(w, i, "attn.c_attn", E, 3 * E),
                                  .attn_proj = add_pair(w, i, "attn.c_proj", E, E),
                                  .ln_2 = add_pair(w, i, "ln_2", 0, E),
                                  .mlp_fc = add_pair(w, i, "mlp.c_fc", E, CALLS_INNER),
                                  .mlp_proj = add_pair(w, i, "mlp.c_proj", CALLS_INNER, E)};
  model.block = blocks;
  model.ln_f = add_pair(w, -1, "ln_f", 0, E);
  return &model;
}

/* The file of the weights, and the same in double precision, made once. */
static const reference_model *reference(gpt2_blob *file)
{
  static weights w = {.random = 5};
  static const reference_model *made;
  static gpt2_blob made_file = {.name = "model.safetensors"};
  if (!made) {
    size_t size;
    made = make_reference(&w);
    made_file.bytes = build_safetensors(w.tensors, w.n, &size);
    made_file.size = size;
  }
  *file = made_file;
  return made;
}

gpt2_model *calls_load(const gpt2_allocator *allocator)
{
  static char config[256];
  snprintf(config, sizeof config,
           "{\"model_type\": \"gpt2\", \"vocab_size\": %d, \"n_positions\": %d, \"n_embd\": %d, "
           "\"n_head\": %d, \"n_layer\": %d, \"n_inner\": %d, \"bos_token_id\": %d, "
           "\"eos_token_id\": %d}",
           V, CALLS_CTX, E, CALLS_HEADS, CALLS_LAYERS, CALLS_INNER, CALLS_END, CALLS_END);
  const bytes texts[] = {{(const uint8_t *)config, strlen(config)},
                         {(const uint8_t *)vocab_json, sizeof vocab_json - 1},
                         {(const uint8_t *)merges_txt, sizeof merges_txt - 1},
                         {(const uint8_t *)added_json, sizeof added_json - 1}};
  gpt2_blob files[5] = {blob_of("config.json", texts[0]), blob_of("vocab.json", texts[1]),
                        blob_of("merges.txt", texts[2]), blob_of("added_tokens.json", texts[3])};
  reference(&files[4]);
  gpt2_load_options options = {
      .struct_size = sizeof options, .n_threads = 1, .allocator = allocator};
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_model *model;
  must(gpt2_load_memory(files, 5, &options, &model, &error) == GPT2_OK, "%s", error.message);
  return model;
}

/* ---- What it must compute ---- */

float calls_tolerance(const float *logits, int32_t kv_type)
{
  float least = logits[0], greatest = logits[0];
  for (int i = 1; i < V; i++) {
    least = logits[i] < least ? logits[i] : least;
    greatest = logits[i] > greatest ? logits[i] : greatest;
  }
  return (greatest - least) * (kv_type == GPT2_TYPE_F16 ? 1e-3f : 1e-5f);
}

/* What was computed, and of what. */
typedef struct kept {
  gpt2_token tokens[CALLS_CTX];
  size_t n;
  int32_t kv_type;
  float logits[V];
} kept;

/* Its place among them. */
static kept *place_of(const gpt2_token *tokens, size_t n, int32_t kv_type)
{
  enum { N_KEPT = 4096 };
  static kept table[N_KEPT];
  uint32_t hash = (uint32_t)kv_type;
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ (uint32_t)tokens[i]) * 2654435761u; /* Knuth's multiplicative hash */
  return &table[(hash >> 16) % N_KEPT];
}

/* Rounded keys and values are not held to double precision: how far they lead depends on the model,
 * and one of this width, whose layer norms magnify what little there is, is none to judge by. */
static void keep(const gpt2_token *tokens, size_t n, int32_t kv_type, const float *logits,
                 const double *exact)
{
  kept *k = place_of(tokens, n, kv_type);
  double tolerance = (double)calls_tolerance(logits, kv_type);
  for (int i = 0; i < V && kv_type != GPT2_TYPE_F16; i++)
    must(fabs((double)logits[i] - exact[i]) <= tolerance, "logit %d is %a, in double precision %a",
         i, (double)logits[i], exact[i]);
  memcpy(k->logits, logits, sizeof k->logits);
  memcpy(k->tokens, tokens, n * sizeof *tokens);
  k->n = n;
  k->kv_type = kv_type;
}

/* Computes and keeps the logits after each of the tokens. */
static void compute(const gpt2_token *tokens, size_t n, int32_t kv_type)
{
  static gpt2_model *model;
  gpt2_blob file;
  gpt2_row rows[CALLS_CTX];
  double exact[CALLS_CTX * V];
  if (!model)
    model = calls_load(NULL);
  gpt2_context_options options = {
      .struct_size = sizeof options, .n_threads = 1, .kv_type = kv_type};
  gpt2_context *context;
  must(gpt2_context_new(model, &options, &context, NULL) == GPT2_OK, "no context");
  for (size_t i = 0; i < n; i++)
    rows[i] = (gpt2_row){.token = tokens[i], .flags = GPT2_ROW_LOGITS};
  must(gpt2_eval_batch(context, rows, n) == GPT2_OK, "%s", gpt2_context_error(context)->message);
  reference_logits(reference(&file), tokens, (int)n, exact);
  for (size_t i = 0; i < n; i++)
    keep(tokens, i + 1, kv_type, gpt2_row_logits(context, i), exact + i * V);
  gpt2_context_free(context);
}

const float *calls_logits(const gpt2_token *tokens, size_t n, int32_t kv_type)
{
  const kept *k = place_of(tokens, n, kv_type);
  if (k->n != n || k->kv_type != kv_type || memcmp(k->tokens, tokens, n * sizeof *tokens) != 0)
    compute(tokens, n, kv_type);
  return k->logits;
}

double calls_logprob(const float *logits, gpt2_token token)
{
  double sum = 0;
  for (int i = 0; i < V; i++)
    sum += exp((double)logits[i] - (double)logits[token]);
  return -log(sum);
}
