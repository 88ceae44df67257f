/* utf8.c - where characters begin and end in UTF-8. */
#include "base/utf8.h"

#include <stdbool.h>

/* How many bytes a character has whose first byte this is; 0: no character starts so. */
static size_t length_of(uint8_t first)
{
  if (first < 0x80)
    return 1;
  if (first < 0xc2)
    return 0; /* continuation bytes, and overlong forms of ASCII */
  if (first < 0xe0)
    return 2;
  if (first < 0xf0)
    return 3;
  return first < 0xf5 ? 4 : 0;
}

/* The second byte's range is narrower after some first bytes: there it keeps out overlong forms,
 * surrogates and what lies beyond U+10FFFF (RFC 3629, section 4). */
static bool second_fits(uint8_t first, uint8_t second)
{
  uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

/* How many of the first `size` bytes are as a character's should be. */
static size_t valid_prefix(const uint8_t *bytes, size_t size, size_t length)
{
  size_t n = 1;
  if (n < size && n < length && second_fits(bytes[0], bytes[1]))
    for (n = 2; n < size && n < length && (bytes[n] & 0xc0) == 0x80; n++)
      ;
  return n;
}

size_t utf8_character(const uint8_t *bytes, size_t size)
{
  size_t length = length_of(bytes[0]);
  if (length <= 1)
    return length;
  return valid_prefix(bytes, size, length) == length ? length : 0;
}

size_t utf8_decode(const uint8_t *bytes, size_t size, uint32_t *code_point)
{
  static const uint8_t first_mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  size_t length = utf8_character(bytes, size);
  if (length == 0)
    return 0;
  uint32_t value = bytes[0] & first_mask[length];
  for (size_t i = 1; i < length; i++)
    value = value << 6 | (bytes[i] & 0x3f);
  *code_point = value;
  return length;
}

size_t utf8_incomplete(const uint8_t *bytes, size_t size)
{
  size_t length = length_of(bytes[0]);
  if (length <= size)
    return 0;
  return valid_prefix(bytes, size, length) == size ? size : 0;
}
