/* load.c - loads files of any content, and holds the library to what it promises of that. */
#include <sanitizer/allocator_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "support/host_source.h"

/* ---- Memory ---- */

/* A load may take the model and 80 times the size of its JSON, and this constant: the table of
 * pairs of bytes takes 1 MB. */
enum { JSON_FACTOR = 80, CONSTANT = 3 << 20 };

static size_t live, peak; /* bytes, from the start of a load on */
static bool counting;

static void count_malloc(const volatile void *memory, size_t size)
{
  (void)memory;
  if (!counting)
    return;
  live += size;
  peak = live > peak ? live : peak;
}

static void count_free(const volatile void *memory)
{
  if (counting && memory)
    live -= __sanitizer_get_allocated_size((const void *)(uintptr_t)memory);
}

static void start_counting(void)
{
  static bool installed;
  if (!installed)
    __sanitizer_install_malloc_and_free_hooks(count_malloc, count_free);
  installed = counting = true;
  live = peak = 0;
}

/* The most that a load of these files may take at a time. Of weights only the header is JSON; twice
 * the rest leaves room for a conversion. */
static size_t most_memory(const gpt2_blob *files, size_t n_files)
{
  size_t most = CONSTANT;
  for (size_t i = 0; i < n_files; i++) {
    bool is_json = !strstr(files[i].name, ".safetensors");
    uint64_t header = files[i].size;
    if (!is_json && files[i].size >= sizeof header) {
      memcpy(&header, files[i].bytes, sizeof header);
      header = header < files[i].size ? header : 0;
    }
    most += JSON_FACTOR * (size_t)header + 2 * (size_t)files[i].size;
  }
  return most;
}

/* ---- What a load says ---- */

static void check_words(const char *text)
{
  size_t left = strlen(text);
  must(left > 0, "a failure without words");
  for (const uint8_t *at = (const uint8_t *)text; left > 0;) {
    size_t size = utf8_character(at, left);
    must(size > 0 && *at >= 0x20 && *at != 0x7f, "not fit to print: %s", text);
    at += size;
    left -= size;
  }
}

/* Files are damaged, unsupported, too large or not there; nothing else can be wrong with them. */
static void check_failure(gpt2_status status, const gpt2_error *error)
{
  must(status == error->status, "%d, but the error has %d", (int)status, (int)error->status);
  must(status == GPT2_ERR_FORMAT || status == GPT2_ERR_UNSUPPORTED || status == GPT2_ERR_LIMIT ||
           status == GPT2_ERR_NOT_FOUND,
       "%s: %s", gpt2_status_name(status), error->message);
  must(error->offset >= -1, "offset %lld", (long long)error->offset);
  check_words(error->message);
}

static void check_info(const gpt2_model *model)
{
  gpt2_info info = {.struct_size = sizeof info};
  must(gpt2_model_info(model, &info, NULL) == GPT2_OK, "no info");
  must(info.n_vocab > 0 && info.n_ctx > 0 && info.n_layer > 0 && info.n_embd % info.n_head == 0,
       "sizes that no model has");
  must(info.bos_token >= -1 && info.bos_token < info.n_vocab, "bos %d", (int)info.bos_token);
  bool has_tokenizer = (info.flags & GPT2_INFO_TOKENIZER) != 0;
  must(has_tokenizer == (info.tokenizer_status == GPT2_OK), "%d", (int)info.tokenizer_status);
  if (!has_tokenizer)
    check_words(info.tokenizer_message);
  for (int32_t i = 0; i < info.n_ignored; i++)
    must(gpt2_ignored_tensor(model, (size_t)i), "ignored tensor %d has no name", (int)i);
  must(!gpt2_ignored_tensor(model, (size_t)info.n_ignored), "more are ignored than it says");
}

/* ---- Loading ---- */

static const gpt2_load_options one_thread = {.struct_size = sizeof one_thread, .n_threads = 1};

/* Through callbacks all is read that was seen before, and must come to the same. */
static void load_again(const gpt2_blob *files, size_t n_files, gpt2_status expected,
                       const gpt2_error *expected_error)
{
  host_source host = {.blobs = files, .n_blobs = n_files};
  gpt2_source source = host_callbacks(&host);
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_model *model;
  gpt2_status status = gpt2_load_source(&source, &one_thread, &model, &error);
  must(status == expected, "seen: %s: %s; read: %s: %s", gpt2_status_name(expected),
       expected_error->message, gpt2_status_name(status), error.message);
  if (expected != GPT2_ERR_NOT_FOUND) /* whose words say where the file was looked for */
    must(strcmp(error.message, expected_error->message) == 0, "seen: %s; read: %s",
         expected_error->message, error.message);
  gpt2_model_free(model);
  must(host.n_open == 0 && host.n_released == 1, "%d files open, released %d times", host.n_open,
       host.n_released);
}

gpt2_model *load_files(const gpt2_blob *files, size_t n_files, bool twice)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_model *model = (gpt2_model *)&error;
  start_counting();
  gpt2_status status = gpt2_load_memory(files, n_files, &one_thread, &model, &error);
  counting = false;
  must(peak <= most_memory(files, n_files), "%zu bytes were taken, %zu are promised", peak,
       most_memory(files, n_files));
  must((status == GPT2_OK) == (model != NULL), "%s, model %p", gpt2_status_name(status),
       (void *)model);
  if (model)
    check_info(model);
  else
    check_failure(status, &error);
  if (twice)
    load_again(files, n_files, status, &error);
  return model;
}

gpt2_model *load_as(const gpt2_blob *files, size_t n_files, int32_t weights)
{
  gpt2_load_options options = one_thread;
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_model *model;
  options.weights = weights;
  gpt2_status status = gpt2_load_memory(files, n_files, &options, &model, &error);
  must(status == GPT2_OK, "as type %d: %s: %s", (int)weights, gpt2_status_name(status),
       error.message);
  check_info(model);
  return model;
}

void use_model(gpt2_model *model)
{
  static const gpt2_token tokens[] = {0, 0};
  const gpt2_row row = {.flags = GPT2_ROW_SCORE | GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN};
  gpt2_context_options options = {.struct_size = sizeof options, .n_threads = 1};
  gpt2_context *context;
  gpt2_token_score score;
  gpt2_token token;
  must(gpt2_context_new(model, &options, &context, NULL) == GPT2_OK, "no context");
  gpt2_status status = gpt2_eval(context, 0, tokens, 2, 0);
  must(status == GPT2_OK || status == GPT2_ERR_CONTEXT_FULL, "%s",
       gpt2_context_error(context)->message);
  status = gpt2_eval_batch(context, &row, 1);
  if (status == GPT2_OK) {
    must(gpt2_logits(context, 0) && gpt2_row_logits(context, 0) && gpt2_row_hidden(context, 0),
         "a row without what it asked for");
    status = gpt2_row_score(context, 0, &score);
    must(status == GPT2_OK || status == GPT2_ERR_NON_FINITE, "%s", gpt2_status_name(status));
    must(gpt2_sample(context, 0, NULL, &token) == status, "scored: %s", gpt2_status_name(status));
  }
  must(status == GPT2_OK || status == GPT2_ERR_NON_FINITE || status == GPT2_ERR_CONTEXT_FULL, "%s",
       gpt2_status_name(status));
  gpt2_context_free(context);
}
