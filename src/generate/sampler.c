/* sampler.c - chooses the next token from logits: temperature, top-k, top-p, min-p, and a random
 * number. */
#include "generate/sampler.h"

#include <math.h>
#include <stdio.h>

#include "base/entropy.h"
#include "generate/random.h"
#include "generate/select.h"
#include "model/context.h"

struct gpt2_sampler {
  gpt2_allocator allocator;
  gpt2_sampler_options options;
  uint64_t seed;
  uint64_t n_accepted;   /* the index of the next random number */
  candidate *candidates; /* (capacity) */
  float *weights;        /* (capacity) */
  size_t capacity;
};

/* ---- Drawing ---- */

/* `greatest` is that of logits (n_vocab), or NaN if there is one. */
static gpt2_status check_finite(const float *logits, float greatest, gpt2_error *error)
{
  if (isfinite(greatest))
    return GPT2_OK;
  if (greatest < 0.0f)
    return fail(error, GPT2_ERR_NON_FINITE, NO_OFFSET, "logits: all are -infinity");
  size_t i = 0;
  while (logits[i] < INFINITY)
    i++;
  return fail(error, GPT2_ERR_NON_FINITE, NO_OFFSET, "logits: that of token %zu is %s", i,
              isnan(logits[i]) ? "not a number" : "+infinity");
}

static gpt2_token first_equal(const float *logits, float value)
{
  gpt2_token token = 0;
  while (logits[token] != value)
    token++;
  return token;
}

static gpt2_status reserve(gpt2_sampler *s, size_t n_vocab, gpt2_error *error)
{
  if (n_vocab <= s->capacity)
    return GPT2_OK;
  s->capacity = 0;
  release(&s->allocator, s->candidates);
  release(&s->allocator, s->weights);
  s->candidates = allocate_array(&s->allocator, n_vocab, sizeof *s->candidates);
  s->weights = allocate_array(&s->allocator, n_vocab, sizeof *s->weights);
  if (!s->candidates || !s->weights)
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory to choose among %zu tokens",
                n_vocab);
  s->capacity = n_vocab;
  return GPT2_OK;
}

/* The top_k greatest logits, as candidates in the order of their ids. */
static size_t keep_top_k(gpt2_sampler *s, const float *logits, size_t n_vocab)
{
  for (size_t i = 0; i < n_vocab; i++)
    s->candidates[i] = (candidate){(gpt2_token)i, logits[i], 1.0f};
  size_t k = (size_t)s->options.top_k;
  return k > 0 && k < n_vocab ? select_greatest(s->candidates, n_vocab, (double)k) : n_vocab;
}

/* Gives each candidate its probability relative to the best. */
static void weigh(gpt2_sampler *s, size_t n, float greatest)
{
  for (size_t i = 0; i < n; i++)
    s->weights[i] = (s->candidates[i].value - greatest) / s->options.temperature;
  kernels_in_use()->exponentials(s->weights, 0.0f, 1.0f, n, s->weights);
  for (size_t i = 0; i < n; i++)
    s->candidates[i].weight = s->weights[i];
}

static double total_weight(const gpt2_sampler *s, size_t n)
{
  double total = 0.0;
  for (size_t i = 0; i < n; i++)
    total += (double)s->candidates[i].weight;
  return total;
}

static size_t keep_top_p(gpt2_sampler *s, size_t n)
{
  return select_greatest(s->candidates, n, (double)s->options.top_p * total_weight(s, n));
}

static size_t keep_min_p(gpt2_sampler *s, size_t n)
{
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (s->candidates[i].weight >= s->options.min_p) /* the best one's weight is 1 */
      s->candidates[kept++] = s->candidates[i];
  return kept;
}

/* The candidate in whose share of the whole the random number falls. */
static gpt2_token pick(const gpt2_sampler *s, size_t n)
{
  double target = random_uniform(s->seed, s->n_accepted) * total_weight(s, n), sum = 0.0;
  gpt2_token picked = -1;
  for (size_t i = 0; i < n; i++)
    if (s->candidates[i].weight > 0.0f) {
      picked =
          s->candidates[i].token; /* the last one, if rounding leaves the target at the total */
      sum += (double)s->candidates[i].weight;
      if (sum > target)
        break;
    }
  return picked;
}

gpt2_status sampler_draw(gpt2_sampler *s, const float *logits, size_t n_vocab, gpt2_token *token,
                         gpt2_error *error)
{
  float greatest = kernels_in_use()->maximum(logits, n_vocab);
  gpt2_status status = check_finite(logits, greatest, error);
  if (status != GPT2_OK)
    return status;
  if (!s || s->options.temperature == 0.0f) {
    *token = first_equal(logits, greatest);
    return GPT2_OK;
  }
  status = reserve(s, n_vocab, error);
  if (status != GPT2_OK)
    return status;
  size_t n = keep_top_k(s, logits, n_vocab);
  weigh(s, n, greatest);
  if (s->options.top_p > 0.0f && s->options.top_p < 1.0f)
    n = keep_top_p(s, n);
  if (s->options.min_p > 0.0f)
    n = keep_min_p(s, n);
  *token = pick(s, n);
  return GPT2_OK;
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

static gpt2_status check_options(const gpt2_sampler_options *o, const char *name,
                                 gpt2_error *error)
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
  release(&allocator, sampler->candidates);
  release(&allocator, sampler->weights);
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
  return sampler_draw(sampler, logits, n_vocab, token, error);
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
  status =
      sampler_draw(sampler, logits, (size_t)context->model->config.n_vocab, token, &context->error);
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
