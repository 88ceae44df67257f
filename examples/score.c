/* score.c - how surprised the model is by a text, token by token.
 *
 * Shows: gpt2_score, which hands each token's log-probability, rank and entropy to a callback, for
 * texts of any length, and sums them up. */
#define _POSIX_C_SOURCE 200809L
#include <gpt2.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/json.h"
#include "support/model.h"
#include "support/options.h"
#include "support/progress.h"
#include "support/program.h"
#include "support/text.h"

static const char help[] =
    "Usage: gpt2-score [options] [TEXT]\n"
    "Scores each token of TEXT, or of the text on standard input when there is none\n"
    "or it is \"-\". Prints a table (tab-separated, with a header): position, id, piece,\n"
    "log-probability in nats, surprisal in bits, rank (1: the likeliest), entropy of\n"
    "the prediction in bits. A text longer than the model's context is scored in\n"
    "windows that overlap.\n"
    "\n"
    "      --stride N        tokens from one window's start to the next (half the\n"
    "                        context)\n"
    "      --no-bos          leave the first token unscored instead of starting with\n"
    "                        the model's beginning-of-text token\n" WEIGHTS_HELP;

static const double nats_per_bit = 0.69314718055994530942; /* ln 2 */

typedef struct settings {
  common_options common;
  const char *operand;
  gpt2_score_options scoring;
} settings;

enum { STRIDE = OPTION_OWN, NO_BOS };

static void read_options(int argc, char **argv, settings *s)
{
  static const struct option options[] = {{"stride", required_argument, NULL, STRIDE},
                                          {"no-bos", no_argument, NULL, NO_BOS},
                                          WEIGHTS_LONG_OPTIONS,
                                          COMMON_LONG_OPTIONS,
                                          {0}};
  int option;
  while ((option = getopt_long(argc, argv, COMMON_SHORT_OPTIONS, options, NULL)) != -1)
    switch (option) {
    case STRIDE:
      s->scoring.stride = option_integer("--stride", optarg, 1, INT32_MAX);
      break;
    case NO_BOS:
      s->scoring.flags |= GPT2_SCORE_NO_BOS;
      break;
    default:
      common_option(&s->common, option, help);
    }
  s->operand = only_operand(argc, argv);
}

/* What the callback needs. */
typedef struct report {
  const gpt2_model *model;
  bool json;
  buffer out;
  json_pieces pieces;
  progress bar;
  size_t scored_size; /* bytes of the tokens so far */
  size_t text_size;
} report;

/* A token's score in the units that are printed. */
typedef struct row {
  float logprob;   /* nats */
  float surprisal; /* bits */
  float entropy;   /* bits */
} row;

static row row_of(const gpt2_token_score *score)
{
  return (row){.logprob = score->logprob,
               .surprisal = (float)((0 - (double)score->logprob) / nats_per_bit),
               .entropy = (float)(score->entropy / nats_per_bit)};
}

/* A piece in a table cell: tab, line breaks, backslash and what is not printable as escapes. */
static void write_escaped(buffer *out, const char *bytes, size_t size)
{
  for (size_t at = 0; at < size;) {
    int length = utf8_next(bytes + at, size - at);
    unsigned char first = (unsigned char)bytes[at];
    bool control = first < 0x20 || first == 0x7f ||
                   (first == 0xc2 && length == 2 && (unsigned char)bytes[at + 1] < 0xa0);
    const char *named = first == '\t'   ? "\\t"
                        : first == '\n' ? "\\n"
                        : first == '\r' ? "\\r"
                                        : NULL;
    size_t n_bytes = (size_t)abs(length);
    if (named)
      buffer_text(out, named);
    else if (first == '\\')
      buffer_text(out, "\\\\");
    else if (length > 0 && !control)
      buffer_add(out, bytes + at, n_bytes);
    else
      for (size_t i = 0; i < n_bytes; i++)
        buffer_format(out, "\\x%02X", (unsigned)(unsigned char)bytes[at + i]);
    at += n_bytes;
  }
}

/* "-inf" and "inf" where JSON has null. */
static void write_real(buffer *out, float value)
{
  if (isinf(value))
    buffer_text(out, value < 0 ? "-inf" : "inf");
  else
    write_float(out, value);
}

static void write_table_row(const gpt2_token_score *score, const char *bytes, size_t size,
                            report *r)
{
  row values = row_of(score);
  buffer_format(&r->out, "%" PRId64 "\t%" PRId32 "\t", score->position, score->token);
  write_escaped(&r->out, bytes, size);
  if (score->rank == 0) {
    buffer_text(&r->out, "\t\t\t\t\n");
    return;
  }
  buffer_text(&r->out, "\t");
  write_real(&r->out, values.logprob);
  buffer_text(&r->out, "\t");
  write_real(&r->out, values.surprisal);
  buffer_format(&r->out, "\t%" PRId32 "\t", score->rank);
  write_real(&r->out, values.entropy);
  buffer_text(&r->out, "\n");
}

