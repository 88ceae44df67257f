/* text.c - text to tokens and back, by a model's tokenizer: the public functions. */
#include <string.h>

#include "model/model.h"
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

gpt2_status gpt2_encode(const gpt2_model *model, const char *text, size_t size, uint32_t flags, gpt2_token *tokens,
                        size_t capacity, size_t *n_tokens, gpt2_error *error)
{
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (!n_tokens || (!text && size > 0) || (!tokens && capacity > 0))
    return fail_null(error, !n_tokens ? "n_tokens" : !text && size > 0 ? "text" : "tokens");
  if (flags & ~(uint32_t)GPT2_ENCODE_SPECIAL)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "flags: has unknown bits: 0x%x", (unsigned)flags);
  return tokenizer_encode(model->tokenizer, text, size, flags, tokens, capacity, n_tokens, error);
}

/* The bytes of a token that the model or the tokenizer knows. */
static gpt2_status bytes_of(const gpt2_model *model, gpt2_token token, const char **bytes, size_t *size,
                            gpt2_error *error)
{
  size_t limit = tokenizer_id_limit(model->tokenizer);
  if ((size_t)model->config.n_vocab > limit)
    limit = (size_t)model->config.n_vocab;
  if (token < 0 || (size_t)token >= limit)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "token: is %d; ids go from 0 to %zu", (int)token, limit - 1);
  *bytes = tokenizer_bytes(model->tokenizer, token, size);
  return GPT2_OK;
}

gpt2_status gpt2_token_bytes(const gpt2_model *model, gpt2_token token, const char **bytes, size_t *size,
                             gpt2_error *error)
{
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (!bytes || !size)
    return fail_null(error, bytes ? "size" : "bytes");
  return bytes_of(model, token, bytes, size, error);
}

gpt2_status gpt2_decode(const gpt2_model *model, const gpt2_token *tokens, size_t n_tokens, char *text,
                        size_t capacity, size_t *size, gpt2_error *error)
{
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (!size || (!tokens && n_tokens > 0) || (!text && capacity > 0))
    return fail_null(error, !size ? "size" : !tokens && n_tokens > 0 ? "tokens" : "text");
  const char *bytes;
  size_t total = 0, n;
  for (size_t i = 0; i < n_tokens; i++) {
    status = bytes_of(model, tokens[i], &bytes, &n, error);
    if (status != GPT2_OK)
      return status;
    if (!add_size(&total, total, n))
      return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "n_tokens: the text is larger than memory");
  }
  *size = total;
  if (total > capacity)
    return fail(error, GPT2_ERR_BUFFER_TOO_SMALL, NO_OFFSET, "capacity: is %zu, the text has %zu bytes", capacity,
                total);
  for (size_t i = 0, at = 0; i < n_tokens; i++, at += n) {
    bytes = tokenizer_bytes(model->tokenizer, tokens[i], &n);
    if (n > 0)
      memcpy(text + at, bytes, n);
  }
  return GPT2_OK;
}

/* ---- Streams of tokens ---- */

gpt2_status gpt2_decoder_new(gpt2_model *model, uint32_t flags, gpt2_decoder **decoder, gpt2_error *error)
{
  if (!decoder)
    return fail_null(error, "decoder");
  *decoder = NULL;
  gpt2_status status = check_tokenizer(model, error);
  if (status != GPT2_OK)
    return status;
  if (flags & ~(uint32_t)GPT2_DECODE_REPLACE)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "flags: has unknown bits: 0x%x", (unsigned)flags);
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

gpt2_status gpt2_decoder_push(gpt2_decoder *decoder, gpt2_token token, const char **text, size_t *size,
                              gpt2_error *error)
{
  if (!decoder || !text || !size)
    return fail_null(error, !decoder ? "decoder" : text ? "size" : "text");
  const char *bytes;
  size_t n;
  gpt2_status status = bytes_of(decoder->model, token, &bytes, &n, error);
  if (status != GPT2_OK)
    return status;
  *size = stream_push(&decoder->stream, bytes, n);
  *text = decoder->stream.text;
  return GPT2_OK;
}

gpt2_status gpt2_decoder_finish(gpt2_decoder *decoder, const char **text, size_t *size, gpt2_error *error)
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
