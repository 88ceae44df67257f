/* plain_text.c - what becomes of a text, in the plainest way. */
#include "fuzz/plain_text.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "tokenizer/unicode.h"

/* ---- Merging: the lowest rank anywhere in the word first, the leftmost of equal ones ---- */

static int compare_merges(const void *a, const void *b)
{
  const plain_merge *one = a, *other = b;
  if (one->left != other->left)
    return one->left < other->left ? -1 : 1;
  if (one->right != other->right)
    return one->right < other->right ? -1 : 1;
  return (one->rank > other->rank) - (one->rank < other->rank);
}

plain_tokenizer plain_new(const tokenizer *t)
{
  const vocabulary *v = &t->vocabulary;
  plain_tokenizer p = {.tokenizer = t, .n_merges = v->n_merges};
  p.merges = calloc(p.n_merges + 1, sizeof *p.merges);
  must(p.merges, "no memory");
  for (size_t i = 0; i < p.n_merges; i++)
    p.merges[i] = (plain_merge){v->merges[i].left, v->merges[i].right, v->merges[i].made, i};
  qsort(p.merges, p.n_merges, sizeof *p.merges, compare_merges);
  return p;
}

void plain_free(plain_tokenizer *p)
{
  free(p->merges);
}

/* The merge of a pair, or NULL; of equal ones the last. */
static const plain_merge *find_merge(const plain_tokenizer *p, uint32_t left, uint32_t right)
{
  const plain_merge pair = {.left = left, .right = right, .rank = SIZE_MAX};
  size_t low = 0, high = p->n_merges;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (compare_merges(&p->merges[middle], &pair) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  const plain_merge *last = low > 0 ? &p->merges[low - 1] : NULL;
  return last && last->left == left && last->right == right ? last : NULL;
}

/* What a word's bytes start as, to `places` (size): their number, or SIZE_MAX. */
static size_t start_word(const vocabulary *v, const uint8_t *word, size_t size, uint32_t *places)
{
  size_t n = 0;
  for (size_t i = 0; i < size; i++) {
    if (v->byte_token[word[i]] == NO_TOKEN)
      return SIZE_MAX;
    bool goes_on =
        v->fuse_unknown && v->byte_unknown[word[i]] && i > 0 && v->byte_unknown[word[i - 1]];
    if (!goes_on)
      places[n++] = v->byte_token[word[i]];
  }
  return n;
}

size_t plain_merge_word(const plain_tokenizer *p, const uint8_t *word, size_t size,
                        gpt2_token *tokens)
{
  const vocabulary *v = &p->tokenizer->vocabulary;
  uint32_t *places = calloc(size, sizeof *places);
  must(places, "no memory");
  size_t n = start_word(v, word, size, places);
  while (n != SIZE_MAX) {
    const plain_merge *best = NULL;
    size_t at = 0;
    for (size_t i = 0; i + 1 < n; i++) {
      const plain_merge *merge = find_merge(p, places[i], places[i + 1]);
      if (merge && (!best || merge->rank < best->rank)) {
        best = merge;
        at = i;
      }
    }
    if (!best)
      break;
    places[at] = best->made;
    n--;
    memmove(places + at + 1, places + at + 2, (n - at - 1) * sizeof *places);
  }
  for (size_t i = 0; n != SIZE_MAX && i < n; i++)
    tokens[i] = v->ids[places[i]];
  free(places);
  return n;
}

/* ---- Splitting ---- */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */

/* The size of the run of characters of one class at the beginning; *last: of its last one. */
static size_t run_of(int class, const uint8_t *text, size_t size, size_t *last)
{
  size_t at = 0, n;
  for (*last = 0; at < size && unicode_class(text + at, size - at, &n) == class; at += n)
    *last = n;
  return at;
}

static size_t first_word(const uint8_t *text, size_t size)
{
  static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
  static const int classes[] = {UNICODE_LETTER, UNICODE_NUMBER, UNICODE_OTHER};
  size_t last;
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    if (size >= strlen(endings[i]) && memcmp(text, endings[i], strlen(endings[i])) == 0)
      return strlen(endings[i]);
  size_t space = text[0] == ' ' ? 1 : 0;
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
    size_t n = run_of(classes[i], text + space, size - space, &last);
    if (n > 0)
      return space + n;
  }
  size_t n = run_of(UNICODE_SPACE, text, size, &last);
  return n < size && n > last ? n - last : n;
}

