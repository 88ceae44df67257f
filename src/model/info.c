/* info.c - what a model tells of itself, and what the library does. */
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "kernels/blas.h"
#include "kernels/convert.h"
#include "model/model.h"

/* ---- A model ---- */

/* How many bytes are of each element type. */
typedef struct type_sizes {
  uint64_t size[N_ELEMENT_TYPES];
  const char *name[N_ELEMENT_TYPES];
} type_sizes;

static void add_type(type_sizes *sizes, element_type type, const char *name, uint64_t size)
{
  sizes->size[type] += size;
  sizes->name[type] = name;
}

/* Puts the types into `out`, most bytes first: "F32+F16". */
static void list_types(type_sizes *sizes, char *out, size_t capacity)
{
  size_t at = 0;
  out[0] = '\0';
  for (;;) {
    int most = 0;
    for (int type = 1; type < N_ELEMENT_TYPES; type++)
      if (sizes->size[type] > sizes->size[most])
        most = type;
    if (sizes->size[most] == 0 || at >= capacity)
      return;
    at += (size_t)snprintf(out + at, capacity - at, "%s%s", at ? "+" : "", sizes->name[most]);
    sizes->size[most] = 0;
  }
}

static void describe_stored(const tensors *t, char *out, size_t capacity)
{
  type_sizes sizes = {.size = {0}};
  for (size_t i = 0; i < t->n; i++)
    if (t->tensor[i].used && t->tensor[i].type < N_ELEMENT_TYPES)
      add_type(&sizes, t->tensor[i].type, t->tensor[i].type_name, t->tensor[i].size);
  list_types(&sizes, out, capacity);
}

static uint64_t size_of(const matrix *m)
{
  size_t size = 0;
  matrix_size(m, &size); /* fits: it is in memory */
  return size;
}

/* What a row of a table takes. */
static uint64_t row_size_of(const matrix *table)
{
  return table->n_in * element_size(table->type);
}

/* The types of the blocks' matrices, their size, and whether any rounds what it is multiplied
 * with. */
static uint64_t describe_blocks(const gpt2_model *model, gpt2_info *info)
{
  type_sizes sizes = {.size = {0}};
  uint64_t total = 0;
  info->compute = GPT2_COMPUTE_EXACT;
  for (int32_t layer = 0; layer < model->config.n_layer; layer++) {
    const block *b = &model->blocks[layer];
    const matrix *all[] = {&b->attn_qkv.weight, &b->attn_proj.weight, &b->mlp_fc.weight,
                           &b->mlp_proj.weight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
      add_type(&sizes, all[i]->type, element_name(all[i]->type), size_of(all[i]));
      total += size_of(all[i]);
      if (all[i]->fast)
        info->compute = GPT2_COMPUTE_FAST;
    }
  }
  list_types(&sizes, info->weights_type, sizeof info->weights_type);
  return total;
}

/* Norms and biases, in f32. */
static uint64_t vectors_size(const config *c)
{
  uint64_t n_embd = (uint64_t)c->n_embd, n_layer = (uint64_t)c->n_layer;
  uint64_t in_block = 4 * n_embd + 3 * n_embd + n_embd + (uint64_t)c->n_inner + n_embd;
  return (n_layer * in_block + 2 * n_embd) * sizeof(float);
}

/* Bytes of weights that one token makes us read: all of them once, but one row of the position
 * table, and of the token table, unless that is the unembedding as well. */
static void describe_weights(const gpt2_model *model, gpt2_info *info)
{
  info->weights_size = describe_blocks(model, info) + vectors_size(&model->config) +
                       size_of(&model->unembed) + row_size_of(&model->wpe) +
                       (model->tied ? 0 : row_size_of(&model->wte));
  snprintf(info->unembedding_type, sizeof info->unembedding_type, "%s",
           element_name(model->unembed.type));
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
    shorten(info->tokenizer_message, sizeof info->tokenizer_message,
            model->tokenizer_error.message);
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
      .mapped_size = model->mapped_size,
      .allocated_size = model->allocated_size,
      .kv_token_size = 2 * (uint64_t)c->n_layer * (uint64_t)c->n_embd * sizeof(float),
  };
  snprintf(known.format, sizeof known.format, "%s", model->tensors.format);
  describe_stored(&model->tensors, known.stored_type, sizeof known.stored_type);
  describe_weights(model, &known);
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
