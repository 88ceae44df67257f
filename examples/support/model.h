/* model.h - the model that the common options name, and a context on it. */
#ifndef SUPPORT_MODEL_H
#define SUPPORT_MODEL_H

#include "support/options.h"
#include "support/output.h"
#include "support/program.h"

/* Writes the path of the model, ended by NUL: --model, else GPT2_MODEL, else the one that came
 * along. EXIT_DONE, or EXIT_FAILED after a message. */
int find_model(const common_options *common, buffer *path);

/* Opens it, with --threads threads and the weights in the type of --weights. */
int open_model(const common_options *common, gpt2_model **model);

/* Opens it, makes a context with --threads threads, and lets Ctrl-C stop what that does. */
int open_context(const common_options *common, gpt2_model **model, gpt2_context **context);

/* Frees both; they may be NULL. */
void close_context(gpt2_model *model, gpt2_context *context);

/* The bytes of a token; none when the tokenizer has no text for it. */
int token_piece(const gpt2_model *model, gpt2_token token, const char **bytes, size_t *size);

#endif
