/* calls_generate.c - the calls that continue texts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/calls.h"
#include "fuzz/plain_text.h"

/* ---- What a generation must say ---- */

/* The first of the stop strings to be complete, by its end, then by its beginning. */
static bool find_stop(const plain_generation *g, const uint8_t *text, size_t size, size_t *begin)
{
  for (size_t end = 1; end <= size; end++) {
    bool found = false;
    for (size_t i = 0; i < g->options.n_stops; i++) {
      size_t n = g->stops[i].size;
      if (n > end || memcmp(text + end - n, g->stops[i].bytes, n) != 0)
        continue;
      *begin = found && *begin < end - n ? *begin : end - n;
      found = true;
    }
    if (found)
      return true;
  }
  return false;
}

/* The longest end of the text that begins a stop string. */
static size_t held_back(const plain_generation *g, const uint8_t *text, size_t size)
{
  size_t longest = 0;
  for (size_t i = 0; i < g->options.n_stops; i++)
    for (size_t n = 1; n < g->stops[i].size && n <= size; n++)
      if (n > longest && memcmp(text + size - n, g->stops[i].bytes, n) == 0)
        longest = n;
  return longest;
}

static int32_t finish_after(const world *w, const plain_generation *g, gpt2_token token)
{
  if (token == CALLS_END && !(g->options.flags & GPT2_GENERATE_IGNORE_END))
    return GPT2_FINISH_END;
  if (g->options.max_tokens > 0 && g->n_drawn >= g->options.max_tokens)
    return GPT2_FINISH_LENGTH;
  return w->sequences[g->slot].length == CALLS_CTX ? GPT2_FINISH_CONTEXT : GPT2_FINISH_NONE;
}

static void check_text(const world *w, plain_generation *g, const gpt2_piece *piece)
{
  uint8_t text[3 * MOST_PLAIN_TEXT];
  size_t begin;
  if (piece->token != CALLS_END) {
    size_t n = strlen(calls_texts[piece->token]);
    must(g->n_drawn_bytes + n <= sizeof g->drawn, "a generation of %zu bytes", g->n_drawn_bytes);
    memcpy(g->drawn + g->n_drawn_bytes, calls_texts[piece->token], n);
    g->n_drawn_bytes += n;
  }
  g->finish = finish_after(w, g, piece->token);
  bool at_end = g->finish != GPT2_FINISH_NONE;
  size_t size = plain_characters(g->drawn, g->n_drawn_bytes,
                                 g->options.flags & GPT2_GENERATE_REPLACE, at_end, text);
  if (find_stop(g, text, size, &begin)) {
    g->finish = GPT2_FINISH_STOP;
    size = begin;
  } else if (!at_end) {
    size -= held_back(g, text, size);
  }
  must(piece->finish == g->finish, "finish %d, not %d", (int)piece->finish, (int)g->finish);
  must(piece->size == size - g->n_said && memcmp(piece->text, text + g->n_said, piece->size) == 0,
       "a piece of %zu bytes, not %zu", (size_t)piece->size, size - g->n_said);
  g->n_said = size;
}

static plain_sampler *sampler_of(world *w, plain_generation *g)
{
  if (g->sampler >= 0)
    return &w->samplers[g->sampler];
  return g->options.sampling ? &g->own : NULL;
}

/* The pending token and the prompt, whichever are due, are evaluated. */
static void take_due(world *w, plain_generation *g)
{
  plain_sequence *s = &w->sequences[g->slot];
  gpt2_row rows[1 + sizeof g->prompt / sizeof *g->prompt] = {{.token = s->pending}};
  int slots[1 + sizeof g->prompt / sizeof *g->prompt];
  size_t n = s->pending >= 0 ? 1 : 0;
  for (size_t i = 0; g->prompt_is_due && i < g->n_prompt; i++)
    rows[n++] = (gpt2_row){.token = g->prompt[i]};
  for (size_t i = 0; i < n; i++)
    slots[i] = g->slot;
  must(s->length + n <= CALLS_CTX && (n > 0 || s->has_logits), "there is nothing to draw from");
  if (n > 0)
    take_batch(w, rows, slots, n);
  g->prompt_is_due = false;
}

/* Takes a piece as the next one: a token is drawn, and what it says is told. */
static void take_piece(world *w, plain_generation *g, const gpt2_piece *piece)
{
  plain_sequence *s = &w->sequences[g->slot];
  plain_sampler *sampler = sampler_of(w, g);
  take_due(w, g);
  must(is_token(piece->token), "token %d", (int)piece->token);
  const float *logits = expected_logits(w, s);
  must(s->inexact || piece->token == expected_draw(sampler, logits), "token %d is drawn",
       (int)piece->token);
  must(fabs((double)piece->logprob - calls_logprob(logits, piece->token)) < 1e-2, "%g, not %g",
       (double)piece->logprob, calls_logprob(logits, piece->token));
  if (sampler)
    sampler->n_accepted++;
  s->pending = piece->token;
  g->n_drawn++;
  check_text(w, g, piece);
}

