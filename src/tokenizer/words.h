/* words.h - a stretch of text to tokens: cut into words, each of which is encoded for itself. */
#ifndef TOKENIZER_WORDS_H
#define TOKENIZER_WORDS_H

#include "tokenizer/word.h"

typedef struct word_encoder {
  piece piece;           /* to work on */
  bool use_regex;        /* split by GPT-2's pattern; else all of a stretch is one word */
  bool add_prefix_space; /* a stretch that does not begin with a space gets one */
  token_sink sink;
} word_encoder;

/* Puts the tokens of a stretch (`size` > 0) into w->sink; `offset` is where it is in the text. */
gpt2_status encode_words(word_encoder *w, const uint8_t *text, size_t size, int64_t offset,
                         gpt2_error *error);

#endif
