/* added.c - added tokens: found in a text as they are, before it is split into words. */
#include "tokenizer/added.h"

#include <string.h>

#include "formats/sort.h"
#include "tokenizer/unicode.h"

/* ---- The sets ---- */

static int search_of(const added_token *token)
{
  return token->flags & ADDED_NORMALIZED ? 1 : 0;
}

static int compare_texts(const added_token *a, const char *text, size_t size)
{
  int order = memcmp(a->text, text, a->size < size ? a->size : size);
  return order ? order : (a->size > size) - (a->size < size);
}

static bool token_before(const void *a, const void *b, const void *context)
{
  (void)context;
  const added_token *left = a, *right = b;
  if (search_of(left) != search_of(right))
    return search_of(left) < search_of(right);
  return compare_texts(left, right->text, right->size) < 0;
}

enum { SHOWN = 40 }; /* bytes of a text in a message */

static int shown(const added_token *token)
{
  return (int)(token->size < SHOWN ? token->size : SHOWN);
}

static gpt2_status copy_list(added_tokens *a, const gpt2_allocator *allocator,
                             const added_token *list, size_t n, const char *file, gpt2_error *error)
{
  size_t size = 0;
  for (size_t i = 0; i < n; size += list[i++].size)
    if (list[i].size > MAX_ADDED_SIZE)
      return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                  "%s: the added token \"%.*s...\" has %zu bytes, at most %d are allowed", file,
                  shown(&list[i]), list[i].text, list[i].size, MAX_ADDED_SIZE);
  a->tokens = allocate_array(allocator, n, sizeof *a->tokens);
  a->texts = allocate(allocator, size);
  if (!a->tokens || !a->texts)
    return fail_memory(error, size);
  char *to = a->texts;
  for (size_t i = 0; i < n; i++) {
    a->tokens[i] = list[i];
    a->tokens[i].text = memcpy(to, list[i].text, list[i].size);
    to += list[i].size;
  }
  a->n = n;
  return GPT2_OK;
}

/* Fills in a set whose tokens stand, in order, from `tokens` on. */
static void fill_set(added_set *set, const added_token *tokens, size_t n)
{
  set->tokens = tokens;
  set->n = n;
  size_t i = 0;
  for (int byte = 0; byte < 257; byte++) {
    while (i < n && (uint8_t)tokens[i].text[0] < byte)
      i++;
    set->first[byte] = (uint32_t)i;
  }
  for (i = 0; i < n; i++)
    if (!(tokens[i].flags & ADDED_SPECIAL))
      set->has_plain = true;
}

/* The first token whose text another one has, too: in the same set, or in the other. */
static const added_token *find_twin(const added_tokens *a)
{
  for (size_t i = 1; i < a->n; i++) {
    const added_token *token = &a->tokens[i], *before = token - 1;
    if (search_of(before) == search_of(token) &&
        compare_texts(before, token->text, token->size) == 0)
      return token;
  }
  for (size_t i = a->sets[0].n; i < a->n; i++)
    if (added_tokens_find(a, a->tokens[i].text, a->tokens[i].size) != &a->tokens[i])
      return &a->tokens[i];
  return NULL;
}

gpt2_status added_tokens_init(added_tokens *a, const gpt2_allocator *allocator,
                              const added_token *list, size_t n, const char *file,
                              gpt2_error *error)
{
  if (n >= UINT32_MAX)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "%s: has %zu added tokens", file, n);
  gpt2_status status = copy_list(a, allocator, list, n, file, error);
  if (status != GPT2_OK)
    return status;
  sort(a->tokens, n, sizeof *a->tokens, token_before, NULL);
  size_t n_first = 0;
  while (n_first < n && search_of(&a->tokens[n_first]) == 0)
    n_first++;
  fill_set(&a->sets[0], a->tokens, n_first);
  fill_set(&a->sets[1], a->tokens + n_first, n - n_first);
  const added_token *twin = find_twin(a);
  if (!twin)
    return GPT2_OK;
  return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: the added token \"%.*s\" stands there twice",
              file, shown(twin), twin->text);
}

void added_tokens_free(added_tokens *a, const gpt2_allocator *allocator)
{
  release(allocator, a->tokens);
  release(allocator, a->texts);
}

/* The first of the tokens [low, high), all alike in their first `depth` bytes and longer than that,
 * whose next byte is at least `byte`. */
