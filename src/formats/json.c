/* json.c - JSON files, read with jansson, and errors that name file and key. */
#include "formats/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "formats/json_load.h"

/* ---- Before parsing ---- */

/* What is known of a text before it is parsed. */
typedef struct outline {
  const uint8_t *too_deep; /* where it is nested deeper than allowed; NULL: nowhere */
  size_t n_objects;
} outline;

/* jansson recurses once a bracket. Brackets that do not match are left for it to find: it stops at
 * the first. */
static outline outline_of(const uint8_t *bytes, size_t size, int most_depth)
{
  outline o = {.too_deep = NULL};
  const uint8_t *at = bytes, *end = bytes + size;
  for (int depth = 0; at < end;) {
    if (*at == '"') {
      at = json_after_string(at, end);
      continue;
    }
    if (*at == '{' || *at == '[')
      depth++;
    else if ((*at == '}' || *at == ']') && depth > 0)
      depth--;
    o.n_objects += *at == '{';
    if (depth > most_depth) {
      o.too_deep = at;
      break;
    }
    at++;
  }
  return o;
}

/* jansson takes 224 bytes for an object that has nothing in it, and 24 in the list that it is in:
 * more than 80 times a text of "{}," again and again. With one in every four bytes at most, no text
 * takes so much. */
enum { FEW_OBJECTS = 1024 };

static bool has_too_many_objects(const outline *o, size_t size)
{
  return o->n_objects > FEW_OBJECTS && o->n_objects > size / 4;
}

static bool is_digit(uint8_t byte)
{
  return byte >= '0' && byte <= '9';
}

/* jansson refuses a file for one integer beyond 64 bits. The greatest that fits, 2^63 - 1, has
 * 19 digits. */
enum { LONG_INTEGER = 19, KEPT_DIGITS = LONG_INTEGER - 2 };

/* The next integer of LONG_INTEGER digits or more, and their number; NULL when there is none. */
static const uint8_t *find_long_integer(const uint8_t *at, const uint8_t *end, size_t *n_digits)
{
  while (at < end) {
    if (*at == '"') {
      at = json_after_string(at, end);
      continue;
    }
    const uint8_t *start = at;
    while (at < end && is_digit(*at))
      at++;
    *n_digits = (size_t)(at - start);
    bool is_real = at < end && (*at == '.' || *at == 'e' || *at == 'E');
    if (*n_digits >= LONG_INTEGER && !is_real)
      return start;
    /* Step over what is no digit, and over all of a fraction or an exponent. */
    while (is_real && at < end && (is_digit(*at) || memchr(".eE+-", *at, 5)))
      at++;
    if (at == start)
      at++;
  }
  return NULL;
}

/* Writes a long integer as a real of as many bytes: 17 digits, an "e", and the number of the
 * others. */
static void write_as_real(uint8_t *digits, size_t n_digits)
{
  size_t exponent = n_digits - KEPT_DIGITS;
  for (size_t i = n_digits - 1; i > KEPT_DIGITS; i--, exponent /= 10)
    digits[i] = (uint8_t)('0' + exponent % 10);
  digits[KEPT_DIGITS] = 'e';
}

static void shorten_in_place(uint8_t *text, size_t size)
{
  size_t n_digits;
  const uint8_t *end = text + size, *found = find_long_integer(text, end, &n_digits);
  for (; found; found = find_long_integer(found + n_digits, end, &n_digits))
    write_as_real(text + (found - text), n_digits);
}

/* A copy of the text in which no integer is too long; *copy stays NULL when there is none in the
 * original. */
static gpt2_status shorten_integers(const gpt2_allocator *allocator, const uint8_t *bytes,
                                    size_t size, uint8_t **copy, gpt2_error *error)
{
  size_t n_digits;
  if (!find_long_integer(bytes, bytes + size, &n_digits))
    return GPT2_OK;
  *copy = allocate(allocator, size);
  if (!*copy)
    return fail_memory(error, size);
  memcpy(*copy, bytes, size);
  shorten_in_place(*copy, size);
  return GPT2_OK;
}

/* ---- Parsing ---- */

/* What jansson did not like, in our statuses. It has no code for a refused allocation: in a
 * string that looks like a syntax error, elsewhere there are no words; but malloc leaves its
 * mark in errno. */
static gpt2_status fail_parse(gpt2_error *error, const char *name, size_t size,
                              const json_error_t *about, bool out_of_memory)
{
  if (out_of_memory || errno == ENOMEM || about->text[0] == '\0')
    return fail(error, GPT2_ERR_MEMORY, NO_OFFSET,
                "%s: out of memory while parsing %zu bytes of JSON", name, size);
  enum json_error_code code = json_error_code(about);
  if (code == json_error_null_character || code == json_error_null_byte_in_key)
    return fail(error, GPT2_ERR_UNSUPPORTED, about->position,
                "%s: line %d, column %d: strings that hold \\u0000 are not supported", name,
                about->line, about->column);
  return fail(error, GPT2_ERR_FORMAT, about->position,
              "%s: line %d, column %d: cannot be parsed: %s", name, about->line, about->column,
              about->text);
}

static gpt2_status parse_text(const void *bytes, size_t size, const char *name, json_t **out,
                              gpt2_error *error)
{
  json_error_t about = {.text = ""};
  bool out_of_memory;
  errno = 0;
  *out = json_load_text(bytes, size, &about, &out_of_memory);
  if (!*out)
    return fail_parse(error, name, size, &about, out_of_memory);
  if (json_is_object(*out))
    return GPT2_OK;
  char found[JSON_FOUND_SIZE];
  json_found(*out, found);
  json_decref(*out);
  *out = NULL;
  return fail(error, GPT2_ERR_FORMAT, 0, "%s: holds %s; expected an object", name, found);
}

