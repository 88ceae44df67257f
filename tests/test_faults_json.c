/* test_faults_json.c - whatever is wrong with JSON is refused in every file that is JSON, with its
 * name; and what is too large or nested too deep before it is parsed. */
#define _POSIX_C_SOURCE 200809L

#include "support/arena.h"
#include "support/expect.h"
#include "support/faults.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
  const char *name;
  fault_model model;
} files[] = {
    {"config.json", FAULT_PLAIN},
    {"model.safetensors", FAULT_PLAIN},
    {"model.safetensors.index.json", FAULT_SHARDED},
    {"tokenizer.json", FAULT_TOKENIZER_JSON},
    {"vocab.json", FAULT_VOCABULARY},
    {"added_tokens.json", FAULT_OLDER},
    {"special_tokens_map.json", FAULT_OLDER},
    {"tokenizer_config.json", FAULT_NEWER},
};

/* Put behind the first bracket of the file. */
static const struct {
  const char *test, *text;
  gpt2_status status;
  const char *words;
} wrong[] = {
    {"a_key_that_stands_there_twice_is_refused", "\"x\":1,\"x\":1,", GPT2_ERR_FORMAT,
     "duplicate object key"},
    {"a_key_twice_deep_inside_is_refused", "\"x\":[{\"y\":{\"z\":1,\"z\":1}}],", GPT2_ERR_FORMAT,
     "duplicate object key"},
    {"bytes_that_are_no_utf8_are_refused", "\"x\":\"\xff\",", GPT2_ERR_FORMAT,
     "unable to decode byte 0xff"},
    {"a_character_that_is_cut_is_refused", "\"x\":\"\xe6\x97\",", GPT2_ERR_FORMAT,
     "unable to decode byte 0xe6"},
    {"an_overlong_character_is_refused", "\"x\":\"\xc0\xaf\",", GPT2_ERR_FORMAT,
     "unable to decode byte 0xc0"},
    {"a_surrogate_in_utf8_is_refused", "\"x\":\"\xed\xa0\x80\",", GPT2_ERR_FORMAT,
     "unable to decode byte 0xed"},
    {"a_lone_high_surrogate_is_refused", "\"x\":\"\\ud83d\",", GPT2_ERR_FORMAT, "invalid Unicode"},
    {"a_lone_low_surrogate_is_refused", "\"x\":\"\\udc00\",", GPT2_ERR_FORMAT, "invalid Unicode"},
    {"surrogates_in_the_wrong_order_are_refused", "\"x\":\"\\udc00\\ud83d\",", GPT2_ERR_FORMAT,
     "invalid Unicode"},
    {"a_key_that_is_a_lone_surrogate_is_refused", "\"\\ud83d\":1,", GPT2_ERR_FORMAT,
     "invalid Unicode"},
    {"a_nul_in_a_text_is_refused", "\"x\":\"\\u0000\",", GPT2_ERR_UNSUPPORTED, "\\u0000"},
    {"a_nul_in_a_key_is_refused", "\"x\\u0000\":1,", GPT2_ERR_UNSUPPORTED, "\\u0000"},
    {"an_escape_that_is_none_is_refused", "\"x\":\"\\q\",", GPT2_ERR_FORMAT, "invalid escape"},
    {"a_line_break_in_a_text_is_refused", "\"x\":\"\n\",", GPT2_ERR_FORMAT, "unexpected newline"},
    {"a_number_beyond_all_numbers_is_refused", "\"x\":1e999,", GPT2_ERR_FORMAT,
     "real number overflow"},
    {"a_number_that_is_not_a_number_is_refused", "\"x\":NaN,", GPT2_ERR_FORMAT, "NaN"},
    {"a_number_with_a_zero_before_it_is_refused", "\"x\":07,", GPT2_ERR_FORMAT, "line 1"},
    {"a_missing_value_is_refused", "\"x\":,", GPT2_ERR_FORMAT, "line 1"},
    {"a_missing_comma_is_refused", "\"x\":1 ", GPT2_ERR_FORMAT, "line 1"},
    {"a_list_that_is_not_closed_is_refused", "\"x\":[1,", GPT2_ERR_FORMAT, "line 1"},
    {"a_text_that_is_not_closed_is_refused", "\"x,", GPT2_ERR_FORMAT, "line 1"},
    {"a_comment_is_refused", "/* x */", GPT2_ERR_FORMAT, "line 1"},
};
enum { N_FILES = sizeof files / sizeof *files, N_WRONG = sizeof wrong / sizeof *wrong };

