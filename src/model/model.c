/* model.c - opening a model, describing it, and its references. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "formats/huggingface.h"
#include "kernels/blas.h"

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
static gpt2_status load_tokenizer(gpt2_model *model, const gpt2_load_options *options,
                                  gpt2_error *error)
{
  model->tokenizer_error =
      (gpt2_error){.struct_size = sizeof model->tokenizer_error, .offset = NO_OFFSET};
  gpt2_status status = tokenizer_load(model->source, &model->tokenizer, &model->tokenizer_error);
  if (status == GPT2_ERR_MEMORY)
    return fail(error, status, NO_OFFSET, "%s", model->tokenizer_error.message);
  if (status != GPT2_OK)
    log_line(options, GPT2_LOG_WARNING, "no tokenizer: ", model->tokenizer_error.message);
  return GPT2_OK;
}

static gpt2_status load_parts(gpt2_model *model, const char *weights_file,
                              const gpt2_load_options *options, gpt2_error *error)
{
  gpt2_status status = huggingface_config(model->source, &model->config, error);
  if (status == GPT2_OK)
    status = huggingface_tensors(model->source, weights_file, &model->tensors, error);
  if (status == GPT2_OK)
    status = model_take_weights(model, error);
  if (status == GPT2_OK)
    status = load_tokenizer(model, options, error);
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

static gpt2_status read_options(gpt2_load_options *options, gpt2_allocator *allocator,
                                const gpt2_load_options *given, gpt2_error *error)
{
  gpt2_status status = struct_read(options, sizeof *options, given, "options", error);
  if (status == GPT2_OK && (options->flags & ~(uint32_t)GPT2_LOAD_COPY))
    status = fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "options.flags: has unknown bits: 0x%x",
                  (unsigned)options->flags);
  return status == GPT2_OK ? allocator_read(allocator, options->allocator, error) : status;
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

/* Splits "folder/x.safetensors" into its folder, a copy, and the file's name, inside `path`;
 * another path is a folder itself and the name NULL. */
static char *split_path(const gpt2_allocator *allocator, const char *path, const char **name)
{
  const char *slash = strrchr(path, '/');
  *name = NULL;
  if (!names_weights(path))
    return duplicate(allocator, path, strlen(path));
  *name = slash ? slash + 1 : path;
  return slash ? duplicate(allocator, path, (size_t)(slash - path) + 1)
               : duplicate(allocator, ".", 1);
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
  const char *name;
  char *folder = split_path(&allocator, path, &name);
  if (!folder)
    return fail_memory(error, strlen(path));
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
  for (size_t i = 0; i < model->n_owned; i++)
    release(&allocator, model->owned[i]);
  release(&allocator, model->owned);
  release(&allocator, model->blocks);
  release(&allocator, model->ignored);
  tokenizer_free(model->tokenizer);
  tensors_free(&model->tensors);
  source_free(model->source);
  release(&allocator, model);
}

/* ---- Describing ---- */

/* Puts the element types of the used tensors into `out`, most bytes first: "F32+F16". */
static void describe_types(const tensors *t, char *out, size_t capacity)
{
  const char *names[N_ELEMENT_TYPES] = {NULL};
  uint64_t sizes[N_ELEMENT_TYPES] = {0};
  for (size_t i = 0; i < t->n; i++)
    if (t->tensor[i].used && t->tensor[i].type < N_ELEMENT_TYPES) {
      sizes[t->tensor[i].type] += t->tensor[i].size;
      names[t->tensor[i].type] = t->tensor[i].type_name;
    }
  size_t at = 0;
  out[0] = '\0';
  for (;;) {
    int most = 0;
    for (int type = 1; type < N_ELEMENT_TYPES; type++)
      if (sizes[type] > sizes[most])
        most = type;
    if (sizes[most] == 0 || at >= capacity)
      return;
    at += (size_t)snprintf(out + at, capacity - at, "%s%s", at ? "+" : "", names[most]);
    sizes[most] = 0;
  }
}

/* Bytes of weights that one token makes us read: all of them once, of the position table one row
 * and of the token table one, unless it is the unembedding as well. */
