/* text.c - text to tokens and back: any bytes, with many tokenizers.
 *
 * An input's first byte chooses the tokenizer, its second how it is used; the rest is a text, or
 * numbers of tokens, two bytes each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/check_text.h"
#include "fuzz/fuzz.h"
#include "model/model.h"
#include "support/fixture.h"
#include "tokenizer/joint.h"
#include "tokenizer/word.h"

/* Folders with vocab.json and merges.txt, and tokenizer.json files. */
static const char *const tokenizers[] = {"../examples/models/tales",
                                         "fixtures/tokenizer/classes",
                                         "flags",
                                         "merges0",
                                         "merges1",
                                         "merges2",
                                         "merges3",
                                         "merges4",
                                         "merges5",
                                         "merges6",
                                         "merges7",
                                         "added00",
                                         "added05",
                                         "prefix_space",
                                         "split",
                                         "without_pattern",
                                         "ignore_merges",
                                         "unknown",
                                         "unknown_fused"};
enum { N_TOKENIZERS = sizeof tokenizers / sizeof *tokenizers };

typedef struct loaded {
  gpt2_model *model;
  plain_tokenizer plain;
} loaded;

static gpt2_blob read_blob(const char *name, const char *folder, const char *file)
{
  char path[256];
  size_t size;
  snprintf(path, sizeof path, "%s/%s", folder, file);
  char *whole = test_data_path(path);
  const char *content = read_test_file(whole, &size);
  free(whole);
  return (gpt2_blob){.name = name, .bytes = content, .size = size};
}

static loaded load_tokenizer(const char *name)
{
  gpt2_blob files[4] = {tiny_config(), tiny_weights()};
  char file[64];
  size_t n = 2;
  snprintf(file, sizeof file, "%s.json", name);
  if (strchr(name, '/')) {
    files[n++] = read_blob("vocab.json", name, "vocab.json");
    files[n++] = read_blob("merges.txt", name, "merges.txt");
  } else {
    files[n++] = read_blob("tokenizer.json", "fixtures/tokenizer/sets", file);
  }
  loaded l = {.model = load_files(files, n, false)};
  must(l.model && l.model->tokenizer, "%s: %s", name, l.model->tokenizer_error.message);
  l.plain = plain_new(l.model->tokenizer);
  return l;
}

/* The tokens of a word, window by window, are those of the whole. */
static void check_word(const loaded *l, const uint8_t *word, size_t size, size_t window)
{
  static gpt2_token tokens[MOST_TEXT], plain[MOST_TEXT];
  gpt2_error error = {.struct_size = sizeof error};
  token_sink sink = {.tokens = tokens, .capacity = MOST_TEXT};
  piece p;
  piece_init(&p, &l->model->tokenizer->vocabulary);
  gpt2_status status = encode_word(&p, word, size, window, 0, &sink, &error);
  piece_free(&p);
  size_t n = plain_encode_word(&l->plain, word, size, plain);
  must((n == SIZE_MAX) == (status == GPT2_ERR_UNSUPPORTED), "%s: %s", gpt2_status_name(status),
       error.message);
  must(n == SIZE_MAX || (sink.n == n && memcmp(tokens, plain, n * sizeof *plain) == 0),
       "in windows of %zu %zu tokens, whole %zu", window, sink.n, n);
}

/* Whether a token of whole bytes may stand after another one in what joint.h says: all such tokens
 * are what their bytes together are merged to. */
static bool may_follow(const vocabulary *v, uint32_t before, uint32_t place)
{
  bool orderly = v->made_by[place] != MADE_UNSURELY && (v->flags[place] & FLAG_WHOLE);
  return orderly && (before == NO_TOKEN || stay_apart(v, before, place));
}

static void check_joints(const loaded *l, const uint32_t *places, size_t n)
{
  static uint8_t bytes_of_all[1 << 16];
  static gpt2_token tokens[MOST_TEXT], merged[1 << 16];
  const vocabulary *v = &l->model->tokenizer->vocabulary;
  uint32_t before = NO_TOKEN;
  size_t n_kept = 0, size = 0, n_bytes;
  for (size_t i = 0; i < n; i++) {
    const char *text = vocabulary_bytes(v, places[i], &n_bytes);
    if (n_bytes > sizeof bytes_of_all - size || !may_follow(v, before, places[i]))
      continue;
    before = places[i];
    tokens[n_kept++] = v->ids[before];
    memcpy(bytes_of_all + size, text, n_bytes);
    size += n_bytes;
  }
  size_t n_merged = size > 0 ? plain_merge_word(&l->plain, bytes_of_all, size, merged) : 0;
  must(n_merged == n_kept && memcmp(merged, tokens, n_kept * sizeof *tokens) == 0,
       "%zu tokens that stay apart are merged to %zu", n_kept, n_merged);
}

static void check_ids(const loaded *l, bytes input, bool replace)
{
  const vocabulary *v = &l->model->tokenizer->vocabulary;
  static uint32_t places[MOST_TEXT];
  static gpt2_token ids[MOST_TEXT];
  size_t n = 0;
  while (input.size > 0 && n < MOST_TEXT) {
    uint32_t number = take_byte(&input);
    number = number << 8 | take_byte(&input);
    places[n] = number % (uint32_t)v->n_tokens;
    ids[n] = v->ids[places[n]];
    n++;
  }
  check_stream(l->model, ids, n, replace);
  check_joints(l, places, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static loaded all[N_TOKENIZERS];
  bytes input = {data, size < MOST_TEXT ? size : MOST_TEXT};
  size_t chosen = take_byte(&input) % N_TOKENIZERS;
  uint8_t use = take_byte(&input);
  loaded *l = &all[chosen];
  if (!l->model)
    *l = load_tokenizer(tokenizers[chosen]);
  if (use & 1) {
    check_ids(l, input, use & 2);
    return 0;
  }
  check_text(l->model, &l->plain, input.at, input.size, use & 2 ? GPT2_ENCODE_SPECIAL : 0);
  if (input.size > 0)
    check_word(l, input.at, input.size, 2 + use / 4 % 32);
  return 0;
}
