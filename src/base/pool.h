/* pool.h - the threads of a context: they run the tiles of a piece of work and wait for the next.
 *
 * A tile is claimed by whichever worker is free, so a busy core costs a part and not a stall; what
 * a tile computes never depends on who runs it. The calling thread is worker 0. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/memory.h"

typedef struct pool pool;

/* Computes tile `tile` of `work`; `worker` in [0, n_threads) names scratch memory that nobody else
 * is using. */
typedef void (*tile_function)(void *work, size_t tile, int worker);

enum { MAX_THREADS = 1024 };

/* Makes a pool of n_threads >= 1 workers in all; with parallel_for it uses the host's threads
 * instead of own ones. Starts no thread yet. */
gpt2_status pool_new(const gpt2_allocator *allocator, int n_threads, gpt2_parallel_for parallel_for,
                     void *user, pool **out, gpt2_error *error);

/* Makes sure that the threads run: called before any pool_run of an operation, and after a fork()
 * starts new ones in the child. GPT2_ERR_SYSTEM when the system refuses a thread. */
gpt2_status pool_start(pool *p, gpt2_error *error);

/* Runs all tiles, by at most `max_workers` workers, and returns when they are done. */
void pool_run(pool *p, size_t n_tiles, int max_workers, tile_function function, void *work);

int pool_threads(const pool *p);
void pool_free(pool *p);

#endif
