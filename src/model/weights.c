/* weights.c - the one place that knows what files call the weights. */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

/* The sizes that shapes are made of. */
typedef enum dimension { NONE, VOCAB, CTX, EMBD, QKV, INNER } dimension;

typedef struct weight_name {
  const char *name; /* in the file, behind the prefix and, for those of a block, behind "h.N." */
  weight_kind kind;
  size_t offset; /* of the field in gpt2_model, or in block */
  dimension shape[2];
} weight_name;

static const weight_name model_weights[] = {
    {"wte.weight", WEIGHT_TABLE, offsetof(gpt2_model, wte), {VOCAB, EMBD}},
    {"wpe.weight", WEIGHT_TABLE, offsetof(gpt2_model, wpe), {CTX, EMBD}},
    {"ln_f.weight", WEIGHT_VECTOR, offsetof(gpt2_model, ln_f.weight), {EMBD}},
    {"ln_f.bias", WEIGHT_VECTOR, offsetof(gpt2_model, ln_f.bias), {EMBD}},
};

static const weight_name block_weights[] = {
    {"ln_1.weight", WEIGHT_VECTOR, offsetof(block, ln_1.weight), {EMBD}},
    {"ln_1.bias", WEIGHT_VECTOR, offsetof(block, ln_1.bias), {EMBD}},
    {"attn.c_attn.weight", WEIGHT_MATRIX, offsetof(block, attn_qkv.weight), {EMBD, QKV}},
    {"attn.c_attn.bias", WEIGHT_VECTOR, offsetof(block, attn_qkv.bias), {QKV}},
    {"attn.c_proj.weight", WEIGHT_MATRIX, offsetof(block, attn_proj.weight), {EMBD, EMBD}},
    {"attn.c_proj.bias", WEIGHT_VECTOR, offsetof(block, attn_proj.bias), {EMBD}},
    {"ln_2.weight", WEIGHT_VECTOR, offsetof(block, ln_2.weight), {EMBD}},
    {"ln_2.bias", WEIGHT_VECTOR, offsetof(block, ln_2.bias), {EMBD}},
    {"mlp.c_fc.weight", WEIGHT_MATRIX, offsetof(block, mlp_fc.weight), {EMBD, INNER}},
    {"mlp.c_fc.bias", WEIGHT_VECTOR, offsetof(block, mlp_fc.bias), {INNER}},
    {"mlp.c_proj.weight", WEIGHT_MATRIX, offsetof(block, mlp_proj.weight), {INNER, EMBD}},
    {"mlp.c_proj.bias", WEIGHT_VECTOR, offsetof(block, mlp_proj.bias), {EMBD}},
};

/* The unembedding stands outside the transformer: it never has the prefix. */
static const weight_name unembed_weight = {
    "lm_head.weight", WEIGHT_UNEMBED, offsetof(gpt2_model, unembed), {VOCAB, EMBD}};

/* Buffers of the causal mask, which some versions of transformers saved inside h.N. */
static const char *const mask_buffers[] = {"attn.bias", "attn.masked_bias"};

#define N_ELEMENTS(array) (sizeof(array) / sizeof *(array))

/* Long enough for every name of the tables with its prefix and a block's number. */
enum { MAX_NAME = 64 };

static uint64_t size_of(const config *c, dimension d)
{
  switch (d) {
  case VOCAB:
    return (uint64_t)c->n_vocab;
  case CTX:
    return (uint64_t)c->n_ctx;
  case EMBD:
    return (uint64_t)c->n_embd;
  case QKV:
    return 3 * (uint64_t)c->n_embd;
  case INNER:
    return (uint64_t)c->n_inner;
  case NONE:
    break;
  }
  return 1;
}

/* ---- One tensor ---- */

static gpt2_status check_shape(const gpt2_model *model, const tensor *t, const weight_name *w,
                               gpt2_error *error)
{
  uint64_t rows = size_of(&model->config, w->shape[0]),
           columns = size_of(&model->config, w->shape[1]);
  int rank = w->shape[1] == NONE ? 1 : 2;
  bool fits = t->rank == rank && t->shape[0] == rows && (rank == 1 || t->shape[1] == columns);
  if (fits)
    return GPT2_OK;
  char found[64] = "";
  for (int i = 0, at = 0; i < t->rank && at < (int)sizeof found; i++)
    at += snprintf(found + at, sizeof found - (size_t)at, "%s%llu", i ? ", " : "",
                   (unsigned long long)t->shape[i]);
  if (rank == 1)
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: tensor %s has shape (%s), the config asks for (%llu)", t->from->name, t->name,
                found, (unsigned long long)rows);
  return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
              "%s: tensor %s has shape (%s), the config asks for (%llu, %llu)", t->from->name,
              t->name, found, (unsigned long long)rows, (unsigned long long)columns);
}