static size_t first_at_least(const added_set *set, size_t low, size_t high, size_t depth, int byte)
{
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uint8_t)set->tokens[middle].text[depth] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The longest token that the text (`size` > 0) begins with, or NULL. */
static const added_token *longest_match(const added_set *set, const uint8_t *text, size_t size)
{
  const added_token *longest = NULL;
  size_t low = set->first[*text], high = set->first[*text + 1];
  for (size_t depth = 1; low < high; depth++) {
    if (set->tokens[low].size == depth) /* shorter ones stand before those that continue them */
      longest = &set->tokens[low++];
    if (depth == size)
      break;
    low = first_at_least(set, low, high, depth, text[depth]);
    high = first_at_least(set, low, high, depth, text[depth] + 1);
  }
  return longest;
}

const added_token *added_tokens_find(const added_tokens *a, const char *text, size_t size)
{
  for (int search = 0; size > 0 && search < ADDED_SEARCHES; search++) {
    const added_token *token = longest_match(&a->sets[search], (const uint8_t *)text, size);
    if (token && token->size == size)
      return token;
  }
  return NULL;
}

/* ---- Searching a text ---- */

added_scan added_scan_over(const added_set *set, const uint8_t *text, size_t size, bool special)
{
  return (added_scan){.set = set, .text = text, .size = size, .special = special};
}

/* Finds the next token, behind which the search will go on; false: there is none. */
static bool find_token(added_scan *s, const added_token **token, size_t *start)
{
  for (; s->at < s->size; s->at++) {
    uint8_t byte = s->text[s->at];
    if (s->set->first[byte] == s->set->first[byte + 1])
      continue;
    *token = longest_match(s->set, s->text + s->at, s->size - s->at);
    if (*token) {
      *start = s->at;
      s->at += (*token)->size;
      return true;
    }
  }
  return false;
}

/* Whether the token's flags allow it to be taken at [start, s->at). */
static bool is_taken(const added_scan *s, const added_token *token, size_t start)
{
  if (token->flags & ADDED_SPECIAL && !s->special)
    return false;
  if (!(token->flags & ADDED_SINGLE_WORD))
    return true;
  size_t last = start > 0 ? unicode_last(s->text, start) : 0;
  bool word_before = start > 0 && unicode_is_word(s->text + last, start - last);
  bool word_after = s->at < s->size && unicode_is_word(s->text + s->at, s->size - s->at);
  return !word_before && !word_after;
}

/* Where the white space begins that ends at `end`, but not before what was handed out. */
static size_t space_before(const added_scan *s, size_t end)
{
  size_t size;
  while (end > s->done) {
    size_t last = unicode_last(s->text, end);
    if (last < s->done || unicode_class(s->text + last, end - last, &size) != UNICODE_SPACE)
      break;
    end = last;
  }
  return end;
}

/* Where the white space ends that begins at `start`. Tokens may be white space themselves and so be
 * found within what was skipped: it is not walked through again. */
static size_t space_after(added_scan *s, size_t start)
{
  size_t size;
  if (start < s->space_end)
    return s->space_end;
  while (start < s->size && unicode_class(s->text + start, s->size - start, &size) == UNICODE_SPACE)
    start += size;
  s->space_end = start;
  return start;
}

static added_piece token_piece(const added_token *token)
{
  return (added_piece){.token = token};
}

bool added_scan_next(added_scan *s, added_piece *piece)
{
  const added_token *token = s->pending;
  s->pending = NULL;
  *piece = token_piece(token);
  if (token)
    return true;
  size_t start, text_start = s->done;
  while (find_token(s, &token, &start)) {
    if (!is_taken(s, token, start))
      continue;
    if (token->flags & ADDED_LSTRIP)
      start = start > s->done ? space_before(s, start) : s->done;
    s->done = token->flags & ADDED_RSTRIP ? space_after(s, s->at) : s->at;
    if (start >= s->done) { /* white space that the token before it has taken already */
      text_start = s->done;
      continue;
    }
    *piece = token_piece(token);
    if (text_start < start) {
      s->pending = token;
      *piece = (added_piece){.start = text_start, .size = start - text_start};
    }
    return true;
  }
  s->done = s->size;
  *piece = (added_piece){.start = text_start, .size = s->size - text_start};
  return text_start < s->size;
}
