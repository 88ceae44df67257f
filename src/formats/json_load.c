/* json_load.c - jansson's parser, made safe for the day when memory is refused. */
#include "formats/json_load.h"

#include <errno.h>
#include <string.h>

/* ---- Tokens ---- */

const uint8_t *json_after_string(const uint8_t *at, const uint8_t *end)
{
  for (at++; at < end && *at != '"'; at++)
    if (*at == '\\' && end - at > 1)
      at++;
  return at < end ? at + 1 : end;
}

static bool is_space(uint8_t byte)
{
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/* What stands between tokens, or is one of a single byte; a bracket is a brace but for one bit. */
static bool is_apart(uint8_t byte)
{
  return is_space(byte) || byte == ',' || byte == ':' || (byte | 0x20) == '{' ||
         (byte | 0x20) == '}';
}

static const uint8_t *after_token(const uint8_t *at, const uint8_t *end)
{
  if (*at == '"')
    return json_after_string(at, end);
  for (at++; at < end && *at != '"' && !is_apart(*at); at++)
    continue;
  return at;
}

/* The bytes of the longest token, or of what looks like one. */
static size_t longest_token(const uint8_t *at, const uint8_t *end)
{
  size_t longest = 0;
  while (at < end) {
    const uint8_t *after = after_token(at, end);
    if ((size_t)(after - at) > longest)
      longest = (size_t)(after - at);
    at = after;
  }
  return longest;
}

/* ---- What jansson is given ---- */

/* jansson's buffer has room for so many bytes at first, one of them a NUL, and doubles. */
enum { LEAST_BUFFER = 16 };

/* The text, with the guard behind its first bracket: a member "xxx...":null, or an element. */
typedef struct feed {
  const uint8_t *text, *at, *end;
  const uint8_t *inside; /* behind the bracket; `end` when there is none */
  size_t guard;          /* the x, and those of them that are still to be given */
  size_t guard_left;
  size_t inserted;     /* bytes that are not of the text */
  bool guard_is_open;  /* jansson is reading the x */
  const char *closing; /* what is to follow them */
  bool refused;
} feed;

/* Before a text without a bracket jansson stops at its first token, which must fit the buffer. */
static feed feed_of(const uint8_t *text, size_t size)
{
  feed f = {.text = text, .at = text, .end = text + size};
  const uint8_t *first = text;
  while (first < f.end && is_space(*first))
    first++;
  if (first == f.end || (*first | 0x20) != '{') {
    f.end = f.end - first < LEAST_BUFFER - 1 ? f.end : first + LEAST_BUFFER - 1;
    f.inside = f.end;
    return f;
  }
  f.inside = first + 1;
  size_t longest = longest_token(f.inside, f.end);
  for (f.guard = LEAST_BUFFER; f.guard < longest;)
    f.guard *= 2;
  f.guard_left = f.guard;
  for (first++; first < f.end && is_space(*first);)
    first++;
  bool is_empty = first == f.end || (*first | 0x20) == '}';
  if (f.inside[-1] == '{')
    f.closing = is_empty ? "\":null" : "\":null,";
  else
    f.closing = is_empty ? "\"" : "\",";
  f.inserted = 1 + f.guard + strlen(f.closing);
  return f;
}

static size_t give_text(feed *f, const uint8_t *to_where, void *buffer, size_t capacity)
{
  size_t left = (size_t)(to_where - f->at), n = left < capacity ? left : capacity;
  memcpy(buffer, f->at, n);
  f->at += n;
  return n;
}

static size_t give_guard(feed *f, char *buffer, size_t capacity)
{
  size_t opening = f->guard_is_open ? 0 : 1;
  size_t n = f->guard_left < capacity - opening ? f->guard_left : capacity - opening;
  buffer[0] = '"';
  memset(buffer + opening, 'x', n);
  f->guard_is_open = true;
  f->guard_left -= n;
  errno = 0;
  return opening + n;
}

/* jansson asks for more when it has read what it was given last: of the guard, no byte of which
 * makes it call anything but malloc. */
static size_t give(void *buffer, size_t capacity, void *data)
{
  feed *f = data;
  if (f->at < f->inside)
    return give_text(f, f->inside, buffer, capacity);
  if (f->guard_is_open && errno == ENOMEM) {
    f->refused = true;
    return 0; /* the end, within a string: an error like any other */
  }
  if (f->guard_left > 0)
    return give_guard(f, buffer, capacity);
  f->guard_is_open = false;
  if (f->closing) {
    size_t n = strlen(f->closing);
    memcpy(buffer, f->closing, n);
    f->closing = NULL;
    return n;
  }
  return give_text(f, f->end, buffer, capacity);
}

/* ---- What it makes of that ---- */

static void remove_guard(json_t *root)
{
  if (json_is_array(root))
    json_array_remove(root, 0);
  else
    json_object_del(root, json_object_iter_key(json_object_iter(root)));
}

static int without_guard(int place, size_t before, size_t inserted)
{
  if ((size_t)place <= before)
    return place;
  return (size_t)place < before + inserted ? (int)before : place - (int)inserted;
}

/* The place in the text itself: the guard lies in one line with the bracket. */
static void correct_place(const feed *f, json_error_t *about)
{
  int line = 1, column = 0;
  size_t before = (size_t)(f->inside - f->text);
  for (const uint8_t *at = f->text; at < f->inside; at++) {
    column = *at == '\n' ? 0 : column + 1;
    line += *at == '\n';
  }
  about->position = without_guard(about->position, before, f->inserted);
  if (about->line == line)
    about->column = without_guard(about->column, (size_t)column, f->inserted);
}

json_t *json_load_text(const uint8_t *text, size_t size, json_error_t *about, bool *out_of_memory)
{
  /* A malloc that finds memory in its second place may leave ENOMEM behind all the same; it has it
   * at hand when it is asked again. */
  enum { ATTEMPTS = 2 };
  feed f = {.refused = true};
  json_t *root = NULL;
  for (int i = 0; i < ATTEMPTS && f.refused; i++) {
    f = feed_of(text, size);
    root = json_load_callback(give, &f, JSON_REJECT_DUPLICATES, about);
  }
  *out_of_memory = f.refused;
  if (root)
    remove_guard(root);
  else if (f.guard > 0)
    correct_place(&f, about);
  return root;
}
