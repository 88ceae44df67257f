/* spinner.h - keeps one core busy, as another program would. */
#ifndef BENCH_SPINNER_H
#define BENCH_SPINNER_H

typedef struct spinner spinner;

/* Starts a thread that computes on one of the cores that this process may use, always the same one,
 * and never waits. NULL when the system refuses it. */
spinner *spinner_start(void);
void spinner_stop(spinner *s);

#endif
