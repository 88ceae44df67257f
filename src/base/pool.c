/* pool.c - the threads of a context.
 *
 * A job is announced by one atomic word, the ticket: the job's number in the upper half, the next
 * unclaimed tile in the lower. A worker claims a tile by a compare-and-swap of the whole word, so
 * one that wakes up late can never take a tile of a job that it has not read: if the job has
 * changed, the swap fails. Only finished tiles are counted; nobody waits for a worker that claimed
 * none. Workers spin a little for the next job and then sleep, so that the products of a token
 * follow each other in about a microsecond and an idle context costs nothing. */
#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/host_threads.h"

/* The tile half of a ticket whose job is being written: there is nothing to claim. */
#define CLOSED UINT32_MAX

/* Rounds of a spin before sleeping, with a pause instruction each: 200 microseconds where that was
 * measured (Emerald Rapids), 50 where a pause is short. To wake up takes 40, and threads that share
 * a product of a few rows end it that long one after the other: 8 rows take 3 to 5% longer with an
 * eighth of the rounds. */
enum { SPIN_ROUNDS = 16000 };

/* Nanoseconds. A worker that lets the caller sleep for STALL, and for longer than the caller itself
 * worked on the job, has lost its core to another program, for the time that the system gives each
 * in turn (Linux: 3 to 4 ms). For CONTENTION from then on workers give way by themselves, between
 * two tiles, when they have run for FAIR_SLICE; where nobody takes what they give, they ask again
 * after RETRY. */
enum { STALL = 1000000, CONTENTION = 100000000, FAIR_SLICE = 2000000, RETRY = 100000 };

/* BLAS kernels keep their buffers on the heap; ours need little. Small enough for hosts that limit
 * memory. */
enum { STACK_SIZE = 512 << 10 };

typedef struct worker {
  pool *of;
  int index; /* 1 to n_threads - 1; the caller is 0 */
  pthread_t thread;
  int64_t resumed; /* when it last gave way, while there is contention */
} worker;

struct pool {
  gpt2_allocator allocator;
  int n_threads;
  gpt2_parallel_for parallel_for; /* the host's threads, or NULL */
  void *user;

  worker *workers;    /* (n_threads - 1) */
  int n_running;      /* how many of them have a thread */
  int spin_rounds;    /* 0 when there are more workers than cores */
  uint8_t *fork_page; /* its first byte is 1, and 0 in a child of the process that wrote it */
  pid_t owner;        /* the same where the kernel cannot wipe a page; else 0 */

  _Atomic uint64_t ticket;
  _Atomic(tile_function) function; /* the job: written only while the ticket is closed */
  _Atomic(void *) work;
  _Atomic size_t n_tiles;
  _Atomic int max_workers;
  _Atomic size_t n_done;

  pthread_mutex_t mutex;    /* guards only the going to sleep */
  pthread_cond_t announced; /* workers wait here for a job */
  pthread_cond_t finished;  /* the caller waits here for the last tile */
  _Atomic int n_asleep;
  _Atomic bool caller_asleep;
  _Atomic bool stopping;
  _Atomic int64_t contended_until; /* a worker shares its core with another program; or 0 */
};

static uint64_t ticket_of(uint32_t job, uint32_t tile)
{
  return (uint64_t)job << 32 | tile;
}

static uint32_t job_of(uint64_t ticket)
{
  return (uint32_t)(ticket >> 32);
}

