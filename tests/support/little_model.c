/* little_model.c - a little GPT-2 with random weights, in memory. */
#include "support/little_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/opened.h"
#include "support/random_numbers.h"

/* A tensor whose values are about `mean`, and large enough for every part of the model to matter.
 */
static void add_random(little_model *little, random_numbers *random, int layer, const char *name,
                       size_t n_rows, size_t n_columns, float mean)
{
  enum { NAME_SIZE = 64 };
  size_t n = (n_rows ? n_rows : 1) * n_columns;
  char *full_name = malloc(NAME_SIZE);
  float *values = malloc(n * sizeof *values);
  assert_true(full_name && values && little->n_tensors < LITTLE_TENSORS);
  if (layer < 0)
    snprintf(full_name, NAME_SIZE, "%s", name);
  else
    snprintf(full_name, NAME_SIZE, "h.%d.%s", layer, name);
  for (size_t i = 0; i < n; i++)
    values[i] = mean + 0.3f * (float)random_normal(random);
  built_tensor *tensor = &little->tensors[little->n_tensors++];
  *tensor =
      (built_tensor){.name = full_name, .dtype = "F32", .data = values, .size = n * sizeof *values};
  if (n_rows > 0)
    tensor->shape[tensor->rank++] = n_rows;
  tensor->shape[tensor->rank++] = n_columns;
}

static void add_block(little_model *little, random_numbers *random, int layer)
{
  add_random(little, random, layer, "ln_1.weight", 0, LITTLE_EMBD, 1);
  add_random(little, random, layer, "ln_1.bias", 0, LITTLE_EMBD, 0);
  add_random(little, random, layer, "attn.c_attn.weight", LITTLE_EMBD, 3 * LITTLE_EMBD, 0);
  add_random(little, random, layer, "attn.c_attn.bias", 0, 3 * LITTLE_EMBD, 0);
  add_random(little, random, layer, "attn.c_proj.weight", LITTLE_EMBD, LITTLE_EMBD, 0);
  add_random(little, random, layer, "attn.c_proj.bias", 0, LITTLE_EMBD, 0);
  add_random(little, random, layer, "ln_2.weight", 0, LITTLE_EMBD, 1);
  add_random(little, random, layer, "ln_2.bias", 0, LITTLE_EMBD, 0);
  add_random(little, random, layer, "mlp.c_fc.weight", LITTLE_EMBD, LITTLE_INNER, 0);
  add_random(little, random, layer, "mlp.c_fc.bias", 0, LITTLE_INNER, 0);
  add_random(little, random, layer, "mlp.c_proj.weight", LITTLE_INNER, LITTLE_EMBD, 0);
  add_random(little, random, layer, "mlp.c_proj.bias", 0, LITTLE_EMBD, 0);
}

little_model *little_new(void)
{
  random_numbers random = {40};
  little_model *little = calloc(1, sizeof *little);
  assert_non_null(little);
  snprintf(little->config, sizeof little->config,
           "{\"model_type\":\"gpt2\",\"vocab_size\":%d,\"n_positions\":%d,\"n_embd\":%d,\"n_head\":"
           "%d,\"n_layer\":%d,"
           "\"n_inner\":%d,\"bos_token_id\":0,\"eos_token_id\":1}",
           LITTLE_VOCAB, LITTLE_CTX, LITTLE_EMBD, LITTLE_HEADS, LITTLE_LAYERS, LITTLE_INNER);
  add_random(little, &random, -1, "wte.weight", LITTLE_VOCAB, LITTLE_EMBD, 0);
  add_random(little, &random, -1, "wpe.weight", LITTLE_CTX, LITTLE_EMBD, 0);
  for (int layer = 0; layer < LITTLE_LAYERS; layer++)
    add_block(little, &random, layer);
  add_random(little, &random, -1, "ln_f.weight", 0, LITTLE_EMBD, 1);
  add_random(little, &random, -1, "ln_f.bias", 0, LITTLE_EMBD, 0);
  assert_int_equal(little->n_tensors, LITTLE_TENSORS);
  return little;
}

void little_free(little_model *little)
{
  for (size_t i = 0; i < little->n_tensors; i++) {
    free((void *)(uintptr_t)little->tensors[i].name);
    free((void *)(uintptr_t)little->tensors[i].data);
  }
  for (size_t i = 0; i < little->n_files; i++)
    free(little->files[i]);
  free(little->files);
  free(little);
}

float *little_values(little_model *little, const char *name)
{
  for (size_t i = 0; i < little->n_tensors; i++)
    if (strcmp(little->tensors[i].name, name) == 0)
      return (float *)(uintptr_t)little->tensors[i].data;
  fail_msg("the little model has no tensor %s", name);
  return NULL;
}

gpt2_status little_load(little_model *little, const gpt2_load_options *options, gpt2_model **model,
                        gpt2_error *error)
{
  size_t size;
  little->files = realloc(little->files, (little->n_files + 1) * sizeof *little->files);
  assert_non_null(little->files);
  uint8_t *file = build_safetensors(little->tensors, little->n_tensors, &size);
  little->files[little->n_files++] = file;
  const gpt2_blob blobs[] = {
      {.name = "config.json", .bytes = little->config, .size = strlen(little->config)},
      {.name = "model.safetensors", .bytes = file, .size = size},
  };
  return gpt2_load_memory(blobs, 2, options, model, error);
}

gpt2_model *little_open(little_model *little)
{
  gpt2_model *model = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  must_have_succeeded(little_load(little, NULL, &model, &error), &error);
  return model;
}

gpt2_context *little_context(little_model *little, const gpt2_context_options *options)
{
  gpt2_model *model = little_open(little);
  gpt2_context *context = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  must_have_succeeded(gpt2_context_new(model, options, &context, &error), &error);
  gpt2_model_free(model);
  return context;
}
