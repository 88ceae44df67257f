/* output.h - growing buffers of bytes, and writing them to standard output.
 *
 * Results are put together in a buffer and written in one go. Writing remembers its first failure:
 * after it, nothing more is written, a program may go on or stop, and program_end tells the user.
 */
#ifndef SUPPORT_OUTPUT_H
#define SUPPORT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct buffer {
  char *bytes; /* (size), NULL while nothing was ever added */
  size_t size;
  size_t capacity;
} buffer;

/* Makes room for `size` more bytes and returns where they go. The program ends when there is no
 * memory. */
char *buffer_room(buffer *b, size_t size);

void buffer_add(buffer *b, const void *bytes, size_t size);
void buffer_text(buffer *b, const char *text);
void buffer_format(buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Gives the memory back; the buffer is then empty and may be used again. */
void buffer_free(buffer *b);

/* Writes to standard output; false once that has failed. The second empties the buffer. */
bool output_bytes(const void *bytes, size_t size);
bool output_buffer(buffer *b);

/* The errno of the first failure, 0 while there was none. */
int output_failed(void);

#endif
