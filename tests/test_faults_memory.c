/* test_faults_memory.c - a load needs at most the model, 80 times the size of its JSON and a
 * constant of memory, whatever the files are made of; and vocabularies may be huge. */
#include "support/expect.h"
#include "support/faults.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/peak_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Bytes beside 80 times the JSON: what the tiny model takes as it is, most of which is the table of
 * all pairs of bytes, and a little. */
enum { CONSTANT = (1 << 20) + (256 << 10), TIMES = 80 };

/* Elements of a list, just behind the doubling of an array, whose old half is still there; and
 * names of other things. */
enum { MANY = (1 << 18) + 1, MANY_NAMES = 1 << 16 };

/* ---- Texts that take much memory for their size ---- */

typedef struct text {
  char *bytes;
  size_t size, capacity;
} text;

static void add(text *t, const char *words)
{
  size_t size = strlen(words);
  while (t->size + size + 1 > t->capacity) {
    t->capacity = 2 * t->capacity + 65536;
    t->bytes = realloc(t->bytes, t->capacity);
    assert_non_null(t->bytes);
  }
  memcpy(t->bytes + t->size, words, size + 1);
  t->size += size;
}

/* n of an element, with commas. */
static void add_list(text *t, const char *element, int n)
{
  for (int i = 0; i < n; i++) {
    add(t, i ? "," : "");
    add(t, element);
  }
}

/* The n-th of all names of letters and digits, the shortest first: "a", "b" and "ab", too. */
static void name_of(unsigned n, char name[16])
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  int length = 0;
  for (n++; n > 0; n = (n - 1) / 62)
    name[length++] = letters[(n - 1) % 62];
  name[length] = '\0';
}

/* Members of n different names; `format` has a comma, the name and a number. */
static void add_members(text *t, const char *format, int n)
{
  for (int i = 0; i < n; i++) {
    char member[128], name[16];
    name_of((unsigned)i, name);
    snprintf(member, sizeof member, format, i ? "," : "", name, i);
    add(t, member);
  }
}

static void add_tokens(text *t)
{
  add_members(t, "%s\"%s\":%d", MANY_NAMES);
}

static void add_names(text *t)
{
  add_members(t, "%s\"%s\"", MANY_NAMES);
}

static void add_decoder(text *t)
{
  for (int i = 0; i < MANY_NAMES; i++) {
    char member[64], name[16];
    name_of((unsigned)i, name);
    snprintf(member, sizeof member, "%s\"%d\":{\"content\":\"%s\"}", i ? "," : "", i, name);
    add(t, member);
  }
}

static void add_tensors(text *t)
{
  add_members(t, "%s\"%s\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", 20000);
}

static void add_shards(text *t)
{
  add_members(t, "%s\"%s\":\"one.safetensors\"", MANY_NAMES);
}

/* Few tokens, whose every byte is a node of the trie. */
static void add_tokens_of(text *t, int length)
{
  enum { N = 540, MOST = 2200 };
  char name[MOST] = "", id[16];
  for (int i = 0; i < N; i++) {
    for (int b = 0; b < length; b++)
      name[b] = (char)(b < 10 ? 'a' + (i >> b & 1) : 'a' + (i * 31 + b * 7) % 26);
    add(t, i ? ",\"" : "\"");
    add(t, name);
    snprintf(id, sizeof id, "\":%d", i + 10);
    add(t, id);
  }
  add(t, ",\"a\":0,\"b\":1,\"ab\":2");
}

/* A little more than 2^20 nodes, and than 1087 * 2^10: a trie that doubles from a power of two, or
 * from twice the number of tokens, has just grown. */
static void add_long_tokens(text *t)
{
  add_tokens_of(t, 1950);
}

static void add_longer_tokens(text *t)
{
  add_tokens_of(t, 2100);
}

static void add_merges(text *t)
{
  for (int i = 0; i < MANY; i++)
    add(t, "a b\n");
}

static void add_empty_objects(text *t)
{
  add_list(t, "{}", MANY);
}

static void add_fewer_objects(text *t)
{
  add_list(t, "{},{},{},[]", MANY / 4 + 1);
}

static void add_empty_lists(text *t)
{
  add_list(t, "[]", MANY);
}

static void add_empty_texts(text *t)
{
  add_list(t, "\"\"", MANY);
}

static void add_digits(text *t)
{
  add_list(t, "0", MANY);
}

/* These are shortened in a copy. */
static void add_long_integers(text *t)
{
  add_empty_lists(t);
  add(t, ",1111111111111111111");
}

static void add_small_objects(text *t)
{
  add_list(t, "{\"\":0}", MANY);
}

/* One member more than jansson has room for at first. */
static void add_grown_objects(text *t)
{
  add_list(t, "{\"\":0,\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0}", MANY / 8);
}

/* ---- Files of them ---- */

