/* calls_world.c - what an input says, what a call may answer, and what a context must be. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/calls.h"

/* ---- What an input says ---- */

enum { SELDOM = 250 }; /* bytes from here on mean what is not allowed */

bool is_token(gpt2_token token)
{
  return token >= 0 && token < CALLS_VOCAB;
}

gpt2_token take_token(world *w)
{
  static const gpt2_token wrong[] = {-1, CALLS_VOCAB, INT32_MAX, INT32_MIN};
  uint8_t byte = take_byte(&w->input);
  return byte < SELDOM ? byte % CALLS_VOCAB : wrong[byte % 4];
}

size_t take_tokens(world *w, gpt2_token *tokens, size_t most)
{
  size_t n = take_byte(&w->input) % (most + 1);
  for (size_t i = 0; i < n; i++)
    tokens[i] = take_token(w);
  return n;
}

int32_t take_sequence(world *w, int *slot)
{
  static const int32_t numbers[N_SEQUENCES] = {0, 1, 257, GPT2_MAX_SEQUENCES - 1};
  static const int32_t wrong[] = {-1, GPT2_MAX_SEQUENCES, INT32_MAX, INT32_MIN};
  uint8_t byte = take_byte(&w->input);
  *slot = byte < SELDOM ? byte % N_SEQUENCES : -1;
  return *slot >= 0 ? numbers[*slot] : wrong[byte % 4];
}

size_t take_text(world *w, char *text)
{
  size_t size = 0, room = MOST_TAKEN_TEXT - strlen(calls_texts[CALLS_END]);
  for (size_t n = take_byte(&w->input) % 12; n > 0 && size <= room; n--) {
    const char *token = calls_texts[take_byte(&w->input) % CALLS_VOCAB];
    memcpy(text + size, token, strlen(token));
    size += strlen(token);
  }
  return size;
}

bool take_sampler_options(world *w, gpt2_sampler_options *options)
{
  static const float temperatures[] = {0.0f, 0.5f, 1.0f, 3.0f, 1e-30f, -1.0f, NAN, INFINITY};
  static const int32_t top_k[] = {0, 1, 3, 100, -1};
  static const float shares[] = {0.0f, 0.1f, 0.9f, 1.0f, -0.5f, 1.5f, NAN};
  uint8_t a = take_byte(&w->input), b = take_byte(&w->input);
  *options = (gpt2_sampler_options){.struct_size = sizeof *options,
                                    .seed = b,
                                    .temperature = temperatures[a & 4 && b < SELDOM ? 2 : a & 7],
                                    .top_k = top_k[b < SELDOM ? a / 8 % 4 : 4],
                                    .top_p = shares[b < SELDOM ? a / 32 % 4 : b % 7],
                                    .min_p = shares[b < SELDOM ? b % 4 : a % 7],
                                    .allocator = refusing_hooks()};
  return options->temperature >= 0.0f && options->temperature < INFINITY && options->top_k >= 0 &&
         options->top_p >= 0.0f && options->top_p <= 1.0f && options->min_p >= 0.0f &&
         options->min_p <= 1.0f;
}

/* ---- Memory that is refused ---- */

static int refuse_in; /* allocations until the one that is refused; 0: none is */
static bool refused;

