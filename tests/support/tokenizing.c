/* tokenizing.c - tokenizers for tests. */
#include "support/tokenizing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/expect.h"
#include "support/pools.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static gpt2_allocator memory_of_malloc(void)
{
  gpt2_allocator allocator;
  gpt2_error error = NO_ERROR_YET;
  expect_success(allocator_read(&allocator, NULL, &error), &error);
  return allocator;
}

/* With three threads: what they read must not depend on it. */
static gpt2_status load_tokenizer(source *s, tokenizer **out, gpt2_error *error)
{
  pool *p = new_pool(3);
  gpt2_status status = tokenizer_load(s, p, out, error);
  pool_free(p);
  return status;
}

tokenizer *open_tokenizer(const char *folder)
{
  char *path = test_data_path(folder);
  gpt2_error error = NO_ERROR_YET;
  gpt2_allocator allocator = memory_of_malloc();
  source *s;
  tokenizer *t;
  expect_success(source_open_folder(&allocator, path, false, &s, &error), &error);
  expect_success(load_tokenizer(s, &t, &error), &error);
  source_free(s);
  free(path);
  return t;
}

gpt2_status load_texts(const text_file *files, tokenizer **out, gpt2_error *error)
{
  enum { MOST = 8 };
  gpt2_blob blobs[MOST] = {{.name = NULL}};
  gpt2_allocator allocator = memory_of_malloc();
  size_t n = 0;
  for (; files[n].name; n++) {
    assert_in_range(n, 0, MOST - 1);
    size_t size = files[n].size ? files[n].size : strlen(files[n].text);
    blobs[n] = (gpt2_blob){.name = files[n].name, .bytes = files[n].text, .size = size};
  }
  source *s;
  gpt2_error none = NO_ERROR_YET;
  expect_success(source_open_blobs(&allocator, blobs, n, &s, &none), &none);
  gpt2_status status = load_tokenizer(s, out, error);
  source_free(s);
  return status;
}

tokenizer *open_texts(const text_file *files)
{
  gpt2_error error = NO_ERROR_YET;
  tokenizer *t;
  expect_success(load_texts(files, &t, &error), &error);
  return t;
}

token_list encoded(const tokenizer *t, const char *text, size_t size, uint32_t flags)
{
  size_t capacity = 2 * size + 1; /* room for a space before each stretch, too */
  gpt2_error error = NO_ERROR_YET;
  token_list list = {calloc(capacity, sizeof *list.tokens), 0};
  assert_non_null(list.tokens);
  char *exact = malloc(size + !size); /* so that a read beyond the end is noticed */
  assert_non_null(exact);
  memcpy(exact, text, size);
  gpt2_status status =
      tokenizer_encode(t, exact, size, flags, list.tokens, capacity, &list.n, &error);
  expect_success(status, &error);
  free(exact);
  return list;
}

void expect_bytes(const tokenizer *t, token_list tokens, const char *text, size_t size)
{
  size_t at = 0;
  for (size_t i = 0; i < tokens.n; i++) {
    size_t n;
    const char *bytes = tokenizer_bytes(t, tokens.tokens[i], &n);
    if (n > size - at || memcmp(bytes, text + at, n) != 0)
      fail_msg("token %zu, %d, does not stand for the bytes from %zu on", i, tokens.tokens[i], at);
    at += n;
  }
  assert_int_equal(at, size);
}

/* The ids in words, as many as there is room for. */
static const char *list_text(token_list list, char *text, size_t capacity)
{
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < list.n && used + 16 < capacity; i++)
    used += (size_t)snprintf(text + used, capacity - used, " %d", list.tokens[i]);
  return text;
}

void expect_tokens(const tokenizer *t, const char *text, size_t size, uint32_t flags,
                   token_list expected)
{
  enum { SHOWN = 60, WIDTH = 400 };
  token_list found = encoded(t, text, size, flags);
  char words[WIDTH], others[WIDTH];
  if (found.n != expected.n ||
      (found.n && memcmp(found.tokens, expected.tokens, found.n * sizeof *found.tokens) != 0))
    fail_msg("\"%.*s\" has the tokens%s; expected%s", (int)(size < SHOWN ? size : SHOWN), text,
             list_text(found, words, WIDTH), list_text(expected, others, WIDTH));
  free_tokens(found);
}

uint64_t hash_tokens(token_list tokens)
{
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < tokens.n; i++)
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ ((uint32_t)tokens.tokens[i] >> shift & 0xff)) * 0x100000001b3u;
  return hash;
}

void for_each_line(const char *name, size_t least, void (*check)(const json_t *line, void *user),
                   void *user)
{
  size_t size, n = 0;
  char *path = test_data_path(name), *all = read_test_file(path, &size), *next;
  for (char *line = all; *line; line = next) {
    json_error_t error;
    size_t length = strcspn(line, "\n");
    next = line + length + (line[length] == '\n');
    json_t *object = json_loadb(line, length, JSON_ALLOW_NUL, &error);
    if (!object)
      fail_msg("%s: line %zu: %s", path, n + 1, error.text);
    if (n == 0)
      assert_non_null(json_object_get(object, "made_with"));
    else
      check(object, user);
    n++;
    json_decref(object);
  }
  if (n < least + 1)
    fail_msg("%s: %zu lines, at least %zu were expected", path, n, least + 1);
  free(all);
  free(path);
}

typedef struct tokenizer_set {
  const tokenizer *t;
  size_t n_special; /* texts whose tokens the flag changes */
} tokenizer_set;

static void check_set_line(const json_t *line, void *user)
{
  tokenizer_set *set = user;
  const json_t *text = json_object_get(line, "text"), *special = json_object_get(line, "special");
  const char *bytes = json_string_value(text);
  assert_true(json_is_string(text) && json_is_array(json_object_get(line, "ids")));
  token_list ids = expected_tokens(line, "ids");
  token_list ids_special = expected_tokens(line, special ? "special" : "ids");
  expect_tokens(set->t, bytes, json_string_length(text), 0, ids);
  expect_tokens(set->t, bytes, json_string_length(text), GPT2_ENCODE_SPECIAL, ids_special);
  free_tokens(ids);
  free_tokens(ids_special);
  set->n_special += special != NULL;
}

size_t check_tokenizer_set(const char *name, size_t least)
{
  char below[128];
  size_t size;
  snprintf(below, sizeof below, "fixtures/tokenizer/sets/%s.json", name);
  char *path = test_data_path(below), *json = read_test_file(path, &size);
  tokenizer *t = open_texts((text_file[]){{"tokenizer.json", json, size}, {.name = NULL}});
  tokenizer_set set = {.t = t};
  snprintf(below, sizeof below, "fixtures/tokenizer/sets/%s.jsonl", name);
  for_each_line(below, least, check_set_line, &set);
  tokenizer_free(t);
  free(json);
  free(path);
  return set.n_special;
}
