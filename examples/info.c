/* info.c - describes a model and the library.
 *
 * Shows: gpt2_model_info, which needs no context; gpt2_build_info; structs that the library fills
 * and that name their own size. */
#include <gpt2.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/json.h"
#include "support/model.h"
#include "support/options.h"
#include "support/program.h"

static const char help[] =
    "Usage: gpt2-info [options]\n"
    "Describes the model and the library, a line `key: value` for each thing.\n"
    "\n" WEIGHTS_HELP;

/* Writes the description: lines, or one JSON object. */
typedef struct writer {
  buffer out;
  bool json;
  bool started;
} writer;

static void key(writer *w, const char *name)
{
  if (w->json)
    buffer_format(&w->out, "%s\"%s\":", w->started ? "," : "{", name);
  else
    buffer_format(&w->out, "%s: ", name);
  w->started = true;
}

static void end_value(writer *w)
{
  buffer_text(&w->out, w->json ? "" : "\n");
}

static void text(writer *w, const char *name, const char *value)
{
  key(w, name);
  if (w->json)
    write_string(&w->out, value, strlen(value));
  else
    buffer_text(&w->out, value);
  end_value(w);
}

static void integer(writer *w, const char *name, uint64_t value)
{
  key(w, name);
  buffer_format(&w->out, "%" PRIu64, value);
  end_value(w);
}

static void real(writer *w, const char *name, float value)
{
  key(w, name);
  write_float(&w->out, value);
  end_value(w);
}

static void truth(writer *w, const char *name, bool value)
{
  key(w, name);
  buffer_text(&w->out, w->json ? value ? "true" : "false" : value ? "yes" : "no");
  end_value(w);
}

/* -1 means that the model has none. */
static void token(writer *w, const char *name, gpt2_token value)
{
  key(w, name);
  if (value >= 0)
    buffer_format(&w->out, "%" PRId32, value);
  else
    buffer_text(&w->out, w->json ? "null" : "none");
  end_value(w);
}

static void begin_list(writer *w, const char *name)
{
  key(w, name);
  buffer_text(&w->out, w->json ? "[" : "");
}

static void separate(writer *w, bool first)
{
  if (!first)
    buffer_text(&w->out, w->json ? "," : ", ");
}

static void end_list(writer *w, bool empty)
{
  buffer_text(&w->out, w->json ? "]" : empty ? "none" : "");
  end_value(w);
}

static void describe_shape(writer *w, const gpt2_info *info)
{
  static const char *const activations[] = {"gelu_tanh", "gelu_erf", "relu"};
  bool known = info->activation >= 0 && info->activation <= GPT2_ACTIVATION_RELU;
  integer(w, "parameters", info->n_parameters);
  integer(w, "n_layer", (uint64_t)info->n_layer);
  integer(w, "n_head", (uint64_t)info->n_head);
  integer(w, "n_embd", (uint64_t)info->n_embd);
  integer(w, "n_inner", (uint64_t)info->n_inner);
  integer(w, "n_ctx", (uint64_t)info->n_ctx);
  integer(w, "n_vocab", (uint64_t)info->n_vocab);
  text(w, "activation", known ? activations[info->activation] : "unknown");
  real(w, "layer_norm_epsilon", info->layer_norm_epsilon);
  truth(w, "tied_unembedding", info->flags & GPT2_INFO_TIED);
  truth(w, "scale_attn", info->flags & GPT2_INFO_SCALE_ATTN);
  truth(w, "scale_attn_by_layer", info->flags & GPT2_INFO_SCALE_BY_LAYER);
}

