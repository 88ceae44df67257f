/* test_small_stacks.c - everything works on threads with small stacks, as hosts with many threads
 * have them: 128 KB. Of those a thread's own storage takes its share, where OpenBLAS is linked 60
 * KB; no call takes more than 32. What a helper thread of a host calls does with PTHREAD_STACK_MIN,
 * 16 KB. */
#define _GNU_SOURCE
#include "gpt2.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/sampling.h"
#include "support/temporary_folder.h"
#include "support/typed_model.h"

enum { HANG_SECONDS = 250, SEED = 31 };

/* Sanitizers put more on the stack, and are slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_SIZE = 4096 << 10, MOST_USED = 1024 << 10, HELPERS_STACK = 1024 << 10 };
enum { LONG_TEXT = 300000 };
#else
enum { STACK_SIZE = 128 << 10, MOST_USED = 32 << 10, HELPERS_STACK = 16 << 10 };
enum { LONG_TEXT = 10000000 };
#endif

/* ---- Models ---- */

static char *folder;       /* the published vocabulary, and little weights of F16 */
static gpt2_model *model;  /* of it */
static record expected[6]; /* all work with the base model, by its weights' type */

static int make_models(void **state)
{
  (void)state;
  typed_model *typed = typed_new(ELEMENT_F16, true);
  folder = typed_published_folder(typed);
  typed_free(typed);
  model = open_model(folder);
  for (int32_t type = GPT2_TYPE_F32; type <= GPT2_TYPE_Q4_0; type++) {
    const gpt2_context_options one = {.struct_size = sizeof one, .n_threads = 1};
    gpt2_model *base = open_base_model(type, NULL);
    do_all_work(base, &one, SEED, &expected[type]);
    gpt2_model_free(base);
  }
  return 0;
}

static int free_models(void **state)
{
  (void)state;
  gpt2_model_free(model);
  remove_temporary_folder(folder);
  return 0;
}

/* ---- A thread with a stack that shows how much of it was used ---- */

enum { UNTOUCHED = 0xa5 };

static size_t untouched(const uint8_t *stack, size_t size)
{
  size_t n = 0;
  while (n < size && stack[n] == UNTOUCHED)
    n++;
  return n;
}

/* Below the stack there is a page that nobody may touch. */
static size_t used_by(void *(*run)(void *), void *data, size_t size)
{
  pthread_t thread;
  pthread_attr_t attributes;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t *memory = mmap(NULL, page + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(memory != MAP_FAILED);
  assert_int_equal(mprotect(memory + page, size, PROT_READ | PROT_WRITE), 0);
  memset(memory + page, UNTOUCHED, size);
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstack(&attributes, memory + page, size), 0);
  assert_int_equal(pthread_create(&thread, &attributes, run, data), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  size_t used = size - untouched(memory + page, size);
  pthread_attr_destroy(&attributes);
  munmap(memory, page + size);
  return used;
}

static void *do_nothing(void *data)
{
  return data;
}

/* Of any thread: thread-local storage, and what pthread itself puts there. */
static size_t used_by_nothing(void)
{
  return used_by(do_nothing, NULL, STACK_SIZE);
}

static void must_need_little(const char *what, void *(*run)(void *), void *data)
{
  size_t used = used_by(run, data, STACK_SIZE) - used_by_nothing();
  print_message("# %s: %zu bytes of stack\n", what, used);
  if (used > MOST_USED)
    fail_msg("%s: %zu bytes of stack, at most %d were expected", what, used, MOST_USED);
}

/* ---- Loading ---- */

static void *load(void *data)
{
  gpt2_model *loaded = NULL;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_load(folder, data, &loaded, &error), &error);
  gpt2_model_free(loaded);
  return NULL;
}

