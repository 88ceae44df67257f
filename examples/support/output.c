/* output.c - growing buffers of bytes, and writing them to standard output. */
#define _POSIX_C_SOURCE 200809L
#include "support/output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/program.h"

static int first_failure;

char *buffer_room(buffer *b, size_t size)
{
  if (b->bytes && size <= b->capacity - b->size)
    return b->bytes + b->size;
  bool possible = size < SIZE_MAX / 4 && b->size < SIZE_MAX / 4;
  size_t capacity = possible ? (b->size + size) * 2 + 64 : 0;
  char *bytes = possible ? realloc(b->bytes, capacity) : NULL;
  if (!bytes)
    exit(program_fail("out of memory for %zu more bytes of text", size));
  b->bytes = bytes;
  b->capacity = capacity;
  return b->bytes + b->size;
}

void buffer_add(buffer *b, const void *bytes, size_t size)
{
  if (size == 0)
    return;
  memcpy(buffer_room(b, size), bytes, size);
  b->size += size;
}

void buffer_text(buffer *b, const char *text)
{
  buffer_add(b, text, strlen(text));
}

enum { USUAL_SIZE = 64 }; /* bytes of what is formatted at once, nearly always */

void buffer_format(buffer *b, const char *format, ...)
{
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int size = vsnprintf(buffer_room(b, USUAL_SIZE), USUAL_SIZE, format, arguments);
  if (size >= USUAL_SIZE)
    vsnprintf(buffer_room(b, (size_t)size + 1), (size_t)size + 1, format, again);
  b->size += size > 0 ? (size_t)size : 0;
  va_end(again);
  va_end(arguments);
}

void buffer_free(buffer *b)
{
  free(b->bytes);
  *b = (buffer){0};
}

/* A write that did not work: may it be tried again? */
static bool try_again(void)
{
  if (errno == EINTR)
    return !program_interrupted();
  if (errno != EAGAIN)
    return false;
  struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT}; /* a pipe that does not wait */
  return poll(&ready, 1, -1) >= 0 || (errno == EINTR && !program_interrupted());
}

bool output_bytes(const void *bytes, size_t size)
{
  const char *at = bytes;
  while (size > 0 && !first_failure) {
    ssize_t written = write(STDOUT_FILENO, at, size);
    if (written >= 0) {
      at += written;
      size -= (size_t)written;
    } else if (!try_again()) {
      first_failure = errno;
    }
  }
  return !first_failure;
}

bool output_buffer(buffer *b)
{
  bool written = output_bytes(b->bytes, b->size);
  b->size = 0;
  return written;
}

int output_failed(void)
{
  return first_failure;
}