/* What the next piece may fail with. */
static statuses judge_next(const world *w, const plain_generation *g)
{
  const plain_sequence *s = &w->sequences[g->slot];
  size_t n = (s->pending >= 0 ? 1 : 0) + (g->prompt_is_due ? g->n_prompt : 0);
  if (s->length + n > CALLS_CTX)
    return one_of(GPT2_ERR_CONTEXT_FULL);
  return n == 0 && !s->has_logits ? one_of(GPT2_ERR_NO_LOGITS) : 0;
}

/* A failure may have come before the evaluation, in it, or, of a sampler without memory, after it:
 * then what was due is in the sequence. */
static void take_failure(world *w, plain_generation *g, gpt2_status status)
{
  plain_sequence *s = &w->sequences[g->slot];
  if (status != GPT2_ERR_MEMORY && status != GPT2_ERR_CANCELLED)
    return;
  if (gpt2_kv_length(w->context, g->options.sequence) > s->length)
    take_due(w, g);
  w->views_unknown = true;
  s->has_logits = s->has_logits && gpt2_logits(w->context, g->options.sequence);
}

/* ---- What is asked for ---- */

static void take_prompt(world *w, plain_generation *g, char *text, size_t *size)
{
  uint8_t byte = take_byte(&w->input);
  g->options.n_prompt_tokens = 0;
  if (byte & 1)
    g->options.n_prompt_tokens = (uint32_t)take_tokens(w, g->tokens, byte & 16 ? CALLS_CTX : 3);
  g->options.prompt_tokens = g->tokens;
  *size = byte & 2 ? take_text(w, text) : 0;
}

static void take_options(world *w, plain_generation *g)
{
  static const gpt2_string stops[] = {{"b", 1},    {"ab", 2},   {"\xe2\x82\xac", 3},
                                      {"cd ", 3},  {"abab", 4}, {"\xef\xbf\xbd", 3},
                                      {"\xff", 1}, {"", 0}};
  uint8_t byte = take_byte(&w->input);
  g->options.struct_size = sizeof g->options;
  g->options.sequence = take_sequence(w, &g->slot);
  g->options.flags = byte < 250 ? byte & 7u : 8;
  g->options.max_tokens = byte < 250 ? byte / 8 % 8 : -1;
  g->options.n_stops = byte / 64 % (MOST_STOPS + 1);
  g->options.stops = g->stops;
  for (size_t i = 0; i < g->options.n_stops; i++) {
    uint8_t which = take_byte(&w->input);
    g->stops[i] = stops[which < 240 ? which % 6 : 6 + which % 2];
  }
  byte = take_byte(&w->input);
  g->sampler = byte % 4 < N_SAMPLERS && w->samplers[byte % 4].sampler ? byte % 4 : -1;
  if (g->sampler >= 0)
    g->options.sampler = w->samplers[g->sampler].sampler;
  else if (byte % 4 == 3)
    g->options.sampling = &g->own.options;
}

static statuses judge_stops(const plain_generation *g)
{
  statuses wrong = 0;
  for (size_t i = 0; i < g->options.n_stops; i++)
    if (g->stops[i].size == 0 || g->stops[i].bytes[0] == '\xff')
      wrong |= one_of(GPT2_ERR_ARGUMENT);
  return wrong;
}

/* The tokens of the prompt; what is wrong with them. */
static statuses make_prompt(const world *w, plain_generation *g, const char *text, size_t size)
{
  statuses wrong = 0;
  uint32_t flags = g->options.flags & GPT2_GENERATE_SPECIAL;
  gpt2_status status =
      gpt2_encode(w->model, text, size, flags, g->prompt, MOST_TAKEN_TEXT, &g->n_prompt, NULL);
  if (status != GPT2_OK) {
    g->n_prompt = 0;
    wrong |= one_of(status);
  }
  for (uint32_t i = 0; i < g->options.n_prompt_tokens; i++) {
    g->prompt[g->n_prompt++] = g->tokens[i];
    if (!is_token(g->tokens[i]))
      wrong |= one_of(GPT2_ERR_ARGUMENT);
  }
  if (g->slot < 0)
    return wrong | one_of(GPT2_ERR_ARGUMENT);
  const plain_sequence *s = &w->sequences[g->slot];
  size_t n_pending = s->pending >= 0 ? 1 : 0;
  if (g->n_prompt == 0 && s->length == 0)
    g->prompt[g->n_prompt++] = CALLS_END;
  if (g->n_prompt + n_pending == 0 && !s->has_logits)
    wrong |= one_of(GPT2_ERR_NO_LOGITS);
  if (s->length + g->n_prompt + n_pending > CALLS_CTX)
    wrong |= one_of(GPT2_ERR_CONTEXT_FULL);
  g->prompt_is_due = g->n_prompt > 0;
  return wrong;
}

