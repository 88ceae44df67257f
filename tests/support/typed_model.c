/* typed_model.c - a GPT-2 in memory whose weights are stored in any type. */
#include "support/typed_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/random_numbers.h"
#include "support/temporary_folder.h"

static const char *const dtypes[] = {
    [ELEMENT_F32] = "F32", [ELEMENT_F16] = "F16", [ELEMENT_BF16] = "BF16", [ELEMENT_F64] = "F64"};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

/* Mostly small numbers, some large, some zero. */
static double value_of(random_numbers *random, double mean)
{
  int kind = random_below(random, 50);
  double value = random_normal(random) * 0.1;
  return mean + (kind == 0 ? value * 20 : kind == 1 ? 0 : value);
}

static void store(uint8_t *to, element_type type, double value)
{
  float single = (float)value;
  uint16_t half = type == ELEMENT_F16 ? f16_from_f32(single) : bf16_from_f32(single);
  const void *from = type == ELEMENT_F64   ? (const void *)&value
                     : type == ELEMENT_F32 ? (const void *)&single
                                           : (const void *)&half;
  memcpy(to, from, element_size(type));
}

static void add(typed_model *typed, random_numbers *random, int type, const char *name,
                size_t n_rows, size_t n_columns, double mean)
{
  element_type own = (element_type)(type == TYPED_MIXED ? (int)typed->n_tensors % N_DTYPES : type);
  size_t n = (n_rows ? n_rows : 1) * n_columns, size = element_size(own);
  char *kept = malloc(strlen(name) + 1);
  uint8_t *data = malloc(n * size);
  assert_true(kept && data && typed->n_tensors < TYPED_TENSORS);
  for (size_t i = 0; i < n; i++)
    store(data + i * size, own, value_of(random, mean));
  built_tensor *tensor = &typed->tensors[typed->n_tensors++];
  *tensor = (built_tensor){
      .name = strcpy(kept, name), .dtype = dtypes[own], .data = data, .size = n * size};
  if (n_rows > 0)
    tensor->shape[tensor->rank++] = n_rows;
  tensor->shape[tensor->rank++] = n_columns;
}

static void add_block(typed_model *typed, random_numbers *random, int type, int layer)
{
  static const struct {
    const char *name;
    size_t n_rows, n_columns;
    double mean;
  } parts[] = {{"ln_1.weight", 0, TYPED_EMBD, 1},
               {"ln_1.bias", 0, TYPED_EMBD, 0},
               {"attn.c_attn.weight", TYPED_EMBD, 3 * TYPED_EMBD, 0},
               {"attn.c_attn.bias", 0, 3 * TYPED_EMBD, 0},
               {"attn.c_proj.weight", TYPED_EMBD, TYPED_EMBD, 0},
               {"attn.c_proj.bias", 0, TYPED_EMBD, 0},
               {"ln_2.weight", 0, TYPED_EMBD, 1},
               {"ln_2.bias", 0, TYPED_EMBD, 0},
               {"mlp.c_fc.weight", TYPED_EMBD, TYPED_INNER, 0},
               {"mlp.c_fc.bias", 0, TYPED_INNER, 0},
               {"mlp.c_proj.weight", TYPED_INNER, TYPED_EMBD, 0},
               {"mlp.c_proj.bias", 0, TYPED_EMBD, 0}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char name[64];
    snprintf(name, sizeof name, "h.%d.%s", layer, parts[i].name);
    add(typed, random, type, name, parts[i].n_rows, parts[i].n_columns, parts[i].mean);
  }
}

typed_model *typed_new(int type, bool tied)
{
  random_numbers random = {72};
  typed_model *typed = calloc(1, sizeof *typed);
  assert_non_null(typed);
  snprintf(typed->config, sizeof typed->config,
           "{\"model_type\":\"gpt2\",\"vocab_size\":%d,\"n_positions\":%d,\"n_embd\":%d,"
           "\"n_head\":%d,\"n_layer\":%d,\"n_inner\":%d,\"tie_word_embeddings\":%s}",
           TYPED_VOCAB, TYPED_CTX, TYPED_EMBD, TYPED_HEADS, TYPED_LAYERS, TYPED_INNER,
           tied ? "true" : "false");
  add(typed, &random, type, "wte.weight", TYPED_VOCAB, TYPED_EMBD, 0);
  add(typed, &random, type, "wpe.weight", TYPED_CTX, TYPED_EMBD, 0);
  for (int layer = 0; layer < TYPED_LAYERS; layer++)
    add_block(typed, &random, type, layer);
  add(typed, &random, type, "ln_f.weight", 0, TYPED_EMBD, 1);
  add(typed, &random, type, "ln_f.bias", 0, TYPED_EMBD, 0);
  if (!tied)
    add(typed, &random, type, "lm_head.weight", TYPED_VOCAB, TYPED_EMBD, 0);
  uint8_t *file = build_safetensors(typed->tensors, typed->n_tensors, &typed->size);
  typed->file = aligned_alloc(64, (typed->size + 63) / 64 * 64);
  assert_non_null(typed->file);
  memcpy(typed->file, file, typed->size);
  free(file);
  return typed;
}

void typed_free(typed_model *typed)
{
  for (size_t i = 0; i < typed->n_tensors; i++) {
    free((void *)(uintptr_t)typed->tensors[i].name);
    free((void *)(uintptr_t)typed->tensors[i].data);
  }
  free(typed->file);
  free(typed);
}

const built_tensor *typed_tensor(const typed_model *typed, const char *name)
{
  for (size_t i = 0; i < typed->n_tensors; i++)
    if (strcmp(typed->tensors[i].name, name) == 0)
      return &typed->tensors[i];
  fail_msg("the typed model has no tensor %s", name);
  return NULL;
}

element_type typed_type(const built_tensor *tensor)
{
  int type = 0;
  while (strcmp(dtypes[type], tensor->dtype) != 0)
    type++;
  return (element_type)type;
}

size_t typed_count(const built_tensor *tensor)
{
  return tensor->size / element_size(typed_type(tensor));
}

void typed_blobs(const typed_model *typed, gpt2_blob *blobs)
{
  blobs[0] =
      (gpt2_blob){.name = "config.json", .bytes = typed->config, .size = strlen(typed->config)};
  blobs[1] = (gpt2_blob){.name = "model.safetensors", .bytes = typed->file, .size = typed->size};
}

char *typed_folder(const typed_model *typed)
{
  char *folder = new_temporary_folder();
  write_temporary_file(folder, "config.json", typed->config, strlen(typed->config));
  write_temporary_file(folder, "model.safetensors", typed->file, typed->size);
  return folder;
}

static void add_vocabulary_file(const char *folder, const char *name)
{
  char below[64];
  size_t size;
  snprintf(below, sizeof below, "data/gpt2-vocab/%s", name);
  char *path = test_data_path(below), *bytes = read_test_file(path, &size);
  write_temporary_file(folder, name, bytes, size);
  free(bytes);
  free(path);
}

char *typed_published_folder(const typed_model *typed)
{
  char *folder = typed_folder(typed);
  add_vocabulary_file(folder, "vocab.json");
  add_vocabulary_file(folder, "merges.txt");
  return folder;
}