/* Nanoseconds; a read of memory, not a system call, on every platform that we know. */
static int64_t now(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Wakes the caller if it sleeps and the last tile is done. */
static void tile_done(pool *p, size_t n_tiles)
{
  if (atomic_fetch_add(&p->n_done, 1) + 1 == n_tiles && atomic_load(&p->caller_asleep)) {
    pthread_mutex_lock(&p->mutex);
    pthread_cond_signal(&p->finished);
    pthread_mutex_unlock(&p->mutex);
  }
}

/* A core that is lost between two tiles holds nobody up; within a tile it does. */
static void give_way(worker *w)
{
  int64_t before = now();
  if (before > atomic_load(&w->of->contended_until))
    atomic_store(&w->of->contended_until, 0);
  if (before - w->resumed < FAIR_SLICE)
    return;
  sched_yield();
  int64_t after = now();
  bool taken = after - before > STALL;
  w->resumed = taken ? after : after - FAIR_SLICE + RETRY;
  if (taken)
    atomic_store(&w->of->contended_until, after + CONTENTION);
}

/* Claims and runs tiles of the job that `ticket` announced until none is left or another job has
 * begun. */
static void run_tiles(pool *p, uint32_t job, int index)
{
  for (;;) {
    uint64_t ticket = atomic_load(&p->ticket);
    uint32_t tile = (uint32_t)ticket;
    tile_function function = atomic_load(&p->function);
    void *work = atomic_load(&p->work);
    size_t n_tiles = atomic_load(&p->n_tiles);
    if (job_of(ticket) != job || tile == CLOSED || tile >= n_tiles ||
        index >= atomic_load(&p->max_workers))
      return;
    if (!atomic_compare_exchange_weak(&p->ticket, &ticket, ticket_of(job, tile + 1)))
      continue;
    function(work, tile, index);
    tile_done(p, n_tiles);
    if (index > 0 && atomic_load_explicit(&p->contended_until, memory_order_relaxed) != 0)
      give_way(&p->workers[index - 1]);
  }
}

/* Whether the pool stops, or a job other than *job has been announced, whose number is then put
 * there. A job that is still being written is no news yet: who took its number now would believe to
 * have served it. */
static bool has_news(pool *p, uint32_t *job)
{
  uint64_t ticket = atomic_load(&p->ticket);
  if (job_of(ticket) == *job || (uint32_t)ticket == CLOSED)
    return atomic_load(&p->stopping);
  *job = job_of(ticket);
  return true;
}

static void await_job(pool *p, uint32_t *job)
{
  for (int round = 0; round < p->spin_rounds; round++) {
    if (has_news(p, job))
      return;
    pause_briefly();
  }
  pthread_mutex_lock(&p->mutex);
  atomic_fetch_add(&p->n_asleep, 1);
  while (!has_news(p, job))
    pthread_cond_wait(&p->announced, &p->mutex);
  atomic_fetch_sub(&p->n_asleep, 1);
  pthread_mutex_unlock(&p->mutex);
}

static void *worker_main(void *argument)
{
  worker *self = argument;
  pool *p = self->of;
  uint32_t job = 0;
  for (;;) {
    await_job(p, &job);
    if (atomic_load(&p->stopping))
      return NULL;
    run_tiles(p, job, self->index);
  }
}

/* The caller's own tiles took it from `started` on. */
static void await_tiles(pool *p, size_t n_tiles, int64_t started)
{
  for (int round = 0; round < p->spin_rounds; round++) {
    if (atomic_load(&p->n_done) == n_tiles)
      return;
    pause_briefly();
  }
  int64_t begun = now();
  pthread_mutex_lock(&p->mutex);
  atomic_store(&p->caller_asleep, true);
  while (atomic_load(&p->n_done) != n_tiles)
    pthread_cond_wait(&p->finished, &p->mutex);
  atomic_store(&p->caller_asleep, false);
  pthread_mutex_unlock(&p->mutex);
  int64_t ended = now();
  if (ended - begun > STALL && ended - begun > begun - started)
    atomic_store(&p->contended_until, ended + CONTENTION);
}

static void run_on_own_threads(pool *p, size_t n_tiles, int max_workers, tile_function function,
                               void *work)
{
  uint32_t job = job_of(atomic_load(&p->ticket)) + 1;
  if (job == 0)
    job = 1; /* 0 is what a new worker has seen */
  atomic_store(&p->ticket, ticket_of(job, CLOSED));
  /* Release: none of these is seen by who still sees the ticket before it. */
  atomic_store_explicit(&p->function, function, memory_order_release);
  atomic_store_explicit(&p->work, work, memory_order_release);
  atomic_store_explicit(&p->n_tiles, n_tiles, memory_order_release);
  atomic_store_explicit(&p->max_workers, max_workers, memory_order_release);
  atomic_store_explicit(&p->n_done, 0, memory_order_release);
  atomic_store(&p->ticket, ticket_of(job, 0));
  if (atomic_load(&p->n_asleep) > 0) {
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(&p->announced);
    pthread_mutex_unlock(&p->mutex);
  }
  int64_t started = now();
  run_tiles(p, job, 0);
  await_tiles(p, n_tiles, started);
}

void pool_run(pool *p, size_t n_tiles, int max_workers, tile_function function, void *work)
{
  int workers = max_workers < p->n_threads ? max_workers : p->n_threads;
  if ((size_t)workers > n_tiles)
    workers = (int)n_tiles;
  if (workers <= 1 || n_tiles >= CLOSED) {
    for (size_t tile = 0; tile < n_tiles; tile++)
      function(work, tile, 0);
  } else if (p->parallel_for) {
    run_on_hosts_threads(p->parallel_for, p->user, n_tiles, workers, function, work);
  } else {
    run_on_own_threads(p, n_tiles, max_workers, function, work);
  }
}

int pool_threads(const pool *p)
{
  return p->n_threads;
}

/* ---- Starting and stopping ---- */

static void mark_owner(pool *p)
{
  p->fork_page[0] = 1;
  if (madvise(p->fork_page, 1, MADV_WIPEONFORK) != 0)
    p->owner = getpid();
}

static bool is_forked_child(const pool *p)
{
  return p->fork_page[0] == 0 || (p->owner != 0 && p->owner != getpid());
}

static void init_synchronisation(pool *p)
{
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->announced, NULL);
  pthread_cond_init(&p->finished, NULL);
  atomic_store(&p->ticket, 0);
  atomic_store(&p->n_asleep, 0);
  atomic_store(&p->caller_asleep, false);
  atomic_store(&p->stopping, false);
  atomic_store(&p->contended_until, 0);
}

