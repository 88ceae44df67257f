/* progress.c - a bar on standard error while long work lasts. */
#define _DEFAULT_SOURCE
#include "support/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double patience = 1.0;   /* seconds before a bar is worth showing */
static const double draw_every = 0.1; /* seconds; more often only costs time */

enum { NARROWEST = 20, WIDEST = 100, AROUND_THE_BAR = 8 };

double clock_seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int terminal_width(void)
{
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return 80;
  return size.ws_col < NARROWEST ? NARROWEST : size.ws_col > WIDEST ? WIDEST : size.ws_col;
}

void progress_start(progress *p, bool streaming)
{
  *p = (progress){.start = clock_seconds()};
  p->possible = isatty(STDERR_FILENO) && !(streaming && isatty(STDOUT_FILENO));
}

/* "[######      ]  47%", on a line of its own that the next one overwrites. */
static void draw(double part)
{
  char bar[WIDEST + 1];
  int width = terminal_width() - AROUND_THE_BAR;
  int filled = (int)(part * width);
  memset(bar, ' ', sizeof bar);
  memset(bar, '#', (size_t)filled);
  fprintf(stderr, "\r[%.*s] %3d%%", width, bar, (int)(part * 100));
  fflush(stderr);
}

void progress_update(progress *p, size_t done, size_t total)
{
  if (!p->possible || total == 0 || done > total)
    return;
  double now = clock_seconds();
  if (now - p->start < patience || now - p->last_draw < draw_every)
    return;
  draw((double)done / (double)total);
  p->last_draw = now;
  p->shown = true;
}

void progress_end(progress *p)
{
  if (p->shown)
    fprintf(stderr, "\r\033[K");
  p->shown = false;
}