static void write_json_token(const gpt2_token_score *score, const char *bytes, size_t size,
                             report *r)
{
  row values = row_of(score);
  buffer_format(&r->out, "%s{\"id\":%" PRId32 ",\"piece\":", score->position ? "," : "",
                score->token);
  write_piece(&r->out, &r->pieces, bytes, size);
  if (score->rank == 0) {
    buffer_text(&r->out, ",\"logprob\":null,\"surprisal\":null,\"rank\":null,\"entropy\":null}");
    return;
  }
  buffer_text(&r->out, ",\"logprob\":");
  write_float(&r->out, values.logprob);
  buffer_text(&r->out, ",\"surprisal\":");
  write_float(&r->out, values.surprisal);
  buffer_format(&r->out, ",\"rank\":%" PRId32 ",\"entropy\":", score->rank);
  write_float(&r->out, values.entropy);
  buffer_text(&r->out, "}");
}

enum { OUTPUT_SIZE = 1 << 12 }; /* rows are written together, but soon */

/* Receives one token's score. Stops the scoring when nobody reads the table any more. */
static int32_t take_score(const gpt2_token_score *score, void *user)
{
  report *r = user;
  const char *bytes;
  size_t size;
  if (token_piece(r->model, score->token, &bytes, &size) != EXIT_DONE)
    return 1;
  r->scored_size += size;
  if (r->json)
    write_json_token(score, bytes, size, r);
  else
    write_table_row(score, bytes, size, r);
  if (!r->json && r->out.size >= OUTPUT_SIZE)
    output_buffer(&r->out);
  progress_update(&r->bar, r->scored_size, r->text_size);
  return output_failed() != 0;
}

/* Totals; null where there is nothing to take an average of. */
static void write_json_totals(const gpt2_score_result *result, report *r)
{
  buffer_text(&r->out, "],\"logprob\":");
  write_double(&r->out, result->logprob);
  buffer_text(&r->out, ",\"perplexity\":");
  write_double(&r->out, result->n_scored ? result->perplexity : NAN);
  buffer_text(&r->out, ",\"bits_per_byte\":");
  write_double(&r->out, result->scored_size ? result->bits_per_byte : NAN);
  write_piece_bytes(&r->out, &r->pieces);
  buffer_text(&r->out, "}\n");
}

static void tell_totals(const gpt2_score_result *result)
{
  if (result->n_scored == 0)
    program_say("%" PRIu64 " tokens, none scored", result->n_tokens);
  else
    program_say("%" PRIu64 " tokens, %" PRIu64
                " scored: log-probability %.6g nats, perplexity %.6g, "
                "%.6g bits per byte",
                result->n_tokens, result->n_scored, result->logprob, result->perplexity,
                result->bits_per_byte);
}

/* Scores the text. What was scored before a failure stands in the table; JSON is written whole or
 * not at all. */
static int score(gpt2_context *context, const buffer *text, const settings *s)
{
  gpt2_score_result result = {.struct_size = sizeof result};
  report r = {
      .model = gpt2_context_model(context), .json = s->common.json, .text_size = text->size};
  buffer_text(&r.out, r.json ? "{\"tokens\":["
                             : "position\tid\tpiece\tlogprob\tsurprisal\trank\tentropy\n");
  progress_start(&r.bar, !r.json);
  gpt2_status status =
      gpt2_score(context, text->bytes, text->size, &s->scoring, take_score, &r, &result);
  progress_end(&r.bar);
  if (status == GPT2_OK && r.json)
    write_json_totals(&result, &r);
  if (status == GPT2_OK || (!r.json && r.scored_size > 0))
    output_buffer(&r.out);
  if (status == GPT2_OK && !r.json && !output_failed())
    tell_totals(&result);
  buffer_free(&r.out);
  buffer_free(&r.pieces.bytes);
  return status == GPT2_OK ? EXIT_DONE : program_fail_error(gpt2_context_error(context));
}

/* Only the model knows how long a window may be. */
static void check_stride(const gpt2_model *model, const settings *s)
{
  gpt2_info info = {.struct_size = sizeof info};
  if (gpt2_model_info(model, &info, NULL) == GPT2_OK && s->scoring.stride > info.n_ctx)
    program_usage_error("--stride: %" PRId32 " is more than the model's context of %" PRId32
                        " tokens",
                        s->scoring.stride, info.n_ctx);
}

int main(int argc, char **argv)
{
  settings s = {.scoring = {.struct_size = sizeof s.scoring}};
  buffer text = {0};
  gpt2_model *model = NULL;
  gpt2_context *context = NULL;

  program_start(argv, "gpt2-score");
  read_options(argc, argv, &s);
  int status = open_context(&s.common, &model, &context);
  if (status == EXIT_DONE) {
    check_stride(model, &s);
    status = text_whole(s.operand, &text);
  }
  if (status == EXIT_DONE)
    status = score(context, &text, &s);
  close_context(model, context);
  buffer_free(&text);
  return program_end(status);
}
