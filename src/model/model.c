/* model.c - opening a model, and its references. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/path.h"
#include "base/pool.h"
#include "formats/huggingface.h"
#include "model/weights.h"

/* Sends a finished sentence to the host's log, if it wants one. */
static void log_line(const gpt2_load_options *options, int32_t level, const char *subject,
                     const char *text)
{
  char line[640];
  if (!options->log)
    return;
  snprintf(line, sizeof line, "%s%s", subject, text);
  make_printable(line); /* names in a file may hold anything, a line break too */
  options->log(level, line, options->log_user);
}

/* ---- Special tokens ---- */

static bool in_range(const gpt2_model *model, gpt2_token token)
{
  return token >= 0 && token < model->config.n_vocab;
}

static void find_special_tokens(gpt2_model *model)
{
  model->bos_token = in_range(model, model->config.bos_token) ? model->config.bos_token : -1;
  if (model->bos_token < 0 && model->tokenizer) {
    gpt2_token end_of_text = tokenizer_find(model->tokenizer, "<|endoftext|>");
    model->bos_token = in_range(model, end_of_text) ? end_of_text : -1;
  }
  for (int32_t i = 0; i < model->config.n_eos_tokens; i++)
    if (in_range(model, model->config.eos_tokens[i]))
      model->eos_tokens[model->n_eos_tokens++] = model->config.eos_tokens[i];
}

bool model_is_eos(const gpt2_model *model, gpt2_token token)
{
  for (int32_t i = 0; i < model->n_eos_tokens; i++)
    if (model->eos_tokens[i] == token)
      return true;
  return false;
}

gpt2_token gpt2_bos_token(const gpt2_model *model)
{
  return model ? model->bos_token : -1;
}

gpt2_token gpt2_eos_token(const gpt2_model *model, size_t index)
{
  return model && index < (size_t)model->n_eos_tokens ? model->eos_tokens[index] : -1;
}

uint32_t gpt2_token_flags(const gpt2_model *model, gpt2_token token)
{
  if (!model || token < 0)
    return 0;
  uint32_t flags = model->tokenizer ? tokenizer_flags(model->tokenizer, token) : 0;
  flags |= token == model->bos_token ? GPT2_TOKEN_BOS : 0;
  flags |= model_is_eos(model, token) ? GPT2_TOKEN_EOS : 0;
  return flags;
}

/* ---- Loading ---- */

/* A tokenizer that is missing or unusable is no reason not to load: the model remembers why.
 * Running out of memory is one. */
static gpt2_status load_tokenizer(gpt2_model *model, pool *p, const gpt2_load_options *options,
                                  gpt2_error *error)
{
  model->tokenizer_error =
      (gpt2_error){.struct_size = sizeof model->tokenizer_error, .offset = NO_OFFSET};
  gpt2_status status = tokenizer_load(model->source, p, &model->tokenizer, &model->tokenizer_error);
  if (status == GPT2_ERR_MEMORY)
    return fail(error, status, NO_OFFSET, "%s", model->tokenizer_error.message);
  if (status != GPT2_OK)
    log_line(options, GPT2_LOG_WARNING, "no tokenizer: ", model->tokenizer_error.message);
  return GPT2_OK;
}

/* Converts the weights, and then reads the tokenizer, with as many threads as there can be work
 * for. */
static gpt2_status fill_model(gpt2_model *model, storage *s, const gpt2_load_options *options,
                              gpt2_error *error)
{
  enum { TOKENIZER_THREADS = 8 }; /* at most of use, with the published vocabulary */
  size_t useful = s->n_tiles > TOKENIZER_THREADS ? s->n_tiles : TOKENIZER_THREADS;
  int n_threads = (size_t)options->n_threads < useful ? options->n_threads : (int)useful;
  pool *p = NULL;
  gpt2_status status = pool_new(&model->allocator, n_threads, NULL, NULL, &p, error);
  if (status == GPT2_OK)
    status = pool_start(p, error);
  if (status == GPT2_OK) {
    pool_run(p, s->n_tiles, n_threads, storage_tile, s);
    status = storage_finish(s, p, error);
  }
  if (status == GPT2_OK && options->flags & GPT2_LOAD_PREFAULT)
    storage_prefault(s, p);
  if (model->tied)
    model->unembed = model->wte;
  if (status == GPT2_OK)
    status = load_tokenizer(model, p, options, error);
  pool_free(p);
  return status;
}