static uint64_t read_for_one_token(const gpt2_model *model)
{
  uint64_t n_embd = (uint64_t)model->config.n_embd;
  uint64_t unread = (uint64_t)(model->config.n_ctx - 1) * n_embd;
  if (!model->tied)
    unread += (uint64_t)(model->config.n_vocab - 1) * n_embd;
  return (model->n_parameters - unread) * sizeof(float);
}

static void describe_tokenizer(const gpt2_model *model, gpt2_info *info)
{
  const char *origin = model->tokenizer ? tokenizer_origin(model->tokenizer) : "none";
  snprintf(info->tokenizer, sizeof info->tokenizer, "%s", origin);
  info->tokenizer_status = model->tokenizer ? GPT2_OK : model->tokenizer_error.status;
  if (model->tokenizer) {
    info->flags |= GPT2_INFO_TOKENIZER;
    info->n_tokens = (int32_t)tokenizer_n_tokens(model->tokenizer);
    info->n_merges = (int32_t)tokenizer_n_merges(model->tokenizer);
  } else {
    snprintf(info->tokenizer_message, sizeof info->tokenizer_message, "%.*s",
             (int)sizeof info->tokenizer_message - 1, model->tokenizer_error.message);
    make_printable(info->tokenizer_message); /* it may have been cut inside a character */
  }
}

gpt2_status gpt2_model_info(const gpt2_model *model, gpt2_info *info, gpt2_error *error)
{
  if (!model)
    return fail_null(error, "model");
  const config *c = &model->config;
  gpt2_info known = {
      .flags = (model->tied ? GPT2_INFO_TIED : 0u) | (c->scale_attn ? GPT2_INFO_SCALE_ATTN : 0u) |
               (c->scale_attn_by_layer ? GPT2_INFO_SCALE_BY_LAYER : 0u),
      .n_vocab = c->n_vocab,
      .n_ctx = c->n_ctx,
      .n_embd = c->n_embd,
      .n_head = c->n_head,
      .n_layer = c->n_layer,
      .n_inner = c->n_inner,
      .activation = c->activation,
      .layer_norm_epsilon = c->layer_norm_epsilon,
      .bos_token = model->bos_token,
      .n_eos_tokens = model->n_eos_tokens,
      .n_ignored = (int32_t)model->n_ignored,
      .n_parameters = model->n_parameters,
      .weights_size = read_for_one_token(model),
      .mapped_size = model->mapped_size,
      .allocated_size = model->allocated_size,
      .kv_token_size = 2 * (uint64_t)c->n_layer * (uint64_t)c->n_embd * sizeof(float),
  };
  snprintf(known.format, sizeof known.format, "%s", model->tensors.format);
  describe_types(&model->tensors, known.stored_type, sizeof known.stored_type);
  snprintf(known.weights_type, sizeof known.weights_type, "%s",
           element_name(model->blocks[0].attn_qkv.weight.type));
  snprintf(known.unembedding_type, sizeof known.unembedding_type, "%s",
           element_name(model->unembed.type));
  describe_tokenizer(model, &known);
  return struct_write(info, &known, sizeof known, "info", error);
}

const char *gpt2_ignored_tensor(const gpt2_model *model, size_t index)
{
  return model && index < model->n_ignored ? model->ignored[index] : NULL;
}

/* ---- The library itself ---- */

#define TEXT_OF(x)                        #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *gpt2_version(void)
{
  return VERSION_TEXT(GPT2_VERSION_MAJOR, GPT2_VERSION_MINOR, GPT2_VERSION_PATCH);
}

gpt2_status gpt2_build_info(gpt2_build *build, gpt2_error *error)
{
  gpt2_build known = {.n_cpus = cpu_cores()};
  snprintf(known.version, sizeof known.version, "%s", gpt2_version());
#if defined(__clang__)
  snprintf(known.compiler, sizeof known.compiler, "clang %s", __clang_version__);
#else
  snprintf(known.compiler, sizeof known.compiler, "gcc %s", __VERSION__);
#endif
  snprintf(known.instruction_sets, sizeof known.instruction_sets, "%s", kernels_in_use()->name);
  snprintf(known.unicode, sizeof known.unicode, "%s", tokenizer_unicode_version());
  blas_describe(&known);
  return struct_write(build, &known, sizeof known, "build", error);
}
