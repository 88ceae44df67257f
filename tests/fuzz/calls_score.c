/* calls_score.c - the calls that score texts. */
#include <math.h>
#include <string.h>

#include "fuzz/calls.h"

enum { MOST_SCORED = 40 };

/* A score, as its callback hears it. */
typedef struct listener {
  const world *world;
  gpt2_token list[1 + MOST_SCORED]; /* (n) BOS, if there is one, and the text */
  size_t n, n_before, stride;
  size_t reported; /* of the text */
  size_t n_scored, stop_at;
  double logprob;
} listener;

/* Where the window starts that token i of the list is scored in: the first that holds it other than
 * as its first token. */
static size_t window_of(const listener *l, size_t i)
{
  size_t start = 0;
  while (start + CALLS_CTX <= i)
    start += l->stride;
  return start;
}

/* Has the logits of whole windows computed, and so those of all beginnings. */
static void expect_windows(const listener *l)
{
  for (size_t i = l->n; i-- > 1;) {
    size_t start = window_of(l, i);
    if (i > start && (i + 1 == l->n || window_of(l, i + 1) > start))
      calls_logits(l->list + start, i - start, l->world->kv_type);
  }
}

static int32_t hear(const gpt2_token_score *score, void *user)
{
  listener *l = user;
  size_t i = l->reported + l->n_before, start = window_of(l, i);
  must(score->position == (int64_t)l->reported && score->token == l->list[i], "token %zu is %d",
       l->reported, (int)score->token);
  must((score->rank == 0) == (i == start), "token %zu has rank %d", l->reported, (int)score->rank);
  l->reported++;
  if (score->rank > 0) {
    const float *logits = calls_logits(l->list + start, i - start, l->world->kv_type);
    double expected = calls_logprob(logits, score->token);
    must(fabs((double)score->logprob - expected) < 1e-2, "token %zu: %g, not %g", i,
         (double)score->logprob, expected);
    l->n_scored++;
    l->logprob += (double)score->logprob;
  }
  return l->reported == l->stop_at;
}

static void check_result(const listener *l, const gpt2_score_result *result)
{
  size_t n_text = l->n - l->n_before;
  must(l->reported == n_text && result->n_tokens == n_text && result->n_scored == l->n_scored,
       "%zu tokens reported of %zu", l->reported, n_text);
  must(fabs(result->logprob - l->logprob) < 1e-6 * (1 + fabs(l->logprob)), "%g, not %g",
       result->logprob, l->logprob);
  must((result->perplexity == 0) == (l->n_scored == 0), "perplexity %g", result->perplexity);
}

/* The tokens to be scored: of a text (size, and *text is set), or as they are. What is wrong. */
static statuses take_list(world *w, listener *l, uint32_t flags, char *text, size_t *size)
{
  size_t n = 0;
  statuses wrong = 0;
  gpt2_token *tokens = l->list + l->n_before;
  if (take_byte(&w->input) % 4 == 0) {
    *size = take_text(w, text);
    gpt2_status status =
        gpt2_encode(w->model, text, *size, flags & GPT2_SCORE_SPECIAL ? GPT2_ENCODE_SPECIAL : 0,
                    tokens, MOST_SCORED, &n, NULL);
    wrong = status == GPT2_OK ? 0 : one_of(status);
    n = status == GPT2_OK ? n : 0;
  } else {
    *size = SIZE_MAX;
    n = take_tokens(w, tokens, MOST_SCORED);
    for (size_t i = 0; i < n; i++)
      if (!is_token(tokens[i]))
        wrong = one_of(GPT2_ERR_ARGUMENT);
  }
  l->n = n + l->n_before;
  return wrong;
}

void call_score(world *w)
{
  char text[MOST_TAKEN_TEXT];
  size_t size;
  uint8_t byte = take_byte(&w->input);
  gpt2_score_options options = {.struct_size = sizeof options,
                                .flags = byte < 250 ? byte & 3u : 4,
                                .stride = byte < 250 ? byte / 4 % (CALLS_CTX + 1) : -1};
  listener l = {.world = w,
                .list = {CALLS_END},
                .n_before = options.flags & GPT2_SCORE_NO_BOS ? 0 : 1,
                .stride = options.stride > 0 ? (size_t)options.stride : CALLS_CTX / 2,
                .stop_at = take_byte(&w->input)};
  gpt2_score_result result = {.struct_size = sizeof result};
  statuses wrong = take_list(w, &l, options.flags, text, &size);
  if (options.flags & 4)
    wrong |= one_of(GPT2_ERR_UNSUPPORTED);
  if (options.stride < 0)
    wrong |= one_of(GPT2_ERR_ARGUMENT);
  if (wrong == 0)
    expect_windows(&l);
  bool asks = wrong == 0 && l.n > 1 && l.n > l.n_before;
  call_begins(w);
  gpt2_status status = size < SIZE_MAX
                           ? gpt2_score(w->context, text, size, &options, hear, &l, &result)
                           : gpt2_score_tokens(w->context, l.list + l.n_before, l.n - l.n_before,
                                               &options, hear, &l, &result);
  w->aborted = w->aborted || (l.stop_at > 0 && l.reported == l.stop_at);
  if (call_ends(w, status, wrong, asks, "gpt2_score"))
    check_result(&l, &result);
  if (wrong == 0) /* the rows of the last batch have made room for its own */
    w->views_unknown = true;
}