static gpt2_status load_parts(gpt2_model *model, const char *weights_file,
                              const gpt2_load_options *options, gpt2_error *error)
{
  storage s = {.model = model};
  gpt2_status status = huggingface_config(model->source, &model->config, error);
  if (status == GPT2_OK)
    status = huggingface_tensors(model->source, weights_file, &model->tensors, error);
  if (status == GPT2_OK)
    status = weights_list(&s, error);
  if (status == GPT2_OK)
    status = storage_place(&s, options, error);
  if (status == GPT2_OK)
    status = fill_model(model, &s, options, error);
  release(&model->allocator, s.weights);
  if (status != GPT2_OK)
    return status;
  find_special_tokens(model);
  for (size_t i = 0; i < model->n_ignored; i++)
    log_line(options, GPT2_LOG_INFO, "ignored tensor: ", model->ignored[i]);
  return GPT2_OK;
}

/* Takes over the source, also when it fails. */
static gpt2_status load_from(source *from, const char *weights_file,
                             const gpt2_load_options *options, gpt2_model **out, gpt2_error *error)
{
  gpt2_model *model = allocate_zeroed(source_allocator(from), sizeof *model);
  if (!model) {
    source_free(from);
    return fail_memory(error, sizeof *model);
  }
  atomic_store(&model->n_references, 1);
  model->allocator = *source_allocator(from);
  model->source = from;
  gpt2_status status = load_parts(model, weights_file, options, error);
  if (status != GPT2_OK) {
    gpt2_model_free(model);
    return status;
  }
  *out = model;
  return GPT2_OK;
}

/* What is not 0 to `most` is refused; 0 is the default. */
static gpt2_status check_choice(const char *name, int32_t value, int32_t most, gpt2_error *error)
{
  if (value >= 0 && value <= most)
    return GPT2_OK;
  return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "options.%s: is %d; expected 0 to %d", name,
              (int)value, (int)most);
}

static gpt2_status check_options(const gpt2_load_options *options, gpt2_error *error)
{
  const uint32_t known = GPT2_LOAD_COPY | GPT2_LOAD_PREFAULT | GPT2_LOAD_HUGE_PAGES;
  if (options->flags & ~known)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "options.flags: has unknown bits: 0x%x",
                (unsigned)options->flags);
  if (options->reserved != 0)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "options.reserved: is not zero");
  gpt2_status status = check_choice("weights", options->weights, GPT2_TYPE_Q4_0, error);
  if (status == GPT2_OK)
    status = check_choice("compute", options->compute, GPT2_COMPUTE_FAST, error);
  if (status != GPT2_OK)
    return status;
  if (options->n_threads < 0)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "options.n_threads: is negative: %d",
                (int)options->n_threads);
  if (options->n_threads > MAX_THREADS)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "options.n_threads: is %d, at most %d are allowed", (int)options->n_threads,
                MAX_THREADS);
  return GPT2_OK;
}

static gpt2_status read_options(gpt2_load_options *options, gpt2_allocator *allocator,
                                const gpt2_load_options *given, gpt2_error *error)
{
  gpt2_status status = struct_read(options, sizeof *options, given, "options", error);
  if (status == GPT2_OK)
    status = check_options(options, error);
  if (status != GPT2_OK)
    return status;
  if (options->n_threads == 0) {
    int cores = cpu_cores();
    options->n_threads = cores < MAX_THREADS ? cores : MAX_THREADS;
  }
  return allocator_read(allocator, options->allocator, error);
}

