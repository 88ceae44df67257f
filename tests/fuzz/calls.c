/* calls.c - calls of the interface in any order, held against the plainest model of what they do.
 *
 * A byte chooses a call, those after it its arguments, until none is left. Between calls everything
 * that can be seen of the context must be as the model has it, and its logits those of a fresh
 * context, which are in turn held to double precision. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/calls.h"

/* ---- The context ---- */

static int32_t answer_abort(void *user)
{
  world *w = user;
  if (w->abort_in == 0 || --w->abort_in > 0)
    return 0;
  w->aborted = true;
  return 1;
}

/* The host's threads: one, that takes the tasks from the last to the first. */
static void backwards(int32_t n, void (*task)(int32_t index, void *data), void *data, void *user)
{
  (void)user;
  while (n-- > 0)
    task(n, data);
}

static void forget_all(world *w)
{
  for (int i = 0; i < N_SEQUENCES; i++)
    w->sequences[i] = (plain_sequence){.pending = -1};
}

/* A new context in place of the old one, which generations may still keep. */
static void call_context_new(world *w)
{
  static const int32_t limits[] = {0, 1, 3, 8};
  uint8_t byte = take_byte(&w->input);
  gpt2_context_options options = {.struct_size = sizeof options,
                                  .n_threads = byte & 1 ? 3 : 1,
                                  .parallel_for = byte & 1 ? backwards : NULL,
                                  .max_logit_rows = limits[byte / 2 % 4],
                                  .max_hidden_rows = limits[byte / 8 % 4],
                                  .kv_type = byte & 32 ? GPT2_TYPE_F16 : 0,
                                  .abort_callback = answer_abort,
                                  .abort_user = w};
  gpt2_context *context = (gpt2_context *)w;
  call_begins(w);
  gpt2_status status = gpt2_context_new(w->model, &options, &context, NULL);
  if (!call_ends(w, status, 0, false, "gpt2_context_new")) {
    must(!context, "a context that could not be made");
    return;
  }
  gpt2_context_free(w->context);
  w->context = context;
  w->kv_type = options.kv_type;
  w->max_logit_rows = options.max_logit_rows ? (size_t)options.max_logit_rows : 64;
  w->max_hidden_rows = options.max_hidden_rows ? (size_t)options.max_hidden_rows : 1024;
  w->n_rows = 0;
  w->views_unknown = w->cancelled = false;
  forget_all(w);
}

static void call_cancel(world *w)
{
  gpt2_cancel(w->context);
  w->cancelled = true;
}

static void call_model_ref(world *w)
{
  must(gpt2_model_ref(w->model) == w->model && gpt2_context_model(w->context) == w->model,
       "another model");
  gpt2_model_free(w->model);
}

/* ---- Evaluation ---- */

/* What is wrong with a batch, if anything. */
static statuses judge_batch(const world *w, const gpt2_row *rows, const int *slots, size_t n)
{
  const uint32_t known = GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN | GPT2_ROW_SCORE | GPT2_ROW_NO_NEXT;
  size_t n_logits = 0, n_hidden = 0, lengths[N_SEQUENCES];
  statuses wrong = n == 0 ? one_of(GPT2_ERR_ARGUMENT) : 0;
  for (int i = 0; i < N_SEQUENCES; i++)
    lengths[i] = w->sequences[i].length;
  for (size_t i = 0; i < n; i++) {
    bool has_target = !(rows[i].flags & GPT2_ROW_SCORE) || is_token(rows[i].target);
    if (!is_token(rows[i].token) || slots[i] < 0 || !has_target)
      wrong |= one_of(GPT2_ERR_ARGUMENT);
    if (rows[i].flags & ~known)
      wrong |= one_of(GPT2_ERR_UNSUPPORTED);
    n_logits += (rows[i].flags & GPT2_ROW_LOGITS) != 0;
    n_hidden += (rows[i].flags & GPT2_ROW_HIDDEN) != 0;
    if (slots[i] >= 0 && ++lengths[slots[i]] > CALLS_CTX)
      wrong |= one_of(GPT2_ERR_CONTEXT_FULL);
  }
  if (n_logits > w->max_logit_rows || n_hidden > w->max_hidden_rows)
    wrong |= one_of(GPT2_ERR_LIMIT);
  return wrong;
}

