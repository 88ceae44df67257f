/* progress.h - a bar on standard error while long work lasts.
 *
 * It is shown only when standard error is a terminal, when results do not appear on that terminal
 * meanwhile, and when the work has lasted over a second. */
#ifndef SUPPORT_PROGRESS_H
#define SUPPORT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct progress {
  bool shown; /* the bar is on the terminal now */
  bool possible;
  double start; /* seconds, of a clock that only goes forward */
  double last_draw;
} progress;

/* `streaming`: results go to standard output while the work lasts. */
void progress_start(progress *p, bool streaming);

/* `done` of `total` parts are done. Cheap enough for every token. */
void progress_update(progress *p, size_t done, size_t total);

/* Takes the bar away. */
void progress_end(progress *p);

/* Seconds on a clock that only goes forward. */
double clock_seconds(void);

#endif
