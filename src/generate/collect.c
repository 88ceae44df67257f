/* collect.c - finds the few of many logits that may be drawn, in one or two fast looks at all.
 *
 * Of logits by the ten thousand some forty matter. The maxima of parts of the row, of which there
 * are twice as many as tokens are wanted, say how great these must be at least: as many logits as
 * there are maxima from some value up are no less than that. Few others reach it, and one search
 * at the speed of vectors brings them all. */
#include "generate/collect.h"

#include <float.h>
#include <math.h>

#include "kernels/kernels.h"

/* ---- Room ---- */

/* Fewer would fill up too often; parts shorter than this are not worth a call. */
enum { SPARE_CANDIDATES = 1024, SHORTEST_PART = 32 };

/* Parts number at most 4 k + 1, as they are no shorter than half of what is aimed at. */
size_t top_k_capacity(size_t k, size_t n_vocab)
{
  return k < n_vocab / 4 ? k * 4 + SPARE_CANDIDATES : n_vocab;
}

gpt2_status candidates_reserve(candidates *c, const gpt2_allocator *allocator, size_t capacity,
                               gpt2_error *error)
{
  if (capacity <= c->capacity)
    return GPT2_OK;
  candidates_free(c, allocator);
  c->tokens = allocate_array(allocator, capacity,
                             sizeof *c->tokens + sizeof *c->values + sizeof *c->weights);
  if (!c->tokens)
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory for %zu tokens to choose among",
                capacity);
  c->values = (float *)(c->tokens + capacity);
  c->weights = c->values + capacity;
  c->capacity = capacity;
  return GPT2_OK;
}

void candidates_free(candidates *c, const gpt2_allocator *allocator)
{
  release(allocator, c->tokens);
  *c = (candidates){0};
}

/* ---- Thresholds ---- */

/* Not the next float: where the host has subnormal numbers taken for zero, that may be equal. */
float little_less(double value)
{
  double less = value - (fabs(value) * 0x1p-20 + 2 * (double)FLT_MIN);
  return less < -(double)FLT_MAX ? -INFINITY : (float)less;
}

/* How long a part is, of which there are about two for each token that is wanted; 0: there is no
 * use in parts. */
static size_t part_length(size_t k, size_t n_vocab)
{
  size_t length = n_vocab / k / 2;
  return length < SHORTEST_PART ? 0 : length;
}

float collect_maximum(candidates *c, const float *logits, size_t n_vocab, size_t k,
                      float *threshold)
{
  const kernels *kernel = kernels_in_use();
  size_t length = part_length(k, n_vocab), n_parts = 0;
  *threshold = -INFINITY;
  if (length == 0)
    return kernel->maximum(logits, n_vocab);
  for (size_t at = 0; at < n_vocab; at += length) {
    size_t left = n_vocab - at;
    c->values[n_parts++] = kernel->maximum(logits + at, left < length ? left : length);
  }
  float greatest = kernel->maximum(c->values, n_parts);
  if (isfinite(greatest))
    *threshold = little_less((double)kth_greatest(c->values, n_parts, k));
  return greatest;
}

/* ---- Searching ---- */

/* Adds those after `at` that exceed the threshold, until all are found or there are `most`; returns
 * where it stopped. */
static size_t add_greater(candidates *c, const float *logits, size_t n_vocab, size_t at,
                          float threshold, size_t most)
{
  gpt2_token *tokens = c->tokens + c->n;
  float *values = c->values + c->n;
  size_t end, n = kernels_in_use()->find_greater(logits + at, threshold, n_vocab - at, tokens,
                                                 most - c->n, &end);
  for (size_t i = 0; i < n; i++)
    values[i] = logits[at + (size_t)tokens[i]];
  for (size_t i = 0; at > 0 && i < n; i++)
    tokens[i] += (gpt2_token)at;
  c->n += n;
  return at + end;
}

bool collect_greater(candidates *c, const float *logits, size_t n_vocab, float threshold,
                     size_t most)
{
  c->n = 0;
  return add_greater(c, logits, n_vocab, 0, threshold, most) == n_vocab;
}

/* When the room is full only the k greatest stay, and from then on the least of them is the
 * threshold: of equal ones the earlier is the greater. */
void collect_top_k(candidates *c, const float *logits, size_t n_vocab, size_t k, float threshold)
{
  size_t at = 0;
  c->n = 0;
  while (at < n_vocab) {
    at = add_greater(c, logits, n_vocab, at, threshold, c->capacity);
    keep_greatest(c, k);
    if (at < n_vocab)
      threshold = kth_greatest(c->values, c->n, k);
  }
}