static void models_load_whatever_their_weights_are_converted_to(void **state)
{
  (void)state;
  for (int32_t type = GPT2_TYPE_DEFAULT; type <= GPT2_TYPE_Q4_0; type++)
    for (uint32_t flags = 0; flags <= GPT2_LOAD_COPY; flags++) {
      gpt2_load_options options = {
          .struct_size = sizeof options, .flags = flags, .weights = type, .n_threads = 1};
      char what[64];
      snprintf(what, sizeof what, "load, type %d, flags %u", (int)type, (unsigned)flags);
      must_need_little(what, load, &options);
    }
}

/* A config with a key that nobody reads, nested so deep. */
typedef struct nested {
  char config[1024];
  gpt2_error error;
} nested;

static void *load_nested(void *data)
{
  nested *n = data;
  gpt2_model *loaded = NULL;
  const gpt2_blob blob = {.name = "config.json", .bytes = n->config, .size = strlen(n->config)};
  n->error = NO_ERROR_YET;
  gpt2_load_memory(&blob, 1, NULL, &loaded, &n->error);
  assert_null(loaded);
  return NULL;
}

/* The config's object is the first level. */
static void check_nested(int depth, gpt2_status status, const char *words)
{
  nested n = {
      .config =
          "{\"model_type\":\"gpt2\",\"vocab_size\":7,\"n_positions\":3,\"n_embd\":4,\"n_head\":2,"
          "\"n_layer\":1,\"more\":"};
  for (int i = 1; i < depth; i++)
    strcat(n.config, i % 2 ? "[" : "{\"a\":");
  strcat(n.config, "0");
  for (int i = depth - 1; i >= 1; i--)
    strcat(n.config, i % 2 ? "]" : "}");
  strcat(n.config, "}");
  must_need_little("JSON of nested containers", load_nested, &n);
  expect_failure(n.error.status, status, &n.error, words, NULL);
}

static void json_is_nested_as_deep_as_it_may_be(void **state)
{
  (void)state;
  check_nested(64, GPT2_ERR_NOT_FOUND, "model.safetensors"); /* the config was read */
  check_nested(65, GPT2_ERR_LIMIT, "nested deeper than 64");
}

/* ---- Text ---- */

typedef struct long_text {
  char *bytes;
  gpt2_token *tokens;
  size_t n;
} long_text;

static void *encode_and_decode(void *data)
{
  long_text *text = data;
  gpt2_error error = NO_ERROR_YET;
  size_t size = 0;
  expect_success(
      gpt2_encode(model, text->bytes, LONG_TEXT, 0, text->tokens, LONG_TEXT, &text->n, &error),
      &error);
  char *decoded = malloc(LONG_TEXT);
  assert_non_null(decoded);
  expect_success(gpt2_decode(model, text->tokens, text->n, decoded, LONG_TEXT, &size, &error),
                 &error);
  assert_int_equal(size, LONG_TEXT);
  assert_memory_equal(decoded, text->bytes, size);
  free(decoded);
  return NULL;
}

static void check_text(const char *what, const char *part)
{
  long_text text = {malloc(LONG_TEXT), malloc(LONG_TEXT * sizeof(gpt2_token)), 0};
  assert_true(text.bytes && text.tokens);
  size_t size = strlen(part);
  for (size_t i = 0; i < LONG_TEXT; i++)
    text.bytes[i] = part[i % size];
  must_need_little(what, encode_and_decode, &text);
  assert_true(text.n > 0);
  free(text.bytes);
  free(text.tokens);
}

static void ten_megabytes_of_text_are_encoded_and_decoded(void **state)
{
  (void)state;
  check_text("encode, prose", "Once upon a time, there were 3 bears.\n\n");
  check_text("encode, one letter", "e");
  check_text("encode, no characters", "\xff\xc3");
}

/* ---- All that a host does ---- */

typedef struct all_work {
  int32_t type, kv_type;
  bool same;
} all_work;

static void *do_all(void *data)
{
  static record found;
  all_work *w = data;
  const gpt2_context_options options = {
      .struct_size = sizeof options, .n_threads = 2, .kv_type = w->kv_type};
  gpt2_model *base = open_base_model(w->type, NULL);
  do_all_work(base, &options, SEED, &found);
  gpt2_model_free(base);
  w->same = found.size == expected[w->type].size &&
            memcmp(found.bytes, expected[w->type].bytes, found.size) == 0;
  return NULL;
}

