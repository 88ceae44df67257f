/* json.h - JSON files, read with jansson, and errors that name file and key.
 *
 * Size, nesting and the number of objects are limited before parsing, so that no text takes more
 * than 80 times its size; what is read is always an object, without duplicate keys, and its strings
 * are UTF-8 without NUL. jansson allocates with malloc, and its tree must be freed before load
 * returns. */
#ifndef FORMATS_JSON_H
#define FORMATS_JSON_H

#include <jansson.h>

#include "base/source.h"

enum {
  JSON_FILE_LIMIT = 64 << 20, /* bytes of a JSON file */
  JSON_DEPTH_LIMIT = 64,      /* brackets within brackets */
  JSON_FOUND_SIZE = 64        /* bytes of json_found's text */
};

/* Parses `size` bytes of JSON that hold one object. `name` is the file's, for the message, which
 * also names the position. Integers of 19 digits and more, which may not fit 64 bits, become
 * reals: files that we read hold such numbers where we do not look ("model_max_length":
 * 1000000000000000019884624838656). */
gpt2_status json_parse(const gpt2_allocator *allocator, const void *bytes, size_t size,
                       const char *name, json_t **out, gpt2_error *error);

/* The same for a text of our own, which is changed, with one level of nesting at most `depth`; NULL
 * when anything is wrong with it: the words are json_parse's. Any thread. */
json_t *json_parse_piece(uint8_t *text, size_t size, int depth);

/* Opens, parses and closes a whole file of the source. A missing file is GPT2_ERR_NOT_FOUND. */
gpt2_status json_read(source *s, const char *name, json_t **out, gpt2_error *error);

/* The same, but the file stays open, so that messages can go on naming it as the source does. */
typedef struct json_document {
  json_t *root;
  const char *name; /* "folder/config.json" */
  file *from;
} json_document;

gpt2_status json_open(source *s, const char *name, json_document *out, gpt2_error *error);
void json_close(json_document *document); /* also one whose opening failed */

/* The value of an object's key, checked. A key that is not there leaves *out as it is: set it to
 * the default before. `where` (a file, or a part of one) begins the message. The bounds of an
 * integer are inclusive; less than `least` is GPT2_ERR_FORMAT, more than `most` is
 * GPT2_ERR_LIMIT. A string lives as long as the tree. */
gpt2_status json_get_integer(const json_t *object, const char *key, int64_t least, int64_t most,
                             const char *where, int64_t *out, gpt2_error *error);
gpt2_status json_get_bool(const json_t *object, const char *key, const char *where, bool *out,
                          gpt2_error *error);
gpt2_status json_get_number(const json_t *object, const char *key, const char *where, double *out,
                            gpt2_error *error);
gpt2_status json_get_string(const json_t *object, const char *key, const char *where,
                            const char **out, gpt2_error *error);

/* GPT2_ERR_FORMAT: `where: "key" is <found>; expected <expected>`; `found` NULL stands for a
 * missing key. */
gpt2_status json_unexpected(const json_t *found, const char *key, const char *expected,
                            const char *where, gpt2_error *error);

/* A value in words, short enough for a message; returns `text`. */
const char *json_found(const json_t *value, char text[JSON_FOUND_SIZE]);

#endif
