/* words.h - a stretch of text to tokens: cut into words, each of which is encoded for itself.
 *
 * Most words of a text have been there before, so the tokens of short words are remembered as long
 * as the text lasts. */
#ifndef TOKENIZER_WORDS_H
#define TOKENIZER_WORDS_H

#include "tokenizer/word.h"

enum { REMEMBERED_TOKENS = 3 };

/* A word of at most 16 bytes, as `word_key` puts it, and its tokens. Two fill a cache line. */
typedef struct word_slot {
  uint64_t low, high;
  gpt2_token tokens[REMEMBERED_TOKENS];
  uint8_t size; /* 0: the slot is empty */
  uint8_t n_tokens;
} word_slot;

typedef struct word_encoder {
  piece piece; /* to work on */
  bool use_regex;        /* split by GPT-2's pattern; else all of a stretch is one word */
  bool add_prefix_space; /* a stretch that does not begin with a space gets one */
  word_slot *slots;      /* (1 << slot_bits) or NULL */
  int slot_bits;
  token_sink sink;
} word_encoder;

/* Gets ready for texts of about `size` bytes. */
gpt2_status word_encoder_init(word_encoder *w, const vocabulary *v, size_t size, gpt2_error *error);
void word_encoder_free(word_encoder *w);

/* Puts the tokens of a stretch (`size` > 0) into w->sink; `offset` is where it is in the text. */
gpt2_status encode_words(word_encoder *w, const uint8_t *text, size_t size, int64_t offset,
                         gpt2_error *error);

#endif
