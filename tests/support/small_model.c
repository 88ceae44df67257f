/* small_model.c - the smallest GPT-2 of which no two sizes are equal, in memory. */
#include "support/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/opened.h"

/* ---- Values ---- */

/* The n-th value: a multiple of 1/64 of at most 2, all of whose bits fit every type. */
static float value_of(uint32_t n)
{
  uint32_t mixed = (n + 1) * 2654435761u; /* Knuth's multiplicative hash */
  return (float)((int)(mixed >> 24) - 128) / 64.0f;
}

/* A value as F16: it is 0 or has an exponent that is normal there. */
static uint16_t as_f16(uint32_t f32)
{
  uint32_t sign = f32 >> 16 & 0x8000, exponent = f32 >> 23 & 0xff, fraction = f32 >> 13 & 0x3ff;
  return (uint16_t)(exponent ? sign | (exponent - 127 + 15) << 10 | fraction : sign);
}

/* Writes the n-th element of `data` in that type; what is none of the four stays as it is. */
static void store(void *data, const char *dtype, uint64_t n, float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (strcmp(dtype, "F32") == 0)
    ((float *)data)[n] = value;
  else if (strcmp(dtype, "F64") == 0)
    ((double *)data)[n] = value;
  else if (strcmp(dtype, "F16") == 0)
    ((uint16_t *)data)[n] = as_f16(bits);
  else if (strcmp(dtype, "BF16") == 0)
    ((uint16_t *)data)[n] = (uint16_t)(bits >> 16);
}

/* ---- Tensors ---- */

static uint64_t count_of(const built_tensor *tensor)
{
  uint64_t n = 1;
  for (int i = 0; i < tensor->rank; i++)
    n *= tensor->shape[i];
  return n;
}

