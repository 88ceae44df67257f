#define _GNU_SOURCE /* posix_openpt */
#include "support/terminal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

terminal open_terminal(void)
{
  terminal t = {.shown = posix_openpt(O_RDWR | O_NOCTTY)};
  assert_true(t.shown >= 0 && grantpt(t.shown) == 0 && unlockpt(t.shown) == 0);
  t.written = open(ptsname(t.shown), O_RDWR | O_NOCTTY);
  assert_true(t.written >= 0);
  return t;
}

/* The kernel hands over what was written in pieces, some later than the write, so a last byte of
 * zero tells where all of it ends. */
void close_terminal(terminal t, char *shown, size_t capacity)
{
  assert_int_equal(write(t.written, "", 1), 1);
  size_t size = 0;
  do {
    assert_true(size < capacity);
    ssize_t got = read(t.shown, shown + size, capacity - size);
    assert_true(got > 0);
    size += (size_t)got;
  } while (!memchr(shown, 0, size));
  close(t.written);
  close(t.shown);
}
