/* tiny_files.c - the files of the tiniest whole model, in memory. */
#include "support/tiny_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char tiny_text[] = "ab a<|endoftext|>b<x>";
const char tiny_weights[] = "model.safetensors", tiny_index[] = "model.safetensors.index.json";
const char tiny_first_shard[] = "one.safetensors", tiny_second_shard[] = "two.safetensors";

/* All that we read of a config.json. */
static const char config[] =
    "{\"model_type\":\"gpt2\",\"architectures\":[\"GPT2LMHeadModel\"],\"vocab_size\":7,"
    "\"n_positions\":3,\"n_embd\":2,\"n_head\":1,\"n_layer\":1,\"n_inner\":5,"
    "\"activation_function\":\"relu\",\"layer_norm_epsilon\":1e-5,\"scale_attn_weights\":true,"
    "\"tie_word_embeddings\":true,\"bos_token_id\":null,\"eos_token_id\":[3,6]}";

static const char index_text[] =
    "{\"metadata\":{\"total_size\":332},\"weight_map\":{\"wte.weight\":"
    "\"one.safetensors\",\"ln_f.bias\":\"two.safetensors\"}}";

static const char tokenizer_json[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":5,\"content\":\"<x>\",\"special\":true}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{\"type\":"
    "\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3,\"\\u0120\":4},"
    "\"merges\":[\"a b\"]}}";

static const char vocab_json[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3,\"\\u0120\":4}";
static const char merges_txt[] = "#version: 0.2\na b\n";
static const char added_tokens[] = "{\"<x>\":5}";
static const char special_tokens[] =
    "{\"pad_token\":\"<x>\",\"eos_token\":{\"content\":\"<|endoftext|>\",\"lstrip\":false}}";
static const char tokenizer_config[] =
    "{\"add_prefix_space\":false,\"add_bos_token\":false,\"added_tokens_decoder\":{\"5\":"
    "{\"content\":\"<x>\",\"special\":true}},\"extra_special_tokens\":[\"<x>\"]}";

/* ---- Weights ---- */

static const struct {
  const char *name;
  uint64_t n_rows, n_columns; /* n_columns is 0 for a vector */
} shapes[TINY_TENSORS] = {
    {"wte.weight", TINY_VOCAB, TINY_EMBD},
    {"wpe.weight", TINY_CTX, TINY_EMBD},
    {"h.0.ln_1.weight", TINY_EMBD, 0},
    {"h.0.ln_1.bias", TINY_EMBD, 0},
    {"h.0.attn.c_attn.weight", TINY_EMBD, 3 * TINY_EMBD},
    {"h.0.attn.c_attn.bias", 3 * TINY_EMBD, 0},
    {"h.0.attn.c_proj.weight", TINY_EMBD, TINY_EMBD},
    {"h.0.attn.c_proj.bias", TINY_EMBD, 0},
    {"h.0.ln_2.weight", TINY_EMBD, 0},
    {"h.0.ln_2.bias", TINY_EMBD, 0},
    {"h.0.mlp.c_fc.weight", TINY_EMBD, TINY_INNER},
    {"h.0.mlp.c_fc.bias", TINY_INNER, 0},
    {"h.0.mlp.c_proj.weight", TINY_INNER, TINY_EMBD},
    {"h.0.mlp.c_proj.bias", TINY_EMBD, 0},
    {"ln_f.weight", TINY_EMBD, 0},
    {"ln_f.bias", TINY_EMBD, 0},
};

void tiny_tensors(built_tensor tensors[TINY_TENSORS],
                  float values[TINY_TENSORS][TINY_MOST_ELEMENTS])
{
  for (int i = 0; i < TINY_TENSORS; i++) {
    uint64_t n_columns = shapes[i].n_columns, n = shapes[i].n_rows * (n_columns ? n_columns : 1);
    for (uint64_t e = 0; e < n; e++)
      values[i][e] = (float)((e * 7 + (uint64_t)i * 5) % 11) / 8.0f - 0.5f;
    tensors[i] = (built_tensor){.name = shapes[i].name,
                                .dtype = "F32",
                                .rank = n_columns ? 2 : 1,
                                .shape = {shapes[i].n_rows, n_columns},
                                .data = values[i],
                                .size = (size_t)n * sizeof(float)};
  }
}

/* ---- Files ---- */

static gpt2_blob *find(tiny_files *files, const char *name)
{
  for (size_t i = 0; i < files->n; i++)
    if (strcmp(files->blobs[i].name, name) == 0)
      return &files->blobs[i];
  return NULL;
}

gpt2_blob *tiny_file(tiny_files *files, const char *name)
{
  gpt2_blob *file = find(files, name);
  if (!file)
    fail_msg("the tiny model has no %s", name);
  return file;
}

/* Gives bytes to the file, which are its own from now on. */
static void give(tiny_files *files, const char *name, void *bytes, size_t size)
{
  gpt2_blob *file = find(files, name);
  if (!file) {
    assert_true(files->n < TINY_MOST_FILES);
    file = &files->blobs[files->n++];
    *file = (gpt2_blob){.name = name};
  }
  free((void *)(uintptr_t)file->bytes);
  file->bytes = bytes;
  file->size = size;
}

void tiny_set(tiny_files *files, const char *name, const void *bytes, size_t size)
{
  void *copy = malloc(size + !size); /* exactly, so that a read beyond the end is noticed */
  assert_non_null(copy);
  memcpy(copy, bytes, size);
  give(files, name, copy, size);
}

static void set_text(tiny_files *files, const char *name, const char *text)
{
  tiny_set(files, name, text, strlen(text));
}

/* Adds a safetensors file with n of the tensors. */
static void add_weights(tiny_files *files, const char *name, size_t first, size_t n)
{
  built_tensor tensors[TINY_TENSORS];
  float values[TINY_TENSORS][TINY_MOST_ELEMENTS];
  size_t size;
  tiny_tensors(tensors, values);
  uint8_t *bytes = build_safetensors(tensors + first, n, &size);
  give(files, name, bytes, size);
}

static tiny_files *new_files(void)
{
  tiny_files *files = calloc(1, sizeof *files);
  assert_non_null(files);
  set_text(files, "config.json", config);
  return files;
}

tiny_files *tiny_new(void)
{
  tiny_files *files = new_files();
  add_weights(files, tiny_weights, 0, TINY_TENSORS);
  return files;
}

tiny_files *tiny_new_sharded(void)
{
  enum { IN_FIRST = 9 };
  tiny_files *files = new_files();
  set_text(files, tiny_index, index_text);
  add_weights(files, tiny_first_shard, 0, IN_FIRST);
  add_weights(files, tiny_second_shard, IN_FIRST, TINY_TENSORS - IN_FIRST);
  return files;
}

void tiny_free(tiny_files *files)
{
  for (size_t i = 0; i < files->n; i++)
    free((void *)(uintptr_t)files->blobs[i].bytes);
  free(files);
}

void tiny_add_tokenizer_json(tiny_files *files)
{
  set_text(files, "tokenizer.json", tokenizer_json);
}

void tiny_add_vocabulary(tiny_files *files)
{
  set_text(files, "vocab.json", vocab_json);
  set_text(files, "merges.txt", merges_txt);
}

void tiny_add_older_side_files(tiny_files *files)
{
  tiny_add_vocabulary(files);
  set_text(files, "added_tokens.json", added_tokens);
  set_text(files, "special_tokens_map.json", special_tokens);
}

void tiny_add_newer_side_file(tiny_files *files)
{
  tiny_add_vocabulary(files);
  set_text(files, "tokenizer_config.json", tokenizer_config);
}

/* ---- Changes ---- */

static bool is_safetensors(const char *name)
{
  size_t size = strlen(name);
  return size > 12 && strcmp(name + size - 12, ".safetensors") == 0;
}

static size_t header_size(const uint8_t *bytes)
{
  size_t size = 0;
  for (int i = 7; i >= 0; i--)
    size = size << 8 | bytes[i];
  return size;
}

static void set_header_size(uint8_t *bytes, size_t size)
{
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)((uint64_t)size >> (8 * i));
}

/* Where the text stands first among `size` bytes. */
static size_t place_of(const char *name, const uint8_t *bytes, size_t size, const char *text)
{
  size_t length = strlen(text);
  for (size_t at = 0; at + length <= size; at++)
    if (memcmp(bytes + at, text, length) == 0)
      return at;
  fail_msg("%s does not hold %s", name, text);
  return 0;
}

void tiny_edit(tiny_files *files, const char *name, const char *from, const void *to,
               size_t to_size)
{
  const gpt2_blob *file = tiny_file(files, name);
  const uint8_t *bytes = file->bytes;
  size_t size = (size_t)file->size, from_size = strlen(from), header = 0, at = size;
  if (is_safetensors(name))
    header = header_size(bytes);
  if (from_size > 0)
    at = header ? 8 + place_of(name, bytes + 8, header, from) : place_of(name, bytes, size, from);
  size_t new_size = size - from_size + to_size, after = at + from_size;
  uint8_t *edited = malloc(new_size + !new_size);
  assert_non_null(edited);
  memcpy(edited, bytes, at);
  memcpy(edited + at, to, to_size);
  memcpy(edited + at + to_size, bytes + after, size - after);
  if (header && from_size > 0)
    set_header_size(edited, header - from_size + to_size);
  give(files, name, edited, new_size);
}
