/* collected.h - all that a generation says, gathered so that a test can compare it at a glance. */
#ifndef TESTS_SUPPORT_COLLECTED_H
#define TESTS_SUPPORT_COLLECTED_H

#include "gpt2.h"

enum { MOST_COLLECTED = 8192 };

typedef struct collected {
  char text[MOST_COLLECTED];   /* of all pieces, ended by a NUL */
  char pieces[MOST_COLLECTED]; /* the same with a '|' after each piece */
  size_t size, pieces_size;
  gpt2_token tokens[MOST_COLLECTED];
  float logprobs[MOST_COLLECTED];
  int n; /* pieces */
  int32_t finish;
  gpt2_result result;
  int stop_at; /* the number of the piece at which the callback stops, from 1 on; 0: never */
} collected;

/* A gpt2_text_callback; `user` is a collected. */
int32_t collect(const gpt2_piece *piece, void *user);

/* Generates to the end into `all`, which is emptied but for stop_at. The prompt is a string. */
gpt2_status generate_into(gpt2_context *context, const char *prompt,
                          const gpt2_generate_options *options, collected *all);

/* The same; what fails fails the test. The result stays until the next call. */
const collected *generated(gpt2_context *context, const char *prompt,
                           const gpt2_generate_options *options);

/* Fails the test unless that prompt gives these pieces and this finish. */
void expect_pieces(gpt2_context *context, const char *prompt, const gpt2_generate_options *options,
                   const char *pieces, int32_t finish);

/* The tokens of a sequence of a scripted model as a string: bytes as they are, '$' for the end
 * token, and 'A', 'B', ... for the script's own. The result stays until the next call. */
const char *kv_text(gpt2_context *context, int32_t sequence);

/* Options that are zero but for max_tokens. */
gpt2_generate_options at_most(int32_t max_tokens);

#endif