/* Reads what a generation is to be; *size bytes of text are its prompt. What is wrong with it. */
static statuses take_generation(world *w, plain_generation *g, char *text, size_t *size)
{
  statuses wrong = 0;
  *g = (plain_generation){.context = w->context};
  take_options(w, g);
  if (g->options.sampling && !take_sampler_options(w, &g->own.options))
    wrong |= one_of(GPT2_ERR_ARGUMENT);
  take_prompt(w, g, text, size);
  wrong |= make_prompt(w, g, text, *size) | judge_stops(g);
  if (g->options.max_tokens < 0)
    wrong |= one_of(GPT2_ERR_ARGUMENT);
  if (g->options.flags & 8)
    wrong |= one_of(GPT2_ERR_UNSUPPORTED);
  return wrong;
}

/* ---- The calls ---- */

void call_generation_free(world *w)
{
  plain_generation *g = &w->generations[take_byte(&w->input) % N_GENERATIONS];
  gpt2_generation_free(g->generation);
  g->generation = NULL;
}

void call_generation_new(world *w)
{
  plain_generation made, *g = &w->generations[take_byte(&w->input) % N_GENERATIONS];
  char text[MOST_TAKEN_TEXT];
  size_t size;
  statuses wrong = take_generation(w, &made, text, &size);
  made.generation = (gpt2_generation *)w;
  call_begins(w);
  gpt2_status status = gpt2_generation_new(w->context, text, size, &made.options, &made.generation);
  bool done = call_ends(w, status, wrong, false, "gpt2_generation_new");
  must(done == (made.generation != NULL), "%s", gpt2_status_name(status));
  if (!done)
    return;
  must(gpt2_generation_prompt_length(made.generation) == made.n_prompt, "a prompt of %zu tokens",
       gpt2_generation_prompt_length(made.generation));
  gpt2_generation_free(g->generation);
  *g = made;
  if (g->options.sampling)
    g->options.sampling = &g->own.options;
  g->options.stops = g->stops; /* they have moved */
}

/* Generations with a sampler that is gone, or on a context that is, are not asked for more. */
static bool is_usable(const world *w, const plain_generation *g)
{
  return g->generation && g->context == w->context &&
         (g->sampler < 0 || w->samplers[g->sampler].sampler == g->options.sampler);
}

void call_generation_next(world *w)
{
  plain_generation *g = &w->generations[take_byte(&w->input) % N_GENERATIONS];
  gpt2_piece piece = {.struct_size = sizeof piece};
  if (!is_usable(w, g))
    return;
  bool finished = g->finish != GPT2_FINISH_NONE;
  statuses wrong = finished ? 0 : judge_next(w, g);
  call_begins(w);
  gpt2_status status = gpt2_generation_next(g->generation, &piece);
  if (!call_ends(w, status, wrong, !finished, "gpt2_generation_next"))
    take_failure(w, g, status);
  else if (finished)
    must(piece.finish == g->finish && piece.token == -1 && piece.size == 0, "more after the end");
  else
    take_piece(w, g, &piece);
}

/* What gpt2_generate calls back to. */
typedef struct listener {
  world *world;
  plain_generation *generation;
  int stop_at; /* the number of the piece that is the last; 0: none is */
  int n_pieces;
} listener;

static int32_t listen(const gpt2_piece *piece, void *user)
{
  listener *l = user;
  world *w = l->world;
  gpt2_token token;
  take_piece(w, l->generation, piece);
  must(gpt2_sample(w->context, 0, NULL, &token) == GPT2_ERR_BUSY, "the context is not busy");
  return ++l->n_pieces == l->stop_at;
}

static void check_result(const plain_generation *g, const gpt2_result *result, int32_t finish)
{
  must(result->n_prompt_tokens == (int32_t)g->n_prompt && result->n_tokens == g->n_drawn &&
           result->finish == finish,
       "%d + %d tokens, finish %d; not %zu + %d, finish %d", (int)result->n_prompt_tokens,
       (int)result->n_tokens, (int)result->finish, g->n_prompt, (int)g->n_drawn, (int)finish);
}

void call_generate(world *w)
{
  static plain_generation g;
  char text[MOST_TAKEN_TEXT];
  size_t size;
  gpt2_result result = {.struct_size = sizeof result};
  listener l = {.world = w, .generation = &g, .stop_at = take_byte(&w->input) % 8};
  statuses wrong = take_generation(w, &g, text, &size);
  call_begins(w);
  gpt2_status status = gpt2_generate(w->context, text, size, &g.options, listen, &l, &result);
  bool stops = g.finish == GPT2_FINISH_NONE && l.n_pieces > 0 && l.n_pieces == l.stop_at;
  if (call_ends(w, status, wrong, wrong == 0, "gpt2_generate"))
    check_result(&g, &result, stops ? GPT2_FINISH_CANCELLED : g.finish);
  else if (wrong == 0 && g.slot >= 0)
    take_failure(w, &g, status);
}
