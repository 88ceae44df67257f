/* tokenizer.c - text to tokens and back. */
#include "tokenizer/tokenizer.h"

#include <string.h>

#include "tokenizer/reading.h"
#include "tokenizer/unicode.h"
#include "tokenizer/words.h"

/* That there is no tokenizer.json is no failure yet, and must leave no words. */
static gpt2_status read_any(tokenizer *t, source *s, pool *p, gpt2_error *error)
{
  gpt2_error first = {.struct_size = sizeof first};
  gpt2_status status = read_tokenizer_json(t, s, p, &first);
  if (status == GPT2_ERR_NOT_FOUND)
    return read_vocabulary_files(t, s, p, error);
  return status == GPT2_OK ? GPT2_OK : fail(error, status, first.offset, "%s", first.message);
}

gpt2_status tokenizer_load(source *s, pool *p, tokenizer **out, gpt2_error *error)
{
  *out = NULL;
  tokenizer *t = allocate_zeroed(source_allocator(s), sizeof *t);
  if (!t)
    return fail_memory(error, sizeof *t);
  t->allocator = *source_allocator(s);
  gpt2_status status = read_any(t, s, p, error);
  if (status != GPT2_OK) {
    tokenizer_free(t);
    return status;
  }
  *out = t;
  return GPT2_OK;
}

void tokenizer_free(tokenizer *t)
{
  if (!t)
    return;
  gpt2_allocator allocator = t->allocator;
  vocabulary_free(&t->vocabulary);
  added_tokens_free(&t->added, &allocator);
  release(&allocator, t);
}

/* ---- Encoding ---- */

/* Takes a stretch of text (`size` > 0) through the searches for added tokens that are left, and
 * what they leave to the words. */
static gpt2_status encode_stretch(const tokenizer *t, word_encoder *w, const uint8_t *text,
                                  size_t size, int64_t offset, uint32_t flags, int search,
                                  gpt2_error *error)
{
  if (search == ADDED_SEARCHES)
    return encode_words(w, text, size, offset, error);
  bool special = (flags & GPT2_ENCODE_SPECIAL) != 0;
  const added_set *set = &t->added.sets[search];
  if (set->n == 0 || (!special && !set->has_plain))
    return encode_stretch(t, w, text, size, offset, flags, search + 1, error);
  gpt2_status status = GPT2_OK;
  added_scan scan = added_scan_over(set, text, size, special);
  for (added_piece part; status == GPT2_OK && added_scan_next(&scan, &part);)
    if (part.token)
      put_token(&w->sink, part.token->id);
    else
      status = encode_stretch(t, w, text + part.start, part.size, offset + (int64_t)part.start,
                              flags, search + 1, error);
  return status;
}

/* Encodes into tokens (capacity); sets the count, also of those that found no room. */
static gpt2_status encode_into(const tokenizer *t, const uint8_t *text, size_t size, uint32_t flags,
                               gpt2_token *tokens, size_t capacity, size_t *n_tokens,
                               gpt2_error *error)
{
  gpt2_status status = GPT2_OK;
  word_encoder w = {.use_regex = t->use_regex,
                    .add_prefix_space = t->add_prefix_space,
                    .sink = {.tokens = tokens, .capacity = capacity}};
  piece_init(&w.piece, &t->vocabulary);
  if (size > 0)
    status = encode_stretch(t, &w, text, size, 0, flags, 0, error);
  *n_tokens = w.sink.n;
  piece_free(&w.piece);
  return status;
}

/* A token takes a byte of the text at least, but for the spaces that are put before stretches. */
static bool surely_fits(const tokenizer *t, size_t size, size_t capacity)
{
  return t->add_prefix_space ? capacity / 2 >= size : capacity >= size;
}

gpt2_status tokenizer_encode(const tokenizer *t, const char *text, size_t size, uint32_t flags,
                             gpt2_token *tokens, size_t capacity, size_t *n_tokens,
                             gpt2_error *error)
{
  const uint8_t *bytes = (const uint8_t *)text;
  /* Nothing may be written unless all fits: where that is not certain, the tokens are counted
   * first. */
  bool counted = !surely_fits(t, size, capacity);
  if (counted) {
    gpt2_status status = encode_into(t, bytes, size, flags, NULL, 0, n_tokens, error);
    if (status != GPT2_OK)
      return status;
    if (*n_tokens > capacity)
      return fail(error, GPT2_ERR_BUFFER_TOO_SMALL, NO_OFFSET,
                  "capacity: is %zu, the text has %zu tokens", capacity, *n_tokens);
  }
  return encode_into(t, bytes, size, flags, tokens, capacity, n_tokens, error);
}

/* ---- Describing ---- */

const char *tokenizer_origin(const tokenizer *t)
{
  return t->origin;
}

size_t tokenizer_id_limit(const tokenizer *t)
{
  return (size_t)t->vocabulary.ids[t->vocabulary.n_tokens - 1] + 1;
}

size_t tokenizer_n_tokens(const tokenizer *t)
{
  return t->vocabulary.n_tokens;
}

size_t tokenizer_n_merges(const tokenizer *t)
{
  return t->vocabulary.n_merges;
}

size_t tokenizer_longest(const tokenizer *t)
{
  return t->vocabulary.longest;
}

gpt2_token tokenizer_find(const tokenizer *t, const char *text)
{
  const vocabulary *v = &t->vocabulary;
  size_t size = strlen(text), n;
  const added_token *added = added_tokens_find(&t->added, text, size);
  if (added)
    return added->id;
  for (size_t place = 0; place < v->n_tokens; place++) {
    const char *bytes = vocabulary_bytes(v, (uint32_t)place, &n);
    if (n == size && memcmp(bytes, text, n) == 0)
      return v->ids[place];
  }
  return -1;
}

const char *tokenizer_bytes(const tokenizer *t, gpt2_token id, size_t *size)
{
  uint32_t place = vocabulary_place(&t->vocabulary, id);
  *size = 0;
  return place == NO_TOKEN ? "" : vocabulary_bytes(&t->vocabulary, place, size);
}

uint32_t tokenizer_flags(const tokenizer *t, gpt2_token id)
{
  uint32_t place = vocabulary_place(&t->vocabulary, id);
  if (place == NO_TOKEN)
    return 0;
  uint32_t flags = t->vocabulary.flags[place] & (GPT2_TOKEN_ADDED | GPT2_TOKEN_SPECIAL);
  size_t size;
  tokenizer_bytes(t, id, &size);
  return flags | (size > 0 ? GPT2_TOKEN_TEXT : 0);
}

const char *tokenizer_unicode_version(void)
{
  return unicode_version();
}
