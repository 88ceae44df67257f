/* text_file.c - a text that an option names. */
#include "bench/text_file.h"

#include <stdio.h>

#include "support/program.h"

enum { READ_SIZE = 1 << 16 };

int text_of_file(const char *path, const char *option, buffer *text)
{
  FILE *file = fopen(path, "rb");
  if (!file)
    return program_fail("%s: cannot be opened; name a text by %s", path, option);
  size_t n_read;
  while ((n_read = fread(buffer_room(text, READ_SIZE), 1, READ_SIZE, file)) > 0)
    text->size += n_read;
  bool failed = ferror(file) || text->size == 0;
  fclose(file);
  return failed ? program_fail("%s: cannot be read, or is empty; name a text by %s", path, option)
                : EXIT_DONE;
}
