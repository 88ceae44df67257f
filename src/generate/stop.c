/* stop.c - finds stop strings in a text that comes in pieces. */
#include "generate/stop.h"

#include <string.h>

#include "base/utf8.h"

static bool is_utf8(const char *bytes, size_t size)
{
  for (size_t at = 0, n; at < size; at += n) {
    n = utf8_character((const uint8_t *)bytes + at, size - at);
    if (n == 0)
      return false;
  }
  return true;
}

static gpt2_status check_string(const gpt2_string *s, size_t i, gpt2_error *error)
{
  if (!s->bytes)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "options.stops[%zu].bytes: is NULL", i);
  if (s->size == 0 || s->size > MAX_STOP_SIZE)
    return fail(error, s->size ? GPT2_ERR_LIMIT : GPT2_ERR_ARGUMENT, NO_OFFSET,
                "options.stops[%zu].size: is %llu; it must be from 1 to %d", i,
                (unsigned long long)s->size, MAX_STOP_SIZE);
  if (!is_utf8(s->bytes, (size_t)s->size))
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "options.stops[%zu]: is not UTF-8", i);
  return GPT2_OK;
}

gpt2_status stop_finder_init(stop_finder *f, const gpt2_allocator *allocator,
                             const gpt2_string *strings, size_t n, size_t longest_piece,
                             gpt2_error *error)
{
  *f = (stop_finder){0};
  if (n > 0 && !strings)
    return fail_null(error, "options.stops");
  f->strings = allocate_array(allocator, n, sizeof *f->strings);
  if (!f->strings)
    return fail_memory(error, n * sizeof *f->strings);
  for (size_t i = 0; i < n; i++) {
    gpt2_status status = check_string(&strings[i], i, error);
    if (status != GPT2_OK)
      return status;
    f->strings[i] = (gpt2_string){duplicate(allocator, strings[i].bytes, (size_t)strings[i].size),
                                  strings[i].size};
    if (!f->strings[i].bytes)
      return fail_memory(error, (size_t)strings[i].size);
    f->n = i + 1;
    f->longest = strings[i].size > f->longest ? (size_t)strings[i].size : f->longest;
  }
  f->capacity = f->longest + longest_piece;
  f->text = allocate(allocator, f->capacity);
  return f->text ? GPT2_OK : fail_memory(error, f->capacity);
}

/* The stop string that is complete first, by its end; of several with that end, the one that begins
 * first. */
static bool find_complete(const stop_finder *f, size_t *begin)
{
  size_t best_end = f->size + 1;
  for (size_t i = 0; i < f->n; i++) {
    const char *stop = f->strings[i].bytes;
    size_t size = (size_t)f->strings[i].size;
    for (size_t at = 0; at + size <= f->size && at + size <= best_end; at++)
      if (memcmp(f->text + at, stop, size) == 0) {
        if (at + size < best_end || at < *begin)
          *begin = at;
        best_end = at + size;
        break;
      }
  }
  return best_end <= f->size;
}

/* The longest end of the text that begins a stop string. */
static size_t unfinished(const stop_finder *f)
{
  size_t longest = f->longest > 0 ? f->longest - 1 : 0;
  for (size_t size = f->size < longest ? f->size : longest; size > 0; size--)
    for (size_t i = 0; i < f->n; i++)
      if (size < f->strings[i].size &&
          memcmp(f->text + f->size - size, f->strings[i].bytes, size) == 0)
        return size;
  return 0;
}

void stop_finder_add(stop_finder *f, const char *bytes, size_t size)
{
  f->size -= f->handed_out;
  memmove(f->text, f->text + f->handed_out, f->size);
  f->handed_out = 0;
  memcpy(f->text + f->size, bytes, size);
  f->size += size;
}

bool stop_finder_take(stop_finder *f, bool at_end, size_t *size)
{
  bool found = find_complete(f, size);
  if (found)
    f->size = *size;
  else
    *size = at_end ? f->size : f->size - unfinished(f);
  f->handed_out = *size;
  return found;
}

void stop_finder_free(stop_finder *f, const gpt2_allocator *allocator)
{
  for (size_t i = 0; i < f->n; i++)
    release(allocator, (void *)(uintptr_t)f->strings[i].bytes);
  release(allocator, f->strings);
  release(allocator, f->text);
}
