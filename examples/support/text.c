/* text.c - where a program's text comes from, and what of it is UTF-8. */
#define _POSIX_C_SOURCE 200809L
#include "support/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/program.h"

enum { READ_SIZE = 1 << 16 };

static int read_failed(void)
{
  if (program_interrupted())
    return EXIT_INTERRUPTED;
  return program_fail(
      "standard input: %s; give the text as an operand, or redirect a file or a pipe",
      strerror(errno));
}

/* What someone at a terminal would otherwise wonder about. */
static void explain_waiting(void)
{
  if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
    program_say("reading the text from the terminal; Ctrl-D ends it");
}

static int read_whole(buffer *text)
{
  size_t n_read;
  while ((n_read = fread(buffer_room(text, READ_SIZE), 1, READ_SIZE, stdin)) > 0)
    text->size += n_read;
  return ferror(stdin) || program_interrupted() ? read_failed() : EXIT_DONE;
}

static int read_delimited(text_source *source, buffer *text)
{
  char *line = NULL;
  size_t capacity = 0;
  ssize_t size = getdelim(&line, &capacity, source->delimiter, stdin);
  bool failed = size < 0 && !feof(stdin);
  source->ended = size < 0;
  if (size > 0 && line[size - 1] == (char)source->delimiter)
    size--;
  if (size > 0)
    buffer_add(text, line, (size_t)size);
  free(line);
  return failed || program_interrupted() ? read_failed() : EXIT_DONE;
}

int text_next(text_source *source, buffer *text)
{
  bool first = !source->started;
  source->started = true;
  text->size = 0;
  buffer_room(text, 1);
  if (source->operand && strcmp(source->operand, "-") != 0) {
    source->ended = !first;
    buffer_text(text, first ? source->operand : "");
    return EXIT_DONE;
  }
  if (program_interrupted())
    return EXIT_INTERRUPTED;
  if (first)
    explain_waiting();
  if (source->delimiter != WHOLE)
    return read_delimited(source, text);
  source->ended = !first;
  return first ? read_whole(text) : EXIT_DONE;
}

int text_whole(const char *operand, buffer *text)
{
  text_source source = {.operand = operand, .delimiter = WHOLE};
  return text_next(&source, text);
}

/* How many bytes a character has whose first byte this is (RFC 3629); 0: none begins so. */
static int character_length(unsigned char first)
{
  if (first < 0x80)
    return 1;
  if (first < 0xc2)
    return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* May the second byte follow the first one? After some first bytes fewer may: that keeps out
 * overlong forms, surrogates and what is beyond U+10FFFF. */
static bool may_follow(unsigned char first, unsigned char second)
{
  unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

int utf8_next(const char *bytes, size_t size)
{
  const unsigned char *at = (const unsigned char *)bytes;
  int length = character_length(at[0]);
  if (length <= 1)
    return length == 1 ? 1 : -1;
  for (int i = 1; i < length; i++)
    if ((size_t)i >= size || !may_follow(i == 1 ? at[0] : 0, at[i]))
      return -i;
  return length;
}