static bool ends_with(const char *text, const char *end)
{
  size_t size = strlen(text), end_size = strlen(end);
  return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* Whether a path names the weights (or the index of their shards) and not the model's folder. */
static bool names_weights(const char *path)
{
  return ends_with(path, ".safetensors") || ends_with(path, ".safetensors.index.json");
}

/* Takes a path apart: its folder, a copy, and the name of the weights inside `path`, or NULL when
 * it is the folder itself, whatever that is called. */
static gpt2_status split_path(const gpt2_allocator *allocator, const char *path, char **folder,
                              const char **name, gpt2_error *error)
{
  path_kind kind = path_kind_of(path);
  bool is_file = kind != PATH_FOLDER && names_weights(path);
  if (kind == PATH_FILE && !is_file)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "%s: is a file; a model is the folder that has config.json and model.safetensors, "
                "or a .safetensors file in it",
                path);
  const char *slash = is_file ? strrchr(path, '/') : NULL;
  size_t size = slash ? (size_t)(slash - path) + 1 : strlen(path);
  *name = !is_file ? NULL : slash ? slash + 1 : path;
  *folder = is_file && !slash ? duplicate(allocator, ".", 1) : duplicate(allocator, path, size);
  return *folder ? GPT2_OK : fail_memory(error, size);
}

gpt2_status gpt2_load(const char *path, const gpt2_load_options *options, gpt2_model **model,
                      gpt2_error *error)
{
  gpt2_load_options read;
  gpt2_allocator allocator;
  if (model)
    *model = NULL;
  if (!path || !model)
    return fail_null(error, path ? "model" : "path");
  if (path[0] == '\0') /* a folder of no name would be the one we are in */
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "path: is empty");
  gpt2_status status = read_options(&read, &allocator, options, error);
  if (status != GPT2_OK)
    return status;
  const char *name = NULL;
  char *folder = NULL;
  status = split_path(&allocator, path, &folder, &name, error);
  if (status != GPT2_OK)
    return status;
  source *from;
  status = source_open_folder(&allocator, folder, read.flags & GPT2_LOAD_COPY, &from, error);
  if (status == GPT2_OK)
    status = load_from(from, name, &read, model, error);
  release(&allocator, folder);
  return status;
}

gpt2_status gpt2_load_memory(const gpt2_blob *blobs, size_t n_blobs,
                             const gpt2_load_options *options, gpt2_model **model,
                             gpt2_error *error)
{
  gpt2_load_options read;
  gpt2_allocator allocator;
  source *from;
  if (!model)
    return fail_null(error, "model");
  *model = NULL;
  gpt2_status status = read_options(&read, &allocator, options, error);
  if (status == GPT2_OK)
    status = check_count("n_blobs", n_blobs, sizeof *blobs, error);
  if (status == GPT2_OK)
    status = source_open_blobs(&allocator, blobs, n_blobs, &from, error);
  return status == GPT2_OK ? load_from(from, NULL, &read, model, error) : status;
}

gpt2_status gpt2_load_source(const gpt2_source *given, const gpt2_load_options *options,
                             gpt2_model **model, gpt2_error *error)
{
  gpt2_load_options read;
  gpt2_allocator allocator;
  gpt2_source callbacks;
  source *from;
  if (model)
    *model = NULL;
  if (!given || !model)
    return fail_null(error, given ? "model" : "source");
  gpt2_status status = struct_read(&callbacks, sizeof callbacks, given, "source", error);
  if (status == GPT2_OK && (!callbacks.open || !callbacks.read_at))
    status = fail_null(error, callbacks.open ? "source.read_at" : "source.open");
  if (status == GPT2_OK && callbacks.reserved != 0)
    status = fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "source.reserved: is not zero");
  if (status != GPT2_OK)
    return status;
  status = read_options(&read, &allocator, options, error);
  if (status == GPT2_OK)
    status =
        source_open_callbacks(&allocator, &callbacks, read.flags & GPT2_LOAD_COPY, &from, error);
  if (status == GPT2_OK)
    return load_from(from, NULL, &read, model, error);
  if (callbacks.release) /* from here on it is ours to let go */
    callbacks.release(callbacks.user);
  return status;
}

gpt2_model *gpt2_model_ref(gpt2_model *model)
{
  if (model)
    atomic_fetch_add(&model->n_references, 1);
  return model;
}

void gpt2_model_free(gpt2_model *model)
{
  if (!model || atomic_fetch_sub(&model->n_references, 1) > 1)
    return;
  gpt2_allocator allocator = model->allocator;
  release(&allocator, model->memory);
  release(&allocator, model->blocks);
  release(&allocator, model->ignored);
  tokenizer_free(model->tokenizer);
  tensors_free(&model->tensors);
  source_free(model->source);
  release(&allocator, model);
}
