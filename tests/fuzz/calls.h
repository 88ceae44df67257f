/* calls.h - a context as the plainest model of it has it: what every call must answer. */
#ifndef TESTS_FUZZ_CALLS_H
#define TESTS_FUZZ_CALLS_H

#include "fuzz/calls_model.h"

enum {
  MOST_TAKEN_TEXT = 64,
  N_SEQUENCES = 4,
  N_SAMPLERS = 2,
  N_GENERATIONS = 2,
  MOST_ROWS = 64,
  MOST_STOPS = 2,
  MOST_PLAIN_TEXT = 512 /* bytes of what a generation has said */
};

typedef struct plain_sequence {
  gpt2_token tokens[CALLS_CTX];
  size_t length;
  bool has_logits;
  gpt2_token pending; /* drawn by a generation and not evaluated; -1: none */
  bool inexact;       /* it had rows in a batch that is too large for results equal to the bit */
} plain_sequence;

/* A row of the last batch, and the tokens up to it. */
typedef struct plain_row {
  uint32_t flags;
  gpt2_token target;
  gpt2_token tokens[CALLS_CTX];
  size_t n;
} plain_row;

typedef struct plain_sampler {
  gpt2_sampler *sampler; /* NULL: the slot is empty */
  gpt2_sampler_options options;
  size_t n_accepted;
} plain_sampler;

typedef struct plain_generation {
  gpt2_generation *generation; /* NULL: the slot is empty, or gpt2_generate is at work */
  gpt2_context *context;       /* which it was made on */
  gpt2_generate_options options;
  int slot; /* of its sequence */
  int32_t n_drawn, finish;
  gpt2_token tokens[CALLS_CTX]; /* of the options */
  gpt2_token prompt[MOST_TAKEN_TEXT + CALLS_CTX + 1];
  size_t n_prompt;
  bool prompt_is_due;
  gpt2_string stops[MOST_STOPS];
  int sampler; /* a slot, -1: its own, if the options have `sampling` */
  plain_sampler own;
  uint8_t drawn[MOST_PLAIN_TEXT]; /* bytes of all tokens drawn */
  size_t n_drawn_bytes, n_said;   /* and how many were handed out */
} plain_generation;

/* All there is in one run of the fuzzer. */
typedef struct world {
  bytes input;
  gpt2_model *model;
  gpt2_context *context;
  int32_t kv_type;
  size_t max_logit_rows, max_hidden_rows;
  plain_sequence sequences[N_SEQUENCES];
  plain_row rows[MOST_ROWS];
  size_t n_rows;
  bool views_unknown; /* a failure may have left them or not */
  bool cancelled;     /* gpt2_cancel was called, and nothing stopped yet */
  int abort_in;       /* questions of the abort callback until it says yes; 0: never */
  bool aborted;       /* it did, in this call */
  plain_sampler samplers[N_SAMPLERS];
  plain_generation generations[N_GENERATIONS];
  gpt2_decoder *decoder;
  uint8_t decoded[MOST_PLAIN_TEXT]; /* bytes that were pushed */
  size_t n_decoded, n_handed_out;
  bool decoder_replaces;
} world;

/* ---- What an input says ---- */

/* Seldom something that is not allowed. */
gpt2_token take_token(world *w);
size_t take_tokens(world *w, gpt2_token *tokens, size_t most);
int32_t take_sequence(world *w, int *slot); /* *slot is -1 where the number is out of range */
bool is_token(gpt2_token token);

/* A text of some tokens; its size, at most MOST_TAKEN_TEXT. */
size_t take_text(world *w, char *text);

/* Options for a sampler; whether they are allowed. */
bool take_sampler_options(world *w, gpt2_sampler_options *options);

/* ---- Statuses: a set of those that a call may answer ---- */

typedef uint32_t statuses;

static inline statuses one_of(gpt2_status status)
{
  return (statuses)1 << -status;
}

/* Before a call: the next byte may say which allocation of the library is refused until it ends, or
 * which question of the abort callback is answered with yes. */
void call_begins(world *w);

/* Holds the status to those that are expected: none, so that the call must succeed, unless it was
 * stopped or memory was refused. Whether it did. A call that `asks` whether to stop uses up a
 * cancel. */
bool call_ends(world *w, gpt2_status status, statuses expected, bool asks, const char *call);

/* Hooks that can refuse, for models and samplers. */
const gpt2_allocator *refusing_hooks(void);

/* ---- What a context must be ---- */

/* Appends the tokens of a batch that succeeded: its rows, the sequences of whose slots they are.
 * What a failed one leaves: no logits of these, and no rows. */
void take_batch(world *w, const gpt2_row *rows, const int *slots, size_t n);
void lose_batch(world *w, const int *slots, size_t n);

/* The logits after all tokens of a sequence that has some, as they must be. */
const float *expected_logits(const world *w, const plain_sequence *s);

/* Everything that can be seen of the context is as it must be. */
void check_world(world *w);

/* The token that a sampler (NULL: greedy) must draw from logits. */
gpt2_token expected_draw(const plain_sampler *sampler, const float *logits);

/* ---- The calls, each of which reads from the input what it needs ---- */

void call_sampler(world *w);
void call_sample(world *w);
void call_generation_new(world *w);
void call_generation_next(world *w);
void call_generation_free(world *w);
void call_generate(world *w);
void call_score(world *w);
void call_decoder(world *w);
void call_encode(world *w);

#endif
