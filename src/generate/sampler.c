/* sampler.c - samplers: options, a seed, and how many tokens were accepted. */
#include "generate/sampler.h"

#include <math.h>
#include <stdio.h>

#include "base/entropy.h"
#include "generate/draw.h"
#include "generate/random.h"
#include "model/context.h"

struct gpt2_sampler {
  gpt2_allocator allocator;
  gpt2_sampler_options options;
  uint64_t seed;
  uint64_t n_accepted; /* the index of the next random number */
  draw_room room;
};

/* ---- Drawing ---- */

gpt2_status sampler_reserve(gpt2_sampler *s, size_t n_vocab, gpt2_error *error)
{
  return draw_room_reserve(&s->room, &s->allocator, &s->options, n_vocab, error);
}

gpt2_status sampler_draw(gpt2_sampler *s, const float *logits, size_t n_vocab, gpt2_token *token,
                         float *greatest, gpt2_error *error)
{
  static const gpt2_sampler_options greedy;
  if (!s)
    return draw_token(&greedy, NULL, logits, n_vocab, 0.0, token, greatest, error);
  gpt2_status status = sampler_reserve(s, n_vocab, error);
  if (status != GPT2_OK)
    return status;
  return draw_token(&s->options, &s->room, logits, n_vocab, random_uniform(s->seed, s->n_accepted),
                    token, greatest, error);
}

void sampler_accept(gpt2_sampler *s, gpt2_token token)
{
  (void)token; /* nothing depends on which token it was, yet */
  if (s)
    s->n_accepted++;
}

/* ---- Making samplers ---- */

/* A number in words, as the locale would not have it; printf follows the locale. */
static const char *number_text(float value, char text[32])
{
  if (isnan(value))
    return "not a number";
  if (fabsf(value) >= 1e9f)
    return value < 0.0f ? "below -10^9" : "above 10^9";
  long long millionths = llround((double)fabsf(value) * 1e6);
  snprintf(text, 32, "%s%lld.%06lld", value < 0.0f ? "-" : "", millionths / 1000000,
           millionths % 1000000);
  return text;
}

static gpt2_status check_share(const char *options, const char *name, float value,
                               gpt2_error *error)
{
  char text[32];
  if (value >= 0.0f && value <= 1.0f) /* false for NaN */
    return GPT2_OK;
  return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "%s.%s: is %s; it must be from 0 (off) to 1",
              options, name, number_text(value, text));
}

static gpt2_status check_options(const gpt2_sampler_options *o, const char *name, gpt2_error *error)
{
  char text[32];
  if (o->flags & ~(uint32_t)GPT2_SAMPLER_RANDOM_SEED)
    return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "%s.flags: has unknown bits: 0x%x", name,
                (unsigned)o->flags);
  if (!(o->temperature >= 0.0f) || isinf(o->temperature))
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET,
                "%s.temperature: is %s; it must be finite and 0 (greedy) or more", name,
                number_text(o->temperature, text));
  if (o->top_k < 0)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "%s.top_k: is %d; it must be 0 (all) or more",
                name, (int)o->top_k);
  gpt2_status status = check_share(name, "top_p", o->top_p, error);
  return status == GPT2_OK ? check_share(name, "min_p", o->min_p, error) : status;
}

gpt2_status sampler_new(const gpt2_sampler_options *options, const char *name,
                        gpt2_sampler **sampler, gpt2_error *error)
{
  gpt2_sampler_options read;
  gpt2_allocator allocator;
  gpt2_status status = struct_read(&read, sizeof read, options, name, error);
  if (status == GPT2_OK)
    status = check_options(&read, name, error);
  if (status == GPT2_OK)
    status = allocator_read(&allocator, read.allocator, error);
  if (status != GPT2_OK)
    return status;
  uint64_t seed = read.seed;
  if ((read.flags & GPT2_SAMPLER_RANDOM_SEED) && !entropy_bits(&seed))
    return fail(error, GPT2_ERR_SYSTEM, NO_OFFSET, "the system has no random seed to give");
  gpt2_sampler *s = allocate_zeroed(&allocator, sizeof *s);
  if (!s)
    return fail_memory(error, sizeof *s);
  s->allocator = allocator;
  s->options = read;
  s->seed = seed;
  *sampler = s;
  return GPT2_OK;
}

