/* host_threads.c - work on the threads of a host that brings its own. */
#include "base/host_threads.h"

#include <stdatomic.h>

/* Each task is a worker that claims tiles until none is left. */
typedef struct host_job {
  tile_function function;
  void *work;
  size_t n_tiles;
  int n_workers;
  _Atomic size_t next;
  _Atomic int n_begun; /* tasks */
} host_job;

static void claim_tiles(host_job *job, int worker)
{
  for (size_t tile; (tile = atomic_fetch_add(&job->next, 1)) < job->n_tiles;)
    job->function(job->work, tile, worker);
}

/* The host's number may be wrong: a worker's memory goes by ours. */
static void run_task(int32_t number, void *data)
{
  (void)number;
  host_job *job = data;
  int worker = atomic_fetch_add(&job->n_begun, 1);
  if (worker < job->n_workers)
    claim_tiles(job, worker);
}

void run_on_hosts_threads(gpt2_parallel_for parallel_for, void *user, size_t n_tiles, int n_workers,
                          tile_function function, void *work)
{
  host_job job = {.function = function, .work = work, .n_tiles = n_tiles, .n_workers = n_workers};
  parallel_for(n_workers, run_task, &job, user);
  claim_tiles(&job, 0); /* what a host has left that ran fewer tasks, or none */
}
