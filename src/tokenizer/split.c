/* split.c - GPT-2's split pattern, matched by hand. */
#include "tokenizer/split.h"

#include "tokenizer/unicode.h"

/* The classes of ASCII, as digits: UNICODE_OTHER is 0. */
static const char ascii_class[] = "0000000003333300" /* tab, LF, VT, FF, CR */
                                  "0000000000000000"
                                  "3000000000000000" /* space */
                                  "2222222222000000"
                                  "0111111111111111"
                                  "1111111111100000"
                                  "0111111111111111"
                                  "1111111111100000";

/* The class of the character at `at`, and its size. */
static int class_at(const uint8_t *at, const uint8_t *end, size_t *size)
{
  if (*at >= 0x80)
    return unicode_class(at, (size_t)(end - at), size);
  *size = 1;
  return ascii_class[*at] - '0';
}

/* Past the characters of one class. */
static const uint8_t *skip_class(const uint8_t *at, const uint8_t *end, int class)
{
  size_t size;
  while (at < end && class_at(at, end, &size) == class)
    at += size;
  return at;
}

/* 's|'t|'re|'ve|'m|'ll|'d - its size, or 0. */
static size_t contraction(const uint8_t *text, size_t size)
{
  if (size < 2)
    return 0;
  uint8_t first = text[1], second = size > 2 ? text[2] : 0;
  if (first == 's' || first == 't' || first == 'm' || first == 'd')
    return 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
      (first == 'l' && second == 'l'))
    return 3;
  return 0;
}

/* \s+(?!\S)|\s+ - the run's last character is left out when something follows and others remain. */
static size_t white_space(const uint8_t *text, const uint8_t *end)
{
  const uint8_t *at = text, *last = text;
  size_t size;
  while (at < end && class_at(at, end, &size) == UNICODE_SPACE) {
    last = at;
    at += size;
  }
  return (size_t)((at < end && last > text ? last : at) - text);
}

size_t split_word(const uint8_t *text, size_t size)
{
  size_t n = *text == '\'' ? contraction(text, size) : 0;
  if (n > 0)
    return n;
  const uint8_t *end = text + size, *word = text + (*text == ' ' && size > 1 ? 1 : 0);
  int class = class_at(word, end, &n);
  if (class == UNICODE_SPACE)
    return white_space(text, end);
  return (size_t)(skip_class(word + n, end, class) - text);
}