/* All sizes are bytes; the cache's is that of a full context. */
static void describe_memory(writer *w, const gpt2_info *info)
{
  text(w, "stored_type", info->stored_type);
  text(w, "weights_type", info->weights_type);
  text(w, "unembedding_type", info->unembedding_type);
  text(w, "compute", info->compute == GPT2_COMPUTE_FAST ? "fast" : "exact");
  integer(w, "weights_bytes", info->weights_size);
  integer(w, "mapped_bytes", info->mapped_size);
  integer(w, "allocated_bytes", info->allocated_size);
  integer(w, "kv_token_bytes", info->kv_token_size);
  integer(w, "kv_context_bytes", info->kv_token_size * (uint64_t)info->n_ctx);
}

static void describe_tokenizer(writer *w, const gpt2_model *model, const gpt2_info *info)
{
  text(w, "tokenizer", info->tokenizer);
  if (!(info->flags & GPT2_INFO_TOKENIZER))
    text(w, "tokenizer_message", info->tokenizer_message);
  integer(w, "tokenizer_tokens", (uint64_t)info->n_tokens);
  integer(w, "tokenizer_merges", (uint64_t)info->n_merges);
  token(w, "bos_token", info->bos_token);
  begin_list(w, "eos_tokens");
  for (size_t i = 0; i < (size_t)info->n_eos_tokens; i++) {
    separate(w, i == 0);
    buffer_format(&w->out, "%" PRId32, gpt2_eos_token(model, i));
  }
  end_list(w, info->n_eos_tokens == 0);
}

static void describe_ignored(writer *w, const gpt2_model *model)
{
  const char *name;
  size_t n_names = 0;
  begin_list(w, "ignored_tensors");
  for (; (name = gpt2_ignored_tensor(model, n_names)) != NULL; n_names++) {
    separate(w, n_names == 0);
    if (w->json)
      write_string(&w->out, name, strlen(name));
    else
      buffer_text(&w->out, name);
  }
  end_list(w, n_names == 0);
}

static void describe_library(writer *w, const gpt2_build *build)
{
  text(w, "library_version", build->version);
  text(w, "compiler", build->compiler);
  integer(w, "cores", (uint64_t)build->n_cpus);
  text(w, "instruction_sets", build->instruction_sets);
  text(w, "blas", build->blas);
  text(w, "blas_core", *build->blas_core ? build->blas_core : "unknown");
  text(w, "blas_threading", build->blas_threading);
  text(w, "blas_linkage", build->blas_linkage);
  integer(w, "blas_threads", (uint64_t)build->blas_threads);
  text(w, "unicode", build->unicode);
}

static int describe(const gpt2_model *model, const char *path, bool json)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_info info = {.struct_size = sizeof info};
  gpt2_build build = {.struct_size = sizeof build};
  if (gpt2_model_info(model, &info, &error) != GPT2_OK ||
      gpt2_build_info(&build, &error) != GPT2_OK)
    return program_fail_error(&error);

  writer w = {.json = json};
  text(&w, "model", path);
  text(&w, "format", info.format);
  describe_shape(&w, &info);
  describe_memory(&w, &info);
  describe_tokenizer(&w, model, &info);
  describe_ignored(&w, model);
  describe_library(&w, &build);
  buffer_text(&w.out, json ? "}\n" : "");
  output_buffer(&w.out);
  buffer_free(&w.out);
  return EXIT_DONE;
}

int main(int argc, char **argv)
{
  static const struct option options[] = {WEIGHTS_LONG_OPTIONS, COMMON_LONG_OPTIONS, {0}};
  common_options common = {0};
  buffer path = {0};
  gpt2_model *model = NULL;
  int option;

  program_start(argv, "gpt2-info");
  while ((option = getopt_long(argc, argv, COMMON_SHORT_OPTIONS, options, NULL)) != -1)
    common_option(&common, option, help);
  no_operand(argc, argv);
  int status = find_model(&common, &path);
  if (status == EXIT_DONE)
    status = open_model(&common, &model);
  if (status == EXIT_DONE)
    status = describe(model, path.bytes, common.json);
  gpt2_model_free(model);
  buffer_free(&path);
  return program_end(status);
}
