/* match.c - the tokens of a piece, from left to right.
 *
 * At each place the longest token that the text goes on with is tried first, then shorter ones, until one
 * stays apart from the token before it; when none does, that one was wrong, and is replaced by a shorter
 * one. A place to which this leads back has been tried in vain for good: what the bytes before it are
 * merged to is one list only, so it would be reached by the same tokens again. */
#include <string.h>

#include "tokenizer/joint.h"
#include "tokenizer/piece.h"

/* Bytes looked at for each byte of the piece, before matching gives up: ordinary text needs 5, but a
 * vocabulary can be made to need any number. */
enum { MOST_EFFORT = 64 };

/* The longest token that [at, end) begins with and that its own bytes are merged to. */
static uint32_t longest_token(const vocabulary *v, const uint8_t *at, const uint8_t *end,
                              size_t *effort)
{
  uint32_t longest = NO_TOKEN, node = TRIE_ROOT;
  const uint8_t *start = at;
  for (; at < end; at++) {
    node = trie_step(&v->names, node, *at);
    if (node == TRIE_ROOT)
      break;
    uint32_t token = v->names.tokens[node];
    if (token != NO_TOKEN && v->flags[token] & FLAG_WHOLE)
      longest = token;
  }
  *effort += (size_t)(at - start) + 1;
  return longest;
}

static uint32_t size_of(const vocabulary *v, uint32_t token)
{
  return v->starts[token + 1] - v->starts[token];
}

/* The first of a token and its shorter ones that may stand at `at`, behind `left`. */
static uint32_t first_that_fits(const piece *p, uint32_t token, uint32_t left, uint32_t at,
                                const int32_t *in_vain, size_t *effort)
{
  const vocabulary *v = p->vocabulary;
  for (; token != NO_TOKEN; token = v->shorter[token]) {
    uint32_t end = at + size_of(v, token);
    *effort += end - at;
    if (end < p->n && in_vain[end])
      continue;
    if (left == NO_TOKEN || stay_apart(v, left, token))
      break;
    *effort += size_of(v, left);
  }
  return token;
}

bool piece_match(piece *p)
{
  const vocabulary *v = p->vocabulary;
  int32_t *in_vain = p->keys[0]; /* (n) the tree's memory serves for this */
  memset(in_vain, 0, p->n * sizeof *in_vain);
  size_t effort = 0;
  uint32_t at = 0, left = NO_TOKEN;
  uint32_t token = longest_token(v, p->bytes, p->bytes + p->n, &effort);
  while (effort / MOST_EFFORT <= p->n) {
    token = first_that_fits(p, token, left, at, in_vain, &effort);
    if (token != NO_TOKEN) {
      uint32_t end = at + size_of(v, token);
      p->symbol[at] = token;
      p->next[at] = end;
      if (end == p->n) {
        p->last = at;
        return true;
      }
      p->previous[end] = at;
      left = token;
      at = end;
      token = longest_token(v, p->bytes + at, p->bytes + p->n, &effort);
      continue;
    }
    if (at == 0)
      return false;
    in_vain[at] = 1;
    at = p->previous[at];
    token = v->shorter[p->symbol[at]];
    left = at > 0 ? p->symbol[p->previous[at]] : NO_TOKEN;
  }
  return false;
}
