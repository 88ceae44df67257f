/* generation.c - continues a text, one token a call.
 *
 * Each call evaluates what is due - the prompt at first, then the token drawn last, which the sequence remembers as
 * pending - draws the next token, and puts its bytes through the stream of whole characters and the finder of stop
 * strings. Nothing is lost when a call fails: what was evaluated is in the sequence, what was not is still due. */
#include "generate/sampler.h"
#include "generate/stop.h"
#include "model/context.h"
#include "model/score_row.h"
#include "tokenizer/stream.h"

struct gpt2_generation {
  gpt2_context *context;
  gpt2_allocator allocator;
  gpt2_generate_options options; /* the pointers in it are not used after gpt2_generation_new */
  gpt2_sampler *sampler;         /* the caller's or own_sampler; NULL: greedy */
  gpt2_sampler *own_sampler;
  gpt2_token *prompt;            /* (n_prompt); not evaluated yet if prompt_is_due */
  size_t n_prompt;
  bool prompt_is_due;
  stream stream;
  stop_finder stops;
  int32_t n_drawn;
  int32_t finish;                /* GPT2_FINISH_... */
};

static gpt2_error *error_of(gpt2_generation *g)
{
  return &g->context->error;
}

/* ---- One more token ---- */

/* Evaluates the token that is pending and the prompt, whichever are due. */
static gpt2_status evaluate_due(gpt2_generation *g)
{
  gpt2_context *context = g->context;
  kv_sequence *s = kv_cache_make(&context->cache, g->options.sequence);
  if (!s)
    return fail_memory(error_of(g), sizeof *s);
  size_t n_prompt = g->prompt_is_due ? g->n_prompt : 0, n_pending = s->pending >= 0 ? 1 : 0;
  if (n_prompt + n_pending == 0)
    return GPT2_OK;
  gpt2_status status = batch_reserve(&context->batch, n_prompt + n_pending, error_of(g));
  if (status != GPT2_OK)
    return status;
  gpt2_row *rows = context->batch.rows;
  rows[0].token = s->pending; /* if there is none, the prompt begins here */
  for (size_t i = 0; i < n_prompt; i++)
    rows[n_pending + i].token = g->prompt[i];
  for (size_t i = 0; i < n_prompt + n_pending; i++)
    rows[i] = (gpt2_row){.token = rows[i].token, .sequence = g->options.sequence};
  status = context_eval(context, rows, n_prompt + n_pending);
  if (status == GPT2_OK)
    g->prompt_is_due = false;
  return status;
}

/* Draws a token, whose natural log-probability goes to *logprob. */
static gpt2_status draw(gpt2_generation *g, gpt2_token *token, float *logprob)
{
  const gpt2_model *model = g->context->model;
  size_t n_vocab = (size_t)model->config.n_vocab;
  const float *logits = context_logits(g->context, g->options.sequence);
  if (!logits)
    return fail(error_of(g), GPT2_ERR_NO_LOGITS, NO_OFFSET,
                "sequence %d: has no next-token logits: evaluate a token, or give a prompt", (int)g->options.sequence);
  gpt2_status status = sampler_draw(g->sampler, logits, n_vocab, token, error_of(g));
  if (status != GPT2_OK)
    return status;
  gpt2_token_score score;
  score_row(kernels_in_use(), logits, n_vocab, *token, &score); /* finite: the sampler has looked */
  *logprob = score.logprob;
  sampler_accept(g->sampler, *token);
  kv_cache_find(&g->context->cache, g->options.sequence)->pending = *token;
  return GPT2_OK;
}

