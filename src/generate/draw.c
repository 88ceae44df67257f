/* draw.c - one token from one row of logits: temperature, filters, a random number.
 *
 * A token's weight is its probability relative to the best one. Where top_k or min_p leave few
 * tokens these are collected, and the rest is done with them. Otherwise every token gets its
 * weight, which becomes 0 if a filter leaves it out. All that is done to the whole vocabulary are
 * a few passes at the speed of vectors. */
#include "generate/draw.h"

#include <math.h>
#include <string.h>

#include "generate/collect.h"
#include "kernels/kernels.h"

typedef struct row {
  const float *logits; /* (n_vocab) */
  size_t n_vocab;
  float greatest;
  float temperature;
} row;

static bool has_top_k(const gpt2_sampler_options *o, size_t n_vocab)
{
  return o->top_k > 0 && (size_t)o->top_k < n_vocab;
}

static bool has_top_p(const gpt2_sampler_options *o)
{
  return o->top_p > 0.0f && o->top_p < 1.0f;
}

/* What all logits of tokens exceed whose weight is at least e^-depth. */
static float threshold_at(const row *r, double depth)
{
  const double rounding = 1e-5; /* more than that of the weights, and of what they are made from */
  return little_less((double)r->greatest -
                     (depth + (1.0 + depth) * rounding) * (double)r->temperature);
}

/* ---- Weights ---- */

static double total_weight(const float *weights, size_t n)
{
  return kernels_in_use()->sum_greater(weights, 0.0f, weights, n);
}

/* Makes those weights 0 whose logits are not greater than the threshold ... */
static void leave_greater(float *weights, const float *logits, float threshold, size_t n)
{
  for (size_t i = 0; i < n; i++)
    weights[i] = logits[i] > threshold ? weights[i] : 0.0f;
}

/* ... and those that are less than the least. */
static void leave_no_less(float *weights, float least, size_t n)
{
  for (size_t i = 0; i < n; i++)
    weights[i] = weights[i] < least ? 0.0f : weights[i];
}

/* The last one that is possible, for a target that rounding leaves at the total. */
static size_t last_possible(const float *weights, size_t n)
{
  while (n > 1 && !(weights[n - 1] > 0.0f))
    n--;
  return n - 1;
}

/* The one in whose share of all weights (n) the random number falls. */
static size_t pick(const float *weights, size_t n, double random)
{
  enum { PIECE = 256 }; /* weights that are added before they are looked at one by one */
  double target = random * total_weight(weights, n), sum = 0.0;
  size_t at = 0;
  for (; n - at > PIECE; at += PIECE) {
    double piece = total_weight(weights + at, PIECE);
    if (sum + piece > target)
      break;
    sum += piece;
  }
  size_t end = n - at > PIECE ? at + PIECE : n;
  for (; at < end; at++) {
    sum += (double)weights[at];
    if (sum > target)
      return at;
  }
  return last_possible(weights, end);
}

/* ---- Among few tokens ---- */

static void keep_min_p(candidates *c, float min_p)
{
  size_t kept = 0;
  for (size_t i = 0; i < c->n; i++) {
    c->tokens[kept] = c->tokens[i];
    c->weights[kept] = c->weights[i];
    kept += c->weights[i] >= min_p; /* the best one's weight is 1 */
  }
  c->n = kept;
}

static gpt2_token draw_from_few(const gpt2_sampler_options *o, candidates *c, const row *r,
                                double random)
{
  kernels_in_use()->exponentials(c->values, r->greatest, r->temperature, c->n, c->weights);
  if (has_top_p(o))
    keep_heaviest(c, (double)o->top_p * total_weight(c->weights, c->n));
  keep_min_p(c, o->min_p);
  return c->tokens[pick(c->weights, c->n, random)];
}

/* ---- Among the whole vocabulary ---- */

/* Logits that exceed `high` are kept, and weigh `above`; of those that exceed `low` besides some
 * are. */
typedef struct doubt {
  float low, high;
  double above;
} doubt;

/* Where the smallest logit is that top_p keeps, if what it keeps weighs `enough` of `total`. Tokens
 * that weigh less than (total - enough) / n each are no more than it leaves out. Between them and
 * the best one the doubt is halved until few can be left. */
static doubt narrow(const row *r, const float *weights, double enough, double total)
{
  enum { FEW = 1024, MOST_ROUNDS = 12 };
  double shallow = 0.0, deep = log((double)r->n_vocab / (total - enough));
  doubt d = {.low = threshold_at(r, deep), .high = INFINITY};
  for (int i = 0; i < MOST_ROUNDS && (total - d.above) * exp(deep) > FEW; i++) {
    double middle = (shallow + deep) / 2;
    float threshold = threshold_at(r, middle);
    double sum = kernels_in_use()->sum_greater(r->logits, threshold, weights, r->n_vocab);
    if (sum < enough) {
      shallow = middle;
      d.high = threshold;
      d.above = sum;
    } else {
      deep = middle;
      d.low = threshold;
      total = sum;
    }
  }
  return d;
}