typedef struct large_file {
  const char *name, *before; /* the file begins with; NULL: "{" and, last, what it has else */
  void (*add)(text *t);
  const char *after;
} large_file;

typedef struct large_case {
  const char *test;
  fault_model model;
  large_file files[2]; /* the second may have no name */
} large_case;

#define CONFIG    "config.json", "{\"x\":["
#define HEADER    "model.safetensors", "{\"x\":["
#define INDEX     "model.safetensors.index.json", "{\"x\":["
#define TOKENIZER "tokenizer.json", "{\"x\":["
#define BYTE_LEVEL                                                                                 \
  "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{"
#define AND ",\"y\":"
#define END "]}"

static const large_case cases[] = {
    {"a_config_of_empty_objects_is_refused_before_parsing",
     FAULT_PLAIN,
     {{CONFIG, add_empty_objects, END}}},
    {"a_config_of_as_many_objects_as_may_be_needs_no_more",
     FAULT_PLAIN,
     {{CONFIG, add_fewer_objects, END}}},
    {"a_config_of_empty_lists_needs_no_more", FAULT_PLAIN, {{CONFIG, add_empty_lists, END}}},
    {"a_config_of_empty_texts_needs_no_more", FAULT_PLAIN, {{CONFIG, add_empty_texts, END}}},
    {"a_config_of_digits_needs_no_more", FAULT_PLAIN, {{CONFIG, add_digits, END}}},
    {"a_config_of_which_a_copy_is_made_needs_no_more",
     FAULT_PLAIN,
     {{CONFIG, add_long_integers, END}}},
    {"a_config_of_small_objects_needs_no_more", FAULT_PLAIN, {{CONFIG, add_small_objects, END}}},
    {"a_config_of_larger_objects_needs_no_more", FAULT_PLAIN, {{CONFIG, add_grown_objects, END}}},
    {"a_header_of_empty_objects_is_refused_before_parsing",
     FAULT_PLAIN,
     {{HEADER, add_empty_objects, END}}},
    {"a_header_of_as_many_objects_as_may_be_needs_no_more",
     FAULT_PLAIN,
     {{HEADER, add_fewer_objects, END}}},
    {"a_header_of_empty_tensors_needs_no_more",
     FAULT_PLAIN,
     {{"model.safetensors", "{", add_tensors, "}"}}},
    {"an_index_of_many_tensors_needs_no_more",
     FAULT_SHARDED,
     {{"model.safetensors.index.json", "{\"weight_map\":{", add_shards, "}}"}}},
    {"an_index_of_as_many_objects_as_may_be_needs_no_more",
     FAULT_SHARDED,
     {{INDEX, add_fewer_objects, END}}},
    {"a_tokenizer_of_as_many_objects_as_may_be_needs_no_more",
     FAULT_TOKENIZER_JSON,
     {{TOKENIZER, add_fewer_objects, END}}},
    {"merges_that_are_objects_need_no_more",
     FAULT_TOKENIZER_JSON,
     {{"tokenizer.json", BYTE_LEVEL "\"vocab\":{\"a\":0},\"merges\":[", add_fewer_objects, "]}}"}}},
    {"merges_that_are_empty_objects_are_refused_before_parsing",
     FAULT_TOKENIZER_JSON,
     {{"tokenizer.json", BYTE_LEVEL "\"vocab\":{\"a\":0},\"merges\":[", add_empty_objects, "]}}"}}},
    {"a_tokenizer_of_many_tokens_needs_no_more",
     FAULT_TOKENIZER_JSON,
     {{"tokenizer.json", BYTE_LEVEL "\"merges\":[\"a b\"],\"vocab\":{", add_tokens, "}}}"}}},
    {"a_tokenizer_of_many_tokens_that_is_broken_needs_no_more",
     FAULT_TOKENIZER_JSON,
     {{"tokenizer.json", BYTE_LEVEL "\"merges\":[\"a b\"],\"vocab\":{", add_tokens, ",}}}"}}},
    {"a_tokenizer_of_long_tokens_needs_no_more",
     FAULT_TOKENIZER_JSON,
     {{"tokenizer.json", BYTE_LEVEL "\"merges\":[\"a b\"],\"vocab\":{", add_long_tokens, "}}}"}}},
    {"a_vocabulary_of_many_tokens_needs_no_more",
     FAULT_VOCABULARY,
     {{"vocab.json", "{", add_tokens, "}"}}},
    {"a_vocabulary_of_long_tokens_needs_no_more",
     FAULT_VOCABULARY,
     {{"vocab.json", "{", add_long_tokens, "}"}}},
    {"a_vocabulary_of_longer_tokens_needs_no_more",
     FAULT_VOCABULARY,
     {{"vocab.json", "{", add_longer_tokens, "}"}}},
    {"many_merges_need_no_more", FAULT_VOCABULARY, {{"merges.txt", "", add_merges, ""}}},
    {"many_added_tokens_need_no_more",
     FAULT_OLDER,
     {{"added_tokens.json", "{", add_tokens, "}"}, {"vocab.json", "{", add_tokens, "}"}}},
    {"many_special_tokens_need_no_more",
     FAULT_VOCABULARY,
     {{"special_tokens_map.json", "{\"extra_special_tokens\":[", add_names, "]}"},
      {"vocab.json", "{", add_tokens, "}"}}},
    {"many_tokens_of_the_decoder_need_no_more",
     FAULT_NEWER,
     {{"tokenizer_config.json", "{\"added_tokens_decoder\":{", add_decoder, "}}"},
      {"vocab.json", "{", add_tokens, "}"}}},
    {"many_special_tokens_of_the_config_need_no_more",
     FAULT_NEWER,
     {{"tokenizer_config.json", "{\"extra_special_tokens\":[", add_names, "]}"},
      {"vocab.json", "{", add_tokens, "}"}}},
};

