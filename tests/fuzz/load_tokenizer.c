/* load_tokenizer.c - what the fuzzers of a tokenizer's files do with them. */
#include "fuzz/load_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "formats/json_cut.h"
#include "fuzz/check_text.h"
#include "model/model.h"

enum { MOST_FILES = 8 };

static gpt2_model *load_with(const gpt2_blob *files, size_t n_files)
{
  gpt2_blob all[MOST_FILES] = {tiny_config(), tiny_weights()};
  memcpy(all + 2, files, n_files * sizeof *files);
  gpt2_model *model = load_files(all, n_files + 2, false);
  must(model, "a tokenizer that cannot be used keeps its model from loading");
  return model;
}

/* A text of all kinds of words, and what the fuzzer makes of its own. */
static void use_tokenizer(gpt2_model *model, bytes text)
{
  static const char words[] =
      "Once upon a time,  there're 23 \xe2\x82\xac\xf0\x9f\x98\x80\xff\n\n x";
  enum { SHOWN = 60 };
  plain_tokenizer p = plain_new(model->tokenizer);
  gpt2_token tokens[MOST_TEXT];
  size_t n = text.size < SHOWN ? text.size : SHOWN;
  check_vocabulary(model);
  check_text(model, &p, (const uint8_t *)words, sizeof words - 1, text.size % 2);
  check_text(model, &p, text.at, n, 1 - text.size % 2);
  for (size_t i = 0; i < n; i++)
    tokens[i] = text.at[i] % (gpt2_token)tokenizer_id_limit(model->tokenizer);
  check_stream(model, tokens, n, text.size % 2);
  plain_free(&p);
}

/* The first file with its first line breaks, as many as make pieces, in place of each of them. */
static bytes spread(bytes file)
{
  enum { MOST_BREAKS = 2 };
  uint8_t *copy = malloc(file.size + MOST_BREAKS * PIECE_SIZE), *to = copy;
  must(copy, "no memory");
  for (size_t i = 0, n_breaks = 0; i < file.size; i++) {
    *to++ = file.at[i];
    if (file.at[i] != '\n' || n_breaks++ >= MOST_BREAKS)
      continue;
    memset(to, '\n', PIECE_SIZE);
    to += PIECE_SIZE;
  }
  return (bytes){copy, (size_t)(to - copy)};
}

static bool ends_with_break(const gpt2_blob *files, size_t n_files)
{
  return n_files > 0 && files[0].size > 0 &&
         ((const char *)files[0].bytes)[files[0].size - 1] == '\n';
}

static void check_same(const gpt2_model *model, const gpt2_model *other)
{
  must(!model->tokenizer == !other->tokenizer &&
           model->tokenizer_error.status == other->tokenizer_error.status,
       "whole: %s; in pieces: %s", model->tokenizer_error.message, other->tokenizer_error.message);
  if (!model->tokenizer)
    return;
  const vocabulary *one = &model->tokenizer->vocabulary, *two = &other->tokenizer->vocabulary;
  must(one->n_tokens == two->n_tokens && one->n_merges == two->n_merges, "they differ in number");
  must(memcmp(one->ids, two->ids, one->n_tokens * sizeof *one->ids) == 0, "ids differ");
  must(memcmp(one->bytes, two->bytes, one->starts[one->n_tokens]) == 0, "bytes differ");
  must(one->n_merges == 0 ||
           memcmp(one->merges, two->merges, one->n_merges * sizeof *one->merges) == 0,
       "merges differ");
}

void fuzz_tokenizer(const gpt2_blob *files, size_t n_files, bytes text)
{
  gpt2_blob others[MOST_FILES];
  gpt2_model *model = load_with(files, n_files);
  if (model->tokenizer)
    use_tokenizer(model, text);
  if (ends_with_break(files, n_files)) {
    memcpy(others, files, n_files * sizeof *files);
    bytes larger = spread((bytes){files[0].bytes, files[0].size});
    others[0] = blob_of(files[0].name, larger);
    gpt2_model *other = load_with(others, n_files);
    check_same(model, other);
    gpt2_model_free(other);
    free((void *)(uintptr_t)larger.at);
  }
  gpt2_model_free(model);
}