static void *allocate(size_t size, size_t alignment, void *user)
{
  (void)user;
  void *memory = NULL;
  if (refuse_in > 0 && --refuse_in == 0) {
    refused = true;
    return NULL;
  }
  return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

static void release(void *memory, void *user)
{
  (void)user;
  free(memory);
}

const gpt2_allocator *refusing_hooks(void)
{
  static const gpt2_allocator hooks = {
      .struct_size = sizeof hooks, .allocate = allocate, .release = release};
  return &hooks;
}

/* ---- What a call may answer ---- */

void call_begins(world *w)
{
  enum { ABORTS = 200, REFUSES = 224 };
  uint8_t byte = take_byte(&w->input);
  w->aborted = refused = false;
  refuse_in = byte >= REFUSES ? byte - REFUSES + 1 : 0;
  w->abort_in = byte >= ABORTS && byte < REFUSES ? byte - ABORTS + 1 : 0;
}

bool call_ends(world *w, gpt2_status status, statuses expected, bool asks, const char *call)
{
  bool stops = w->aborted || (asks && w->cancelled);
  refuse_in = w->abort_in = 0;
  if (status == GPT2_ERR_CANCELLED) {
    must(stops, "%s: cancelled by nobody", call);
    w->cancelled = w->cancelled && w->aborted;
    return false;
  }
  if (status == GPT2_ERR_MEMORY) {
    must(refused, "%s: no memory, though none was refused", call);
    return false;
  }
  if (status == GPT2_OK)
    must(expected == 0 && !stops, "%s: succeeds; expected: 0x%x%s", call, expected,
         stops ? ", stopped" : "");
  else
    must(-status < 32 && (expected & one_of(status)), "%s: %s; expected: 0x%x", call,
         gpt2_status_name(status), expected);
  return status == GPT2_OK;
}

/* ---- What a context must be ---- */

enum { MOST_EXACT_ROWS = 32 }; /* of a batch; beyond, sums may be taken in another order */

static void append_token(plain_sequence *s, gpt2_token token, bool inexact)
{
  must(s->length < CALLS_CTX, "a sequence that is too long");
  s->tokens[s->length++] = token;
  s->inexact = s->inexact || inexact;
  s->pending = -1;
}

void take_batch(world *w, const gpt2_row *rows, const int *slots, size_t n)
{
  w->n_rows = n;
  w->views_unknown = false;
  for (size_t i = 0; i < n; i++) {
    plain_sequence *s = &w->sequences[slots[i]];
    append_token(s, rows[i].token, n > MOST_EXACT_ROWS);
    s->has_logits = !(rows[i].flags & GPT2_ROW_NO_NEXT); /* the last of its rows has its way */
    plain_row *row = &w->rows[i];
    *row = (plain_row){.flags = rows[i].flags, .target = rows[i].target, .n = s->length};
    memcpy(row->tokens, s->tokens, sizeof s->tokens);
  }
}

void lose_batch(world *w, const int *slots, size_t n)
{
  w->n_rows = 0;
  w->views_unknown = false;
  for (size_t i = 0; i < n; i++)
    w->sequences[slots[i]].has_logits = false;
}

const float *expected_logits(const world *w, const plain_sequence *s)
{
  return calls_logits(s->tokens, s->length, w->kv_type);
}

static void check_logits(const world *w, const float *found, const float *expected, bool inexact)
{
  float tolerance = inexact ? calls_tolerance(expected, w->kv_type) : 0.0f;
  for (int i = 0; i < CALLS_VOCAB; i++)
    must(fabsf(found[i] - expected[i]) <= tolerance, "logit %d is %a, of a fresh context %a", i,
         (double)found[i], (double)expected[i]);
}

static void check_sequence(world *w, int slot)
{
  static const int32_t numbers[N_SEQUENCES] = {0, 1, 257, GPT2_MAX_SEQUENCES - 1};
  const plain_sequence *s = &w->sequences[slot];
  gpt2_token tokens[CALLS_CTX];
  size_t n = 0, length = gpt2_kv_length(w->context, numbers[slot]);
  must(length == s->length, "sequence %d has %zu tokens, not %zu", slot, length, s->length);
  gpt2_status status = gpt2_kv_tokens(w->context, numbers[slot], tokens, length, &n);
  must(status == GPT2_OK && n == length, "%s: %zu tokens", gpt2_status_name(status), n);
  must(memcmp(tokens, s->tokens, n * sizeof *tokens) == 0, "sequence %d has other tokens", slot);
  const float *logits = gpt2_logits(w->context, numbers[slot]);
  must(!logits == !s->has_logits, "sequence %d: logits %p", slot, (const void *)logits);
  if (logits)
    check_logits(w, logits, expected_logits(w, s), s->inexact);
}

static void check_score(world *w, size_t i, const plain_row *row, const float *expected)
{
  gpt2_token_score score;
  gpt2_status status = gpt2_row_score(w->context, i, &score);
  must(status == (row->flags & GPT2_ROW_SCORE ? GPT2_OK : GPT2_ERR_NO_LOGITS), "row %zu: %s", i,
       gpt2_status_name(status));
  if (status != GPT2_OK)
    return;
  double logprob = calls_logprob(expected, row->target);
  must(score.position == (int64_t)i && score.token == row->target, "row %zu: of another token", i);
  must(fabs((double)score.logprob - logprob) < 1e-2, "row %zu: %g, not %g", i,
       (double)score.logprob, logprob);
  must(score.rank >= 1 && score.rank <= CALLS_VOCAB, "row %zu: rank %d", i, (int)score.rank);
}

static void check_row(world *w, size_t i)
{
  const plain_row *row = &w->rows[i];
  const float *logits = gpt2_row_logits(w->context, i), *hidden = gpt2_row_hidden(w->context, i);
  const float *expected = calls_logits(row->tokens, row->n, w->kv_type);
  must(!logits == !(row->flags & GPT2_ROW_LOGITS), "row %zu: logits %p", i, (const void *)logits);
  must(!hidden == !(row->flags & GPT2_ROW_HIDDEN), "row %zu: hidden %p", i, (const void *)hidden);
  if (logits) /* what came before the batch may have been inexact */
    check_logits(w, logits, expected, true);
  for (int k = 0; hidden && k < CALLS_EMBD; k++)
    must(isfinite(hidden[k]), "row %zu: %g", i, (double)hidden[k]);
  check_score(w, i, row, expected);
}

void check_world(world *w)
{
  gpt2_token_score score;
  for (int slot = 0; slot < N_SEQUENCES; slot++)
    check_sequence(w, slot);
  for (size_t i = w->n_rows; !w->views_unknown && i-- > 0;) /* the longest texts first */
    check_row(w, i);
  if (w->views_unknown)
    return;
  must(!gpt2_row_logits(w->context, w->n_rows) && !gpt2_row_hidden(w->context, w->n_rows),
       "a row that is not there has views");
  must(gpt2_row_score(w->context, w->n_rows, &score) == GPT2_ERR_ARGUMENT, "it has a score");
}

gpt2_token expected_draw(const plain_sampler *sampler, const float *logits)
{
  gpt2_sampler_options options = {.struct_size = sizeof options};
  gpt2_sampler *other;
  gpt2_token token;
  if (sampler)
    options = sampler->options;
  options.allocator = NULL; /* this one is ours */
  gpt2_status status = gpt2_sampler_new(&options, &other, NULL);
  for (size_t i = 0; sampler && i < sampler->n_accepted; i++)
    gpt2_sampler_accept(other, 0, NULL);
  if (status == GPT2_OK)
    status = gpt2_sampler_draw(other, logits, CALLS_VOCAB, &token, NULL);
  must(status == GPT2_OK, "%s", gpt2_status_name(status));
  gpt2_sampler_free(other);
  return token;
}
