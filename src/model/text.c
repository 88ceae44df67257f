/* text.c - text to tokens and back, by a model's tokenizer. */
#include "model/text.h"

#include <string.h>

#include "tokenizer/stream.h"

struct gpt2_decoder {
  gpt2_model *model;
  stream stream;
};

static gpt2_status check_tokenizer(const gpt2_model *model, gpt2_error *error)
{
  if (!model)
    return fail_null(error, "model");
  if (!model->tokenizer)
    return fail(error, GPT2_ERR_NO_TOKENIZER, NO_OFFSET, "the model has no tokenizer: %s",
                model->tokenizer_error.message);
  return GPT2_OK;
}

gpt2_status gpt2_encode(const gpt2_model *model, const char *text, size_t size, uint32_t flags,
                        gpt2_token *tokens, size_t capacity, size_t *n_tokens, gpt2_error *error)
{
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (!n_tokens || (!text && size > 0) || (!tokens && capacity > 0))
    return fail_null(error, !n_tokens ? "n_tokens" : !text && size > 0 ? "text" : "tokens");
  if (flags & ~(uint32_t)GPT2_ENCODE_SPECIAL)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "flags: has unknown bits: 0x%x",
                (unsigned)flags);
  status = check_count("size", size, 1, error);
  if (status != GPT2_OK)
    return status;
  return tokenizer_encode(model->tokenizer, text, size, flags, tokens, capacity, n_tokens, error);
}

gpt2_status text_encode(const gpt2_model *model, const char *text, size_t size, uint32_t flags,
                        gpt2_token **tokens, size_t *n_tokens, gpt2_error *error)
{
  gpt2_error failure = {.struct_size = sizeof failure, .offset = NO_OFFSET};
  size_t capacity = size; /* a token a byte, which only a tokenizer that adds spaces exceeds */
  *tokens = NULL;
  *n_tokens = 0;
  gpt2_status status = check_count("size", size, 1, error);
  if (status != GPT2_OK)
    return status;
  do {
    *tokens = allocate_array(&model->allocator, capacity, sizeof **tokens);
    if (!*tokens)
      return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for %zu tokens", capacity);
    status = gpt2_encode(model, text, size, flags, *tokens, capacity, n_tokens, &failure);
    if (status == GPT2_OK)
      return GPT2_OK;
    release(&model->allocator, *tokens);
    *tokens = NULL;
    capacity = *n_tokens;
    *n_tokens = 0;
  } while (status == GPT2_ERR_BUFFER_TOO_SMALL);
  return fail(error, status, failure.offset, "%s", failure.message);
}

/* The greatest id that the model or its tokenizer knows. */
static size_t greatest_id(const gpt2_model *model)
{
  size_t limit = tokenizer_id_limit(model->tokenizer), n_vocab = (size_t)model->config.n_vocab;
  return (limit > n_vocab ? limit : n_vocab) - 1;
}

/* The bytes of a token that the model or the tokenizer knows. */
static gpt2_status bytes_of(const gpt2_model *model, gpt2_token token, const char **bytes,
                            size_t *size, gpt2_error *error)
{
  if (token < 0 || (size_t)token > greatest_id(model))
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "token: is %d; ids go from 0 to %zu",
                (int)token, greatest_id(model));
  *bytes = tokenizer_bytes(model->tokenizer, token, size);
  return GPT2_OK;
}

gpt2_status gpt2_token_bytes(const gpt2_model *model, gpt2_token token, const char **bytes,
                             size_t *size, gpt2_error *error)
{
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (!bytes || !size)
    return fail_null(error, bytes ? "size" : "bytes");
  return bytes_of(model, token, bytes, size, error);
}

