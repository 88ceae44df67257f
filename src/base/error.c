/* error.c - failures in words, and the structs that callers hand in. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void make_printable(char *text)
{
  size_t left = strlen(text);
  for (uint8_t *at = (uint8_t *)text; left > 0;) {
    size_t size = utf8_character(at, left);
    if (size == 0 || *at < 0x20 || *at == 0x7f) {
      *at = '?';
      size = 1;
    }
    at += size;
    left -= size;
  }
}

/* Messages begin with a path or a name, which may be long, and end with what is wrong: a third from
 * the beginning and two from the end keep the file's name and that. */
void shorten(char *to, size_t capacity, const char *text)
{
  static const char gap[] = "...";
  enum { GAP = sizeof gap - 1 };
  size_t size = strlen(text), room = capacity - 1;
  if (size <= room) {
    memcpy(to, text, size + 1);
  } else {
    size_t first = room / 3, last = room - first - GAP;
    memcpy(to, text, first);
    memcpy(to + first, gap, GAP);
    memcpy(to + first + GAP, text + size - last, last + 1);
  }
  make_printable(to); /* characters may have been cut */
}

/* Room for a whole path (man 3 realpath: PATH_MAX is 4096) and words. */
enum { WHOLE_SIZE = 4096 + 512 };

gpt2_status fail(gpt2_error *error, gpt2_status status, int64_t offset, const char *format, ...)
{
  if (!error || error->struct_size < sizeof error->struct_size)
    return status;
  gpt2_error known = {.struct_size = sizeof known, .status = status, .offset = offset};
  char whole[WHOLE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(whole, sizeof whole, format, arguments);
  va_end(arguments);
  shorten(known.message, sizeof known.message, whole);
  if (error->struct_size > offsetof(gpt2_error, message) && error->struct_size < sizeof known) {
    known.message[error->struct_size - offsetof(gpt2_error, message) - 1] = '\0';
    make_printable(known.message); /* it may have been cut inside a character */
  }
  struct_write(error, &known, sizeof known, "error", NULL);
  return status;
}

gpt2_status fail_memory(gpt2_error *error, size_t size)
{
  return fail(error, GPT2_ERR_MEMORY, NO_OFFSET, "out of memory: %zu bytes were refused", size);
}

gpt2_status fail_null(gpt2_error *error, const char *name)
{
  return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "%s: is NULL", name);
}

const char *errno_text(int number)
{
  switch (number) {
  case ENOENT:
    return "no such file or directory";
  case ENOTDIR:
    return "a part of the path is not a folder";
  case EACCES:
  case EPERM:
    return "permission denied";
  case EISDIR:
    return "is a folder";
  case ENOMEM:
    return "out of memory";
  case EMFILE:
  case ENFILE:
    return "too many open files";
  case EIO:
    return "input/output error";
  case EAGAIN:
    return "the system is out of resources for now";
  case ENAMETOOLONG:
    return "the name is too long";
  case ELOOP:
    return "too many symbolic links";
  default:
    return "the system refused";
  }
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != 0)
      return false;
  return true;
}

gpt2_status struct_read(void *known, size_t known_size, const void *given, const char *name,
                        gpt2_error *error)
{
  memset(known, 0, known_size);
  if (!given)
    return GPT2_OK;
  uint32_t size;
  memcpy(&size, given, sizeof size);
  if (size < sizeof size)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "%s: struct_size is %u; set it to sizeof",
                name, size);
  if (size > known_size && !is_zero((const uint8_t *)given + known_size, size - known_size))
    return fail(
        error, GPT2_ERR_UNSUPPORTED, NO_OFFSET,
        "%s: struct_size is %u and fields beyond %zu are set, which this version does not know",
        name, size, known_size);
  memcpy(known, given, size < known_size ? size : known_size);
  return GPT2_OK;
}

gpt2_status struct_write(void *given, const void *known, size_t known_size, const char *name,
                         gpt2_error *error)
{
  if (!given)
    return fail_null(error, name);
  uint32_t size;
  memcpy(&size, given, sizeof size);
  if (size < sizeof size)
    return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "%s: struct_size is %u; set it to sizeof",
                name, size);
  memcpy((uint8_t *)given + sizeof size, (const uint8_t *)known + sizeof size,
         (size < known_size ? size : known_size) - sizeof size);
  if (size > known_size)
    memset((uint8_t *)given + known_size, 0, size - known_size);
  return GPT2_OK;
}

const char *gpt2_status_name(gpt2_status status)
{
  switch (status) {
#define STATUS_NAME(name, value, sentence)                                                         \
  case value:                                                                                      \
    return "GPT2_" #name;
    GPT2_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
  default:
    return "GPT2_ERR_UNKNOWN";
  }
}

const char *gpt2_status_text(gpt2_status status)
{
  switch (status) {
#define STATUS_TEXT(name, value, sentence)                                                         \
  case value:                                                                                      \
    return sentence;
    GPT2_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
  default:
    return "unknown status";
  }
}
