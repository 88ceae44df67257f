/* system_file.c - the small texts in which the system tells of itself. */
#include "base/system_file.h"

#include <fcntl.h>
#include <unistd.h>

bool read_system_file(const char *path, char *text, size_t capacity)
{
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  size_t size = 0;
  ssize_t n;
  while (size < capacity - 1 && (n = read(descriptor, text + size, capacity - 1 - size)) > 0)
    size += (size_t)n;
  close(descriptor);
  text[size] = '\0';
  return size > 0;
}
