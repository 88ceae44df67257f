/* tokenizing.h - tokenizers for tests, from a folder or from texts, and their tokens as lists. */
#ifndef TESTS_SUPPORT_TOKENIZING_H
#define TESTS_SUPPORT_TOKENIZING_H

#include "support/fixture.h"
#include "tokenizer/tokenizer.h"

/* The tokenizer of a folder below the tests folder ("fixtures/..."); it must open. */
tokenizer *open_tokenizer(const char *folder);

/* A file in memory; the last of a list has no name. */
typedef struct text_file {
  const char *name, *text;
  size_t size; /* 0: the text ends with NUL */
} text_file;

/* Reads a tokenizer from such files. */
gpt2_status load_texts(const text_file *files, tokenizer **out, gpt2_error *error);

/* The same; it must succeed. */
tokenizer *open_texts(const text_file *files);

/* The tokens of a text; encoding it must succeed. The caller frees them. */
token_list encoded(const tokenizer *t, const char *text, size_t size, uint32_t flags);

/* Fails the test unless the tokens stand for exactly these bytes. */
void expect_bytes(const tokenizer *t, token_list tokens, const char *text, size_t size);

/* Fails the test, and shows both lists and the text, unless the text has these tokens. */
void expect_tokens(const tokenizer *t, const char *text, size_t size, uint32_t flags,
                   token_list expected);

/* 64-bit FNV-1a of the ids as little-endian 32-bit numbers. */
uint64_t hash_tokens(token_list tokens);

/* Calls `check` with each line of a file of JSON objects, one a line (the first, which tells
 * what they were made with, is left out), and fails the test unless there are at least `least`.
 * `check` must not keep it. */
void for_each_line(const char *name, size_t least, void (*check)(const json_t *line, void *user),
                   void *user);

/* Compares the tokens of every text of fixtures/tokenizer/sets/NAME.jsonl (at least `least`)
 * with those of the tokenizer beside it; the number of texts for which GPT2_ENCODE_SPECIAL makes
 * a difference. */
size_t check_tokenizer_set(const char *name, size_t least);

#endif
