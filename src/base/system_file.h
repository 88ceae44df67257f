/* system_file.h - the small texts in which the system tells of itself. */
#ifndef BASE_SYSTEM_FILE_H
#define BASE_SYSTEM_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The first capacity - 1 bytes of a file, and NUL; false when it cannot be read or is empty. */
bool read_system_file(const char *path, char *text, size_t capacity);

#endif
