/* unicode.h - letters, numbers, white space and word characters, as a named version of Unicode has
 * them: tokens never depend on the machine's locale or libraries. */
#ifndef TOKENIZER_UNICODE_H
#define TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The split pattern's \p{L}, \p{N}, \s, and the rest. */
enum { UNICODE_OTHER = 0, UNICODE_LETTER = 1, UNICODE_NUMBER = 2, UNICODE_SPACE = 3 };

/* The class of the character at `bytes` (`size` > 0 left), and its size. A byte that is not part of
 * a character of UTF-8 is one of size 1 and class UNICODE_OTHER. */
int unicode_class(const uint8_t *bytes, size_t size, size_t *character);

/* Whether it is a word character (\w): a letter, mark, decimal number, underscore or the like. */
bool unicode_is_word(const uint8_t *bytes, size_t size);

/* Where the last character of bytes [0, size) begins; `size` > 0. */
size_t unicode_last(const uint8_t *bytes, size_t size);

/* "16.0.0". */
const char *unicode_version(void);

#endif
