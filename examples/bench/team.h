/* team.h - a few threads that do one thing together, and how long it takes them.
 *
 * They sleep between their tasks, so that they do not disturb what is measured meanwhile. */
#ifndef BENCH_TEAM_H
#define BENCH_TEAM_H

#include <stdint.h>

typedef struct team team;

typedef void (*team_task)(int32_t index, int32_t n_threads, void *data);

/* `n_threads` includes the calling one. NULL when the system refuses a thread. */
team *team_new(int32_t n_threads);
void team_free(team *t);

/* Runs task(0 ... n_threads - 1, n_threads, data), each in its thread, once all are awake; the
 * seconds from the start of the first to the end of the last. */
double team_run(team *t, team_task task, void *data);

#endif
