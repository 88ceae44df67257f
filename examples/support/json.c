/* json.c - writes JSON that reads back to what it was made from. */
#include "support/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/text.h"

static void escape(buffer *json, char character)
{
  switch (character) {
  case '"':
    buffer_text(json, "\\\"");
    break;
  case '\\':
    buffer_text(json, "\\\\");
    break;
  case '\n':
    buffer_text(json, "\\n");
    break;
  case '\r':
    buffer_text(json, "\\r");
    break;
  case '\t':
    buffer_text(json, "\\t");
    break;
  default:
    buffer_format(json, "\\u%04x", (unsigned)(unsigned char)character);
  }
}

static bool must_be_escaped(char character)
{
  return character == '"' || character == '\\' || (unsigned char)character < 0x20 ||
         character == 0x7f;
}

bool write_string(buffer *json, const char *bytes, size_t size)
{
  bool whole = true;
  buffer_text(json, "\"");
  for (size_t at = 0; at < size;) {
    int length = utf8_next(bytes + at, size - at);
    if (length < 0) {
      buffer_text(json, "\xef\xbf\xbd");
      whole = false;
      at += (size_t)-length;
      continue;
    }
    if (length == 1 && must_be_escaped(bytes[at]))
      escape(json, bytes[at]);
    else
      buffer_add(json, bytes + at, (size_t)length);
    at += (size_t)length;
  }
  buffer_text(json, "\"");
  return whole;
}

/* Six digits are enough for many floats, nine for all (fifteen and seventeen of a double); the
 * fewest that read back are printed. */
void write_float(buffer *json, float value)
{
  char text[32] = "null";
  for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, (double)value);
    if (strtof(text, NULL) == value)
      break;
  }
  buffer_text(json, text);
}

void write_double(buffer *json, double value)
{
  char text[32] = "null";
  for (int digits = 15; isfinite(value) && digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value)
      break;
  }
  buffer_text(json, text);
}

void write_integers(buffer *json, const int32_t *values, size_t n_values)
{
  for (size_t i = 0; i < n_values; i++)
    buffer_format(json, "%s%" PRId32, i ? "," : "[", values[i]);
  buffer_text(json, n_values ? "]" : "[]");
}

void write_piece(buffer *json, json_pieces *pieces, const char *bytes, size_t size)
{
  buffer_text(&pieces->bytes, pieces->bytes.size ? "," : "");
  if (write_string(json, bytes, size)) {
    buffer_text(&pieces->bytes, "null");
    return;
  }
  pieces->needed = true;
  for (size_t i = 0; i < size; i++)
    buffer_format(&pieces->bytes, "%s%u", i ? "," : "[", (unsigned)(unsigned char)bytes[i]);
  buffer_text(&pieces->bytes, "]");
}

void write_piece_bytes(buffer *json, json_pieces *pieces)
{
  if (pieces->needed) {
    buffer_text(json, ",\"bytes\":[");
    buffer_add(json, pieces->bytes.bytes, pieces->bytes.size);
    buffer_text(json, "]");
  }
  buffer_free(&pieces->bytes);
  pieces->needed = false;
}
