/* text_speed.c - how fast text becomes tokens and tokens become text, in one thread. */
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/prose.h"
#include "bench/text_file.h"
#include "support/program.h"
#include "support/progress.h"

enum { TEXT_SIZE = 4000000, QUICK_TEXT_SIZE = 1000000 }; /* bytes */

/* A text, and room for its tokens: never more than it has bytes. */
typedef struct material {
  buffer text;
  gpt2_token *tokens;
  size_t n_tokens;
} material;

static int encode(const bench *b, material *m)
{
  gpt2_error error = {.struct_size = sizeof error};
  if (gpt2_encode(b->model, m->text.bytes, m->text.size, 0, m->tokens, m->text.size, &m->n_tokens,
                  &error) != GPT2_OK)
    return program_fail_error(&error);
  return program_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

static int decode(const bench *b, material *m)
{
  gpt2_error error = {.struct_size = sizeof error};
  size_t size;
  if (gpt2_decode(b->model, m->tokens, m->n_tokens, m->text.bytes, m->text.size, &size, &error) !=
      GPT2_OK)
    return program_fail_error(&error);
  return program_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

/* Encodes once, so that there are tokens to decode and pages to write to. */
static int prepare(const bench *b, material *m)
{
  int status = EXIT_DONE;
  if (b->text_path)
    status = text_of_file(b->text_path, "--text", &m->text);
  else
    write_prose(&m->text, b->quick ? QUICK_TEXT_SIZE : TEXT_SIZE);
  if (status != EXIT_DONE)
    return status;
  m->tokens = malloc(m->text.size * sizeof *m->tokens);
  if (!m->tokens)
    return program_fail("out of memory for %zu tokens", m->text.size);
  return encode(b, m);
}

static int measure_text(bench *b, const char *what, int (*work)(const bench *, material *))
{
  samples measured = {0};
  material m = {0};
  int status = prepare(b, &m);
  for (int32_t i = 0; i < b->n_repeats && status == EXIT_DONE; i++) {
    double start = clock_seconds();
    status = work(b, &m);
    add_sample(&measured, (double)m.text.size / (clock_seconds() - start) / 1e6, (bound){0});
  }
  if (status == EXIT_DONE)
    report(b, &(report_line){.what = what, .unit = "MB/s", .n_threads = 1}, &measured);
  buffer_free(&m.text);
  free(m.tokens);
  return status;
}

int measure_encode(bench *b)
{
  return measure_text(b, "encode", encode);
}

int measure_decode_text(bench *b)
{
  return measure_text(b, "decode_text", decode);
}