static bool is_end(const gpt2_generation *g, gpt2_token token)
{
  return model_is_eos(g->context->model, token) && !(g->options.flags & GPT2_GENERATE_IGNORE_END);
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

/* What ends the generation after this token, if anything but a stop string does. */
static int32_t finish_after(const gpt2_generation *g, gpt2_token token)
{
  if (is_end(g, token))
    return GPT2_FINISH_END;
  if (g->options.max_tokens > 0 && g->n_drawn >= g->options.max_tokens)
    return GPT2_FINISH_LENGTH;
  if (gpt2_kv_length(g->context, g->options.sequence) == g->context->cache.n_ctx)
    return GPT2_FINISH_CONTEXT;
  return GPT2_FINISH_NONE;
}

/* The text that `token` completes; at the end, also what was held back. */
static void make_piece(gpt2_generation *g, gpt2_token token, gpt2_piece *piece)
{
  size_t size;
  g->finish = finish_after(g, token);
  add_text(g, token);
  if (g->finish != GPT2_FINISH_NONE) {
    size = stream_finish(&g->stream);
    stop_finder_add(&g->stops, g->stream.text, size);
  }
  if (stop_finder_take(&g->stops, g->finish != GPT2_FINISH_NONE, &size))
    g->finish = GPT2_FINISH_STOP;
  piece->token = token;
  piece->finish = g->finish;
  piece->text = g->stops.text;
  piece->size = size;
}

static gpt2_status next(gpt2_generation *g, gpt2_piece *piece)
{
  if (g->finish != GPT2_FINISH_NONE) {
    piece->finish = g->finish;
    return GPT2_OK;
  }
  gpt2_token token;
  gpt2_status status = context_stopped(g->context)
                           ? fail(error_of(g), GPT2_ERR_CANCELLED, NO_OFFSET, "cancelled before a token")
                           : evaluate_due(g);
  if (status == GPT2_OK)
    status = draw(g, &token, &piece->logprob);
  if (status != GPT2_OK)
    return status;
  g->n_drawn++;
  make_piece(g, token, piece);
  return GPT2_OK;
}

gpt2_status gpt2_generation_next(gpt2_generation *g, gpt2_piece *piece)
{
  gpt2_piece known = {.token = -1, .text = ""};
  if (!g)
    return GPT2_ERR_ARGUMENT;
  gpt2_status status = context_begin(g->context);
  if (status != GPT2_OK)
    return status;
  status = struct_write(piece, &known, sizeof known, "piece", error_of(g)); /* refused before a token is drawn */
  if (status == GPT2_OK)
    status = next(g, &known);
  if (status == GPT2_OK)
    status = struct_write(piece, &known, sizeof known, "piece", error_of(g));
  return context_end(g->context, status);
}

/* ---- Getting ready ---- */

static gpt2_status check_options(gpt2_context *context, const gpt2_generate_options *o)
{
  const uint32_t known = GPT2_GENERATE_SPECIAL | GPT2_GENERATE_IGNORE_END | GPT2_GENERATE_REPLACE;
  gpt2_status status = context_check_sequence(context, o->sequence);
  if (status != GPT2_OK)
    return status;
  if (o->flags & ~known)
    return fail(&context->error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "options.flags: has unknown bits: 0x%x",
                (unsigned)o->flags);
  if (o->max_tokens < 0)
    return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET, "options.max_tokens: is %d; 0 is no limit",
                (int)o->max_tokens);
  if (o->n_prompt_tokens > 0 && !o->prompt_tokens)
    return fail_null(&context->error, "options.prompt_tokens");
  for (uint32_t i = 0; i < o->n_prompt_tokens; i++)
    if (o->prompt_tokens[i] < 0 || o->prompt_tokens[i] >= context->model->config.n_vocab)
      return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                  "options.prompt_tokens[%u]: is %d; the model's tokens go from 0 to %d", (unsigned)i,
                  (int)o->prompt_tokens[i], (int)context->model->config.n_vocab - 1);
  return GPT2_OK;
}

/* The prompt as tokens: first that in text, then that in tokens; at most one token a byte. */
static gpt2_status encode_prompt(gpt2_generation *g, const char *text, size_t size)
{
  gpt2_model *model = g->context->model;
  const gpt2_generate_options *o = &g->options;
  size_t capacity, n_text = 0;
  if (!add_size(&capacity, size, (size_t)o->n_prompt_tokens) || !add_size(&capacity, capacity, 1))
    return fail_memory(error_of(g), size);
  g->prompt = allocate_array(&g->allocator, capacity, sizeof *g->prompt);
  if (!g->prompt)
    return fail_memory(error_of(g), capacity * sizeof *g->prompt);
  uint32_t flags = o->flags & GPT2_GENERATE_SPECIAL ? GPT2_ENCODE_SPECIAL : 0;
  if (size > 0) {
    gpt2_status status = gpt2_encode(model, text, size, flags, g->prompt, capacity, &n_text, error_of(g));
    if (status != GPT2_OK)
      return status;
  }
  for (uint32_t i = 0; i < o->n_prompt_tokens; i++)
    g->prompt[n_text + i] = o->prompt_tokens[i];
  g->n_prompt = n_text + o->n_prompt_tokens;
  return GPT2_OK;
}