static void all_work_is_done_and_gives_the_same_to_the_bit(void **state)
{
  (void)state;
  for (int32_t type = GPT2_TYPE_F32; type <= GPT2_TYPE_Q4_0; type++)
    for (int32_t kv_type = GPT2_TYPE_F32; kv_type <= GPT2_TYPE_F16; kv_type++) {
      all_work w = {.type = type, .kv_type = kv_type};
      char what[64];
      snprintf(what, sizeof what, "all work, type %d, cache of type %d", (int)type, (int)kv_type);
      must_need_little(what, do_all, &w);
      assert_int_equal(w.same, kv_type == GPT2_TYPE_F32); /* f16 rounds */
    }
}

static void *draw(void *data)
{
  enum { N = 50257 };
  float *logits = malloc(N * sizeof *logits);
  gpt2_sampler_options options = *(gpt2_sampler_options *)data;
  gpt2_sampler *sampler = new_sampler(options);
  assert_non_null(logits);
  for (int i = 0; i < N; i++)
    logits[i] = (float)(i * 7919 % 50021) / 10000.0f;
  for (int i = 0; i < 10; i++)
    accept_token(sampler, draw_from(sampler, logits, N));
  gpt2_sampler_free(sampler);
  free(logits);
  return NULL;
}

static void tokens_are_drawn_from_the_published_vocabulary(void **state)
{
  (void)state;
  gpt2_sampler_options options = at_temperature(0.9f, SEED);
  must_need_little("draw, all", draw, &options);
  options.top_k = 400;
  must_need_little("draw, top_k", draw, &options);
  options.top_k = 0;
  options.top_p = 0.95f;
  must_need_little("draw, top_p", draw, &options);
}

/* ---- The smallest stack ---- */

static void *help(void *data)
{
  gpt2_context *context = data;
  gpt2_model *mine = gpt2_model_ref(gpt2_context_model(context));
  const char *bytes = NULL;
  size_t size = 0;
  gpt2_decoder *decoder = NULL;
  gpt2_cancel(context);
  assert_int_equal(gpt2_token_bytes(mine, 3, &bytes, &size, NULL), GPT2_OK);
  assert_int_equal(gpt2_decoder_new(mine, 0, &decoder, NULL), GPT2_OK);
  assert_int_equal(gpt2_decoder_push(decoder, 3, &bytes, &size, NULL), GPT2_OK);
  gpt2_decoder_free(decoder);
  assert_true(gpt2_kv_length(context, 0) == 1 && gpt2_logits(context, 0) != NULL);
  gpt2_model_free(mine);
  return NULL;
}

static void what_helper_threads_call_works_on_the_smallest_stack_there_is(void **state)
{
  (void)state;
  gpt2_context *context = open_context(model, 1);
  const gpt2_token token = 3;
  must_succeed(gpt2_eval(context, 0, &token, 1, 0), context);
  size_t page = (size_t)sysconf(_SC_PAGESIZE), nothing = used_by_nothing();
  size_t size = nothing + page - nothing % page + HELPERS_STACK,
         used = used_by(help, context, size);
  print_message("# a helper: %zu bytes of stack\n", used - nothing);
  assert_int_equal(gpt2_eval(context, 0, &token, 1, 0), GPT2_ERR_CANCELLED);
  gpt2_context_free(context);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(models_load_whatever_their_weights_are_converted_to),
      cmocka_unit_test(json_is_nested_as_deep_as_it_may_be),
      cmocka_unit_test(ten_megabytes_of_text_are_encoded_and_decoded),
      cmocka_unit_test(all_work_is_done_and_gives_the_same_to_the_bit),
      cmocka_unit_test(tokens_are_drawn_from_the_published_vocabulary),
      cmocka_unit_test(what_helper_threads_call_works_on_the_smallest_stack_there_is),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, make_models, free_models);
}