static struct {
  char test[120], to[64];
} texts[N_FILES * N_WRONG];
static fault faults[N_FILES * N_WRONG];

static void make_faults(void)
{
  for (int i = 0; i < N_FILES * N_WRONG; i++) {
    int f = i / N_WRONG, w = i % N_WRONG;
    snprintf(texts[i].test, sizeof texts[i].test, "%s: %s", files[f].name, wrong[w].test);
    snprintf(texts[i].to, sizeof texts[i].to, "{%s", wrong[w].text);
    faults[i] = (fault){texts[i].test, files[f].model,  files[f].name, "{",
                        texts[i].to,   wrong[w].status, files[f].name, wrong[w].words};
  }
}

static void expect_wrong(const tiny_files *model, int f, gpt2_status status, const char *words)
{
  bool is_tokenizers = files[f].model >= FAULT_TOKENIZER_JSON;
  (is_tokenizers ? expect_no_tokenizer : expect_refused)(model, status, files[f].name, words);
}

/* ---- Before parsing ---- */

/* The header of the weights is a part of them; its size in the first bytes is one too large. */
enum { WEIGHTS = 1, SIZE_FIELD = 8, ROOM = 4 << 20 };
static const uint8_t header_size[SIZE_FIELD] = {1, 0, 0, 1};

static void nesting_deeper_than_64_is_refused_in_every_file(void **state)
{
  (void)state;
  static char deep[200000];
  for (int depth = 65; depth < 100000; depth *= 1000)
    for (int f = 0; f < N_FILES; f++) {
      int n = sprintf(deep, "{\"x\":");
      memset(deep + n, '[', (size_t)depth - 1);
      memset(deep + n + depth - 1, ']', (size_t)depth - 1);
      n += 2 * depth - 2;
      deep[n++] = ',';
      tiny_files *model = fault_files(files[f].model);
      tiny_edit(model, files[f].name, "{", deep, (size_t)n);
      expect_wrong(model, f, GPT2_ERR_LIMIT, "nested deeper than 64");
      tiny_free(model);
    }
}

/* 63 in the one of the file; two of tokenizer.json are already those around a merge. */
static void nesting_of_64_is_read_in_every_file_that_may_have_more_keys(void **state)
{
  (void)state;
  char deep[256] = "{\"x\":", *at = deep + 5;
  for (int i = 0; i < 63; i++)
    *at++ = '[';
  for (int i = 0; i < 63; i++)
    *at++ = ']';
  *at++ = ',';
  static const int may_have[] = {0, 2, 3, 6, 7};
  for (size_t i = 0; i < sizeof may_have / sizeof *may_have; i++) {
    tiny_files *model = fault_files(files[may_have[i]].model);
    gpt2_model *loaded = NULL;
    gpt2_error error = NO_ERROR_YET;
    tiny_edit(model, files[may_have[i]].name, "{", deep, (size_t)(at - deep));
    expect_success(gpt2_load_memory(model->blobs, model->n, NULL, &loaded, &error), &error);
    assert_true(info_of(loaded).flags & GPT2_INFO_TOKENIZER);
    gpt2_model_free(loaded);
    tiny_free(model);
  }
}

/* Loads the files with an arena that has no room for what must not be read, nor has the parser. */
static gpt2_status load_in_arena(arena *memory, const tiny_files *model, bool is_host,
                                 gpt2_model **loaded, gpt2_error *error)
{
  gpt2_allocator hooks = arena_hooks(memory);
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks, .n_threads = 1};
  static host_source host; /* the model outlives this call */
  host = (host_source){.blobs = model->blobs, .n_blobs = model->n};
  gpt2_source source = host_callbacks(&host);
  if (!is_host)
    return gpt2_load_memory(model->blobs, model->n, &options, loaded, error);
  return gpt2_load_source(&source, &options, loaded, error);
}