/* How many bytes tokens (n_tokens) have together. */
static gpt2_status add_sizes(const gpt2_model *model, const gpt2_token *tokens, size_t n_tokens,
                             size_t *total, gpt2_error *error)
{
  size_t greatest = greatest_id(model), size;
  *total = 0;
  for (size_t i = 0; i < n_tokens; i++) {
    if (tokens[i] < 0 || (size_t)tokens[i] > greatest)
      return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "tokens[%zu]: is %d; ids go from 0 to %zu",
                  i, (int)tokens[i], greatest);
    tokenizer_bytes(model->tokenizer, tokens[i], &size);
    if (!add_size(total, *total, size))
      return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "n_tokens: the text is larger than memory");
  }
  return GPT2_OK;
}

gpt2_status gpt2_decode(const gpt2_model *model, const gpt2_token *tokens, size_t n_tokens,
                        char *text, size_t capacity, size_t *size, gpt2_error *error)
{
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (!size || (!tokens && n_tokens > 0) || (!text && capacity > 0))
    return fail_null(error, !size ? "size" : !tokens && n_tokens > 0 ? "tokens" : "text");
  size_t total, n;
  status = check_count("n_tokens", n_tokens, sizeof *tokens, error);
  if (status == GPT2_OK)
    status = add_sizes(model, tokens, n_tokens, &total, error);
  if (status != GPT2_OK)
    return status;
  *size = total;
  if (total > capacity)
    return fail(error, GPT2_ERR_BUFFER_TOO_SMALL, NO_OFFSET,
                "capacity: is %zu, the text has %zu bytes", capacity, total);
  for (size_t i = 0, at = 0; i < n_tokens; i++, at += n) {
    const char *bytes = tokenizer_bytes(model->tokenizer, tokens[i], &n);
    if (n > 0)
      memcpy(text + at, bytes, n);
  }
  return GPT2_OK;
}

/* ---- Streams of tokens ---- */

gpt2_status gpt2_decoder_new(gpt2_model *model, uint32_t flags, gpt2_decoder **decoder,
                             gpt2_error *error)
{
  if (!decoder)
    return fail_null(error, "decoder");
  *decoder = NULL;
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (flags & ~(uint32_t)GPT2_DECODE_REPLACE)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "flags: has unknown bits: 0x%x",
                (unsigned)flags);
  gpt2_decoder *d = allocate_zeroed(&model->allocator, sizeof *d);
  if (!d)
    return fail_memory(error, sizeof *d);
  d->model = gpt2_model_ref(model);
  status = stream_init(&d->stream, &model->allocator, tokenizer_longest(model->tokenizer),
                       flags & GPT2_DECODE_REPLACE, error);
  if (status != GPT2_OK) {
    gpt2_decoder_free(d);
    return status;
  }
  *decoder = d;
  return GPT2_OK;
}

gpt2_status gpt2_decoder_push(gpt2_decoder *decoder, gpt2_token token, const char **text,
                              size_t *size, gpt2_error *error)
{
  if (!decoder || !text || !size)
    return fail_null(error, !decoder ? "decoder" : text ? "size" : "text");
  const char *bytes = NULL;
  size_t n = 0;
  gpt2_status status = bytes_of(decoder->model, token, &bytes, &n, error);
  if (status != GPT2_OK)
    return status;
  *size = stream_push(&decoder->stream, bytes, n);
  *text = decoder->stream.text;
  return GPT2_OK;
}

gpt2_status gpt2_decoder_finish(gpt2_decoder *decoder, const char **text, size_t *size,
                                gpt2_error *error)
{
  if (!decoder || !text || !size)
    return fail_null(error, !decoder ? "decoder" : text ? "size" : "text");
  *size = stream_finish(&decoder->stream);
  *text = decoder->stream.text;
  return GPT2_OK;
}

void gpt2_decoder_free(gpt2_decoder *decoder)
{
  if (!decoder)
    return;
  gpt2_model *model = decoder->model;
  stream_free(&decoder->stream, &model->allocator);
  release(&model->allocator, decoder);
  gpt2_model_free(model);
}