/* ---- Texts ---- */

size_t plain_encode_word(const plain_tokenizer *p, const uint8_t *word, size_t size,
                         gpt2_token *tokens)
{
  const vocabulary *v = &p->tokenizer->vocabulary;
  uint32_t whole = v->match_words ? vocabulary_word(v, (const char *)word, size) : NO_TOKEN;
  if (whole == NO_TOKEN)
    return plain_merge_word(p, word, size, tokens);
  tokens[0] = v->ids[whole];
  return 1;
}

size_t plain_encode(const plain_tokenizer *p, const uint8_t *text, size_t size, gpt2_token *tokens)
{
  size_t n_tokens = 0, space = size > 0 && p->tokenizer->add_prefix_space && text[0] != ' ' ? 1 : 0;
  uint8_t *copy = malloc(size + 1);
  must(copy, "no memory");
  copy[0] = ' ';
  if (size > 0)
    memcpy(copy + space, text, size);
  for (size_t at = 0, n; at < size + space; at += n) {
    n = size + space - at;
    if (p->tokenizer->use_regex)
      n = first_word(copy + at, n);
    size_t more = plain_encode_word(p, copy + at, n, tokens + n_tokens);
    n_tokens = more == SIZE_MAX ? SIZE_MAX : n_tokens + more;
    if (more == SIZE_MAX)
      break;
  }
  free(copy);
  return n_tokens;
}

bool plain_has_added(const tokenizer *t, const uint8_t *text, size_t size)
{
  for (size_t i = 0; i < t->added.n; i++)
    for (size_t at = 0, n = t->added.tokens[i].size; at + n <= size; at++)
      if (memcmp(text + at, t->added.tokens[i].text, n) == 0)
        return true;
  return false;
}

bool plain_keeps_text(const tokenizer *t)
{
  bool keeps = !t->add_prefix_space;
  for (size_t i = 0; i < t->added.n; i++)
    keeps = keeps && !(t->added.tokens[i].flags & (ADDED_LSTRIP | ADDED_RSTRIP));
  for (int byte = 0; byte < 256; byte++)
    keeps = keeps && !t->vocabulary.byte_unknown[byte];
  return keeps;
}

/* ---- Characters: table 3-7 of the Unicode standard ---- */

static const struct {
  uint8_t first_low, first_high, second_low, second_high;
  size_t size;
} forms[] = {
    {0x00, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* How many bytes are as a character has them, one at least; *size: how many it needs, 0: none. */
static size_t well_formed(const uint8_t *text, size_t size, size_t *needed)
{
  *needed = 0;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (text[0] < forms[i].first_low || text[0] > forms[i].first_high)
      continue;
    *needed = forms[i].size;
    size_t n = 1;
    while (n < size && n < forms[i].size && text[n] >= (n == 1 ? forms[i].second_low : 0x80) &&
           text[n] <= (n == 1 ? forms[i].second_high : 0xbf))
      n++;
    return n;
  }
  return 1;
}

size_t plain_characters(const uint8_t *text, size_t size, bool replace, bool at_end, uint8_t *out)
{
  size_t n_out = 0;
  for (size_t at = 0, n, needed; at < size; at += n) {
    n = well_formed(text + at, size - at, &needed);
    if (n < needed && at + n == size && !at_end)
      break;
    const uint8_t *from = replace && n != needed ? (const uint8_t *)"\xef\xbf\xbd" : text + at;
    size_t n_from = replace && n != needed ? 3 : n;
    memcpy(out + n_out, from, n_from);
    n_out += n_from;
  }
  return n_out;
}
