/* huggingface_config.c - config.json of a Hugging Face GPT-2 folder.
 *
 * Keys that do not change the arithmetic are ignored, as transformers does; keys and values that
 * would change it, and that we do not implement, are refused by name. Defaults are those of
 * transformers' GPT2Config. */
#include "formats/huggingface.h"

#include <float.h>
#include <string.h>

#include "formats/json.h"

/* ---- Is it a GPT-2, and one that we can run? ---- */

static bool names_gpt2(const json_t *architectures)
{
  size_t i;
  json_t *name;
  json_array_foreach (architectures, i, name)
    if (json_is_string(name) && strncmp(json_string_value(name), "GPT2", 4) == 0)
      return true;
  return false;
}

static gpt2_status check_model_type(const json_document *d, gpt2_error *error)
{
  const char *type = NULL;
  gpt2_status status = json_get_string(d->root, "model_type", d->name, &type, error);
  if (status != GPT2_OK)
    return status;
  if (type && strcmp(type, "gpt2") != 0)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                "%s: \"model_type\" is \"%s\"; only \"gpt2\" is supported", d->name, type);
  if (!type && !names_gpt2(json_object_get(d->root, "architectures")))
    return fail(
        error, GPT2_ERR_FORMAT, NO_OFFSET,
        "%s: neither \"model_type\" nor \"architectures\" says that this is a GPT-2; expected "
        "\"model_type\": \"gpt2\"",
        d->name);
  return GPT2_OK;
}

static gpt2_status check_extras(const json_document *d, gpt2_error *error)
{
  bool cross_attention = false;
  gpt2_status status =
      json_get_bool(d->root, "add_cross_attention", d->name, &cross_attention, error);
  if (status != GPT2_OK)
    return status;
  if (cross_attention)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                "%s: \"add_cross_attention\" is true; cross-attention is not supported", d->name);
  const json_t *quantization = json_object_get(d->root, "quantization_config");
  if (quantization && !json_is_null(quantization))
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                "%s: \"quantization_config\" is set; weights quantized by Python libraries are not "
                "supported",
                d->name);
  return GPT2_OK;
}

/* ---- Its numbers ---- */

/* transformers calls some sizes by a second name, which it accepts in config.json too. */
static gpt2_status read_size(const json_document *d, const char *key, const char *second,
                             int32_t most, int32_t *out, gpt2_error *error)
{
  int64_t value = *out, other = 0;
  gpt2_status status = json_get_integer(d->root, key, 1, most, d->name, &value, error);
  if (status == GPT2_OK && second)
    status = json_get_integer(d->root, second, 1, most, d->name, &other, error);
  if (status != GPT2_OK)
    return status;
  if (other != 0 && other != value && json_object_get(d->root, key))
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "%s: \"%s\" is %lld and \"%s\" is %lld; expected them equal", d->name, key,
                (long long)value, second, (long long)other);
  *out = (int32_t)(other ? other : value);
  return GPT2_OK;
}

static gpt2_status read_sizes(const json_document *d, config *c, gpt2_error *error)
{
  const struct {
    const char *key, *second;
    int32_t most, *out;
  } sizes[] = {
      {"vocab_size", NULL, MAX_VOCAB, &c->n_vocab},
      {"n_positions", "max_position_embeddings", MAX_CTX, &c->n_ctx},
      {"n_embd", "hidden_size", MAX_EMBD, &c->n_embd},
      {"n_head", "num_attention_heads", MAX_EMBD, &c->n_head},
      {"n_layer", "num_hidden_layers", MAX_LAYERS, &c->n_layer},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    gpt2_status status =
        read_size(d, sizes[i].key, sizes[i].second, sizes[i].most, sizes[i].out, error);
    if (status != GPT2_OK)
      return status;
  }
  c->n_inner = 4 * c->n_embd;
  if (json_is_null(json_object_get(d->root, "n_inner")))
    return GPT2_OK;
  return read_size(d, "n_inner", NULL, MAX_INNER, &c->n_inner, error);
}

static gpt2_status read_flags(const json_document *d, config *c, gpt2_error *error)
{
  const struct {
    const char *key;
    bool *out;
  } flags[] = {
      {"scale_attn_weights", &c->scale_attn},
      {"scale_attn_by_inverse_layer_idx", &c->scale_attn_by_layer},
      {"tie_word_embeddings", &c->tie_word_embeddings},
  };
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    gpt2_status status = json_get_bool(d->root, flags[i].key, d->name, flags[i].out, error);
    if (status != GPT2_OK)
      return status;
  }
  return GPT2_OK;
}

/* The names in transformers' ACT2FN that mean one of our three functions. "gelu_fast" writes
 * sqrt(2 / pi) with ten digits, which float32 cannot tell from all of them; "gelu_10" clips and
 * "quick_gelu" is a sigmoid: not these. */
