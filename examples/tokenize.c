/* tokenize.c - text to token ids, and back.
 *
 * Shows: gpt2_encode and gpt2_decode with the library's convention for buffers (a capacity in, the
 * count that is needed out, GPT2_ERR_BUFFER_TOO_SMALL in between), and the bytes of single tokens.
 */
#include <gpt2.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support/json.h"
#include "support/model.h"
#include "support/options.h"
#include "support/program.h"
#include "support/text.h"

static const char help[] =
    "Usage: gpt2-tokenize [options] [TEXT]\n"
    "Prints the token ids of TEXT, or of the text on standard input when there is\n"
    "none or it is \"-\": one line for an input, a space between the ids.\n"
    "\n"
    "      --decode          the other way: ids, separated by any white space, to text\n"
    "      --special         read <|endoftext|> and its like as one token\n"
    "  -0, --null            several inputs, each ended by a NUL byte; with --decode\n"
    "                        each line is an input, and a NUL byte ends each output\n";

typedef struct settings {
  common_options common;
  const char *operand;
  uint32_t encode_flags;
  bool decode;
  bool null;
} settings;

enum { DECODE = OPTION_OWN, SPECIAL };

static void read_options(int argc, char **argv, settings *s)
{
  static const struct option options[] = {{"decode", no_argument, NULL, DECODE},
                                          {"special", no_argument, NULL, SPECIAL},
                                          {"null", no_argument, NULL, '0'},
                                          COMMON_LONG_OPTIONS,
                                          {0}};
  int option;
  while ((option = getopt_long(argc, argv, "0" COMMON_SHORT_OPTIONS, options, NULL)) != -1)
    switch (option) {
    case DECODE:
      s->decode = true;
      break;
    case SPECIAL:
      s->encode_flags |= GPT2_ENCODE_SPECIAL;
      break;
    case '0':
      s->null = true;
      break;
    default:
      common_option(&s->common, option, help);
    }
  s->operand = only_operand(argc, argv);
}

/* Token ids in a buffer. */
static const gpt2_token *ids_of(const buffer *ids, size_t *n_ids)
{
  *n_ids = ids->size / sizeof(gpt2_token);
  return (const gpt2_token *)ids->bytes;
}

/* Encodes `text`. Prose has about four bytes a token: room for twice as many tokens is nearly
 * always enough, and where it is not, the library has said what is. */
static int encode(const gpt2_model *model, const settings *s, const buffer *text, buffer *ids)
{
  gpt2_error error = {.struct_size = sizeof error};
  size_t n_ids = text->size / 2 + 16;
  gpt2_status status;
  do {
    size_t capacity = n_ids;
    ids->size = 0;
    gpt2_token *room = (gpt2_token *)buffer_room(ids, capacity * sizeof *room);
    status = gpt2_encode(model, text->bytes, text->size, s->encode_flags, room, capacity, &n_ids,
                         &error);
  } while (status == GPT2_ERR_BUFFER_TOO_SMALL);
  if (status != GPT2_OK)
    return program_fail_error(&error);
  ids->size = n_ids * sizeof(gpt2_token);
  return EXIT_DONE;
}

static int refuse_id(const char *start, const char *end, size_t number)
{
  int size = end - start < 80 ? (int)(end - start) : 80;
  return program_fail(
      "\"%.*s\" (number %zu of the ids) is no token of this model; ids are whole numbers "
      "below the size of its vocabulary",
      size, start, number);
}

/* The number that the digits in [at, end) are, or -1 when it is none that an id can be. */
static gpt2_token number_of(const char *at, const char *end)
{
  int64_t number = at < end ? 0 : -1;
  for (; at < end && number >= 0; at++) {
    bool digit = *at >= '0' && *at <= '9';
    number = digit ? number * 10 + (*at - '0') : -1;
    if (number > INT32_MAX)
      number = -1;
  }
  return (gpt2_token)number;
}

/* Reads one id; what the model has no token for is an error that names it. */
static int read_id(const gpt2_model *model, const char *start, const char *end, buffer *ids)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_token id = number_of(start, end);
  const char *bytes;
  size_t size;
  gpt2_status status = gpt2_token_bytes(model, id, &bytes, &size, &error);
  if (status == GPT2_ERR_ARGUMENT)
    return refuse_id(start, end, ids->size / sizeof id + 1);
  if (status != GPT2_OK)
    return program_fail_error(&error);
  buffer_add(ids, &id, sizeof id);
  return EXIT_DONE;
}

