/* reference_load.c - reads config.json and the safetensors files of a Hugging Face folder for the
 * reference model: F32, F16, BF16 and F64, one file or several with an index.
 *
 * It reads folders that are known to be sound, and is not hardened as the library's reader is; but
 * it notices a tensor that is missing or has another number of elements than the config says. */
#include "reference.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 64, PATH_SIZE = 4096 };

/* A safetensors file in memory. */
typedef struct tensor_file {
  unsigned char *bytes;
  json_t *header;            /* name: {"dtype", "shape", "data_offsets"} */
  const unsigned char *data; /* what the offsets count from */
} tensor_file;

typedef struct folder_files {
  const char *folder;
  json_t *config;
  tensor_file file[MAX_FILES];
  int n_files;
  bool failed; /* something was missing, and was told on stderr */
} folder_files;

double *reference_doubles(size_t count)
{
  double *values = calloc(count, sizeof *values);
  if (!values) {
    fprintf(stderr, "reference model: no memory for %zu doubles\n", count);
    exit(1);
  }
  return values;
}

static void complain(folder_files *files, const char *name, const char *what)
{
  fprintf(stderr, "reference model: %s: %s: %s\n", files->folder, name, what);
  files->failed = true;
}

static unsigned char *read_file(const char *folder, const char *name, size_t *size)
{
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  unsigned char *bytes = malloc(*size + 1);
  if (bytes && fread(bytes, 1, *size, file) != *size) {
    free(bytes);
    bytes = NULL;
  }
  fclose(file);
  return bytes;
}

static json_t *read_json(const char *folder, const char *name)
{
  size_t size = 0;
  unsigned char *bytes = read_file(folder, name, &size);
  json_t *value = bytes ? json_loadb((char *)bytes, size, 0, NULL) : NULL;
  free(bytes);
  return value;
}

static void open_tensor_file(folder_files *files, const char *name)
{
  size_t size = 0;
  tensor_file *file = &files->file[files->n_files];
  if (files->n_files == MAX_FILES || !(file->bytes = read_file(files->folder, name, &size)) ||
      size < 8) {
    complain(files, name, "cannot be read");
    return;
  }
  files->n_files++;
  uint64_t header_size = 0;
  for (int i = 7; i >= 0; i--)
    header_size = header_size << 8 | file->bytes[i];
  if (header_size > size - 8 ||
      !(file->header = json_loadb((char *)file->bytes + 8, header_size, 0, NULL)))
    complain(files, name, "has no header");
  file->data = file->bytes + 8 + header_size;
}

static void open_tensor_files(folder_files *files)
{
  json_t *index = read_json(files->folder, "model.safetensors.index.json");
  if (!index) {
    open_tensor_file(files, "model.safetensors");
    return;
  }
  const char *tensor;
  json_t *name, *seen = json_object();
  json_object_foreach (json_object_get(index, "weight_map"), tensor, name) {
    if (!json_object_get(seen, json_string_value(name)))
      open_tensor_file(files, json_string_value(name));
    json_object_set_new(seen, json_string_value(name), json_true());
  }
  json_decref(seen);
  json_decref(index);
}

static int config_int(folder_files *files, const char *key, int missing)
{
  json_t *value = json_object_get(files->config, key);
  return json_is_integer(value) ? (int)json_integer_value(value) : missing;
}

static bool config_bool(folder_files *files, const char *key, bool missing)
{
  json_t *value = json_object_get(files->config, key);
  return json_is_boolean(value) ? json_is_true(value) : missing;
}

static reference_activation config_activation(folder_files *files)
{
  json_t *value = json_object_get(files->config, "activation_function");
  const char *name = value ? json_string_value(value) : "gelu_new";
  if (strcmp(name, "gelu_new") != 0 && strcmp(name, "gelu") != 0 && strcmp(name, "relu") != 0)
    complain(files, name, "no such activation function");
  return !strcmp(name, "gelu")   ? REFERENCE_GELU_ERF
         : !strcmp(name, "relu") ? REFERENCE_RELU
                                 : REFERENCE_GELU_TANH;
}

static void read_config(folder_files *files, reference_config *config)
{
  json_t *epsilon = json_object_get(files->config, "layer_norm_epsilon");
  config->n_vocab = config_int(files, "vocab_size", 50257);
  config->n_ctx = config_int(files, "n_positions", 1024);
  config->n_embd = config_int(files, "n_embd", 768);
  config->n_head = config_int(files, "n_head", 12);
  config->n_layer = config_int(files, "n_layer", 12);
  config->n_inner = config_int(files, "n_inner", 4 * config->n_embd);
  config->activation = config_activation(files);
  config->layer_norm_epsilon = epsilon ? json_number_value(epsilon) : 1e-5;
  config->scale_attn_weights = config_bool(files, "scale_attn_weights", true);
  config->scale_attn_by_inverse_layer_idx =
      config_bool(files, "scale_attn_by_inverse_layer_idx", false);
  config->tie_word_embeddings = config_bool(files, "tie_word_embeddings", true);
}