gpt2_status pool_new(const gpt2_allocator *allocator, int n_threads, gpt2_parallel_for parallel_for,
                     void *user, pool **out, gpt2_error *error)
{
  *out = NULL;
  pool *p = allocate_zeroed(allocator, sizeof *p);
  if (!p)
    return fail_memory(error, sizeof *p);
  p->allocator = *allocator;
  p->n_threads = n_threads;
  p->parallel_for = parallel_for;
  p->user = user;
  p->spin_rounds = n_threads == 1 || n_threads <= cpu_cores() ? SPIN_ROUNDS : 0;
  init_synchronisation(p);
  p->workers = allocate_array(allocator, (size_t)n_threads, sizeof *p->workers);
  void *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  p->fork_page = page == MAP_FAILED ? NULL : page;
  if (!p->workers || !p->fork_page) {
    pool_free(p);
    return fail_memory(error, (size_t)n_threads * sizeof *p->workers);
  }
  mark_owner(p);
  *out = p;
  return GPT2_OK;
}

/* The host's signals are for the host's threads. */
static int create_thread(worker *w)
{
  sigset_t all, before;
  pthread_attr_t attributes;
  int failure = pthread_attr_init(&attributes);
  if (failure != 0)
    return failure;
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  failure = pthread_create(&w->thread, &attributes, worker_main, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return failure;
}

static void stop_threads(pool *p)
{
  pthread_mutex_lock(&p->mutex);
  atomic_store(&p->stopping, true);
  pthread_cond_broadcast(&p->announced);
  pthread_mutex_unlock(&p->mutex);
  for (; p->n_running > 0; p->n_running--)
    pthread_join(p->workers[p->n_running - 1].thread, NULL);
  atomic_store(&p->stopping, false);
}

gpt2_status pool_start(pool *p, gpt2_error *error)
{
  if (p->parallel_for || p->n_threads == 1)
    return GPT2_OK;
  if (is_forked_child(p)) { /* the threads stayed behind in the parent */
    p->n_running = 0;
    init_synchronisation(p);
    mark_owner(p);
  }
  for (; p->n_running < p->n_threads - 1; p->n_running++) {
    worker *w = &p->workers[p->n_running];
    *w = (worker){.of = p, .index = p->n_running + 1};
    int failure = create_thread(w);
    if (failure != 0) {
      int started = p->n_running + 1;
      stop_threads(p);
      return fail(error, GPT2_ERR_SYSTEM, NO_OFFSET,
                  "n_threads: the system refused thread %d of %d: %s", started + 1, p->n_threads,
                  errno_text(failure));
    }
  }
  return GPT2_OK;
}

void pool_free(pool *p)
{
  if (!p)
    return;
  if (p->fork_page && is_forked_child(p))
    init_synchronisation(p); /* or the condition's end would wait for the threads of the parent */
  else if (p->n_running > 0)
    stop_threads(p);
  if (p->fork_page)
    munmap(p->fork_page, 1);
  pthread_mutex_destroy(&p->mutex);
  pthread_cond_destroy(&p->announced);
  pthread_cond_destroy(&p->finished);
  gpt2_allocator allocator = p->allocator;
  release(&allocator, p->workers);
  release(&allocator, p);
}
