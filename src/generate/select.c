/* select.c - keeps the greatest of many candidates without sorting them.
 *
 * Selection by distribution: a float's bits, made to sort like the number, are its key. The range
 * of keys that are in doubt is cut into buckets; the weights of the candidates in each are added
 * up; the bucket in which the sum, from the greatest down, reaches the goal holds the smallest
 * value to keep, and what lies in it is the next range. That is one value after at most 32 /
 * log2(buckets) rounds, and for most inputs after two. (D. Knuth, "The Art of Computer
 * Programming", volume 3, 5.2.5 on sorting by distribution.) */
#include "generate/select.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { FEWEST_BUCKETS_BITS = 5, MOST_BUCKETS_BITS = 10, MOST_BUCKETS = 1 << MOST_BUCKETS_BITS };

/* ---- Keys ---- */

/* Bits that order as the floats do: negative numbers grow downwards, so theirs are inverted; -0
 * equals 0. */
static uint32_t key_of(float value)
{
  uint32_t bits;
  value += 0.0f;
  memcpy(&bits, &value, sizeof bits);
  return bits ^ ((0 - (bits >> 31)) | 0x80000000); /* signs are as good as random: no branch */
}

static float value_of(uint32_t key)
{
  uint32_t bits = key & 0x80000000 ? key & 0x7fffffff : ~key;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* ---- The smallest value to keep ---- */

/* What the candidates of one bucket weigh together, and the range of their keys; low > high where
 * there are none. */
typedef struct bucket {
  double weight;
  uint32_t low, high;
} bucket;

typedef struct search {
  const float *values;  /* (n) */
  const float *weights; /* (n), or NULL: each is 1 */
  size_t n;
  uint32_t low, high; /* the keys that are in doubt: both exist */
  double enough;      /* what these must add, all greater ones being kept */
} search;

/* More buckets than candidates would only cost time. */
static int bucket_bits(size_t n)
{
  int bits = FEWEST_BUCKETS_BITS;
  while (bits < MOST_BUCKETS_BITS && (size_t)1 << bits < n)
    bits++;
  return bits;
}

/* Puts the candidates in doubt into `buckets`, which are empty; key - low is cut by `shift` bits.
 */
static void distribute(const search *s, int shift, bucket *buckets)
{
  for (size_t i = 0; i < s->n; i++) {
    uint32_t key = key_of(s->values[i]);
    if (key - s->low > s->high - s->low)
      continue;
    bucket *b = &buckets[(key - s->low) >> shift];
    b->weight += s->weights ? (double)s->weights[i] : 1.0;
    b->low = key < b->low ? key : b->low;
    b->high = key > b->high ? key : b->high;
  }
}

/* Narrows the doubt to the bucket in which the weights, from the greatest bucket down, reach
 * `enough`, or else to the lowest one in use. */
static void choose_bucket(search *s, const bucket *buckets, size_t n_buckets)
{
  size_t lowest = 0, at = n_buckets - 1;
  double greater = 0.0;
  while (buckets[lowest].low > buckets[lowest].high)
    lowest++;
  for (; at > lowest; at--) {
    const bucket *b = &buckets[at];
    if (b->low <= b->high && greater + b->weight >= s->enough)
      break;
    greater += b->weight;
  }
  s->enough -= greater;
  s->low = buckets[at].low;
  s->high = buckets[at].high;
}

/* The key of the smallest value to keep; s->enough becomes what candidates of that value must add.
 */
static uint32_t smallest_kept(search *s)
{
  bucket buckets[MOST_BUCKETS];
  int bits = bucket_bits(s->n);
  s->low = UINT32_MAX;
  s->high = 0;
  for (size_t i = 0; i < s->n; i++) {
    uint32_t key = key_of(s->values[i]);
    s->low = key < s->low ? key : s->low;
    s->high = key > s->high ? key : s->high;
  }
  while (s->low < s->high) {
    int shift = 0;
    while ((s->high - s->low) >> shift >> bits != 0)
      shift++;
    size_t n_buckets = (size_t)((s->high - s->low) >> shift) + 1;
    for (size_t i = 0; i < n_buckets; i++)
      buckets[i] = (bucket){0.0, UINT32_MAX, 0};
    distribute(s, shift, buckets);
    choose_bucket(s, buckets, n_buckets);
  }
  return s->low;
}

/* ---- Keeping ---- */

/* Keeps those greater than the smallest, and of those that equal it the first that reach what it
 * must add. Whether a candidate stays is as good as random: so it is moved before that is asked. */
static void keep(candidates *c, search *s)
{
  uint32_t smallest = smallest_kept(s);
  size_t kept = 0, n_smallest = 0;
  double of_smallest = 0.0;
  for (size_t i = 0; i < c->n; i++) {
    uint32_t key = key_of(c->values[i]);
    bool stays = key > smallest;
    if (key == smallest && (n_smallest == 0 || of_smallest < s->enough)) {
      n_smallest++;
      of_smallest += s->weights ? (double)s->weights[i] : 1.0;
      stays = true;
    }
    c->tokens[kept] = c->tokens[i];
    c->values[kept] = c->values[i];
    c->weights[kept] = c->weights[i];
    kept += stays;
  }
  c->n = kept;
}

void keep_greatest(candidates *c, size_t k)
{
  search s = {.values = c->values, .n = c->n, .enough = (double)k};
  if (c->n > k)
    keep(c, &s);
}

void keep_heaviest(candidates *c, double enough)
{
  search s = {.values = c->values, .weights = c->weights, .n = c->n, .enough = enough};
  if (c->n > 1)
    keep(c, &s);
}

float kth_greatest(const float *values, size_t n, size_t k)
{
  search s = {.values = values, .n = n, .enough = (double)k};
  return value_of(smallest_kept(&s));
}