static size_t size_of(const built_tensor *tensor)
{
  static const struct {
    const char *dtype;
    size_t size;
  } sizes[] = {{"F64", 8}, {"I64", 8},  {"F32", 4}, {"I32", 4},  {"F16", 2},
               {"I16", 2}, {"BF16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (strcmp(tensor->dtype, sizes[i].dtype) == 0)
      return (size_t)count_of(tensor) * sizes[i].size;
  fail_msg("the size of %s is not known", tensor->dtype);
  return 0;
}

void small_rename(small_model *small, built_tensor *tensor, const char *name)
{
  char *kept = small->names[small->n_named++];
  assert_true(small->n_named <= SMALL_MOST_TENSORS && strlen(name) < sizeof small->names[0]);
  tensor->name = strcpy(kept, name);
}

built_tensor *small_insert(small_model *small, size_t place, const char *name, const char *dtype,
                           uint64_t n_rows, uint64_t n_columns)
{
  assert_true(small->n < SMALL_MOST_TENSORS && place <= small->n);
  built_tensor *tensor = &small->tensors[place];
  memmove(tensor + 1, tensor, (small->n++ - place) * sizeof *tensor);
  *tensor = (built_tensor){.dtype = dtype, .rank = n_columns ? 2 : 1, .shape = {n_rows, n_columns}};
  tensor->size = size_of(tensor);
  small_rename(small, tensor, name);
  return tensor;
}

/* Appends one with values of its own. */
static void add(small_model *small, const char *prefix, const char *name, uint64_t n_rows,
                uint64_t n_columns)
{
  char whole[96];
  snprintf(whole, sizeof whole, "%s%s", prefix, name);
  built_tensor *tensor = small_insert(small, small->n, whole, "F32", n_rows, n_columns);
  uint64_t n = count_of(tensor);
  void *data = small->data[small->n_named - 1];
  assert_true(n <= SMALL_MOST_ELEMENTS);
  for (uint64_t i = 0; i < n; i++)
    store(data, "F32", i, value_of((uint32_t)(SMALL_MOST_ELEMENTS * small->n_named) + (uint32_t)i));
  tensor->data = data;
}

static void add_block(small_model *small, const char *prefix, int layer)
{
  char block[64];
  snprintf(block, sizeof block, "%sh.%d.", prefix, layer);
  add(small, block, "ln_1.weight", SMALL_EMBD, 0);
  add(small, block, "ln_1.bias", SMALL_EMBD, 0);
  add(small, block, "attn.c_attn.weight", SMALL_EMBD, 3 * SMALL_EMBD);
  add(small, block, "attn.c_attn.bias", 3 * SMALL_EMBD, 0);
  add(small, block, "attn.c_proj.weight", SMALL_EMBD, SMALL_EMBD);
  add(small, block, "attn.c_proj.bias", SMALL_EMBD, 0);
  add(small, block, "ln_2.weight", SMALL_EMBD, 0);
  add(small, block, "ln_2.bias", SMALL_EMBD, 0);
  add(small, block, "mlp.c_fc.weight", SMALL_EMBD, SMALL_INNER);
  add(small, block, "mlp.c_fc.bias", SMALL_INNER, 0);
  add(small, block, "mlp.c_proj.weight", SMALL_INNER, SMALL_EMBD);
  add(small, block, "mlp.c_proj.bias", SMALL_EMBD, 0);
}

small_model *small_new(const char *prefix)
{
  small_model *small = calloc(1, sizeof *small);
  assert_non_null(small);
  small->more = "";
  add(small, prefix, "wte.weight", SMALL_VOCAB, SMALL_EMBD);
  add(small, prefix, "wpe.weight", SMALL_CTX, SMALL_EMBD);
  for (int layer = 0; layer < SMALL_LAYERS; layer++)
    add_block(small, prefix, layer);
  add(small, prefix, "ln_f.weight", SMALL_EMBD, 0);
  add(small, prefix, "ln_f.bias", SMALL_EMBD, 0);
  assert_int_equal(small->n, SMALL_TENSORS);
  return small;
}

void small_free(small_model *small)
{
  free(small->file);
  free(small);
}

built_tensor *small_find(small_model *small, const char *name)
{
  for (size_t i = 0; i < small->n; i++)
    if (strcmp(small->tensors[i].name, name) == 0)
      return &small->tensors[i];
  fail_msg("the small model has no tensor %s", name);
  return NULL;
}

void small_remove(small_model *small, built_tensor *tensor)
{
  size_t place = (size_t)(tensor - small->tensors);
  memmove(tensor, tensor + 1, (--small->n - place) * sizeof *tensor);
}

built_tensor *small_add_head(small_model *small, const char *wte_name)
{
  built_tensor *head =
      small_insert(small, small->n, "lm_head.weight", "F32", SMALL_VOCAB, SMALL_EMBD);
  const built_tensor *wte = small_find(small, wte_name);
  head->data = memcpy(small->data[small->n_named - 1], wte->data, wte->size);
  return head;
}

void small_reshape(built_tensor *tensor, int rank, uint64_t first, uint64_t second)
{
  tensor->rank = rank;
  tensor->shape[0] = first;
  tensor->shape[1] = second;
  for (int i = 2; i < rank; i++)
    tensor->shape[i] = 1;
  tensor->size = size_of(tensor);
  tensor->data = NULL;
}

/* The tensor's data, where they are ours to write. */
static void *data_of(small_model *small, const built_tensor *tensor)
{
  for (int i = 0; i < small->n_named; i++)
    if (tensor->data == small->data[i])
      return small->data[i];
  fail_msg("the values of %s are not the small model's", tensor->name);
  return NULL;
}

void small_retype(small_model *small, built_tensor *tensor, const char *dtype)
{
  float values[SMALL_MOST_ELEMENTS];
  void *data = data_of(small, tensor);
  assert_string_equal(tensor->dtype, "F32");
  memcpy(values, data, tensor->size);
  memset(data, 0, sizeof small->data[0]);
  tensor->dtype = dtype;
  tensor->size = size_of(tensor);
  for (uint64_t i = 0; i < count_of(tensor); i++)
    store(data, dtype, i, values[i]);
}

/* ---- The model ---- */

gpt2_status small_load(small_model *small, const gpt2_load_options *options, gpt2_model **model,
                       gpt2_error *error)
{
  size_t size;
  uint8_t *file = build_safetensors(small->tensors, small->n, &size);
  free(small->file);
  small->file = malloc(size + small->shift); /* exactly: nothing may be read beyond it */
  assert_non_null(small->file);
  memcpy(small->file + small->shift, file, size);
  free(file);
  /* Without a word about them, BOS and EOS are 50256: the model has no such token. */
  int length = snprintf(small->config, sizeof small->config,
                        "{\"model_type\":\"gpt2\",\"vocab_size\":%d,\"n_positions\":%d,"
                        "\"n_embd\":%d,\"n_layer\":%d,\"n_head\":2,\"n_inner\":%d%s}",
                        SMALL_VOCAB, SMALL_CTX, SMALL_EMBD, SMALL_LAYERS, SMALL_INNER, small->more);
  assert_in_range(length, 1, sizeof small->config - 1);
  const gpt2_blob blobs[] = {
      {.name = "config.json", .bytes = small->config, .size = (uint64_t)length},
      {.name = "model.safetensors", .bytes = small->file + small->shift, .size = size},
  };
  return gpt2_load_memory(blobs, sizeof blobs / sizeof *blobs, options, model, error);
}

gpt2_model *small_open(small_model *small)
{
  gpt2_model *model = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  must_have_succeeded(small_load(small, NULL, &model, &error), &error);
  return model;
}

small_logits small_logits_of(gpt2_model *model)
{
  static const gpt2_token text[SMALL_CTX] = {1, 6, 3};
  small_logits logits;
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_eval(context, 0, text, SMALL_CTX, GPT2_ROW_LOGITS), context);
  for (size_t row = 0; row < SMALL_CTX; row++)
    memcpy(logits.of[row], gpt2_row_logits(context, row), sizeof logits.of[row]);
  gpt2_context_free(context);
  return logits;
}

small_logits small_evaluate(small_model *small)
{
  gpt2_model *model = small_open(small);
  small_logits logits = small_logits_of(model);
  gpt2_model_free(model);
  return logits;
}
