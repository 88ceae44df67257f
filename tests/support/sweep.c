/* sweep.c - every end that a model's file may have, and every byte of it at every value. */
#include "support/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/arena.h"
#include "support/expect.h"
#include "support/opened.h"

enum { MOST_BLOBS = 10, MOST_TOKENS = 128, MOST_BYTES = 4096, MEMORY_SIZE = 32 << 20 };

/* ---- What comes of a case ---- */

/* Whether a file may be refused so: it is damaged, or is sound and not ours. */
static bool is_refusal(gpt2_status status)
{
  return status == GPT2_ERR_FORMAT || status == GPT2_ERR_UNSUPPORTED || status == GPT2_ERR_LIMIT ||
         status == GPT2_ERR_NOT_FOUND;
}

/* The words name the file that was changed, or another that it does not agree with any more. */
static void expect_named(const sweep *s, gpt2_status status, const char *words)
{
  bool named = false;
  for (size_t i = 0; i < s->n_blobs; i++)
    named |= strstr(words, s->blobs[i].name) != NULL;
  if (!named || !is_refusal(status))
    fail_msg("%s: %s (\"%s\")", s->file, gpt2_status_name(status), words);
}

/* Text becomes tokens, and they become the same text: no change of one byte makes a tokenizer that
 * drops any. A byte that is no token any more is told. */
static void use_tokenizer(const sweep *s, gpt2_model *model)
{
  gpt2_token tokens[MOST_TOKENS];
  char text[MOST_BYTES];
  size_t n_tokens, size = strlen(s->text), n;
  gpt2_error error = NO_ERROR_YET;
  gpt2_status status = gpt2_encode(model, s->text, size, GPT2_ENCODE_SPECIAL, tokens, MOST_TOKENS,
                                   &n_tokens, &error);
  if (status != GPT2_OK) {
    expect_failure(status, GPT2_ERR_UNSUPPORTED, &error, "0x", NULL);
    return;
  }
  must_have_succeeded(gpt2_decode(model, tokens, n_tokens, text, MOST_BYTES, &n, &error), &error);
  if (n != size || memcmp(text, s->text, size) != 0)
    fail_msg("%s: \"%s\" became \"%.*s\"", s->file, s->text, (int)n, text);
}

static void use_model(sweep *s, gpt2_model *model)
{
  gpt2_info info = info_of(model);
  must_evaluate_a_token(model);
  if (info.flags & GPT2_INFO_TOKENIZER) {
    use_tokenizer(s, model);
    s->count.loaded++;
    return;
  }
  size_t n;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_encode(model, "a", 1, 0, NULL, 0, &n, &error), GPT2_ERR_NO_TOKENIZER, &error,
                 NULL, NULL);
  if (s->text)
    expect_named(s, info.tokenizer_status, info.tokenizer_message);
  *(s->text ? &s->count.without_tokenizer : &s->count.loaded) += 1;
}

/* Loads the model with these bytes as the file. */
static void try_case(sweep *s, const void *bytes, size_t size)
{
  gpt2_blob blobs[MOST_BLOBS];
  gpt2_allocator hooks = arena_hooks(&s->memory);
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks, .n_threads = 1};
  gpt2_model *model = (gpt2_model *)s;
  gpt2_error error = NO_ERROR_YET;
  for (size_t i = 0; i < s->n_blobs; i++) {
    blobs[i] = s->blobs[i];
    if (strcmp(blobs[i].name, s->file) == 0)
      blobs[i] = (gpt2_blob){.name = s->file, .bytes = bytes, .size = size};
  }
  gpt2_status status = gpt2_load_memory(blobs, s->n_blobs, &options, &model, &error);
  if (status == GPT2_OK) {
    use_model(s, model);
    gpt2_model_free(model);
  } else {
    assert_null(model);
    assert_int_equal(error.status, status);
    expect_named(s, status, error.message);
    s->count.refused++;
  }
  arena_reset(&s->memory); /* nothing is left */
}

/* ---- The cases ---- */

static const gpt2_blob *swept_file(const sweep *s)
{
  assert_in_range(s->n_blobs, 1, MOST_BLOBS);
  for (size_t i = 0; i < s->n_blobs; i++)
    if (strcmp(s->blobs[i].name, s->file) == 0)
      return &s->blobs[i];
  fail_msg("there is no %s", s->file);
  return NULL;
}

/* Exactly as many bytes, so that a read beyond the end is noticed. */
static uint8_t *copy_of(const void *bytes, size_t size)
{
  uint8_t *copy = malloc(size + !size);
  assert_non_null(copy);
  return memcpy(copy, bytes, size);
}

void sweep_cuts(sweep *s)
{
  const gpt2_blob *file = swept_file(s);
  s->count.expected += (size_t)file->size;
  for (size_t size = 0; size < file->size; size++) {
    uint8_t *cut = copy_of(file->bytes, size);
    try_case(s, cut, size);
    free(cut);
  }
}

void sweep_values(sweep *s, size_t first, size_t end)
{
  const gpt2_blob *file = swept_file(s);
  uint8_t *copy = copy_of(file->bytes, (size_t)file->size);
  assert_true(end <= file->size);
  s->count.expected += 256 * (end - first);
  for (size_t at = first; at < end; at++) {
    const uint8_t before = copy[at];
    for (int value = 0; value < 256; value++) {
      copy[at] = (uint8_t)value;
      try_case(s, copy, (size_t)file->size);
    }
    copy[at] = before;
  }
  free(copy);
}

void sweep_bits(sweep *s, size_t first, size_t end)
{
  const gpt2_blob *file = swept_file(s);
  uint8_t *copy = copy_of(file->bytes, (size_t)file->size);
  assert_true(end <= file->size);
  s->count.expected += 8 * (end - first);
  for (size_t at = first; at < end; at++)
    for (int bit = 0; bit < 8; bit++) {
      copy[at] ^= (uint8_t)(1 << bit);
      try_case(s, copy, (size_t)file->size);
      copy[at] ^= (uint8_t)(1 << bit);
    }
  free(copy);
}

void sweep_open(sweep *s, const gpt2_blob *blobs, size_t n_blobs, const char *file,
                const char *text)
{
  *s = (sweep){.blobs = blobs, .n_blobs = n_blobs, .file = file, .text = text};
  arena_open(&s->memory, MEMORY_SIZE);
}

void sweep_close(sweep *s)
{
  const sweep_count *c = &s->count;
  size_t n = c->refused + c->loaded + c->without_tokenizer;
  arena_close(&s->memory);
  print_message("# %s: %zu cases: %zu refused, %zu loaded, %zu loaded without tokenizer\n", s->file,
                n, c->refused, c->loaded, c->without_tokenizer);
  assert_int_equal(n, c->expected);
  assert_true(c->loaded > 0 && c->refused + c->without_tokenizer > 0);
}

void sweep_file(const gpt2_blob *blobs, size_t n_blobs, const char *file, const char *text)
{
  sweep s;
  sweep_open(&s, blobs, n_blobs, file, text);
  size_t size = (size_t)swept_file(&s)->size;
  sweep_cuts(&s);
  sweep_values(&s, 0, size);
  assert_int_equal(s.count.expected, 257 * size);
  sweep_close(&s);
}
