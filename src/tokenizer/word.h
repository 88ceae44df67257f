/* word.h - the tokens of one word, of any size. */
#ifndef TOKENIZER_WORD_H
#define TOKENIZER_WORD_H

#include "tokenizer/piece.h"

/* Where tokens go: those beyond the capacity are only counted. */
typedef struct token_sink {
  gpt2_token *tokens; /* (capacity) */
  size_t capacity, n;
} token_sink;

static inline void put_token(token_sink *sink, gpt2_token id)
{
  if (sink->n < sink->capacity)
    sink->tokens[sink->n] = id;
  sink->n++;
}

/* Bytes of a long word that are encoded at once: smaller windows are no quicker. */
enum { WORD_WINDOW = 512 };

/* Puts the tokens of a word (`size` > 0) into the sink. `p` is a piece to work on; words of more
 * than `window` bytes are encoded window by window. `offset` is the word's in the text, for the
 * message: GPT2_ERR_UNSUPPORTED when a byte has no token. The sink may hold some after a
 * failure. */
gpt2_status encode_word(piece *p, const uint8_t *word, size_t size, size_t window, int64_t offset,
                        token_sink *sink, gpt2_error *error);

#endif
