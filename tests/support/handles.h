/* handles.h - one handle of each kind, all at work, for tests that abuse them: whatever they are
 * asked, they must go on as those that never were. */
#ifndef TESTS_SUPPORT_HANDLES_H
#define TESTS_SUPPORT_HANDLES_H

#include "gpt2.h"
#include "support/scripted_model.h"

typedef struct handles {
  scripted_model scripted;
  gpt2_model *model;
  gpt2_context *context; /* is only refused things */
  gpt2_context *spare;   /* is used */
  gpt2_sampler *sampler;
  gpt2_decoder *decoder;
  gpt2_generation *generation; /* on the context, before its first token */
} handles;

/* A model that says "abcdef", with bytes as tokens; contexts with rows of two sequences: tokens,
 * logits, hidden states and scores. What fails fails the test. */
handles open_handles(void);
void close_handles(handles *h);

/* A failure of a function of the context leaves its words there: copies them to *error. */
gpt2_status told(const gpt2_context *context, gpt2_status status, gpt2_error *error);

/* Fails the test unless all of them give what they give where nothing was ever refused. */
void must_go_on_as_new(handles *h);

#endif