/* Puts a weight on the list. */
static gpt2_status list_weight(storage *s, tensor *t, const weight_name *w, void *field,
                               gpt2_error *error)
{
  gpt2_status status = check_shape(s->model, t, w, error);
  if (status == GPT2_OK)
    status = tensor_check_type(t, error);
  if (status != GPT2_OK)
    return status;
  t->used = true;
  s->model->n_parameters += t->n;
  s->weights[s->n++] = (weight){.from = t, .kind = w->kind, .field = field};
  return GPT2_OK;
}

/* ---- All that a GPT-2 needs ---- */

static const char *file_of(const gpt2_model *model)
{
  return model->tensors.n_files > 0 ? model->tensors.files[0]->name : "the source";
}

static gpt2_status list_named(storage *s, const char *name, const weight_name *w, void *field,
                              gpt2_error *error)
{
  tensor *t = tensors_find(&s->model->tensors, name);
  if (!t)
    return fail(error, GPT2_ERR_NOT_FOUND, NO_OFFSET, "%s: has no tensor %s", file_of(s->model),
                name);
  return list_weight(s, t, w, field, error);
}

static gpt2_status list_block(storage *s, const char *prefix, int32_t layer, gpt2_error *error)
{
  for (size_t i = 0; i < N_ELEMENTS(block_weights); i++) {
    const weight_name *w = &block_weights[i];
    char name[MAX_NAME];
    snprintf(name, sizeof name, "%sh.%d.%s", prefix, (int)layer, w->name);
    gpt2_status status =
        list_named(s, name, w, (char *)&s->model->blocks[layer] + w->offset, error);
    if (status != GPT2_OK)
      return status;
  }
  return GPT2_OK;
}

/* The transformer alone is saved without the prefix, the language model around it with. */
static gpt2_status find_prefix(const gpt2_model *model, const char **prefix, gpt2_error *error)
{
  bool without = tensors_find(&model->tensors, "wte.weight") != NULL;
  bool with = tensors_find(&model->tensors, "transformer.wte.weight") != NULL;
  *prefix = with ? "transformer." : "";
  if (without && with)
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: has both wte.weight and transformer.wte.weight; expected one of them",
                file_of(model));
  if (without || with)
    return GPT2_OK;
  return fail(error, GPT2_ERR_NOT_FOUND, NO_OFFSET,
              "%s: has no tensor wte.weight or transformer.wte.weight: is it a GPT-2?",
              file_of(model));
}

/* ---- The unembedding ---- */

/* Elements compared at a time, on the stack; and those after which their pages go back. */
enum { COMPARED = 1024, FORGOTTEN = 64 * COMPARED };

static gpt2_status equal_pieces(const tensor *a, const tensor *b, uint64_t first, uint64_t n,
                                bool *equal, gpt2_error *error)
{
  float of_a[COMPARED], of_b[COMPARED];
  for (uint64_t end = first + n; *equal && first < end; first += COMPARED) {
    uint64_t count = end - first < COMPARED ? end - first : COMPARED;
    gpt2_status status = tensor_read_f32(a, first, count, of_a, error);
    if (status == GPT2_OK)
      status = tensor_read_f32(b, first, count, of_b, error);
    if (status != GPT2_OK)
      return status;
    *equal = memcmp(of_a, of_b, (size_t)count * sizeof *of_a) == 0;
  }
  return GPT2_OK;
}

static gpt2_status equal_tensors(const tensor *a, const tensor *b, bool *equal, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  *equal = a->n == b->n;
  for (uint64_t first = 0; status == GPT2_OK && *equal && first < a->n; first += FORGOTTEN) {
    uint64_t n = a->n - first < FORGOTTEN ? a->n - first : FORGOTTEN;
    status = equal_pieces(a, b, first, n, equal, error);
    tensor_forget(a, first, n);
    tensor_forget(b, first, n);
  }
  return status;
}

