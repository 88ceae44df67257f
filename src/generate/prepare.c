/* prepare.c - gets a generation ready: its options checked, its prompt in tokens, its sampler, and
 * memory for its text. Nothing is evaluated here. */
#include "generate/generation.h"

#include <string.h>

#include "generate/sampler.h"
#include "model/text.h"

/* ---- What the caller wants ---- */

static gpt2_status check_prompt_tokens(gpt2_context *context, const gpt2_generate_options *o)
{
  int32_t n_vocab = context->model->config.n_vocab;
  if (o->n_prompt_tokens > 0 && !o->prompt_tokens)
    return fail_null(&context->error, "options.prompt_tokens");
  for (uint32_t i = 0; i < o->n_prompt_tokens; i++)
    if (o->prompt_tokens[i] < 0 || o->prompt_tokens[i] >= n_vocab)
      return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                  "options.prompt_tokens[%u]: is %d; the model's tokens go from 0 to %d",
                  (unsigned)i, (int)o->prompt_tokens[i], (int)n_vocab - 1);
  return GPT2_OK;
}

static gpt2_status check_options(gpt2_context *context, const gpt2_generate_options *o)
{
  const uint32_t known = GPT2_GENERATE_SPECIAL | GPT2_GENERATE_IGNORE_END | GPT2_GENERATE_REPLACE;
  gpt2_status status = context_check_sequence(context, o->sequence);
  if (status != GPT2_OK)
    return status;
  if (o->flags & ~known)
    return fail(&context->error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
                "options.flags: has unknown bits: 0x%x", (unsigned)(o->flags & ~known));
  if (o->max_tokens < 0)
    return fail(&context->error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "options.max_tokens: is %d; it must be 0 (no limit) or more", (int)o->max_tokens);
  return check_prompt_tokens(context, o);
}

/* ---- The prompt ---- */

/* Puts together the tokens of the text (n_text) and those that were given; there is room for BOS
 * besides. */
static gpt2_status join_prompt(gpt2_generation *g, const gpt2_token *text, size_t n_text,
                               const gpt2_generate_options *o)
{
  size_t capacity;
  if (!add_size(&capacity, n_text, (size_t)o->n_prompt_tokens + 1))
    return fail_memory(generation_error(g), SIZE_MAX);
  g->prompt = allocate_array(&g->context->allocator, capacity, sizeof *g->prompt);
  if (!g->prompt)
    return fail(generation_error(g), GPT2_ERR_MEMORY, NO_OFFSET,
                "out of memory for a prompt of %zu tokens", capacity);
  if (n_text > 0)
    memcpy(g->prompt, text, n_text * sizeof *text);
  if (o->n_prompt_tokens > 0)
    memcpy(g->prompt + n_text, o->prompt_tokens, o->n_prompt_tokens * sizeof *o->prompt_tokens);
  g->n_prompt = n_text + o->n_prompt_tokens;
  return GPT2_OK;
}

static gpt2_status take_prompt(gpt2_generation *g, const char *text, size_t size,
                               const gpt2_generate_options *o)
{
  const gpt2_model *model = g->context->model;
  uint32_t flags = o->flags & GPT2_GENERATE_SPECIAL ? GPT2_ENCODE_SPECIAL : 0;
  gpt2_token *tokens = NULL;
  size_t n_tokens = 0;
  gpt2_status status = GPT2_OK;
  if (size > 0)
    status = text_encode(model, text, size, flags, &tokens, &n_tokens, generation_error(g));
  for (size_t i = 0; status == GPT2_OK && i < n_tokens; i++)
    if (tokens[i] >= model->config.n_vocab)
      status = fail(generation_error(g), GPT2_ERR_ARGUMENT, NO_OFFSET,
                    "prompt: becomes token %d, but the model's tokens go from 0 to %d",
                    (int)tokens[i], (int)model->config.n_vocab - 1);
  if (status == GPT2_OK)
    status = join_prompt(g, tokens, n_tokens, o);
  release(&model->allocator, tokens);
  return status;
}

static gpt2_status check_room(gpt2_generation *g, size_t length, size_t n_pending)
{
  size_t n_ctx = g->context->cache.n_ctx, room = n_ctx - length;
  if (n_pending > room)
    return fail(generation_error(g), GPT2_ERR_CONTEXT_FULL, NO_OFFSET,
                "sequence %d: is full: it has tokens at all of the model's %zu positions",
                (int)g->sequence, n_ctx);
  if (g->n_prompt > room - n_pending)
    return fail(generation_error(g), GPT2_ERR_CONTEXT_FULL, NO_OFFSET,
                "prompt: has %zu tokens; sequence %d has room for %zu of the model's %zu",
                g->n_prompt, (int)g->sequence, room - n_pending, n_ctx);
  return GPT2_OK;
}

/* An empty prompt starts an empty sequence with BOS, and continues another one; a long one must
 * fit. */