static void end_eval(world *w, gpt2_status status, const gpt2_row *rows, const int *slots, size_t n,
                     statuses wrong, const char *call)
{
  if (call_ends(w, status, wrong, wrong == 0, call))
    take_batch(w, rows, slots, n);
  else if (status == GPT2_ERR_CANCELLED || status == GPT2_ERR_MEMORY)
    lose_batch(w, slots, n);
  must(status == GPT2_OK || gpt2_context_error(w->context)->status == status, "%s has other words",
       gpt2_status_name(status));
}

static uint32_t take_flags(world *w)
{
  uint8_t byte = take_byte(&w->input);
  return byte < 250 ? byte & 15u : 16;
}

static void call_eval(world *w)
{
  gpt2_token tokens[CALLS_CTX + 4];
  gpt2_row rows[CALLS_CTX + 4];
  int slots[CALLS_CTX + 4], slot;
  int32_t sequence = take_sequence(w, &slot);
  uint32_t flags = take_flags(w);
  size_t n = take_tokens(w, tokens, CALLS_CTX + 4);
  for (size_t i = 0; i < n; i++) {
    rows[i] = (gpt2_row){.token = tokens[i], .sequence = sequence, .flags = flags};
    slots[i] = slot;
  }
  statuses wrong = judge_batch(w, rows, slots, n);
  if (n > CALLS_CTX)
    wrong |= one_of(GPT2_ERR_CONTEXT_FULL); /* of whatever sequence */
  if (flags & GPT2_ROW_SCORE)
    wrong |= one_of(GPT2_ERR_ARGUMENT);
  call_begins(w);
  gpt2_status status = gpt2_eval(w->context, sequence, tokens, n, flags);
  end_eval(w, status, rows, slots, n, wrong, "gpt2_eval");
}

static void call_eval_batch(world *w)
{
  gpt2_row rows[MOST_ROWS];
  int slots[MOST_ROWS];
  uint8_t byte = take_byte(&w->input);
  size_t n = byte % 8 == 7 ? byte % MOST_ROWS : byte % 8;
  for (size_t i = 0; i < n; i++) {
    rows[i].token = take_token(w);
    rows[i].sequence = take_sequence(w, &slots[i]);
    rows[i].flags = take_flags(w);
    rows[i].target = rows[i].flags & GPT2_ROW_SCORE ? take_token(w) : INT32_MIN;
  }
  statuses wrong = judge_batch(w, rows, slots, n);
  call_begins(w);
  gpt2_status status = gpt2_eval_batch(w->context, rows, n);
  end_eval(w, status, rows, slots, n, wrong, "gpt2_eval_batch");
}

/* ---- The KV cache ---- */

static void call_truncate(world *w)
{
  int slot;
  int32_t sequence = take_sequence(w, &slot);
  size_t length = take_byte(&w->input);
  plain_sequence *s = slot >= 0 ? &w->sequences[slot] : NULL;
  if (s && length < 128) /* seldom beyond the end */
    length %= s->length + 1;
  statuses wrong = !s || length > s->length ? one_of(GPT2_ERR_ARGUMENT) : 0;
  call_begins(w);
  gpt2_status status = gpt2_kv_truncate(w->context, sequence, length);
  if (!call_ends(w, status, wrong, false, "gpt2_kv_truncate"))
    return;
  s->has_logits = s->has_logits && length == s->length;
  s->length = length;
  s->pending = -1;
}

static void call_drop(world *w)
{
  int slot;
  int32_t sequence = take_sequence(w, &slot);
  call_begins(w);
  gpt2_status status = gpt2_kv_drop(w->context, sequence);
  if (call_ends(w, status, slot < 0 ? one_of(GPT2_ERR_ARGUMENT) : 0, false, "gpt2_kv_drop"))
    w->sequences[slot] = (plain_sequence){.pending = -1};
}

static void call_clear(world *w)
{
  must(gpt2_kv_clear(w->context) == GPT2_OK, "gpt2_kv_clear fails");
  forget_all(w);
}