static gpt2_status read_activation(const json_document *d, config *c, gpt2_error *error)
{
  static const struct {
    const char *name;
    int32_t activation;
  } activations[] = {
      {"gelu_new", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_pytorch_tanh", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_python_tanh", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_accurate", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_fast", GPT2_ACTIVATION_GELU_TANH},
      {"gelu", GPT2_ACTIVATION_GELU_ERF},
      {"gelu_python", GPT2_ACTIVATION_GELU_ERF},
      {"relu", GPT2_ACTIVATION_RELU},
  };
  const char *name = "gelu_new";
  gpt2_status status = json_get_string(d->root, "activation_function", d->name, &name, error);
  if (status != GPT2_OK)
    return status;
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
    if (strcmp(name, activations[i].name) == 0) {
      c->activation = activations[i].activation;
      return GPT2_OK;
    }
  return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
              "%s: \"activation_function\" is \"%s\"; \"gelu_new\", \"gelu\", \"relu\" and their "
              "other names are "
              "supported",
              d->name, name);
}

static gpt2_status read_epsilon(const json_document *d, config *c, gpt2_error *error)
{
  static const char key[] = "layer_norm_epsilon";
  double epsilon = 1e-5;
  gpt2_status status = json_get_number(d->root, key, d->name, &epsilon, error);
  if (status != GPT2_OK)
    return status;
  if (!(epsilon >= 0 && epsilon <= (double)FLT_MAX))
    return json_unexpected(json_object_get(d->root, key), key,
                           "a number of at least 0 that fits a float32", d->name, error);
  c->layer_norm_epsilon = (float)epsilon;
  return GPT2_OK;
}

/* ---- Its special tokens ---- */

/* A token id, or null: *out becomes -1 for null and for what no vocabulary can have. */
static gpt2_status token_id(const json_document *d, const char *key, const char *expected,
                            const json_t *value, int32_t *out, gpt2_error *error)
{
  if (!json_is_integer(value) && !json_is_null(value))
    return json_unexpected(value, key, expected, d->name, error);
  int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
  *out = id >= 0 && id < MAX_VOCAB ? (int32_t)id : -1;
  return GPT2_OK;
}

static gpt2_status read_bos(const json_document *d, config *c, gpt2_error *error)
{
  const json_t *value = json_object_get(d->root, "bos_token_id");
  if (!value)
    return GPT2_OK;
  return token_id(d, "bos_token_id", "a token id or null", value, &c->bos_token, error);
}

static gpt2_status read_eos(const json_document *d, config *c, gpt2_error *error)
{
  static const char key[] = "eos_token_id";
  const json_t *value = json_object_get(d->root, key);
  size_t n = json_is_array(value) ? json_array_size(value) : 1;
  if (!value)
    return GPT2_OK;
  if (n > MAX_EOS_TOKENS)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "%s: \"%s\" is an array of %zu; at most %d are allowed", d->name, key, n,
                MAX_EOS_TOKENS);
  c->n_eos_tokens = 0;
  for (size_t i = 0; i < n; i++) {
    int32_t id;
    gpt2_status status =
        token_id(d, key, "a token id, an array of token ids or null",
                 json_is_array(value) ? json_array_get(value, i) : value, &id, error);
    if (status != GPT2_OK)
      return status;
    if (id >= 0)
      c->eos_tokens[c->n_eos_tokens++] = id;
  }
  return GPT2_OK;
}

/* ---- All of it ---- */

static const config gpt2_config_defaults = {
    .n_vocab = 50257,
    .n_ctx = 1024,
    .n_embd = 768,
    .n_head = 12,
    .n_layer = 12,
    .scale_attn = true,
    .scale_attn_by_layer = false,
    .tie_word_embeddings = true,
    .bos_token = 50256,
    .n_eos_tokens = 1,
    .eos_tokens = {50256},
};

static gpt2_status read_config(const json_document *d, config *c, gpt2_error *error)
{
  gpt2_status (*const steps[])(const json_document *, config *, gpt2_error *) = {
      read_sizes, read_flags, read_activation, read_epsilon, read_bos, read_eos};
  gpt2_status status = check_model_type(d, error);
  if (status == GPT2_OK)
    status = check_extras(d, error);
  for (size_t i = 0; status == GPT2_OK && i < sizeof steps / sizeof *steps; i++)
    status = steps[i](d, c, error);
  return status == GPT2_OK ? config_check(c, d->name, error) : status;
}

gpt2_status huggingface_config(source *s, config *out, gpt2_error *error)
{
  json_document document;
  gpt2_status status = json_open(s, "config.json", &document, error);
  if (status != GPT2_OK)
    return status;
  config c = gpt2_config_defaults;
  status = read_config(&document, &c, error);
  json_close(&document);
  if (status == GPT2_OK)
    *out = c;
  return status;
}
