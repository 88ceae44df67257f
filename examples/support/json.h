/* json.h - writes JSON (RFC 8259) that reads back to what it was made from. */
#ifndef SUPPORT_JSON_H
#define SUPPORT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/output.h"

/* A string. JSON cannot hold what is not UTF-8: U+FFFD is written for it, once for each sequence of
 * bytes that begins like a character and for each other byte, as the Unicode Standard recommends
 * (section 3.9). False when that happened. */
bool write_string(buffer *json, const char *bytes, size_t size);

/* A number that reads back to the same float, or double; null when it is infinite or NaN. */
void write_float(buffer *json, float value);
void write_double(buffer *json, double value);

/* [1, 2, 3] without the spaces. */
void write_integers(buffer *json, const int32_t *values, size_t n_values);

/* Strings that may be parts of characters, and beside them - in a parallel array "bytes" - the
 * bytes of those that are. Zeroed at first. */
typedef struct json_pieces {
  buffer bytes; /* the parallel array's elements so far */
  bool needed;  /* one of them is not null */
} json_pieces;

/* Writes a piece as a string. */
void write_piece(buffer *json, json_pieces *pieces, const char *bytes, size_t size);

/* Writes `,"bytes":[...]` if a piece needs it, and makes `pieces` new again. */
void write_piece_bytes(buffer *json, json_pieces *pieces);

#endif