/* A buffer that is too small stays as it is. */
static void call_kv_tokens(world *w)
{
  enum { UNTOUCHED = -7 };
  gpt2_token tokens[CALLS_CTX] = {UNTOUCHED};
  int slot;
  int32_t sequence = take_sequence(w, &slot);
  size_t capacity = take_byte(&w->input) % (CALLS_CTX + 1), n = SIZE_MAX;
  gpt2_status status = gpt2_kv_tokens(w->context, sequence, capacity ? tokens : NULL, capacity, &n);
  if (slot < 0) {
    must(status == GPT2_ERR_ARGUMENT, "sequence %d: %s", (int)sequence, gpt2_status_name(status));
    return;
  }
  const plain_sequence *s = &w->sequences[slot];
  must(n == s->length, "%zu tokens, not %zu", n, s->length);
  must(status == (n > capacity ? GPT2_ERR_BUFFER_TOO_SMALL : GPT2_OK), "%zu tokens for %zu: %s", n,
       capacity, gpt2_status_name(status));
  must(status == GPT2_OK || tokens[0] == UNTOUCHED, "a buffer that is too small was written to");
}

/* ---- NULL ---- */

static void call_with_null(world *w)
{
  gpt2_context *c = w->context, *none = c;
  gpt2_error error = {.struct_size = sizeof error};
  size_t n;
  const gpt2_status found[] = {
      gpt2_eval(NULL, 0, NULL, 0, 0),
      gpt2_eval(c, 0, NULL, 1, 0),
      gpt2_eval_batch(c, NULL, 1),
      gpt2_row_score(c, 0, NULL),
      gpt2_kv_tokens(c, 0, NULL, 1, &n),
      gpt2_kv_tokens(c, 0, NULL, 0, NULL),
      gpt2_kv_truncate(NULL, 0, 0),
      gpt2_sample(c, 0, NULL, NULL),
      gpt2_sampler_new(NULL, NULL, &error),
      gpt2_sampler_draw(NULL, NULL, 0, NULL, NULL),
      gpt2_generation_new(c, NULL, 0, NULL, NULL),
      gpt2_generation_next(NULL, NULL),
      gpt2_generate(c, NULL, 1, NULL, NULL, NULL, NULL),
      gpt2_score(c, NULL, 1, NULL, NULL, NULL, NULL),
      gpt2_score_tokens(c, NULL, 1, NULL, NULL, NULL, NULL),
      gpt2_context_new(NULL, NULL, &none, NULL),
      gpt2_decoder_push(NULL, 0, NULL, NULL, NULL),
  };
  for (size_t i = 0; i < sizeof found / sizeof *found; i++)
    must(found[i] == GPT2_ERR_ARGUMENT, "call %zu with NULL: %s", i, gpt2_status_name(found[i]));
  must(!none && !gpt2_logits(NULL, 0) && gpt2_kv_length(NULL, 0) == 0, "something of nothing");
}

/* ---- All together ---- */

/* What is called often stands there more often. */
static void (*const calls[])(world *w) = {
    call_eval,
    call_eval,
    call_eval_batch,
    call_eval_batch,
    call_truncate,
    call_drop,
    call_clear,
    call_kv_tokens,
    call_sampler,
    call_sampler,
    call_sample,
    call_generation_new,
    call_generation_next,
    call_generation_new,
    call_generation_next,
    call_generation_free,
    call_generate,
    call_generate,
    call_score,
    call_score,
    call_decoder,
    call_decoder,
    call_encode,
    call_cancel,
    call_context_new,
    call_model_ref,
    call_with_null,
};
enum { N_CALLS = sizeof calls / sizeof *calls };

static void close_world(world *w)
{
  gpt2_context_free(w->context);
  for (int i = 0; i < N_GENERATIONS; i++)
    gpt2_generation_free(w->generations[i].generation);
  for (int i = 0; i < N_SAMPLERS; i++)
    gpt2_sampler_free(w->samplers[i].sampler);
  gpt2_decoder_free(w->decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static gpt2_model *model;
  static world w;
  if (!model)
    model = calls_load(refusing_hooks());
  w = (world){.input = {data, size}, .model = model};
  do
    call_context_new(&w);
  while (!w.context);
  while (w.input.size > 0) {
    calls[take_byte(&w.input) % N_CALLS](&w);
    check_world(&w);
  }
  close_world(&w);
  return 0;
}
