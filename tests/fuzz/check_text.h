/* check_text.h - holds a model's tokenizer to what gpt2.h promises, and to the plainest way. */
#ifndef TESTS_FUZZ_CHECK_TEXT_H
#define TESTS_FUZZ_CHECK_TEXT_H

#include "fuzz/plain_text.h"

enum { MOST_TEXT = 512 }; /* bytes that are looked at */

/* Encodes the text (size <= MOST_TEXT) into buffers of every kind, and decodes it again. */
void check_text(const gpt2_model *model, const plain_tokenizer *p, const uint8_t *text, size_t size,
                uint32_t flags);

/* Decodes tokens (n <= MOST_TEXT), in range, at once and as a stream. */
void check_stream(gpt2_model *model, const gpt2_token *tokens, size_t n, bool replace);

/* All ids: their bytes and flags. */
void check_vocabulary(const gpt2_model *model);

#endif