/* Puts the text in the place of the file, or of the header. */
static void set_large(tiny_files *files, const large_file *large)
{
  text t = {.bytes = NULL};
  size_t size;
  add(&t, large->before);
  large->add(&t);
  add(&t, large->after);
  if (strcmp(large->name, tiny_weights) == 0) {
    uint8_t *bytes = build_safetensors_text(t.bytes, 0, &size);
    tiny_set(files, large->name, bytes, size);
    free(bytes);
  } else {
    tiny_set(files, large->name, t.bytes, t.size);
  }
  free(t.bytes);
}

/* Loads from a source that is read, of which every file that is parsed is copied first. */
static size_t peak_of(const tiny_files *files, gpt2_status *status, gpt2_status *tokenizer)
{
  peak_memory memory;
  host_source host = {.blobs = files->blobs, .n_blobs = files->n};
  gpt2_source source = host_callbacks(&host);
  peak_open(&memory);
  gpt2_allocator hooks = peak_hooks(&memory);
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks, .n_threads = 1};
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  *status = gpt2_load_source(&source, &options, &model, &error);
  *tokenizer = *status == GPT2_OK ? info_of(model).tokenizer_status : GPT2_OK;
  gpt2_model_free(model);
  peak_close(&memory);
  return memory.peak;
}

static void check_case(void **state)
{
  const large_case *c = *state;
  tiny_files *files = fault_files(c->model);
  size_t size = 0;
  gpt2_status status, tokenizer;
  for (int i = 0; i < 2 && c->files[i].name; i++)
    set_large(files, &c->files[i]);
  for (size_t i = 0; i < files->n; i++)
    size += (size_t)files->blobs[i].size;
  size_t peak = peak_of(files, &status, &tokenizer);
  print_message("# %s: %zu bytes of files, %zu of memory, %.1f times\n", c->test, size, peak,
                (double)peak / (double)size);
  tiny_free(files);
  assert_true(peak <= CONSTANT + TIMES * size);
  const bool is_refused = strstr(c->test, "before_parsing") != NULL;
  assert_int_equal(is_refused, status == GPT2_ERR_LIMIT || tokenizer == GPT2_ERR_LIMIT);
}

/* Half a million tokens, the last id first, and gaps between them. */
static void add_huge_vocabulary(text *t)
{
  enum { N = 500000 };
  for (int i = 0; i < N; i++) {
    char member[64], name[16];
    name_of((unsigned)i, name);
    snprintf(member, sizeof member, "%s\"%s\":%d", i ? "," : "", name, 3 * (N - i));
    add(t, member);
  }
}

static void a_huge_vocabulary_is_read(void **state)
{
  (void)state;
  static const large_file large = {"vocab.json", "{", add_huge_vocabulary, "}"};
  tiny_files *files = fault_files(FAULT_VOCABULARY);
  gpt2_model *model = NULL;
  gpt2_token tokens[4];
  size_t n;
  gpt2_error error = NO_ERROR_YET;
  set_large(files, &large);
  expect_success(gpt2_load_memory(files->blobs, files->n, NULL, &model, &error), &error);
  assert_int_equal(info_of(model).n_tokens, 500000);
  expect_success(gpt2_encode(model, "abb", 3, 0, tokens, 4, &n, &error), &error);
  assert_true(n == 2 && tokens[1] == 3 * 499999 && tokens[0] < tokens[1]);
  gpt2_model_free(model);
  tiny_free(files);
}

int main(void)
{
  enum { N_CASES = sizeof cases / sizeof *cases };
  struct CMUnitTest tests[N_CASES + 1];
  for (size_t i = 0; i < N_CASES; i++)
    tests[i] = (struct CMUnitTest){.name = cases[i].test,
                                   .test_func = check_case,
                                   .initial_state = (void *)(uintptr_t)&cases[i]};
  tests[N_CASES] = (struct CMUnitTest)cmocka_unit_test(a_huge_vocabulary_is_read);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
