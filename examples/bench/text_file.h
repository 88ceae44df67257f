/* text_file.h - a text that an option names. */
#ifndef BENCH_TEXT_FILE_H
#define BENCH_TEXT_FILE_H

#include "support/output.h"

/* Reads all of the file, which must not be empty. EXIT_DONE, or EXIT_FAILED after a message that
 * names the option. */
int text_of_file(const char *path, const char *option, buffer *text);

#endif
