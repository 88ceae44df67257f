/* split.c - GPT-2's split pattern, matched by hand. */
#include "tokenizer/split.h"

#include "tokenizer/unicode.h"

#define OTHER_8 0, 0, 0, 0, 0, 0, 0, 0
#define LETTER_8 1, 1, 1, 1, 1, 1, 1, 1

/* The classes of ASCII. */
static const uint8_t ascii_class[128] = {
  0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 0, 0, /* tab, line feed, vertical tab, form feed, CR */
  OTHER_8, OTHER_8,
  3, 0, 0, 0, 0, 0, 0, 0, OTHER_8, /* space */
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0,
  0, 1, 1, 1, 1, 1, 1, 1, LETTER_8, LETTER_8, 1, 1, 1, 0, 0, 0, 0, 0,
  0, 1, 1, 1, 1, 1, 1, 1, LETTER_8, LETTER_8, 1, 1, 1, 0, 0, 0, 0, 0,
};

/* The class of the character at `at`, and its size. */
static int class_at(const uint8_t *at, const uint8_t *end, size_t *size)
{
  if (*at >= 0x80)
    return unicode_class(at, (size_t)(end - at), size);
  *size = 1;
  return ascii_class[*at];
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
