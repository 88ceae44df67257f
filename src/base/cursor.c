/* cursor.c - reads numbers and bytes from a span, and can never read outside it. */
#include "base/cursor.h"

#include <string.h>

cursor cursor_over(const void *bytes, size_t size)
{
  /* An empty span may come as NULL, on which not even + 0 is defined. */
  static const uint8_t nothing[1];
  const uint8_t *start = size ? bytes : nothing;
  return (cursor){.at = start, .end = start + size, .start = start};
}

const uint8_t *cursor_take(cursor *c, uint64_t size)
{
  if (c->failed || size > (uint64_t)(c->end - c->at)) {
    c->failed = true;
    return NULL;
  }
  const uint8_t *taken = c->at;
  c->at += size;
  return taken;
}

static uint64_t little_endian(cursor *c, size_t size)
{
  const uint8_t *bytes = cursor_take(c, size);
  uint64_t value = 0;
  for (size_t i = 0; bytes && i < size; i++)
    value |= (uint64_t)bytes[i] << (8 * i);
  return value;
}

uint8_t cursor_u8(cursor *c)
{
  return (uint8_t)little_endian(c, 1);
}

uint32_t cursor_u32(cursor *c)
{
  return (uint32_t)little_endian(c, 4);
}

uint64_t cursor_u64(cursor *c)
{
  return little_endian(c, 8);
}

const uint8_t *cursor_line(cursor *c, size_t *size)
{
  if (c->failed || c->at == c->end)
    return NULL;
  const uint8_t *line = c->at;
  const uint8_t *feed = memchr(line, '\n', (size_t)(c->end - line));
  const uint8_t *end = feed ? feed : c->end;
  c->at = feed ? feed + 1 : c->end;
  if (feed && end > line && end[-1] == '\r')
    end--;
  *size = (size_t)(end - line);
  return line;
}

size_t cursor_left(const cursor *c)
{
  return (size_t)(c->end - c->at);
}

int64_t cursor_position(const cursor *c)
{
  return c->at - c->start;
}
