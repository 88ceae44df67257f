/* tokenizer.h - text to tokens and back, exactly as GPT-2 does it. */
#ifndef TOKENIZER_TOKENIZER_H
#define TOKENIZER_TOKENIZER_H

#include "base/pool.h"
#include "base/source.h"

typedef struct tokenizer tokenizer;

/* Reads tokenizer.json, or vocab.json + merges.txt (+ added_tokens.json, special_tokens_map.json,
 * tokenizer_config.json where they add something) from a model's folder. GPT2_ERR_NOT_FOUND when
 * there is neither. The pool's threads help; it is the caller who reads and allocates. */
gpt2_status tokenizer_load(source *s, pool *p, tokenizer **out, gpt2_error *error);
void tokenizer_free(tokenizer *t);

/* "tokenizer.json" or "vocab.json + merges.txt". */
const char *tokenizer_origin(const tokenizer *t);

/* One more than the greatest id; ids below it may have gaps. And the number of entries, added
 * tokens included. */
size_t tokenizer_id_limit(const tokenizer *t);
size_t tokenizer_n_tokens(const tokenizer *t);
size_t tokenizer_n_merges(const tokenizer *t);

/* The id of the added or special token with this text (such as "<|endoftext|>"), or of a vocabulary
 * entry with that name; -1: none. */
gpt2_token tokenizer_find(const tokenizer *t, const char *text);

/* The bytes of a token; size 0 when the id has no text. */
const char *tokenizer_bytes(const tokenizer *t, gpt2_token id, size_t *size);

/* GPT2_TOKEN_SPECIAL, _ADDED and _TEXT of an id. */
uint32_t tokenizer_flags(const tokenizer *t, gpt2_token id);

/* The size of the longest token, in bytes. */
size_t tokenizer_longest(const tokenizer *t);

/* As gpt2_encode. */
gpt2_status tokenizer_encode(const tokenizer *t, const char *text, size_t size, uint32_t flags,
                             gpt2_token *tokens, size_t capacity, size_t *n_tokens,
                             gpt2_error *error);

/* The version of Unicode that letters and numbers are taken from: "16.0.0". */
const char *tokenizer_unicode_version(void);

#endif