/* A binary floating-point number of 16 bits with the given bits of exponent. */
static double small_float(unsigned bits, int exponent_bits)
{
  int mantissa_bits = 15 - exponent_bits;
  int bias = (1 << (exponent_bits - 1)) - 1;
  int exponent = (int)(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  double mantissa = bits & ((1u << mantissa_bits) - 1);
  double size = exponent == 0
                    ? ldexp(mantissa, 1 - bias - mantissa_bits)
                    : ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  return bits & 0x8000 ? -size : size;
}

static double element(const unsigned char *data, size_t i, const char *type)
{
  float f32;
  double f64;
  if (!strcmp(type, "F32"))
    return memcpy(&f32, data + 4 * i, 4), f32;
  if (!strcmp(type, "F64"))
    return memcpy(&f64, data + 8 * i, 8), f64;
  unsigned bits = data[2 * i] | (unsigned)data[2 * i + 1] << 8;
  return small_float(bits, strcmp(type, "F16") == 0 ? 5 : 8);
}

/* The tensor of exactly that name in doubles, or NULL. */
static double *find_tensor(folder_files *files, const char *name, size_t count)
{
  for (int i = 0; i < files->n_files; i++) {
    const char *type;
    json_int_t begin, end;
    json_t *entry = json_object_get(files->file[i].header, name);
    if (!entry ||
        json_unpack(entry, "{s:s, s:[I,I]}", "dtype", &type, "data_offsets", &begin, &end) != 0)
      continue;
    size_t element_size = !strcmp(type, "F64") ? 8 : !strcmp(type, "F32") ? 4 : 2;
    if ((size_t)(end - begin) != count * element_size)
      complain(files, name, "has another size than the config says");
    double *values = reference_doubles(count);
    for (size_t k = 0; k < count && !files->failed; k++)
      values[k] = element(files->file[i].data + begin, k, type);
    return values;
  }
  return NULL;
}

/* The tensor with or without "transformer." before its name. */
static double *tensor(folder_files *files, const char *name, size_t count)
{
  char prefixed[128];
  snprintf(prefixed, sizeof prefixed, "transformer.%s", name);
  double *values = find_tensor(files, name, count);
  if (!values)
    values = find_tensor(files, prefixed, count);
  if (!values)
    complain(files, name, "is missing");
  return values;
}

/* The weight (n_in, n_out) and bias (n_out) of a layer; a layer norm has n_in 1. */
static reference_linear linear(folder_files *files, const char *layer, int n_in, int n_out)
{
  char weight[96], bias[96];
  snprintf(weight, sizeof weight, "%s.weight", layer);
  snprintf(bias, sizeof bias, "%s.bias", layer);
  return (reference_linear){tensor(files, weight, (size_t)n_in * n_out),
                            tensor(files, bias, (size_t)n_out)};
}

static void read_block(folder_files *files, reference_model *model, int layer)
{
  int n_embd = model->config.n_embd, n_inner = model->config.n_inner;
  reference_block *block = &model->block[layer];
  char name[6][64];
  static const char *const suffix[6] = {"ln_1", "attn.c_attn", "attn.c_proj",
                                        "ln_2", "mlp.c_fc",    "mlp.c_proj"};
  for (int i = 0; i < 6; i++)
    snprintf(name[i], sizeof name[i], "h.%d.%s", layer, suffix[i]);
  block->ln_1 = linear(files, name[0], 1, n_embd);
  block->attn_qkv = linear(files, name[1], n_embd, 3 * n_embd);
  block->attn_proj = linear(files, name[2], n_embd, n_embd);
  block->ln_2 = linear(files, name[3], 1, n_embd);
  block->mlp_fc = linear(files, name[4], n_embd, n_inner);
  block->mlp_proj = linear(files, name[5], n_inner, n_embd);
}

static void read_tensors(folder_files *files, reference_model *model)
{
  const reference_config *config = &model->config;
  size_t n_vocab = (size_t)config->n_vocab, n_ctx = (size_t)config->n_ctx,
         n_embd = (size_t)config->n_embd;
  model->wte = tensor(files, "wte.weight", n_vocab * n_embd);
  model->wpe = tensor(files, "wpe.weight", n_ctx * n_embd);
  model->block = calloc((size_t)config->n_layer, sizeof *model->block);
  for (int layer = 0; layer < config->n_layer && model->block; layer++)
    read_block(files, model, layer);
  model->ln_f = linear(files, "ln_f", 1, config->n_embd);
  /* A head in the file counts even when the config ties it: transformers warns and uses it. */
  model->unembedding = find_tensor(files, "lm_head.weight", n_vocab * n_embd);
  if (!model->unembedding && config->tie_word_embeddings)
    model->unembedding = model->wte;
  if (!model->unembedding || !model->block)
    complain(files, "lm_head.weight", "is missing");
}

reference_model *reference_load(const char *folder)
{
  folder_files files = {.folder = folder, .config = read_json(folder, "config.json")};
  reference_model *model = calloc(1, sizeof *model);
  if (!files.config || !model)
    complain(&files, "config.json", "cannot be read");
  else {
    read_config(&files, &model->config);
    open_tensor_files(&files);
  }
  if (!files.failed)
    read_tensors(&files, model);
  for (int i = 0; i < files.n_files; i++) {
    json_decref(files.file[i].header);
    free(files.file[i].bytes);
  }
  json_decref(files.config);
  if (!files.failed)
    return model;
  reference_free(model);
  return NULL;
}

static void free_linear(reference_linear layer)
{
  free(layer.weight);
  free(layer.bias);
}

void reference_free(reference_model *model)
{
  if (!model)
    return;
  for (int layer = 0; layer < model->config.n_layer && model->block; layer++) {
    reference_block *block = &model->block[layer];
    free_linear(block->ln_1), free_linear(block->attn_qkv), free_linear(block->attn_proj);
    free_linear(block->ln_2), free_linear(block->mlp_fc), free_linear(block->mlp_proj);
  }
  free_linear(model->ln_f);
  if (model->unembedding != model->wte)
    free(model->unembedding);
  free(model->wte), free(model->wpe), free(model->block);
  free(model);
}