static gpt2_status settle_prompt(gpt2_generation *g)
{
  const gpt2_context *context = g->context;
  const kv_sequence *s = kv_cache_find(&context->cache, g->sequence);
  size_t length = s ? s->length : 0, n_pending = s && s->pending >= 0 ? 1 : 0;
  if (g->n_prompt == 0 && length == 0) { /* then nothing is pending either */
    if (context->model->bos_token < 0)
      return fail(generation_error(g), GPT2_ERR_NO_LOGITS, NO_OFFSET,
                  "prompt: is empty, sequence %d too, and the model has no token that begins a "
                  "text",
                  (int)g->sequence);
    g->prompt[g->n_prompt++] = context->model->bos_token;
  }
  if (g->n_prompt + n_pending == 0 && !context_logits(context, g->sequence))
    return fail(generation_error(g), GPT2_ERR_NO_LOGITS, NO_OFFSET,
                "prompt: is empty, and sequence %d has no next-token logits", (int)g->sequence);
  g->prompt_is_due = g->n_prompt > 0;
  return check_room(g, length, n_pending);
}

/* ---- The sampler and the text ---- */

/* A sampler of our own allocates as the model does, unless it is told otherwise. */
static gpt2_status make_sampler(gpt2_generation *g, const gpt2_generate_options *o)
{
  gpt2_sampler_options sampling;
  gpt2_allocator allocator = g->context->allocator;
  g->sampler = o->sampler;
  if (o->sampler || !o->sampling)
    return GPT2_OK;
  gpt2_status status =
      struct_read(&sampling, sizeof sampling, o->sampling, "options.sampling", generation_error(g));
  if (status != GPT2_OK)
    return status;
  sampling.struct_size = sizeof sampling;
  allocator.struct_size = sizeof allocator;
  if (!sampling.allocator)
    sampling.allocator = &allocator;
  status = sampler_new(&sampling, "options.sampling", &g->own_sampler, generation_error(g));
  g->sampler = g->own_sampler;
  if (status == GPT2_OK) /* so that no draw allocates */
    status =
        sampler_reserve(g->sampler, (size_t)g->context->model->config.n_vocab, generation_error(g));
  return status;
}

/* A piece is at most one token and, before and after it, what waits of a character; each byte may
 * become U+FFFD, three bytes. */
enum { WAITING_BYTES = 2 * 4, REPLACEMENT_BYTES = 3 };

static gpt2_status make_text_buffers(gpt2_generation *g, const gpt2_generate_options *o)
{
  const gpt2_model *model = g->context->model;
  size_t longest = model->tokenizer ? tokenizer_longest(model->tokenizer) : 0, longest_piece;
  if (o->n_stops > 0 && !model->tokenizer)
    return fail(generation_error(g), GPT2_ERR_NO_TOKENIZER, NO_OFFSET,
                "options.stops: the model has no tokenizer: %s", model->tokenizer_error.message);
  gpt2_status status = stream_init(&g->stream, &g->context->allocator, longest,
                                   o->flags & GPT2_GENERATE_REPLACE, generation_error(g));
  if (status != GPT2_OK)
    return status;
  if (!add_size(&longest_piece, longest, WAITING_BYTES) ||
      !mul_size(&longest_piece, longest_piece, REPLACEMENT_BYTES))
    return fail_memory(generation_error(g), longest);
  return stop_finder_init(&g->stops, &g->context->allocator, o->stops, o->n_stops, longest_piece,
                          generation_error(g));
}

/* ---- All of it ---- */

static gpt2_status prepare(gpt2_generation *g, const char *prompt, size_t size,
                           const gpt2_generate_options *o)
{
  gpt2_status status = take_prompt(g, prompt, size, o);
  if (status == GPT2_OK)
    status = settle_prompt(g);
  if (status == GPT2_OK)
    status = make_sampler(g, o);
  return status == GPT2_OK ? make_text_buffers(g, o) : status;
}

gpt2_status generation_new(gpt2_context *context, const char *prompt, size_t size,
                           const gpt2_generate_options *options, gpt2_generation **generation)
{
  gpt2_generate_options o;
  if (!generation || (!prompt && size > 0))
    return fail_null(&context->error, generation ? "prompt" : "generation");
  gpt2_status status = struct_read(&o, sizeof o, options, "options", &context->error);
  if (status == GPT2_OK)
    status = check_options(context, &o);
  if (status != GPT2_OK)
    return status;
  gpt2_generation *g = allocate_zeroed(&context->allocator, sizeof *g);
  if (!g)
    return fail_memory(&context->error, sizeof *g);
  context_ref(context);
  g->context = context;
  g->flags = o.flags;
  g->sequence = o.sequence;
  g->max_tokens = o.max_tokens;
  status = prepare(g, prompt, size, &o);
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
  gpt2_context *context = g->context;
  gpt2_sampler_free(g->own_sampler);
  stop_finder_free(&g->stops, &context->allocator);
  stream_free(&g->stream, &context->allocator);
  release(&context->allocator, g->prompt);
  release(&context->allocator, g);
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
