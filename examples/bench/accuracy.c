/* accuracy.c - what an element type, or the arithmetic, costs in accuracy.
 *
 * Both models read the text in windows as long as the context, one after another, a few rows at a
 * time; each position's two distributions of the next token are compared, in all of the vocabulary.
 * Only those rows' logits are there at once, and one number a position: memory does not grow with
 * the text beyond its tokens. */
#include "bench/accuracy.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "bench/accuracy_report.h"
#include "bench/divergence.h"
#include "bench/text_file.h"
#include "support/program.h"
#include "support/progress.h"

enum { ROWS = 128 }; /* evaluated at once */

/* A model, and a context on it. */
typedef struct reader {
  gpt2_model *model;
  gpt2_context *context;
  gpt2_info info;
} reader;

typedef struct comparison {
  const bench *options;
  team *threads;
  int32_t n_threads;
  reader exact; /* f32, exact arithmetic */
  reader other;
  gpt2_token *tokens; /* (n_tokens) of the text */
  size_t n_tokens;
  verdict *verdicts; /* (n_tokens) */
  progress bar;      /* of one type */
} comparison;

static int open_reader(const comparison *c, const subject_options *opening, int32_t type, reader *r)
{
  int status =
      subject_load(opening, c->options->model_path.bytes, type, c->n_threads, &r->model, &r->info);
  if (status == EXIT_DONE)
    status = subject_context(opening, r->model, c->n_threads, ROWS, &r->context);
  return status;
}

static void close_reader(reader *r)
{
  program_watch(NULL);
  gpt2_context_free(r->context);
  gpt2_model_free(r->model);
  *r = (reader){0};
}

/* Rows that both models evaluate; `first` is the position of the first one. */
typedef struct chunk {
  comparison *of;
  size_t first, n_rows;
} chunk;

