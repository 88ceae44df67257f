/* words.c - a stretch of text to tokens: cut into words, each of which is encoded for itself. */
#include "tokenizer/words.h"

#include <string.h>

#include "tokenizer/split.h"

/* The stretch with a space before it, which then belongs to its first word. */
static gpt2_status encode_with_space(word_encoder *w, const uint8_t *text, size_t size,
                                     int64_t offset, gpt2_error *error)
{
  const gpt2_allocator *allocator = w->piece.vocabulary->allocator;
  size_t total;
  uint8_t *copy = add_size(&total, size, 1) ? allocate(allocator, total) : NULL;
  if (!copy)
    return fail_memory(error, size);
  copy[0] = ' ';
  memcpy(copy + 1, text, size);
  gpt2_status status = encode_words(w, copy, total, offset - 1, error);
  release(allocator, copy);
  return status;
}

gpt2_status encode_words(word_encoder *w, const uint8_t *text, size_t size, int64_t offset,
                         gpt2_error *error)
{
  if (w->add_prefix_space && text[0] != ' ')
    return encode_with_space(w, text, size, offset, error);
  gpt2_status status = GPT2_OK;
  for (size_t at = 0, n; status == GPT2_OK && at < size; at += n) {
    n = w->use_regex ? split_word(text + at, size - at) : size - at;
    status =
        encode_word(&w->piece, text + at, n, WORD_WINDOW, offset + (int64_t)at, &w->sink, error);
  }
  return status;
}
