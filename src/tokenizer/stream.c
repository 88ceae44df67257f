/* stream.c - a stream of token bytes, handed out in whole characters. */
#include "tokenizer/stream.h"

#include <string.h>

#include "base/utf8.h"

/* U+FFFD */
static const char replacement[3] = {(char)0xef, (char)0xbf, (char)0xbd};

gpt2_status stream_init(stream *s, const gpt2_allocator *allocator, size_t longest, bool replace,
                        gpt2_error *error)
{
  *s = (stream){.replace = replace};
  size_t size;
  if (!add_size(&size, longest, sizeof s->waiting) || !mul_size(&size, size, sizeof replacement))
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "a token of %zu bytes is too long", longest);
  s->text = allocate(allocator, size);
  return s->text ? GPT2_OK : fail_memory(error, size);
}

/* The size of what stands for nothing at `bytes` (n), where no character begins: a beginning of one
 * that does not go on, or a single byte (Unicode 15, section 3.9: a maximal subpart). */
static size_t broken_part(const uint8_t *bytes, size_t n)
{
  size_t size = 1;
  while (size < n && utf8_incomplete(bytes, size + 1) > 0)
    size++;
  return size;
}

/* Writes a part that is no character; returns the text's new size. */
static size_t put_broken(stream *s, size_t n_text, const uint8_t *bytes, size_t size)
{
  size_t n = s->replace ? sizeof replacement : size;
  memcpy(s->text + n_text, s->replace ? replacement : (const char *)bytes, n);
  return n_text + n;
}

/* Hands out what can be told of the bytes that wait: all but an unfinished character. */
static size_t settle(stream *s, size_t n_text)
{
  size_t at = 0;
  while (at < s->n_waiting && utf8_incomplete(s->waiting + at, s->n_waiting - at) == 0) {
    size_t size = utf8_character(s->waiting + at, s->n_waiting - at);
    if (size > 0) {
      memcpy(s->text + n_text, s->waiting + at, size);
      n_text += size;
    } else {
      size = broken_part(s->waiting + at, s->n_waiting - at);
      n_text = put_broken(s, n_text, s->waiting + at, size);
    }
    at += size;
  }
  s->n_waiting -= at;
  memmove(s->waiting, s->waiting + at, s->n_waiting);
  return n_text;
}

size_t stream_push(stream *s, const char *bytes, size_t size)
{
  size_t n_text = 0;
  for (size_t i = 0; i < size; i++) {
    s->waiting[s->n_waiting++] = (uint8_t)bytes[i];
    n_text = settle(s, n_text);
  }
  return n_text;
}

size_t stream_finish(stream *s)
{
  size_t n_text = s->n_waiting > 0 ? put_broken(s, 0, s->waiting, s->n_waiting) : 0;
  s->n_waiting = 0;
  return n_text;
}

void stream_free(stream *s, const gpt2_allocator *allocator)
{
  release(allocator, s->text);
  s->text = NULL;
}
