/* fuzz.c - what the fuzzers share. */
#include "fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void end_with(const char *file, int line, const char *condition, const char *format, ...)
{
  va_list arguments;
  fprintf(stderr, "%s:%d: does not hold: %s\n  ", file, line, condition);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  abort();
}

/* ---- Inputs ---- */

uint8_t take_byte(bytes *input)
{
  if (input->size == 0)
    return 0;
  input->size--;
  return *input->at++;
}

bool take_file(bytes *input, bytes *file)
{
  static const char mark[] = "\n====\n";
  enum { MARK_SIZE = sizeof mark - 1 };
  if (!input->at)
    return false;
  *file = *input;
  for (size_t i = 0; i + MARK_SIZE <= input->size; i++)
    if (memcmp(input->at + i, mark, MARK_SIZE) == 0) {
      file->size = i;
      input->at += i + MARK_SIZE;
      input->size -= i + MARK_SIZE;
      return true;
    }
  input->at = NULL;
  return true;
}

gpt2_blob blob_of(const char *name, bytes file)
{
  return (gpt2_blob){.name = name, .bytes = file.at, .size = file.size};
}