/* An empty prompt starts an empty sequence with BOS; a long one must fit. */
static gpt2_status settle_prompt(gpt2_generation *g)
{
  const gpt2_context *context = g->context;
  const kv_sequence *s = kv_cache_find(&context->cache, g->options.sequence);
  size_t length = s ? s->length : 0, pending = s && s->pending >= 0 ? 1 : 0;
  int32_t n_vocab = context->model->config.n_vocab;
  if (g->n_prompt == 0 && length + pending == 0) {
    if (context->model->bos_token < 0)
      return fail(error_of(g), GPT2_ERR_NO_LOGITS, NO_OFFSET,
                  "prompt: is empty, sequence %d too, and the model has no token that begins a text",
                  (int)g->options.sequence);
    g->prompt[g->n_prompt++] = context->model->bos_token;
  }
  for (size_t i = 0; i < g->n_prompt; i++)
    if (g->prompt[i] >= n_vocab)
      return fail(error_of(g), GPT2_ERR_ARGUMENT, NO_OFFSET,
                  "prompt: becomes token %d, but the model's tokens go from 0 to %d", (int)g->prompt[i],
                  (int)n_vocab - 1);
  if (g->n_prompt + pending > context->cache.n_ctx - length)
    return fail(error_of(g), GPT2_ERR_CONTEXT_FULL, NO_OFFSET,
                "prompt: has %zu tokens; sequence %d has room for %zu of the model's %zu", g->n_prompt,
                (int)g->options.sequence, context->cache.n_ctx - length - pending, context->cache.n_ctx);
  if (g->n_prompt + pending == 0 && !context_logits(context, g->options.sequence))
    return fail(error_of(g), GPT2_ERR_NO_LOGITS, NO_OFFSET,
                "prompt: is empty, and sequence %d has no next-token logits", (int)g->options.sequence);
  g->prompt_is_due = g->n_prompt > 0;
  return GPT2_OK;
}

static gpt2_status make_sampler(gpt2_generation *g)
{
  g->sampler = g->options.sampler;
  if (g->sampler || !g->options.sampling)
    return GPT2_OK;
  gpt2_status status = gpt2_sampler_new(g->options.sampling, &g->own_sampler, error_of(g));
  g->sampler = g->own_sampler;
  return status;
}

/* A piece is at most one token and, before and after it, what waits of a character; each byte may become U+FFFD,
 * three bytes. */
enum { WAITING_BYTES = 2 * 4, REPLACEMENT_BYTES = 3 };

static gpt2_status make_text_buffers(gpt2_generation *g)
{
  const tokenizer *t = g->context->model->tokenizer;
  size_t longest = t ? tokenizer_longest(t) : 0, longest_piece;
  if (g->options.n_stops > 0 && !t)
    return fail(error_of(g), GPT2_ERR_NO_TOKENIZER, NO_OFFSET, "options.stops: the model has no tokenizer: %s",
                g->context->model->tokenizer_error.message);
  gpt2_status status = stream_init(&g->stream, &g->allocator, longest, g->options.flags & GPT2_GENERATE_REPLACE,
                                   error_of(g));
  if (status != GPT2_OK)
    return status;
  if (!add_size(&longest_piece, longest, WAITING_BYTES) ||
      !mul_size(&longest_piece, longest_piece, REPLACEMENT_BYTES))
    return fail_memory(error_of(g), longest);
  return stop_finder_init(&g->stops, &g->allocator, g->options.stops, g->options.n_stops, longest_piece, error_of(g));
}

static gpt2_status prepare(gpt2_generation *g, const char *prompt, size_t size)
{
  gpt2_status status = encode_prompt(g, prompt, size);
  if (status == GPT2_OK)
    status = settle_prompt(g);
  if (status == GPT2_OK)
    status = make_sampler(g);
  return status == GPT2_OK ? make_text_buffers(g) : status;
}

static gpt2_status generation_new(gpt2_context *context, const char *prompt, size_t size,
                                  const gpt2_generate_options *options, gpt2_generation **generation)
{
  gpt2_generate_options read;
  if (!generation || (!prompt && size > 0))
    return fail_null(&context->error, generation ? "prompt" : "generation");
  gpt2_status status = struct_read(&read, sizeof read, options, "options", &context->error);
  if (status == GPT2_OK)
    status = check_options(context, &read);
  if (status != GPT2_OK)
    return status;
  gpt2_generation *g = allocate_zeroed(&context->allocator, sizeof *g);
  if (!g)
    return fail_memory(&context->error, sizeof *g);
  context_ref(context);
  g->context = context;
  g->allocator = context->allocator;
  g->options = read;
  status = prepare(g, prompt, size);
  if (status != GPT2_OK) {
    gpt2_generation_free(g);
    return status;
  }
  *generation = g;
  return GPT2_OK;
}