gpt2_status json_parse(const gpt2_allocator *allocator, const void *bytes, size_t size,
                       const char *name, json_t **out, gpt2_error *error)
{
  *out = NULL;
  if (size > JSON_FILE_LIMIT)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "%s: has %zu bytes of JSON, at most %d are allowed", name, size, JSON_FILE_LIMIT);
  outline o = outline_of(bytes, size, JSON_DEPTH_LIMIT);
  if (o.too_deep)
    return fail(error, GPT2_ERR_LIMIT, o.too_deep - (const uint8_t *)bytes,
                "%s: is nested deeper than %d brackets", name, JSON_DEPTH_LIMIT);
  if (has_too_many_objects(&o, size))
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET,
                "%s: has %zu objects in %zu bytes, at most one in four bytes is allowed", name,
                o.n_objects, size);
  uint8_t *copy = NULL;
  gpt2_status status = shorten_integers(allocator, bytes, size, &copy, error);
  if (status == GPT2_OK)
    status = parse_text(copy ? copy : bytes, size, name, out, error);
  release(allocator, copy);
  return status;
}

json_t *json_parse_piece(uint8_t *text, size_t size, int depth)
{
  json_error_t ignored;
  bool out_of_memory;
  outline o = outline_of(text, size, depth);
  if (o.too_deep || has_too_many_objects(&o, size))
    return NULL;
  shorten_in_place(text, size);
  return json_load_text(text, size, &ignored, &out_of_memory);
}

gpt2_status json_open(source *s, const char *name, json_document *out, gpt2_error *error)
{
  *out = (json_document){.root = NULL};
  gpt2_status status = source_file(s, name, &out->from, error);
  if (status != GPT2_OK)
    return status;
  out->name = out->from->name;
  const uint8_t *bytes;
  status = file_bytes(out->from, JSON_FILE_LIMIT, &bytes, error);
  if (status == GPT2_OK)
    status = json_parse(source_allocator(s), bytes, (size_t)out->from->size, out->name, &out->root,
                        error);
  if (status != GPT2_OK)
    json_close(out);
  return status;
}

void json_close(json_document *document)
{
  json_decref(document->root);
  file_close(document->from);
  *document = (json_document){.root = NULL};
}

gpt2_status json_read(source *s, const char *name, json_t **out, gpt2_error *error)
{
  json_document document;
  gpt2_status status = json_open(s, name, &document, error);
  *out = json_incref(document.root);
  json_close(&document);
  return status;
}

/* ---- Values ---- */

const char *json_found(const json_t *value, char text[JSON_FOUND_SIZE])
{
  enum { SHOWN = 40 }; /* characters of a string */
  const char *string = json_string_value(value);
  size_t n;
  if (!value)
    snprintf(text, JSON_FOUND_SIZE, "missing");
  else if (string)
    snprintf(text, JSON_FOUND_SIZE, "\"%.*s\"%s", SHOWN, string,
             strlen(string) > SHOWN ? "..." : "");
  else if (json_is_object(value))
    snprintf(text, JSON_FOUND_SIZE, "an object");
  else if (json_is_array(value))
    snprintf(text, JSON_FOUND_SIZE, "an array of %zu", json_array_size(value));
  else {
    /* Numbers, true, false and null as JSON writes them, whatever the locale. */
    n = json_dumpb(value, text, JSON_FOUND_SIZE - 1, JSON_ENCODE_ANY);
    if (n > 0 && n < JSON_FOUND_SIZE)
      text[n] = '\0';
    else /* it takes memory */
      snprintf(text, JSON_FOUND_SIZE, "another value");
  }
  return text;
}

gpt2_status json_unexpected(const json_t *found, const char *key, const char *expected,
                            const char *where, gpt2_error *error)
{
  char text[JSON_FOUND_SIZE];
  return fail(error, GPT2_ERR_FORMAT, NO_OFFSET, "%s: \"%s\" is %s; expected %s", where, key,
              json_found(found, text), expected);
}

gpt2_status json_get_integer(const json_t *object, const char *key, int64_t least, int64_t most,
                             const char *where, int64_t *out, gpt2_error *error)
{
  const json_t *value = json_object_get(object, key);
  if (!value)
    return GPT2_OK;
  char expected[80];
  snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)least,
           (long long)most);
  if (!json_is_integer(value) || json_integer_value(value) < least)
    return json_unexpected(value, key, expected, where, error);
  if (json_integer_value(value) > most)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "%s: \"%s\" is %lld; expected %s", where, key,
                (long long)json_integer_value(value), expected);
  *out = json_integer_value(value);
  return GPT2_OK;
}

gpt2_status json_get_bool(const json_t *object, const char *key, const char *where, bool *out,
                          gpt2_error *error)
{
  const json_t *value = json_object_get(object, key);
  if (!value)
    return GPT2_OK;
  if (!json_is_boolean(value))
    return json_unexpected(value, key, "true or false", where, error);
  *out = json_is_true(value);
  return GPT2_OK;
}

gpt2_status json_get_number(const json_t *object, const char *key, const char *where, double *out,
                            gpt2_error *error)
{
  const json_t *value = json_object_get(object, key);
  if (!value)
    return GPT2_OK;
  if (!json_is_number(value))
    return json_unexpected(value, key, "a number", where, error);
  *out = json_number_value(value);
  return GPT2_OK;
}

gpt2_status json_get_string(const json_t *object, const char *key, const char *where,
                            const char **out, gpt2_error *error)
{
  const json_t *value = json_object_get(object, key);
  if (!value)
    return GPT2_OK;
  if (!json_is_string(value))
    return json_unexpected(value, key, "a string", where, error);
  *out = json_string_value(value);
  return GPT2_OK;
}
