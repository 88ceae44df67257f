/* host_threads.h - work on the threads of a host that brings its own. */
#ifndef BASE_HOST_THREADS_H
#define BASE_HOST_THREADS_H

#include "base/pool.h"

/* Runs all tiles of `work` by parallel_for(n_workers, ...), and returns when they are done, however
 * many tasks the host ran, and under which numbers. */
void run_on_hosts_threads(gpt2_parallel_for parallel_for, void *user, size_t n_tiles, int n_workers,
                          tile_function function, void *work);

#endif
