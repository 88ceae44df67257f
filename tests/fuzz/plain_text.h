/* plain_text.h - what becomes of a text, in the plainest way in which it can be done: what the
 * fuzzers hold the tokenizer against. Of the library it uses the vocabulary, and which characters
 * are letters. */
#ifndef TESTS_FUZZ_PLAIN_TEXT_H
#define TESTS_FUZZ_PLAIN_TEXT_H

#include "tokenizer/reading.h"

/* A merge of two tokens, by their places. */
typedef struct plain_merge {
  uint32_t left, right, made;
  size_t rank;
} plain_merge;

typedef struct plain_tokenizer {
  const tokenizer *tokenizer;
  plain_merge *merges; /* (n_merges) by left, right and rank */
  size_t n_merges;
} plain_tokenizer;

plain_tokenizer plain_new(const tokenizer *t);
void plain_free(plain_tokenizer *p);

/* The tokens that a word's bytes are merged to, to `tokens` (size); their number, or SIZE_MAX when
 * a byte has none. And those of a word which, with `ignore_merges`, may be a token itself. */
size_t plain_merge_word(const plain_tokenizer *p, const uint8_t *word, size_t size,
                        gpt2_token *tokens);

size_t plain_encode_word(const plain_tokenizer *p, const uint8_t *word, size_t size,
                         gpt2_token *tokens);

/* The same of a text in which no added token stands, whose tokens may be one more than bytes. */
size_t plain_encode(const plain_tokenizer *p, const uint8_t *text, size_t size, gpt2_token *tokens);

/* Whether the text of an added token stands in the text. */
bool plain_has_added(const tokenizer *t, const uint8_t *text, size_t size);

/* Whether encoded text must decode to the same bytes. */
bool plain_keeps_text(const tokenizer *t);

/* What a decoder has handed out of these bytes, to `out` (3 * size): all but a character at the end
 * that more bytes could complete; `at_end` that, too. With `replace` what is no character is
 * U+FFFD. */
size_t plain_characters(const uint8_t *text, size_t size, bool replace, bool at_end, uint8_t *out);

#endif
