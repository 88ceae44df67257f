/* check_text.c - holds a model's tokenizer to what gpt2.h promises, and to the plainest way. */
#include "fuzz/check_text.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

enum { UNTOUCHED = -7, MOST_TOKENS = 2 * MOST_TEXT };

/* ---- Encoding ---- */

/* With room for one token fewer than it has, a text leaves the buffer alone. */
static void check_small_buffer(const gpt2_model *model, const char *text, size_t size,
                               uint32_t flags, size_t n)
{
  static gpt2_token tokens[MOST_TOKENS];
  size_t told = 0;
  tokens[0] = UNTOUCHED;
  gpt2_status status = gpt2_encode(model, text, size, flags, tokens, n - 1, &told, NULL);
  must(status == GPT2_ERR_BUFFER_TOO_SMALL && told == n, "%s, %zu of %zu tokens",
       gpt2_status_name(status), told, n);
  must(tokens[0] == UNTOUCHED, "a buffer that is too small was written to");
  status = gpt2_encode(model, text, size, flags, NULL, 0, &told, NULL);
  must(status == GPT2_ERR_BUFFER_TOO_SMALL && told == n, "%s, %zu of %zu tokens",
       gpt2_status_name(status), told, n);
}

static void check_round_trip(const gpt2_model *model, const gpt2_token *tokens, size_t n,
                             const uint8_t *text, size_t size)
{
  static char decoded[MOST_TEXT];
  size_t n_bytes = 0;
  gpt2_status status = gpt2_decode(model, tokens, n, decoded, size, &n_bytes, NULL);
  must(status == GPT2_OK && n_bytes == size && memcmp(decoded, text, size) == 0,
       "%s: %zu bytes became %zu others", gpt2_status_name(status), size, n_bytes);
}

static void check_plainly(const plain_tokenizer *p, const uint8_t *text, size_t size,
                          const gpt2_token *tokens, size_t n, gpt2_status status)
{
  static gpt2_token plain[MOST_TOKENS];
  size_t n_plain = plain_encode(p, text, size, plain);
  must((n_plain == SIZE_MAX) == (status == GPT2_ERR_UNSUPPORTED), "%s, plainly %zu tokens",
       gpt2_status_name(status), n_plain);
  if (status != GPT2_OK)
    return;
  must(n == n_plain, "%zu tokens, plainly %zu", n, n_plain);
  for (size_t i = 0; i < n; i++)
    must(tokens[i] == plain[i], "token %zu is %d, plainly %d", i, (int)tokens[i], (int)plain[i]);
}

void check_text(const gpt2_model *model, const plain_tokenizer *p, const uint8_t *text, size_t size,
                uint32_t flags)
{
  static gpt2_token tokens[MOST_TOKENS];
  gpt2_error error = {.struct_size = sizeof error};
  size_t n = 0, most = p->tokenizer->add_prefix_space ? 2 * size : size;
  char *exact = malloc(size + !size); /* so that a read beyond the end is noticed */
  must(exact, "no memory");
  if (size > 0)
    memcpy(exact, text, size);
  gpt2_status status = gpt2_encode(model, exact, size, flags, tokens, most, &n, &error);
  must(status == GPT2_OK || status == GPT2_ERR_UNSUPPORTED, "%s: %s", gpt2_status_name(status),
       error.message);
  if (status == GPT2_OK && n > 0)
    check_small_buffer(model, exact, size, flags, n);
  if (status == GPT2_OK && plain_keeps_text(p->tokenizer))
    check_round_trip(model, tokens, n, text, size);
  if (!plain_has_added(p->tokenizer, text, size))
    check_plainly(p, text, size, tokens, n, status);
  for (size_t i = 0; status == GPT2_OK && i < n; i++)
    must(gpt2_token_flags(model, tokens[i]) & GPT2_TOKEN_TEXT, "token %d has no text",
         (int)tokens[i]);
  free(exact);
}

/* ---- Decoding ---- */

