/* text.h - where a program's text comes from, and what of it is UTF-8. */
#ifndef SUPPORT_TEXT_H
#define SUPPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "support/output.h"

/* A program's inputs: the operand is one; standard input is one as well, or several with a byte
 * that ends each. */
typedef struct text_source {
  const char *operand; /* NULL or "-": standard input */
  int delimiter;       /* the byte that ends an input, or WHOLE */
  bool started;
  bool ended; /* there are no more */
} text_source;

enum { WHOLE = -1 };

/* Reads the next input into `text`, as it is and without its delimiter; text->bytes is not NULL
 * afterwards. With a delimiter, a last input that it does not end counts, unless it is empty. Sets
 * source->ended instead when there are no more. EXIT_DONE, or EXIT_FAILED after a message. */
int text_next(text_source *source, buffer *text);

/* All of the operand, or of standard input: the only input. */
int text_whole(const char *operand, buffer *text);

/* The number of bytes of the character that `bytes` (`size` > 0 left) begins with; or, negative, of
 * the bytes that are none: a character's beginning that does not go on, or a single byte. */
int utf8_next(const char *bytes, size_t size);

#endif
