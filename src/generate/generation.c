/* generation.c - continues a text, one token a call.
 *
 * Each call evaluates what is due - the prompt at first, then the token drawn last, which the
 * sequence remembers as pending - draws the next token, and puts its bytes through the stream of
 * whole characters and the finder of stop strings. Nothing is lost when a call fails: what was
 * evaluated is in the sequence, what was not is still due. */
#include "generate/generation.h"

#include "generate/sampler.h"
#include "model/score_row.h"

/* ---- The next token ---- */

/* Evaluates the token that is pending and then the prompt, whichever are due. */
static gpt2_status evaluate_due(gpt2_generation *g)
{
  gpt2_context *context = g->context;
  const kv_sequence *s = kv_cache_find(&context->cache, g->sequence);
  gpt2_token pending = s ? s->pending : -1;
  size_t n_prompt = g->prompt_is_due ? g->n_prompt : 0, n_rows = n_prompt + (pending >= 0 ? 1 : 0);
  if (n_rows == 0)
    return GPT2_OK;
  gpt2_status status = batch_reserve(&context->batch, n_rows, generation_error(g));
  if (status != GPT2_OK)
    return status;
  gpt2_row *row = context->batch.rows;
  if (pending >= 0)
    *row++ = (gpt2_row){.token = pending, .sequence = g->sequence};
  for (size_t i = 0; i < n_prompt; i++)
    *row++ = (gpt2_row){.token = g->prompt[i], .sequence = g->sequence};
  status = context_eval(context, context->batch.rows, n_rows);
  if (status == GPT2_OK)
    g->prompt_is_due = false;
  return status;
}

/* Draws a token, whose natural log-probability goes to *logprob. */
static gpt2_status draw(gpt2_generation *g, gpt2_token *token, float *logprob)
{
  gpt2_context *context = g->context;
  size_t n_vocab = (size_t)context->model->config.n_vocab;
  const float *logits = context_logits(context, g->sequence);
  if (!logits)
    return fail(&context->error, GPT2_ERR_NO_LOGITS, NO_OFFSET,
                "sequence %d: has no next-token logits: evaluate a token, or give a prompt",
                (int)g->sequence);
  float greatest;
  gpt2_status status = sampler_draw(g->sampler, logits, n_vocab, token, &greatest, &context->error);
  if (status != GPT2_OK)
    return status;
  *logprob = row_logprob(kernels_in_use(), logits, n_vocab, greatest, *token);
  sampler_accept(g->sampler, *token);
  kv_cache_find(&context->cache, g->sequence)->pending = *token;
  g->n_drawn++;
  return GPT2_OK;
}

/* ---- What it brings ---- */

/* What ends the generation after this token, if anything but a stop string does. */
static int32_t finish_after(const gpt2_generation *g, gpt2_token token)
{
  if (model_is_eos(g->context->model, token) && !(g->flags & GPT2_GENERATE_IGNORE_END))
    return GPT2_FINISH_END;
  if (g->max_tokens > 0 && g->n_drawn >= g->max_tokens)
    return GPT2_FINISH_LENGTH;
  if (gpt2_kv_length(g->context, g->sequence) == g->context->cache.n_ctx)
    return GPT2_FINISH_CONTEXT;
  return GPT2_FINISH_NONE;
}

/* Puts the bytes of a token through the stream of whole characters; end tokens have no text. */
static void add_text(gpt2_generation *g, gpt2_token token)
{
  const gpt2_model *model = g->context->model;
  size_t n_bytes = 0;
  const char *bytes = NULL;
  if (model->tokenizer && !model_is_eos(model, token))
    bytes = tokenizer_bytes(model->tokenizer, token, &n_bytes);
  size_t size = stream_push(&g->stream, bytes, n_bytes);
  stop_finder_add(&g->stops, g->stream.text, size);
}

/* The text that `token` completes; at the end, also what was held back. */
static void make_piece(gpt2_generation *g, gpt2_token token, gpt2_piece *piece)
{
  size_t size;
  g->finish = finish_after(g, token);
  bool at_end = g->finish != GPT2_FINISH_NONE;
  add_text(g, token);
  if (at_end) {
    size = stream_finish(&g->stream);
    stop_finder_add(&g->stops, g->stream.text, size);
  }
  if (stop_finder_take(&g->stops, at_end, &size))
    g->finish = GPT2_FINISH_STOP;
  piece->token = token;
  piece->finish = g->finish;
  piece->text = g->stops.text;
  piece->size = size;
}

