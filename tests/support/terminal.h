/* terminal.h - a terminal whose other side a test writes to, or has a program write to. */
#ifndef TESTS_SUPPORT_TERMINAL_H
#define TESTS_SUPPORT_TERMINAL_H

#include <stddef.h>

typedef struct terminal {
  int shown;   /* what is shown is read here */
  int written; /* what shall be shown is written here */
} terminal;

terminal open_terminal(void);

/* All that was written, as a string of at most `capacity` - 1 bytes; the terminal is closed. What
 * fails fails the test. */
void close_terminal(terminal t, char *shown, size_t capacity);

#endif
