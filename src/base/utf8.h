/* utf8.h - where characters begin and end in UTF-8 (RFC 3629: no surrogates, no overlong forms). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The size of the character that starts at `bytes` (`size` > 0 left): 1 to 4, or 0 when it is not a
 * whole one. */
size_t utf8_character(const uint8_t *bytes, size_t size);

/* The same, and its code point. */
size_t utf8_decode(const uint8_t *bytes, size_t size, uint32_t *code_point);

/* How many bytes at `bytes` (`size` > 0 left) could begin a character that more bytes would
 * complete: 0 when they are a whole one or cannot become one. */
size_t utf8_incomplete(const uint8_t *bytes, size_t size);

#endif
