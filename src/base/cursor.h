/* cursor.h - reads numbers and bytes from a span, and can never read outside it.
 *
 * A cursor remembers its first failure: after it, every read returns zero and moves nothing, so a
 * reader runs through a header in straight lines and asks once, at the end, whether all of it was
 * there. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cursor {
  const uint8_t *at, *end; /* what is left: [at, end) */
  const uint8_t *start;    /* for positions in error messages */
  bool failed;
} cursor;

cursor cursor_over(const void *bytes, size_t size);

/* Numbers are little-endian, whatever the machine. */
uint8_t cursor_u8(cursor *c);
uint32_t cursor_u32(cursor *c);
uint64_t cursor_u64(cursor *c);

/* The next `size` bytes; NULL when fewer are left. */
const uint8_t *cursor_take(cursor *c, uint64_t size);

/* The next line without its end (LF or CRLF), and its size; NULL when nothing is left, which is no
 * failure. */
const uint8_t *cursor_line(cursor *c, size_t *size);

size_t cursor_left(const cursor *c);
int64_t cursor_position(const cursor *c);

#endif
