/* score.c - how surprised the model is by a text of any length.
 *
 * BOS and the text are one list of tokens, cut into windows of n_ctx that start `stride` after one
 * another; a token is scored in the first window that holds it other than as its first. So every
 * token but those of the first window is judged with at least n_ctx - stride tokens before it. */
#include <math.h>

#include "model/context.h"
#include "model/text.h"

/* A score in progress. Tokens are counted in the list: BOS, if there is one, is its number 0. */
typedef struct scoring {
  gpt2_context *context;
  const gpt2_token *text;  /* (n_text) */
  size_t n_text, n_before; /* tokens of the text, and before it: 1 with BOS, else 0 */
  size_t stride;
  gpt2_score_callback callback;
  void *user;
  size_t reported; /* tokens of the list that were called back, or are BOS */
  gpt2_score_result result;
} scoring;

static gpt2_token token_at(const scoring *s, size_t i)
{
  return i < s->n_before ? s->context->model->bos_token : s->text[i - s->n_before];
}

/* ---- One window ---- */

/* Evaluates the window [start, end) and has those tokens scored that come after `reported`. Its
 * last token is never evaluated: nothing in the window follows whose probability it could change.
 */
static gpt2_status evaluate(const scoring *s, size_t start, size_t end)
{
  gpt2_context *c = s->context;
  size_t n_rows = end - start - 1;
  gpt2_status status = batch_reserve(&c->batch, n_rows, &c->error);
  if (status != GPT2_OK)
    return status;
  gpt2_row *rows = c->batch.rows;
  for (size_t i = 0; i < n_rows; i++)
    rows[i] =
        (gpt2_row){.token = token_at(s, start + i),
                   .sequence = KV_SCORING,
                   .flags = GPT2_ROW_NO_NEXT | (start + i + 1 >= s->reported ? GPT2_ROW_SCORE : 0),
                   .target = token_at(s, start + i + 1)};
  kv_cache_drop(&c->cache, KV_SCORING);
  return context_eval(c, rows, n_rows);
}

static void add_up(scoring *s, const gpt2_token_score *score)
{
  const gpt2_model *model = s->context->model;
  size_t size = 0;
  if (model->tokenizer)
    tokenizer_bytes(model->tokenizer, score->token, &size);
  s->result.n_scored++;
  s->result.scored_size += size;
  s->result.logprob += (double)score->logprob;
}

/* Calls back token i of the list, with the score of `row` or, if that is NULL, without one. */
static gpt2_status report(scoring *s, size_t i, const row_view *row)
{
  gpt2_token_score score = {.token = token_at(s, i)};
  size_t position = i - s->n_before;
  if (row && row->non_finite)
    return fail(&s->context->error, GPT2_ERR_NON_FINITE, NO_OFFSET,
                "token %zu (id %d): the logits are not finite", position, (int)score.token);
  if (row) {
    score = row->score;
    add_up(s, &score);
  }
  score.position = (int64_t)position;
  s->reported = i + 1;
  if (s->callback && s->callback(&score, s->user) != 0)
    return fail(&s->context->error, GPT2_ERR_CANCELLED, NO_OFFSET,
                "the callback stopped at token %zu", position);
  return GPT2_OK;
}

static gpt2_status score_window(scoring *s, size_t start, size_t end)
{
  gpt2_status status = GPT2_OK;
  if (start + 1 < end)
    status = evaluate(s, start, end);
  for (size_t i = s->reported; status == GPT2_OK && i < end; i++)
    status = report(s, i, i > start ? &s->context->batch.views[i - start - 1] : NULL);
  return status;
}

/* ---- All windows ---- */

static gpt2_status score_windows(scoring *s)
{
  size_t n = s->n_before + s->n_text, n_ctx = s->context->cache.n_ctx;
  s->reported = s->n_before;
  for (size_t start = 0; s->n_text > 0; start += s->stride) {
    size_t end = n - start < n_ctx ? n : start + n_ctx;
    gpt2_status status = score_window(s, start, end);
    if (status != GPT2_OK)
      return status;
    if (end == n)
      break;
  }
  return GPT2_OK;
}

static void finish(scoring *s)
{
  gpt2_score_result *r = &s->result;
  if (r->n_scored > 0)
    r->perplexity = exp(-r->logprob / (double)r->n_scored);
  if (r->scored_size > 0)
    r->bits_per_byte = -r->logprob / log(2.0) / (double)r->scored_size;
}

/* ---- The calls ---- */

