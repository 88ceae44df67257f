/* opened.h - models and contexts that must open: what fails ends the test with the library's own
 * words. */
#ifndef TESTS_SUPPORT_OPENED_H
#define TESTS_SUPPORT_OPENED_H

#include "gpt2.h"

/* The folder's model, and a context with that many threads (0: the default) on it. */
gpt2_model *open_model(const char *folder);
gpt2_context *open_context(gpt2_model *model, int n_threads);

/* A context that keeps the logits and hidden states of as many rows of a batch as the model has
 * positions. */
gpt2_context *open_context_for_rows(gpt2_model *model, int n_threads);

gpt2_info info_of(const gpt2_model *model);

/* Evaluates one token of the model in a context of its own. */
void must_evaluate_a_token(gpt2_model *model);

/* Fails the test with the context's or the error's words unless `status` is GPT2_OK. */
void must_succeed(gpt2_status status, const gpt2_context *context);
void must_have_succeeded(gpt2_status status, const gpt2_error *error);

#endif
