/* tiny.c - a model of four positions in memory, whose files are fuzzed one by one. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/safetensors_builder.h"

#define MATRIX(text, n_rows, n_columns)                                                            \
  {                                                                                                \
    .name = text, .dtype = "F32", .rank = 2, .shape = { n_rows, n_columns }                        \
  }
#define VECTOR(text, n)                                                                            \
  {                                                                                                \
    .name = text, .dtype = "F32", .rank = 1, .shape = { n }                                        \
  }

enum { E = TINY_EMBD, N_TENSORS = 16, FIRST_OF_SHARD_2 = 8, MOST_ELEMENTS = E * 3 * E };

static built_tensor tensors[N_TENSORS] = {
    MATRIX("wte.weight", TINY_VOCAB, E),
    MATRIX("wpe.weight", TINY_CTX, E),
    VECTOR("h.0.ln_1.weight", E),
    VECTOR("h.0.ln_1.bias", E),
    MATRIX("h.0.attn.c_attn.weight", E, 3 * E),
    VECTOR("h.0.attn.c_attn.bias", 3 * E),
    MATRIX("h.0.attn.c_proj.weight", E, E),
    VECTOR("h.0.attn.c_proj.bias", E),
    VECTOR("h.0.ln_2.weight", E),
    VECTOR("h.0.ln_2.bias", E),
    MATRIX("h.0.mlp.c_fc.weight", E, TINY_INNER),
    VECTOR("h.0.mlp.c_fc.bias", TINY_INNER),
    MATRIX("h.0.mlp.c_proj.weight", TINY_INNER, E),
    VECTOR("h.0.mlp.c_proj.bias", E),
    VECTOR("ln_f.weight", E),
    VECTOR("ln_f.bias", E),
};

/* Values of all signs, the same for every tensor. */
static const float *values(void)
{
  static float all[MOST_ELEMENTS];
  for (int i = 0; i < MOST_ELEMENTS; i++)
    all[i] = (float)(i * 7 % 13 - 6) / 8.0f;
  return all;
}

/* A file with tensors [first, end), made once. */
static gpt2_blob file_of(const char *name, int first, int end)
{
  size_t size;
  for (int i = first; i < end; i++) {
    built_tensor *t = &tensors[i];
    t->data = values();
    t->size = t->shape[0] * (t->rank == 2 ? t->shape[1] : 1) * sizeof(float);
  }
  const uint8_t *file = build_safetensors(&tensors[first], (size_t)(end - first), &size);
  return (gpt2_blob){.name = name, .bytes = file, .size = size};
}

gpt2_blob tiny_weights(void)
{
  static gpt2_blob made;
  if (!made.name)
    made = file_of("model.safetensors", 0, N_TENSORS);
  return made;
}

gpt2_blob tiny_shard(int i)
{
  static gpt2_blob made[2];
  if (!made[0].name) {
    made[0] = file_of("1.safetensors", 0, FIRST_OF_SHARD_2);
    made[1] = file_of("2.safetensors", FIRST_OF_SHARD_2, N_TENSORS);
  }
  return made[i - 1];
}

gpt2_blob tiny_config(void)
{
  static char text[256];
  int size = snprintf(
      text, sizeof text,
      "{\"model_type\": \"gpt2\", \"vocab_size\": %d, \"n_positions\": %d, \"n_embd\": %d, "
      "\"n_head\": %d, \"n_layer\": 1, \"n_inner\": %d}",
      TINY_VOCAB, TINY_CTX, TINY_EMBD, TINY_HEADS, TINY_INNER);
  return (gpt2_blob){.name = "config.json", .bytes = text, .size = (uint64_t)size};
}