/* As gpt2_generation_next, between context_begin and context_end. */
static gpt2_status next(gpt2_generation *g, gpt2_piece *piece)
{
  *piece = (gpt2_piece){.struct_size = sizeof *piece, .finish = g->finish, .token = -1, .text = ""};
  if (g->finish != GPT2_FINISH_NONE)
    return GPT2_OK;
  if (context_stopped(g->context))
    return fail(generation_error(g), GPT2_ERR_CANCELLED, NO_OFFSET, "cancelled before a token");
  gpt2_token token;
  gpt2_status status = evaluate_due(g);
  if (status == GPT2_OK)
    status = draw(g, &token, &piece->logprob);
  if (status == GPT2_OK)
    make_piece(g, token, piece);
  return status;
}

gpt2_status gpt2_generation_next(gpt2_generation *g, gpt2_piece *piece)
{
  gpt2_piece known = {.token = -1, .text = ""};
  if (!g)
    return GPT2_ERR_ARGUMENT;
  gpt2_status status = context_begin(g->context);
  if (status != GPT2_OK)
    return status;
  status = struct_write(piece, &known, sizeof known, "piece", generation_error(g));
  if (status == GPT2_OK) /* a piece that cannot be filled was refused before a token is drawn */
    status = next(g, &known);
  if (status == GPT2_OK)
    status = struct_write(piece, &known, sizeof known, "piece", generation_error(g));
  return context_end(g->context, status);
}

/* ---- All at once ---- */

const char *gpt2_finish_name(int32_t finish)
{
  static const char *const names[] = {
      [GPT2_FINISH_NONE] = "none",       [GPT2_FINISH_LENGTH] = "length",
      [GPT2_FINISH_STOP] = "stop",       [GPT2_FINISH_END] = "end",
      [GPT2_FINISH_CONTEXT] = "context", [GPT2_FINISH_CANCELLED] = "cancelled"};
  bool known = finish >= 0 && (size_t)finish < sizeof names / sizeof *names;
  return names[known ? finish : GPT2_FINISH_NONE];
}

/* Pulls pieces until there is a finish, of the generation's or of the callback's. */
static gpt2_status pull_all(gpt2_generation *g, gpt2_text_callback callback, void *user,
                            gpt2_result *result)
{
  while (result->finish == GPT2_FINISH_NONE) {
    gpt2_piece piece;
    gpt2_status status = next(g, &piece);
    if (status != GPT2_OK)
      return status;
    result->finish = piece.finish;
    result->n_tokens = g->n_drawn;
    if (callback && callback(&piece, user) != 0 && piece.finish == GPT2_FINISH_NONE)
      result->finish = GPT2_FINISH_CANCELLED;
  }
  return GPT2_OK;
}

static gpt2_status generate(gpt2_generation *g, gpt2_text_callback callback, void *user,
                            gpt2_result *result)
{
  gpt2_result known = {.n_prompt_tokens = (int32_t)g->n_prompt, .seed = gpt2_generation_seed(g)};
  if (!result)
    return pull_all(g, callback, user, &known);
  gpt2_status status = struct_write(result, &known, sizeof known, "result", generation_error(g));
  if (status != GPT2_OK) /* before anything is evaluated */
    return status;
  status = pull_all(g, callback, user, &known);
  struct_write(result, &known, sizeof known, "result", NULL); /* a failure tells how far it came */
  return status;
}

gpt2_status gpt2_generate(gpt2_context *context, const char *prompt, size_t size,
                          const gpt2_generate_options *options, gpt2_text_callback callback,
                          void *user, gpt2_result *result)
{
  gpt2_generation *g = NULL;
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  status = generation_new(context, prompt, size, options, &g);
  if (status == GPT2_OK)
    status = generate(g, callback, user, result);
  context_end(context, status); /* first: with the generation, the context may go */
  gpt2_generation_free(g);
  return status;
}