/* Evaluates them, the first ones of a window in an empty context. */
static int read_rows(const chunk *now, const reader *r, bool starts_window)
{
  program_watch(r->context);
  if ((starts_window && gpt2_kv_clear(r->context) != GPT2_OK) ||
      gpt2_eval(r->context, 0, now->of->tokens + now->first, now->n_rows, GPT2_ROW_LOGITS) !=
          GPT2_OK) {
    progress_end(&now->of->bar);
    return program_fail_error(gpt2_context_error(r->context));
  }
  return program_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

/* Each thread judges every n_threads-th row. */
static void judge_rows(int32_t index, int32_t n_threads, void *data)
{
  const chunk *now = data;
  comparison *c = now->of;
  for (size_t row = (size_t)index; row < now->n_rows; row += (size_t)n_threads) {
    size_t position = now->first + row;
    int32_t target = position + 1 < c->n_tokens ? c->tokens[position + 1] : -1;
    c->verdicts[position] =
        judge_logits(gpt2_row_logits(c->exact.context, row), gpt2_row_logits(c->other.context, row),
                     c->exact.info.n_vocab, target);
  }
}

static int check_rows(const chunk *now)
{
  comparison *c = now->of;
  for (size_t position = now->first; position < now->first + now->n_rows; position++)
    if (!isfinite(c->verdicts[position].divergence)) {
      progress_end(&c->bar);
      return program_fail("%s: position %zu of the text has logits that are not finite numbers",
                          c->options->model_path.bytes, position);
    }
  return EXIT_DONE;
}

static int compare_rows(const chunk *now, bool starts_window)
{
  comparison *c = now->of;
  int status = read_rows(now, &c->exact, starts_window);
  if (status == EXIT_DONE)
    status = read_rows(now, &c->other, starts_window);
  if (status != EXIT_DONE)
    return status;
  team_run(c->threads, judge_rows, (void *)now);
  progress_update(&c->bar, now->first + now->n_rows, c->n_tokens);
  return check_rows(now);
}

static int compare_windows(comparison *c)
{
  const size_t window = (size_t)c->exact.info.n_ctx;
  int status = EXIT_DONE;
  progress_start(&c->bar, false);
  for (chunk now = {c, 0, 0}; now.first < c->n_tokens && status == EXIT_DONE;
       now.first += now.n_rows) {
    size_t inside = now.first % window, left = c->n_tokens - now.first;
    now.n_rows = window - inside < ROWS ? window - inside : ROWS;
    now.n_rows = now.n_rows < left ? now.n_rows : left;
    status = compare_rows(&now, inside == 0);
  }
  progress_end(&c->bar);
  return status;
}

static int compare_type(comparison *c, int32_t type)
{
  int status = open_reader(c, &c->options->opening, type, &c->other);
  if (status == EXIT_DONE)
    status = compare_windows(c);
  if (status == EXIT_DONE)
    status = report_accuracy(c->options, &c->other.info, c->verdicts, c->n_tokens);
  close_reader(&c->other);
  return status;
}

static int encode_text(comparison *c, const buffer *text, const char *path)
{
  gpt2_error error = {.struct_size = sizeof error};
  if (gpt2_encode(c->exact.model, text->bytes, text->size, 0, NULL, 0, &c->n_tokens, &error) !=
          GPT2_ERR_BUFFER_TOO_SMALL &&
      error.status != GPT2_OK)
    return program_fail_error(&error);
  if (c->n_tokens < 2)
    return program_fail("%s: a text of at least two tokens is needed; it has %zu", path,
                        c->n_tokens);
  c->tokens = malloc(c->n_tokens * sizeof *c->tokens);
  c->verdicts = malloc(c->n_tokens * sizeof *c->verdicts);
  if (!c->tokens || !c->verdicts)
    return program_fail("out of memory for %zu tokens", c->n_tokens);
  if (gpt2_encode(c->exact.model, text->bytes, text->size, 0, c->tokens, c->n_tokens, &c->n_tokens,
                  &error) != GPT2_OK)
    return program_fail_error(&error);
  return EXIT_DONE;
}

/* A tokenizer may know more tokens than the model. */
static int check_tokens(const comparison *c, const char *path)
{
  for (size_t i = 0; i < c->n_tokens; i++)
    if (c->tokens[i] < 0 || c->tokens[i] >= c->exact.info.n_vocab)
      return program_fail(
          "%s: token %" PRId32 " at position %zu; %s has logits for %" PRId32 " tokens", path,
          c->tokens[i], i, c->options->model_path.bytes, c->exact.info.n_vocab);
  return EXIT_DONE;
}

/* Opens what all types are compared with, and gets the text ready. */
static int prepare(comparison *c, const char *path)
{
  const subject_options exact = {.compute = GPT2_COMPUTE_EXACT,
                                 .load_flags = c->options->opening.load_flags};
  buffer text = {0};
  int status = text_of_file(path, "--accuracy", &text);
  if (status == EXIT_DONE)
    status = open_reader(c, &exact, GPT2_TYPE_F32, &c->exact);
  if (status == EXIT_DONE)
    status = encode_text(c, &text, path);
  if (status == EXIT_DONE)
    status = check_tokens(c, path);
  buffer_free(&text);
  if (status != EXIT_DONE)
    return status;
  c->n_threads = gpt2_context_threads(c->exact.context);
  c->threads = team_new(c->n_threads);
  if (!c->threads)
    return program_fail("the system refuses %" PRId32 " threads; choose fewer by --threads",
                        c->n_threads);
  return EXIT_DONE;
}

int measure_accuracy(bench *b, const number_list *types, int32_t n_threads, const char *path)
{
  comparison c = {.options = b, .n_threads = n_threads};
  int status = prepare(&c, path);
  if (status == EXIT_DONE)
    report_accuracy_heading(b);
  for (int32_t i = 0; i < types->n_values && status == EXIT_DONE && !output_failed(); i++)
    status = compare_type(&c, types->values[i]);
  team_free(c.threads);
  close_reader(&c.exact);
  free(c.tokens);
  free(c.verdicts);
  return status;
}