/* Reads the ids that `text` holds, with any white space between them. */
static int read_ids(const gpt2_model *model, const buffer *text, buffer *ids)
{
  const char *at = text->bytes;
  const char *end = at + text->size;
  int status = EXIT_DONE;
  ids->size = 0;
  buffer_room(ids, 1);
  while (status == EXIT_DONE) {
    while (at < end && isspace((unsigned char)*at))
      at++;
    if (at == end)
      break;
    const char *start = at;
    while (at < end && !isspace((unsigned char)*at))
      at++;
    status = read_id(model, start, at, ids);
  }
  return status;
}

/* {"ids":[...],"pieces":[...]}, and "bytes" where pieces are parts of characters. */
static int write_json(const gpt2_model *model, const buffer *ids, buffer *out)
{
  size_t n_ids;
  const gpt2_token *id = ids_of(ids, &n_ids);
  json_pieces pieces = {0};
  int status = EXIT_DONE;
  buffer_text(out, "{\"ids\":");
  write_integers(out, id, n_ids);
  buffer_text(out, ",\"pieces\":[");
  for (size_t i = 0; i < n_ids && status == EXIT_DONE; i++) {
    const char *bytes;
    size_t size;
    status = token_piece(model, id[i], &bytes, &size);
    buffer_text(out, i ? "," : "");
    write_piece(out, &pieces, bytes, size);
  }
  buffer_text(out, "]");
  write_piece_bytes(out, &pieces);
  buffer_text(out, "}\n");
  return status;
}

static void write_ids(const buffer *ids, buffer *out)
{
  size_t n_ids;
  const gpt2_token *id = ids_of(ids, &n_ids);
  for (size_t i = 0; i < n_ids; i++)
    buffer_format(out, i ? " %" PRId32 : "%" PRId32, id[i]);
  buffer_text(out, "\n");
}

static int write_text(const gpt2_model *model, const buffer *ids, bool null, buffer *out)
{
  gpt2_error error = {.struct_size = sizeof error};
  size_t n_ids;
  const gpt2_token *id = ids_of(ids, &n_ids);
  size_t size = n_ids * 4 + 16;
  gpt2_status status;
  do {
    size_t capacity = size;
    status = gpt2_decode(model, id, n_ids, buffer_room(out, capacity), capacity, &size, &error);
  } while (status == GPT2_ERR_BUFFER_TOO_SMALL);
  if (status != GPT2_OK)
    return program_fail_error(&error);
  out->size += size;
  buffer_add(out, "", null ? 1 : 0);
  return EXIT_DONE;
}

/* Appends one input's output to `out`: all of it, or after a failure nothing. */
static int convert(const gpt2_model *model, const settings *s, const buffer *text, buffer *ids,
                   buffer *out)
{
  size_t before = out->size;
  int status = s->decode ? read_ids(model, text, ids) : encode(model, s, text, ids);
  if (status == EXIT_DONE && s->common.json)
    status = write_json(model, ids, out);
  else if (status == EXIT_DONE && s->decode)
    status = write_text(model, ids, s->null, out);
  else if (status == EXIT_DONE)
    write_ids(ids, out);
  if (status != EXIT_DONE)
    out->size = before;
  return status;
}

enum { OUTPUT_SIZE = 1 << 16 }; /* many small outputs are written together */

static int convert_all(const gpt2_model *model, const settings *s)
{
  int delimiter = !s->null ? WHOLE : s->decode ? '\n' : '\0';
  text_source source = {.operand = s->operand, .delimiter = delimiter};
  buffer text = {0}, ids = {0}, out = {0};
  int status = text_next(&source, &text);
  while (status == EXIT_DONE && !source.ended && !output_failed()) {
    status = convert(model, s, &text, &ids, &out);
    if (out.size >= OUTPUT_SIZE)
      output_buffer(&out);
    if (status == EXIT_DONE)
      status = text_next(&source, &text);
  }
  output_buffer(&out);
  buffer_free(&text);
  buffer_free(&ids);
  buffer_free(&out);
  return status;
}

int main(int argc, char **argv)
{
  settings s = {0};
  gpt2_model *model = NULL;

  program_start(argv, "gpt2-tokenize");
  read_options(argc, argv, &s);
  int status = open_model(&s.common, &model);
  if (status == EXIT_DONE)
    status = convert_all(model, &s);
  gpt2_model_free(model);
  return program_end(status);
}