/* Decodes all at once, into memory that the caller frees. */
static uint8_t *decode_all(const gpt2_model *model, const gpt2_token *tokens, size_t n,
                           size_t *size)
{
  gpt2_status status = gpt2_decode(model, tokens, n, NULL, 0, size, NULL);
  must(status == (*size ? GPT2_ERR_BUFFER_TOO_SMALL : GPT2_OK), "%s", gpt2_status_name(status));
  uint8_t *text = malloc(*size + 1);
  must(text, "no memory");
  status = gpt2_decode(model, tokens, n, (char *)text, *size, size, NULL);
  must(status == GPT2_OK, "%s", gpt2_status_name(status));
  return text;
}

/* Adds what a decoder handed out; all of it must be what is plainly due after the first `size`
 * bytes. */
static void check_handed_out(const char *text, size_t n, uint8_t *out, size_t *n_out,
                             const uint8_t *plain, size_t n_plain)
{
  must(*n_out + n <= n_plain, "%zu bytes are handed out, %zu are due", *n_out + n, n_plain);
  if (n > 0)
    memcpy(out + *n_out, text, n);
  *n_out += n;
  must(*n_out == n_plain && memcmp(out, plain, n_plain) == 0,
       "%zu bytes are handed out, %zu are due", *n_out, n_plain);
}

/* Pushes all tokens, whose bytes are `all` (size); `out` and `plain` have room for what these may
 * become. */
static void push_all(gpt2_decoder *decoder, const gpt2_model *model, const gpt2_token *tokens,
                     size_t n, bool replace, const uint8_t *all, size_t size, uint8_t *out,
                     uint8_t *plain)
{
  size_t at = 0, n_out = 0, n_text, n_bytes;
  const char *text, *token_bytes;
  for (size_t i = 0; i < n; i++) {
    must(gpt2_token_bytes(model, tokens[i], &token_bytes, &n_bytes, NULL) == GPT2_OK, "no bytes");
    at += n_bytes;
    must(gpt2_decoder_push(decoder, tokens[i], &text, &n_text, NULL) == GPT2_OK, "no text");
    size_t due = plain_characters(all, at, replace, false, plain);
    check_handed_out(text, n_text, out, &n_out, plain, due);
  }
  must(at == size, "%zu bytes one by one, %zu at once", at, size);
  must(gpt2_decoder_finish(decoder, &text, &n_text, NULL) == GPT2_OK, "no end");
  size_t due = plain_characters(all, size, replace, true, plain);
  check_handed_out(text, n_text, out, &n_out, plain, due);
}

void check_stream(gpt2_model *model, const gpt2_token *tokens, size_t n, bool replace)
{
  size_t size;
  uint8_t *all = decode_all(model, tokens, n, &size);
  uint8_t *out = malloc(3 * size + 1), *plain = malloc(3 * size + 1);
  gpt2_decoder *decoder;
  must(out && plain, "no memory");
  must(gpt2_decoder_new(model, replace ? GPT2_DECODE_REPLACE : 0, &decoder, NULL) == GPT2_OK,
       "no decoder");
  for (int time = 0; time < 2; time++) /* its end makes it new again */
    push_all(decoder, model, tokens, n, replace, all, size, out, plain);
  gpt2_decoder_free(decoder);
  free(all);
  free(out);
  free(plain);
}

/* ---- The vocabulary ---- */

void check_vocabulary(const gpt2_model *model)
{
  gpt2_info info = {.struct_size = sizeof info};
  must(gpt2_model_info(model, &info, NULL) == GPT2_OK, "no info");
  int32_t n_text = 0;
  const char *text;
  size_t size;
  enum { MOST_IDS = 1000 }; /* beyond which ids are too far apart to look at all of them */
  gpt2_token id = 0;
  while (id < MOST_IDS && gpt2_token_bytes(model, id, &text, &size, NULL) == GPT2_OK) {
    bool has_text = (gpt2_token_flags(model, id++) & GPT2_TOKEN_TEXT) != 0;
    must(has_text == (size > 0), "token %d: %zu bytes", (int)id - 1, size);
    n_text += has_text;
  }
  must(n_text <= info.n_tokens, "%d tokens have text, of %d", (int)n_text, (int)info.n_tokens);
  must(gpt2_token_bytes(model, -1, &text, &size, NULL) == GPT2_ERR_ARGUMENT, "token -1 has bytes");
}
