/* fenced.h - memory between two pages that nobody may touch: one byte read or written outside it
 * ends the program. */
#ifndef TESTS_SUPPORT_FENCED_H
#define TESTS_SUPPORT_FENCED_H

#include <stddef.h>

typedef struct fenced {
  char *pages; /* the first of the two */
  size_t room; /* bytes between them, a multiple of a page */
} fenced;

/* Room for at least `size` bytes; what fails fails the test. */
fenced fence(size_t size);
void unfence(fenced f);

/* The first `size` bytes behind the front page, or the last before the back page. */
void *behind_fence(fenced f, size_t size);
void *before_fence(fenced f, size_t size);

#endif
