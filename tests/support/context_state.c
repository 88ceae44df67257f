/* context_state.c - all that can be seen of a context. */
#include "support/context_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/opened.h"

static const int32_t looked_at[] = {
    0, 1, 2, 3, 4, 5, 6, 7, GPT2_MAX_SEQUENCES - 2, GPT2_MAX_SEQUENCES - 1};
enum { N_LOOKED_AT = sizeof looked_at / sizeof *looked_at, ROWS_LOOKED_AT = 64 };

static void append(context_state *state, const void *bytes, size_t size)
{
  if (state->size + size > state->capacity) {
    state->capacity = 2 * (state->size + size);
    state->bytes = realloc(state->bytes, state->capacity);
    assert_non_null(state->bytes);
  }
  if (size > 0)
    memcpy(state->bytes + state->size, bytes, size);
  state->size += size;
}

/* Whether there is a view, and its floats. */
static void append_view(context_state *state, const float *view, size_t n)
{
  uint8_t is_there = view != NULL;
  append(state, &is_there, sizeof is_there);
  append(state, view, view ? n * sizeof *view : 0);
}

static void append_sequence(context_state *state, gpt2_context *context, int32_t sequence)
{
  size_t length = gpt2_kv_length(context, sequence), n = 0;
  gpt2_token *tokens = calloc(length + 1, sizeof *tokens);
  assert_non_null(tokens);
  must_succeed(gpt2_kv_tokens(context, sequence, tokens, length, &n), context);
  assert_int_equal(n, length);
  append(state, &length, sizeof length);
  append(state, tokens, length * sizeof *tokens);
  free(tokens);
}

context_state state_of(gpt2_context *context)
{
  context_state state = {0};
  gpt2_info info = info_of(gpt2_context_model(context));
  for (int i = 0; i < N_LOOKED_AT; i++) {
    append_sequence(&state, context, looked_at[i]);
    append_view(&state, gpt2_logits(context, looked_at[i]), (size_t)info.n_vocab);
  }
  for (size_t row = 0; row < ROWS_LOOKED_AT; row++) {
    append_view(&state, gpt2_row_logits(context, row), (size_t)info.n_vocab);
    append_view(&state, gpt2_row_hidden(context, row), (size_t)info.n_embd);
  }
  return state;
}

void free_state(context_state *state)
{
  free(state->bytes);
  *state = (context_state){0};
}

void must_be_unchanged(gpt2_context *context, context_state *before, const char *what)
{
  context_state now = state_of(context);
  if (now.size != before->size || memcmp(now.bytes, before->bytes, now.size) != 0)
    fail_msg("%s changed the context", what);
  free_state(&now);
  free_state(before);
}

float *copy_logits(const gpt2_context *context, const float *view)
{
  size_t size = (size_t)info_of(gpt2_context_model(context)).n_vocab * sizeof(float);
  float *copy = malloc(size);
  assert_true(copy && view);
  return memcpy(copy, view, size);
}

void must_have_logits(const gpt2_context *context, int32_t sequence, const float *expected)
{
  const float *found = gpt2_logits(context, sequence);
  assert_non_null(found);
  assert_memory_equal(found, expected,
                      (size_t)info_of(gpt2_context_model(context)).n_vocab * sizeof *found);
}