static gpt2_status read_options(gpt2_context *c, const gpt2_score_options *given,
                                gpt2_score_options *o)
{
  gpt2_status status = struct_read(o, sizeof *o, given, "options", &c->error);
  if (status != GPT2_OK)
    return status;
  if (o->flags & ~(uint32_t)(GPT2_SCORE_NO_BOS | GPT2_SCORE_SPECIAL))
    return fail(&c->error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "options.flags: has unknown bits: 0x%x",
                (unsigned)o->flags);
  if (o->reserved != 0)
    return fail(&c->error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "options.reserved: is not zero");
  if (o->stride < 0 || (size_t)o->stride > c->cache.n_ctx)
    return fail(&c->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "options.stride: is %d; it must be from 1 to %zu, or 0", (int)o->stride,
                c->cache.n_ctx);
  if (o->stride == 0)
    o->stride = c->cache.n_ctx > 1 ? (int32_t)(c->cache.n_ctx / 2) : 1;
  return GPT2_OK;
}

static gpt2_status check_tokens(gpt2_context *c, const gpt2_token *tokens, size_t n_tokens)
{
  int32_t n_vocab = c->model->config.n_vocab;
  for (size_t i = 0; i < n_tokens; i++)
    if (tokens[i] < 0 || tokens[i] >= n_vocab)
      return fail(&c->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                  "token %zu of the text: is %d; the model's tokens go from 0 to %d", i,
                  (int)tokens[i], (int)n_vocab - 1);
  return GPT2_OK;
}

static gpt2_status score_tokens(gpt2_context *c, const gpt2_token *tokens, size_t n_tokens,
                                const gpt2_score_options *o, gpt2_score_callback callback,
                                void *user, gpt2_score_result *result)
{
  scoring s = {.context = c,
               .text = tokens,
               .n_text = n_tokens,
               .n_before = c->model->bos_token >= 0 && !(o->flags & GPT2_SCORE_NO_BOS) ? 1 : 0,
               .stride = (size_t)o->stride,
               .callback = callback,
               .user = user,
               .result = {.n_tokens = n_tokens}};
  gpt2_status status = check_tokens(c, tokens, n_tokens);
  if (status == GPT2_OK && result) /* refused before anything is evaluated */
    status = struct_write(result, &s.result, sizeof s.result, "result", &c->error);
  if (status != GPT2_OK)
    return status;
  status = score_windows(&s);
  kv_cache_drop(&c->cache, KV_SCORING);
  c->batch.n_rows = 0; /* its rows were ours: there is nothing for the caller to see */
  if (status != GPT2_OK)
    return status;
  finish(&s);
  return result ? struct_write(result, &s.result, sizeof s.result, "result", &c->error) : GPT2_OK;
}

gpt2_status gpt2_score_tokens(gpt2_context *context, const gpt2_token *tokens, size_t n_tokens,
                              const gpt2_score_options *options, gpt2_score_callback callback,
                              void *user, gpt2_score_result *result)
{
  gpt2_score_options read;
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  status = read_options(context, options, &read);
  if (status == GPT2_OK && !tokens && n_tokens > 0)
    status = fail_null(&context->error, "tokens");
  if (status == GPT2_OK)
    status = check_count("n_tokens", n_tokens, sizeof *tokens, &context->error);
  if (status == GPT2_OK)
    status = score_tokens(context, tokens, n_tokens, &read, callback, user, result);
  return context_end(context, status);
}

static gpt2_status score_text(gpt2_context *c, const char *text, size_t size,
                              const gpt2_score_options *o, gpt2_score_callback callback, void *user,
                              gpt2_score_result *result)
{
  gpt2_token *tokens;
  size_t n_tokens;
  uint32_t flags = o->flags & GPT2_SCORE_SPECIAL ? GPT2_ENCODE_SPECIAL : 0;
  gpt2_status status = text_encode(c->model, text, size, flags, &tokens, &n_tokens, &c->error);
  if (status == GPT2_OK)
    status = score_tokens(c, tokens, n_tokens, o, callback, user, result);
  release(&c->allocator, tokens);
  return status;
}

gpt2_status gpt2_score(gpt2_context *context, const char *text, size_t size,
                       const gpt2_score_options *options, gpt2_score_callback callback, void *user,
                       gpt2_score_result *result)
{
  gpt2_score_options read;
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  status = read_options(context, options, &read);
  if (status == GPT2_OK && !text && size > 0)
    status = fail_null(&context->error, "text");
  if (status == GPT2_OK)
    status = score_text(context, text, size, &read, callback, user, result);
  return context_end(context, status);
}
