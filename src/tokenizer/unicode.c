/* unicode.c - letters, numbers, white space and word characters. */
#include "tokenizer/unicode.h"

#include "base/utf8.h"
#include "tokenizer/unicode_table.h"

enum { KIND = 3, WORD = 4 }; /* the bits of a class */

/* The four bits of a code point's class. */
static int class_bits(uint32_t code_point)
{
  uint32_t block = unicode_blocks[code_point >> UNICODE_BLOCK_BITS];
  uint32_t place = code_point & ((1 << UNICODE_BLOCK_BITS) - 1);
  uint64_t word = unicode_classes[(block << UNICODE_BLOCK_BITS | place) / 16];
  return (int)(word >> place % 16 * 4 & 15);
}

int unicode_class(const uint8_t *bytes, size_t size, size_t *character)
{
  uint32_t code_point;
  *character = utf8_decode(bytes, size, &code_point);
  if (*character > 0)
    return class_bits(code_point) & KIND;
  *character = 1;
  return UNICODE_OTHER;
}

bool unicode_is_word(const uint8_t *bytes, size_t size)
{
  uint32_t code_point;
  return utf8_decode(bytes, size, &code_point) > 0 && class_bits(code_point) & WORD;
}

size_t unicode_last(const uint8_t *bytes, size_t size)
{
  for (size_t n = 2; n <= 4 && n <= size; n++)
    if (utf8_character(bytes + size - n, n) == n)
      return size - n;
  return size - 1;
}

const char *unicode_version(void)
{
  return UNICODE_VERSION;
}
