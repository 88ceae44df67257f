/* model_files.c - the files of a model, and the doors through which they are loaded. */
#define _POSIX_C_SOURCE 200809L
#include "support/model_files.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/little_model.h"
#include "support/opened.h"
#include "support/temporary_folder.h"

enum { PATH_SIZE = 4096 };

/* ---- Reading ---- */

static char *path_below(const char *folder, const char *name)
{
  char *path = malloc(PATH_SIZE);
  assert_non_null(path);
  snprintf(path, PATH_SIZE, "%s/%s", folder, name);
  return path;
}

static bool ends_with(const char *name, const char *end)
{
  size_t size = strlen(name), end_size = strlen(end);
  return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* What the library may open; a fixture has other files, too. */
static bool is_of_the_model(const char *name)
{
  return strcmp(name, "expected.json") != 0 &&
         (ends_with(name, ".json") || ends_with(name, ".txt") || ends_with(name, ".safetensors"));
}

static void read_file_into(model_files *files, const char *name)
{
  size_t size;
  char *path = path_below(files->folder, name);
  assert_true(files->n_blobs < MOST_FILES);
  gpt2_blob *blob = &files->blobs[files->n_blobs++];
  blob->name = strdup(name);
  blob->bytes = read_test_file(path, &size);
  blob->size = size;
  bool is_index = strcmp(name, "model.safetensors.index.json") == 0;
  if (is_index || strcmp(name, "model.safetensors") == 0)
    files->weights_path = path;
  else
    free(path);
}

model_files *read_model_files(char *folder, bool is_temporary)
{
  model_files *files = calloc(1, sizeof *files);
  assert_non_null(files);
  files->folder = folder;
  files->is_temporary = is_temporary;
  DIR *entries = opendir(folder);
  assert_non_null(entries);
  for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
    if (is_of_the_model(entry->d_name))
      read_file_into(files, entry->d_name);
  closedir(entries);
  assert_true(files->n_blobs >= 2 && files->weights_path);
  return files;
}

void free_model_files(model_files *files)
{
  for (size_t i = 0; i < files->n_blobs; i++) {
    free((void *)(uintptr_t)files->blobs[i].name);
    free((void *)(uintptr_t)files->blobs[i].bytes);
  }
  free(files->weights_path);
  if (files->is_temporary)
    remove_temporary_folder(files->folder);
  else
    free(files->folder);
  free(files);
}

/* ---- Little ones ---- */

#define LITTLE_TOKENS                                                                              \
  "\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"f\":5,\"g\":6,\"h\":7,\"i\":8,\"l\":9,\"m\":10,"      \
  "\"n\":11,\"o\":12,\"r\":13,\"s\":14,\"t\":15,\"u\":16,\"y\":17,\".\":18,\"\xc4\xa0\":19,"       \
  "\"th\":20,\"the\":21,\"\xc4\xa0the\":22,\"on\":23,\"<|endoftext|>\":24"

static void write_text(const char *folder, const char *name, const char *text)
{
  write_temporary_file(folder, name, text, strlen(text));
}

static void write_vocabulary(const char *folder)
{
  write_text(folder, "vocab.json", "{" LITTLE_TOKENS "}");
  write_text(folder, "merges.txt", "#version: 0.2\nt h\nth e\n\xc4\xa0 the\no n\n");
  write_text(folder, "tokenizer_config.json",
             "{\"add_prefix_space\":false,\"pad_token\":\"<|endoftext|>\"}");
  write_text(folder, "special_tokens_map.json",
             "{\"bos_token\":\"<|endoftext|>\",\"unk_token\":{\"content\":\"<|endoftext|>\","
             "\"lstrip\":false,\"normalized\":true},\"additional_special_tokens\":[\"<one>\"]}");
  write_text(folder, "added_tokens.json", "{\"<one>\":25,\"<two>\":26}");
}

static void write_tokenizer_json(const char *folder)
{
  write_text(folder, "tokenizer.json",
             "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":24,\"content\":\"<|endoftext|>\","
             "\"special\":true},{\"id\":25,\"content\":\"<one>\",\"single_word\":true}],"
             "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
             "\"add_prefix_space\":false,\"use_regex\":true},\"decoder\":{\"type\":\"ByteLevel\"},"
             "\"model\":{\"type\":\"BPE\",\"vocab\":{" LITTLE_TOKENS "},\"merges\":[\"t h\","
             "\"th e\",\"\xc4\xa0 the\",\"o n\"]}}");
}

static void write_weights(const char *folder, const char *name, const built_tensor *tensors,
                          size_t n)
{
  size_t size;
  uint8_t *file = build_safetensors(tensors, n, &size);
  write_temporary_file(folder, name, file, size);
  free(file);
}

/* Two shards, and the index that says which tensor is where. */
static void write_shards(const char *folder, const little_model *little)
{
  static const char *const names[] = {"model-00001-of-00002.safetensors",
                                      "model-00002-of-00002.safetensors"};
  size_t n_first = little->n_tensors / 2, used;
  char index[8192];
  write_weights(folder, names[0], little->tensors, n_first);
  write_weights(folder, names[1], little->tensors + n_first, little->n_tensors - n_first);
  used = (size_t)snprintf(index, sizeof index, "{\"weight_map\":{");
  for (size_t i = 0; i < little->n_tensors; i++)
    used += (size_t)snprintf(index + used, sizeof index - used, "%s\"%s\":\"%s\"", i ? "," : "",
                             little->tensors[i].name, names[i >= n_first]);
  assert_true(used < sizeof index - 3);
  strcpy(index + used, "}}");
  write_text(folder, "model.safetensors.index.json", index);
}

model_files *make_little_files(bool sharded)
{
  little_model *little = little_new();
  char *folder = new_temporary_folder();
  write_text(folder, "config.json", little->config);
  if (sharded) {
    write_shards(folder, little);
    write_tokenizer_json(folder);
  } else {
    write_weights(folder, "model.safetensors", little->tensors, little->n_tensors);
    write_vocabulary(folder);
  }
  little_free(little);
  return read_model_files(folder, true);
}

/* ---- Doors ---- */

static gpt2_status load_folder(const model_files *from, gpt2_load_options *options,
                               gpt2_model **model, gpt2_error *error)
{
  return gpt2_load(from->folder, options, model, error);
}

static gpt2_status load_file(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  return gpt2_load(from->weights_path, options, model, error);
}

static gpt2_status load_copy(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  options->flags = GPT2_LOAD_COPY | GPT2_LOAD_PREFAULT;
  return gpt2_load(from->folder, options, model, error);
}

static gpt2_status load_memory(const model_files *from, gpt2_load_options *options,
                               gpt2_model **model, gpt2_error *error)
{
  return gpt2_load_memory(from->blobs, from->n_blobs, options, model, error);
}

/* A failure releases the source; a success keeps it until the model is gone. */
static gpt2_status load_by_callbacks(bool has_view, const model_files *from,
                                     gpt2_load_options *options, gpt2_model **model,
                                     gpt2_error *error)
{
  static host_source host;
  host = (host_source){.blobs = from->blobs, .n_blobs = from->n_blobs, .has_view = has_view};
  gpt2_source source = host_callbacks(&host);
  gpt2_status status = gpt2_load_source(&source, options, model, error);
  assert_int_equal(host.n_released, status != GPT2_OK);
  assert_true(status == GPT2_OK || host.n_open == 0);
  return status;
}

static gpt2_status load_source(const model_files *from, gpt2_load_options *options,
                               gpt2_model **model, gpt2_error *error)
{
  return load_by_callbacks(false, from, options, model, error);
}

static gpt2_status load_view(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  return load_by_callbacks(true, from, options, model, error);
}

static gpt2_status load_threads(const model_files *from, gpt2_load_options *options,
                                gpt2_model **model, gpt2_error *error)
{
  options->n_threads = 3;
  options->flags = GPT2_LOAD_PREFAULT | GPT2_LOAD_HUGE_PAGES;
  return gpt2_load(from->folder, options, model, error);
}

static gpt2_status load_f16(const model_files *from, gpt2_load_options *options, gpt2_model **model,
                            gpt2_error *error)
{
  options->weights = GPT2_TYPE_F16;
  options->n_threads = 1;
  return load_folder(from, options, model, error);
}

static gpt2_status load_bf16(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  options->weights = GPT2_TYPE_BF16;
  options->n_threads = 2;
  return load_source(from, options, model, error);
}

static gpt2_status load_q8_0(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  options->weights = GPT2_TYPE_Q8_0;
  options->n_threads = 2;
  return load_copy(from, options, model, error);
}

static gpt2_status load_q4_0(const model_files *from, gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  options->weights = GPT2_TYPE_Q4_0;
  return load_threads(from, options, model, error);
}

static gpt2_status load_q4_0_memory(const model_files *from, gpt2_load_options *options,
                                    gpt2_model **model, gpt2_error *error)
{
  options->weights = GPT2_TYPE_Q4_0;
  options->n_threads = 1;
  return load_memory(from, options, model, error);
}

const door doors[N_DOORS] = {
    {"a folder", load_folder, true, false},
    {"a file", load_file, true, false},
    {"a folder that is copied", load_copy, true, false},
    {"a folder by three threads", load_threads, true, false},
    {"memory", load_memory, false, false},
    {"a source", load_source, false, false},
    {"a source with views", load_view, false, false},
    {"a folder to f16", load_f16, true, true},
    {"a source to bf16", load_bf16, false, true},
    {"a copy to q8_0", load_q8_0, true, true},
    {"a folder to q4_0", load_q4_0, true, true},
    {"memory to q4_0", load_q4_0_memory, false, true},
};

/* ---- What was loaded ---- */

static void describe_text(gpt2_model *model, const char *text, size_t size, record *r)
{
  gpt2_token tokens[128];
  size_t n_tokens = 0;
  assert_true(size <= 128);
  gpt2_status status =
      gpt2_encode(model, text, size, GPT2_ENCODE_SPECIAL, tokens, 128, &n_tokens, NULL);
  keep(r, &status, sizeof status);
  if (status == GPT2_OK)
    keep(r, tokens, n_tokens * sizeof *tokens);
}

void describe_model(gpt2_model *model, record *r)
{
  static const char simple[] = "the son. on the other<one><|endoftext|>";
  static const char hard[] = "Once upon a time, there were 3 bears.\n\n<|endoftext|>  \xc3\xa9\xff";
  enum { N_PROMPT = 10 };
  gpt2_token prompt[N_PROMPT];
  gpt2_info info = info_of(model);
  for (int i = 0; i < N_PROMPT; i++)
    prompt[i] = (5 + 37 * i) % info.n_vocab;
  info.mapped_size = info.allocated_size = 0;
  memset(info.tokenizer_message, 0, sizeof info.tokenizer_message); /* it names the folder */
  keep(r, &info, sizeof info);
  describe_text(model, simple, sizeof simple - 1, r);
  describe_text(model, hard, sizeof hard - 1, r);
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_eval(context, 0, prompt, N_PROMPT, 0), context);
  keep(r, gpt2_logits(context, 0), (size_t)info.n_vocab * sizeof(float));
  gpt2_context_free(context);
}
