/* text.h - text to tokens, for those who do not know how many there will be. */
#ifndef MODEL_TEXT_H
#define MODEL_TEXT_H

#include "model/model.h"

/* As gpt2_encode, into memory of the model's allocator, which the caller releases; after a failure
 * *tokens (*n_tokens) is NULL. */
gpt2_status text_encode(const gpt2_model *model, const char *text, size_t size, uint32_t flags,
                        gpt2_token **tokens, size_t *n_tokens, gpt2_error *error);

#endif
