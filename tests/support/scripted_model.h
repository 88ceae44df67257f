/* scripted_model.h - tiny models in memory that say what the test wrote down, so that what becomes
 * of it - text, pieces, finishes, errors - can be told exactly.
 *
 * The position alone decides: after n tokens, whatever they are, the likeliest next one is the
 * script's n-th. Its logit is `confidence`, all others are 0. */
#ifndef TESTS_SUPPORT_SCRIPTED_MODEL_H
#define TESTS_SUPPORT_SCRIPTED_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "gpt2.h"

/* Tokens 0 to 255 are the bytes, so that a byte is its token; then <|endoftext|>, which begins and
 * ends texts; then the script's own. */
enum { END_TOKEN = 256, FIRST_OWN_TOKEN = 257 };

/* All zero is a script that says END_TOKEN always. */
typedef struct model_script {
  const gpt2_token *tokens; /* (n_tokens) what follows 1, 2, 3 ... tokens; then END_TOKEN */
  size_t n_tokens;
  const char *text;             /* instead of `tokens`: the bytes of a string */
  const char *const *own_names; /* (n_own) more tokens, printable ASCII */
  size_t n_own;
  int n_more_rows;       /* than the tokenizer has tokens; below zero: fewer */
  int n_ctx;             /* 0: 64 */
  float confidence;      /* 0: 8; infinity: the logit overflows */
  int broken_at;         /* the position from which on all logits are NaN; 0: none */
  const char *special;   /* the config's token ids as JSON, such as "\"bos_token_id\":null" */
  const char *tokenizer; /* a tokenizer_config.json */
  bool has_no_tokenizer;
  const gpt2_allocator *allocator;
} model_script;

typedef struct scripted_model {
  gpt2_model *model;     /* a test that frees these itself sets them to NULL */
  gpt2_context *context; /* of one thread */
  int n_vocab, n_ctx;
  void *config, *weights, *vocabulary;
} scripted_model;

/* What fails fails the test. */
scripted_model scripted_open(const model_script *script);

/* Frees context and model, and then the bytes, on which nothing may stand any more. */
void scripted_close(scripted_model *scripted);

/* What a token's log-probability is when the script says it. */
double scripted_logprob(const scripted_model *scripted, float confidence);

#endif