gpt2_status gpt2_sampler_new(const gpt2_sampler_options *options, gpt2_sampler **sampler,
                             gpt2_error *error)
{
  if (!sampler)
    return fail_null(error, "sampler");
  *sampler = NULL;
  return sampler_new(options, "options", sampler, error);
}

gpt2_status gpt2_sampler_clone(const gpt2_sampler *sampler, gpt2_sampler **clone, gpt2_error *error)
{
  if (clone)
    *clone = NULL;
  if (!sampler || !clone)
    return fail_null(error, sampler ? "clone" : "sampler");
  gpt2_sampler *s = allocate_zeroed(&sampler->allocator, sizeof *s);
  if (!s)
    return fail_memory(error, sizeof *s);
  s->allocator = sampler->allocator;
  s->options = sampler->options;
  s->seed = sampler->seed;
  s->n_accepted = sampler->n_accepted;
  *clone = s;
  return GPT2_OK;
}

void gpt2_sampler_free(gpt2_sampler *sampler)
{
  if (!sampler)
    return;
  gpt2_allocator allocator = sampler->allocator;
  draw_room_free(&sampler->room, &allocator);
  release(&allocator, sampler);
}

/* ---- Using them ---- */

gpt2_status gpt2_sampler_draw(gpt2_sampler *sampler, const float *logits, size_t n_vocab,
                              gpt2_token *token, gpt2_error *error)
{
  if (!sampler || !logits || !token)
    return fail_null(error, !sampler ? "sampler" : logits ? "token" : "logits");
  if (n_vocab == 0 || n_vocab > INT32_MAX)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "n_vocab: is %zu; it must be from 1 to %d",
                n_vocab, INT32_MAX);
  float greatest;
  return sampler_draw(sampler, logits, n_vocab, token, &greatest, error);
}

gpt2_status gpt2_sampler_accept(gpt2_sampler *sampler, gpt2_token token, gpt2_error *error)
{
  if (!sampler)
    return fail_null(error, "sampler");
  if (token < 0)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "token: is %d; ids go from 0 up", (int)token);
  sampler_accept(sampler, token);
  return GPT2_OK;
}

void gpt2_sampler_reset(gpt2_sampler *sampler)
{
  if (sampler)
    sampler->n_accepted = 0;
}

uint64_t gpt2_sampler_seed(const gpt2_sampler *sampler)
{
  return sampler ? sampler->seed : 0;
}

/* Draws and accepts. */
static gpt2_status sample(gpt2_context *context, int32_t sequence, gpt2_sampler *sampler,
                          gpt2_token *token)
{
  if (!token)
    return fail_null(&context->error, "token");
  gpt2_status status = context_check_sequence(context, sequence);
  if (status != GPT2_OK)
    return status;
  const float *logits = context_logits(context, sequence);
  if (!logits)
    return fail(&context->error, GPT2_ERR_NO_LOGITS, NO_OFFSET,
                "sequence %d: has no next-token logits", (int)sequence);
  float greatest;
  status = sampler_draw(sampler, logits, (size_t)context->model->config.n_vocab, token, &greatest,
                        &context->error);
  if (status == GPT2_OK)
    sampler_accept(sampler, *token);
  return status;
}

gpt2_status gpt2_sample(gpt2_context *context, int32_t sequence, gpt2_sampler *sampler,
                        gpt2_token *token)
{
  gpt2_status status = context_begin(context);
  return status == GPT2_OK ? context_end(context, sample(context, sequence, sampler, token))
                           : status;
}