/* The file says that it is so large; more bytes than before are not there. */
static void expect_too_large(int f, uint64_t size, bool is_host, const char *words)
{
  arena memory;
  tiny_files *model = fault_files(files[f].model);
  gpt2_model *loaded = NULL;
  gpt2_error error = NO_ERROR_YET;
  tiny_file(model, files[f].name)->size = size;
  if (f == WEIGHTS)
    memcpy((void *)(uintptr_t)tiny_file(model, files[f].name)->bytes, header_size, SIZE_FIELD);
  arena_open(&memory, ROOM);
  gpt2_status status = load_in_arena(&memory, model, is_host, &loaded, &error);
  if (files[f].model < FAULT_TOKENIZER_JSON) {
    expect_failure(status, GPT2_ERR_LIMIT, &error, files[f].name, words);
    assert_null(loaded);
  } else {
    expect_success(status, &error);
    gpt2_info info = info_of(loaded);
    assert_int_equal(info.tokenizer_status, GPT2_ERR_LIMIT);
    assert_non_null(strstr(info.tokenizer_message, files[f].name));
    assert_non_null(strstr(info.tokenizer_message, words));
  }
  gpt2_model_free(loaded);
  arena_reset(&memory);
  arena_close(&memory);
  tiny_free(model);
}

static void a_file_over_64_mb_is_refused_before_it_is_read(void **state)
{
  (void)state;
  for (int f = 0; f < N_FILES; f++)
    for (int is_host = 0; is_host < 2 && f != WEIGHTS; is_host++) {
      expect_too_large(f, (64 << 20) + 1, is_host, "67108865 bytes, at most 67108864");
      expect_too_large(f, (uint64_t)1 << 62, is_host, "4611686018427387904 bytes");
    }
}

/* The file on disk is a hole; whether it would be mapped or read. */
static void a_file_over_64_mb_on_disk_is_refused_before_it_is_read(void **state)
{
  (void)state;
  for (int copied = 0; copied < 2; copied++) {
    tiny_files *model = fault_files(FAULT_PLAIN);
    char *folder = new_temporary_folder(), path[4200];
    gpt2_load_options options = {.struct_size = sizeof options,
                                 .flags = copied ? GPT2_LOAD_COPY : 0};
    gpt2_model *loaded = NULL;
    gpt2_error error = NO_ERROR_YET;
    for (size_t i = 0; i < model->n; i++)
      write_temporary_file(folder, model->blobs[i].name, model->blobs[i].bytes,
                           (size_t)model->blobs[i].size);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(truncate(path, (64 << 20) + 1), 0);
    expect_failure(gpt2_load(folder, &options, &loaded, &error), GPT2_ERR_LIMIT, &error,
                   "config.json", "67108865 bytes");
    assert_null(loaded);
    remove_temporary_folder(folder);
    tiny_free(model);
  }
}

static void a_header_over_16_mb_is_refused_before_it_is_read(void **state)
{
  (void)state;
  for (int is_host = 0; is_host < 2; is_host++)
    expect_too_large(WEIGHTS, 1 << 30, is_host, "a header of 16777217 bytes");
}

int main(void)
{
  const struct CMUnitTest others[] = {
      cmocka_unit_test(nesting_deeper_than_64_is_refused_in_every_file),
      cmocka_unit_test(nesting_of_64_is_read_in_every_file_that_may_have_more_keys),
      cmocka_unit_test(a_file_over_64_mb_is_refused_before_it_is_read),
      cmocka_unit_test(a_file_over_64_mb_on_disk_is_refused_before_it_is_read),
      cmocka_unit_test(a_header_over_16_mb_is_refused_before_it_is_read),
  };
  struct CMUnitTest tests[N_FILES * N_WRONG + sizeof others / sizeof *others];
  make_faults();
  fault_tests(faults, N_FILES * N_WRONG, tests);
  memcpy(tests + N_FILES * N_WRONG, others, sizeof others);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
