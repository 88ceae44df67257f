/* json_cut.h - a JSON file whose large objects and arrays are parsed in pieces, by several threads.
 *
 * The parsing of a vocabulary is most of the time of a load. So the objects and arrays that a
 * reader names are cut at their commas into pieces of about PIECE_SIZE bytes, each of which becomes
 * an object or array of its own; in the rest of the document they are empty. Where pieces end
 * depends on the text alone: all is the same whatever the number of threads. A text that cannot be
 * cut, or in which anything is wrong, is parsed whole, so that every error is json_parse's. */
#ifndef FORMATS_JSON_CUT_H
#define FORMATS_JSON_CUT_H

#include "base/pool.h"
#include "formats/json.h"

enum { PIECE_SIZE = 32 << 10, MAX_CUTS = 2 };

/* The root of a document, or the member `inner` of the member `outer` of it: pieces in their order,
 * no key twice. None where there is no such member, or it is neither object nor array. */
typedef struct json_pieces {
  const char *outer, *inner; /* both NULL: the root; set by the reader */
  size_t n;
  json_t **piece;
} json_pieces;

/* Opens and parses a file as json_open does. */
gpt2_status json_open_cut(source *s, pool *p, const char *name, json_document *document,
                          json_pieces *cuts, size_t n_cuts, gpt2_error *error);

/* The value of a key of an object; members, or elements, in all. */
const json_t *json_pieces_get(const json_pieces *pieces, const char *key);
size_t json_pieces_size(const json_pieces *pieces);

/* Closes all of it; also what was never opened. */
void json_close_cut(pool *p, json_document *document, json_pieces *cuts, size_t n_cuts);

#endif