/* A model that ties its embeddings may still carry lm_head, equal to wte. One that differs is what
 * transformers (5.x) goes by, whatever the config says; a fixture holds us to that. */
static gpt2_status list_unembed(storage *s, gpt2_error *error)
{
  gpt2_model *model = s->model;
  weight *wte = &s->weights[0];
  tensor *lm_head = tensors_find(&model->tensors, unembed_weight.name);
  if (!lm_head && !model->config.tie_word_embeddings)
    return fail(
        error, GPT2_ERR_NOT_FOUND, NO_OFFSET,
        "%s: has no tensor lm_head.weight, and config.json sets tie_word_embeddings to false",
        file_of(model));
  model->tied = !lm_head;
  if (lm_head && model->config.tie_word_embeddings) {
    gpt2_status status = check_shape(model, lm_head, &unembed_weight, error);
    if (status == GPT2_OK)
      status = equal_tensors(wte->from, lm_head, &model->tied, error);
    if (status != GPT2_OK)
      return status;
    lm_head->used = true;
  }
  if (!model->tied)
    return list_weight(s, lm_head, &unembed_weight, &model->unembed, error);
  wte->kind = WEIGHT_UNEMBED;
  return GPT2_OK;
}

/* ---- What the file has beside ---- */

/* What follows "h.N." in a name that is inside a block; NULL for all other names. */
static const char *inside_block(const char *name)
{
  if (strncmp(name, "transformer.", 12) == 0)
    name += 12;
  if (strncmp(name, "h.", 2) != 0)
    return NULL;
  size_t digits = strspn(name + 2, "0123456789");
  return digits > 0 && name[2 + digits] == '.' ? name + 2 + digits + 1 : NULL;
}

static bool is_mask_buffer(const char *name_in_block)
{
  for (size_t i = 0; i < N_ELEMENTS(mask_buffers); i++)
    if (strcmp(name_in_block, mask_buffers[i]) == 0)
      return true;
  return false;
}

/* Heads for other tasks do not change what the language model says; a tensor inside a block that we
 * do not know (cross-attention, an adapter) does. */
static gpt2_status list_ignored(gpt2_model *model, gpt2_error *error)
{
  model->ignored = allocate_array(&model->allocator, model->tensors.n, sizeof *model->ignored);
  if (!model->ignored)
    return fail_memory(error, model->tensors.n * sizeof *model->ignored);
  for (size_t i = 0; i < model->tensors.n; i++) {
    const tensor *t = &model->tensors.tensor[i];
    const char *in_block = inside_block(t->name);
    if (t->used || (in_block && is_mask_buffer(in_block)))
      continue;
    if (in_block)
      return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                  "%s: tensor %s is inside a block but no part of a GPT-2 with %d layers",
                  t->from->name, t->name, (int)model->config.n_layer);
    model->ignored[model->n_ignored++] = t->name;
  }
  return GPT2_OK;
}

static gpt2_status list_all(storage *s, const char *prefix, gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  for (size_t i = 0; status == GPT2_OK && i < N_ELEMENTS(model_weights); i++) {
    const weight_name *w = &model_weights[i];
    char name[MAX_NAME];
    snprintf(name, sizeof name, "%s%s", prefix, w->name);
    status = list_named(s, name, w, (char *)s->model + w->offset, error);
  }
  for (int32_t layer = 0; status == GPT2_OK && layer < s->model->config.n_layer; layer++)
    status = list_block(s, prefix, layer, error);
  if (status == GPT2_OK)
    status = list_unembed(s, error);
  return status == GPT2_OK ? list_ignored(s->model, error) : status;
}

gpt2_status weights_list(storage *s, gpt2_error *error)
{
  gpt2_model *model = s->model;
  const char *prefix;
  gpt2_status status = find_prefix(model, &prefix, error);
  if (status != GPT2_OK)
    return status;
  size_t n_blocks = (size_t)model->config.n_layer; /* at most MAX_LAYERS */
  size_t n = N_ELEMENTS(model_weights) + n_blocks * N_ELEMENTS(block_weights) + 1;
  model->blocks = allocate_array(&model->allocator, n_blocks, sizeof *model->blocks);
  s->weights = allocate_array(&model->allocator, n, sizeof *s->weights);
  if (!model->blocks || !s->weights)
    return fail_memory(error, n * sizeof *s->weights + n_blocks * sizeof *model->blocks);
  return list_all(s, prefix, error);
}