gpt2_status gpt2_generation_new(gpt2_context *context, const char *prompt, size_t size,
                                const gpt2_generate_options *options, gpt2_generation **generation)
{
  if (generation)
    *generation = NULL;
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  return context_end(context, generation_new(context, prompt, size, options, generation));
}

void gpt2_generation_free(gpt2_generation *g)
{
  if (!g)
    return;
  gpt2_allocator allocator = g->allocator;
  gpt2_context *context = g->context;
  gpt2_sampler_free(g->own_sampler);
  stop_finder_free(&g->stops, &allocator);
  stream_free(&g->stream, &allocator);
  release(&allocator, g->prompt);
  release(&allocator, g);
  gpt2_context_free(context);
}

uint64_t gpt2_generation_seed(const gpt2_generation *g)
{
  return g ? gpt2_sampler_seed(g->sampler) : 0;
}

size_t gpt2_generation_prompt_length(const gpt2_generation *g)
{
  return g ? g->n_prompt : 0;
}

/* ---- All at once ---- */

const char *gpt2_finish_name(int32_t finish)
{
  static const char *const names[] = {[GPT2_FINISH_NONE] = "none",       [GPT2_FINISH_LENGTH] = "length",
                                      [GPT2_FINISH_STOP] = "stop",       [GPT2_FINISH_END] = "end",
                                      [GPT2_FINISH_CONTEXT] = "context", [GPT2_FINISH_CANCELLED] = "cancelled"};
  return finish >= 0 && finish <= GPT2_FINISH_CANCELLED ? names[finish] : names[GPT2_FINISH_NONE];
}

/* Pulls pieces until there is a finish, of the generation's or of the callback's. */
static gpt2_status pull_all(gpt2_generation *g, gpt2_text_callback callback, void *user, gpt2_result *result)
{
  while (result->finish == GPT2_FINISH_NONE) {
    gpt2_piece piece = {.struct_size = sizeof piece};
    gpt2_status status = gpt2_generation_next(g, &piece);
    if (status != GPT2_OK)
      return status;
    result->finish = piece.finish;
    if (callback && callback(&piece, user) != 0 && piece.finish == GPT2_FINISH_NONE)
      result->finish = GPT2_FINISH_CANCELLED;
    result->n_tokens = g->n_drawn;
  }
  return GPT2_OK;
}

gpt2_status gpt2_generate(gpt2_context *context, const char *prompt, size_t size,
                          const gpt2_generate_options *options, gpt2_text_callback callback, void *user,
                          gpt2_result *result)
{
  gpt2_generation *g;
  gpt2_status status = gpt2_generation_new(context, prompt, size, options, &g);
  if (status != GPT2_OK)
    return status;
  gpt2_result known = {.n_prompt_tokens = (int32_t)g->n_prompt, .seed = gpt2_generation_seed(g)};
  if (result) /* refused before anything is evaluated */
    status = struct_write(result, &known, sizeof known, "result", &context->error);
  if (status == GPT2_OK)
    status = pull_all(g, callback, user, &known);
  if (result)
    struct_write(result, &known, sizeof known, "result", NULL);
  gpt2_generation_free(g);
  return status;
}

gpt2_status gpt2_sample(gpt2_context *context, int32_t sequence, gpt2_sampler *sampler, gpt2_token *token)
{
  gpt2_status status = context_begin(context);
  if (status != GPT2_OK)
    return status;
  const float *logits = NULL;
  status = token ? context_check_sequence(context, sequence) : fail_null(&context->error, "token");
  if (status == GPT2_OK)
    logits = context_logits(context, sequence);
  if (status == GPT2_OK && !logits)
    status = fail(&context->error, GPT2_ERR_NO_LOGITS, NO_OFFSET, "sequence %d: has no next-token logits",
                  (int)sequence);
  if (status == GPT2_OK)
    status = sampler_draw(sampler, logits, (size_t)context->model->config.n_vocab, token, &context->error);
  if (status == GPT2_OK)
    sampler_accept(sampler, *token);
  return context_end(context, status);
}