/* Those of which it is in doubt whether they are kept. */
static void collect_doubtful(candidates *c, const row *r, const float *weights, const doubt *d)
{
  for (size_t i = 0; i < r->n_vocab; i++)
    c->values[i] = r->logits[i] > d->high ? -INFINITY : r->logits[i];
  collect_greater(c, c->values, r->n_vocab, d->low, r->n_vocab);
  for (size_t i = 0; i < c->n; i++)
    c->weights[i] = weights[c->tokens[i]];
}

/* Makes the weights (n_vocab) of those 0 that top_p leaves out. */
static void leave_top_p(candidates *c, const row *r, float top_p, float *weights)
{
  double total = total_weight(weights, r->n_vocab), enough = (double)top_p * total;
  doubt d = narrow(r, weights, enough, total);
  collect_doubtful(c, r, weights, &d);
  keep_heaviest(c, enough - d.above);
  leave_greater(weights, r->logits, d.high, r->n_vocab);
  for (size_t i = 0; i < c->n; i++)
    weights[c->tokens[i]] = c->weights[i];
}

static gpt2_token draw_from_all(const gpt2_sampler_options *o, draw_room *room, const row *r,
                                double random)
{
  float *weights = room->weights;
  kernels_in_use()->exponentials(r->logits, r->greatest, r->temperature, r->n_vocab, weights);
  if (has_top_p(o))
    leave_top_p(&room->few, r, o->top_p, weights);
  if (o->min_p > 0.0f)
    leave_no_less(weights, o->min_p, r->n_vocab);
  return (gpt2_token)pick(weights, r->n_vocab, random);
}

/* ---- All of it ---- */

/* Collects what top_k or min_p leave, unless that is much. */
static bool collect_few(const gpt2_sampler_options *o, candidates *c, const row *r, float threshold)
{
  if (has_top_k(o, r->n_vocab)) {
    collect_top_k(c, r->logits, r->n_vocab, (size_t)o->top_k, threshold);
    return true;
  }
  if (has_top_p(o) || !(o->min_p > 0.0f))
    return false;
  return collect_greater(c, r->logits, r->n_vocab, threshold_at(r, -log((double)o->min_p)),
                         r->n_vocab / 8);
}

static gpt2_status check_finite(const row *r, gpt2_error *error)
{
  if (isfinite(r->greatest))
    return GPT2_OK;
  if (r->greatest < 0.0f)
    return fail(error, GPT2_ERR_NON_FINITE, NO_OFFSET, "logits: all are -infinity");
  size_t i = 0;
  while (r->logits[i] < INFINITY)
    i++;
  return fail(error, GPT2_ERR_NON_FINITE, NO_OFFSET, "logits: that of token %zu is %s", i,
              isnan(r->logits[i]) ? "not a number" : "+infinity");
}

gpt2_status draw_token(const gpt2_sampler_options *o, draw_room *room, const float *logits,
                       size_t n_vocab, double random, gpt2_token *token, float *greatest,
                       gpt2_error *error)
{
  row r = {.logits = logits, .n_vocab = n_vocab, .temperature = o->temperature};
  bool is_greedy = o->temperature == 0.0f;
  float threshold = -INFINITY;
  r.greatest = has_top_k(o, n_vocab) && !is_greedy
                   ? collect_maximum(&room->few, logits, n_vocab, (size_t)o->top_k, &threshold)
                   : kernels_in_use()->maximum(logits, n_vocab);
  gpt2_status status = check_finite(&r, error);
  if (status != GPT2_OK)
    return status;
  *greatest = r.greatest;
  if (is_greedy)
    *token = (gpt2_token)kernels_in_use()->first_equal(logits, r.greatest, n_vocab);
  else if (collect_few(o, &room->few, &r, threshold))
    *token = draw_from_few(o, &room->few, &r, random);
  else
    *token = draw_from_all(o, room, &r, random);
  return GPT2_OK;
}

/* ---- Room ---- */

gpt2_status draw_room_reserve(draw_room *room, const gpt2_allocator *allocator,
                              const gpt2_sampler_options *o, size_t n_vocab, gpt2_error *error)
{
  size_t n_few = 0, n_weights = 0;
  if (o->temperature == 0.0f)
    return GPT2_OK;
  if (has_top_k(o, n_vocab))
    n_few = top_k_capacity((size_t)o->top_k, n_vocab);
  else
    n_weights = n_vocab;
  if (n_weights > 0 && (has_top_p(o) || o->min_p > 0.0f))
    n_few = n_vocab;
  gpt2_status status = candidates_reserve(&room->few, allocator, n_few, error);
  if (status != GPT2_OK || n_weights <= room->n_weights)
    return status;
  release(allocator, room->weights);
  room->n_weights = 0;
  room->weights = allocate_array(allocator, n_weights, sizeof *room->weights);
  if (!room->weights)
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory to choose among %zu tokens",
                n_weights);
  room->n_weights = n_weights;
  return GPT2_OK;
}

void draw_room_free(draw_room *room, const gpt2_allocator *allocator)
{
  candidates_free(&room->few, allocator);
  release(allocator, room->weights);
  *room = (draw_room){0};
}
