/* blas.c - the process's BLAS library: the only file that calls it. */
#include "kernels/blas.h"

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* OpenBLAS's own functions. Other libraries lack them, so they are weak: NULL where they are
 * missing. The private archive always has them, and a weak reference would not pull them out of
 * it. */
#ifdef GPT2_BLAS_PRIVATE
#define IF_THERE
#define IS_THERE(function) true
#else
#define IF_THERE           __attribute__((weak))
#define IS_THERE(function) ((function) != NULL)
#endif
IF_THERE int openblas_get_parallel(void);
IF_THERE int openblas_get_num_threads(void);
IF_THERE void openblas_set_num_threads(int n);
IF_THERE char *openblas_get_corename(void);
IF_THERE char *openblas_get_config(void);

/* What openblas_get_parallel answers. */
enum { PARALLEL_SERIAL = 0, PARALLEL_PTHREADS = 1, PARALLEL_OPENMP = 2, PARALLEL_UNKNOWN = -1 };

/* OpenBLAS has room for the buffers of so many callers at once as it was built for processors,
 * prints and crashes beyond; distributions build it for 64 or more. */
enum { MAX_INSIDE = 64 };

static int threading(void)
{
#ifdef GPT2_BLAS_PRIVATE
  return PARALLEL_SERIAL;
#else
  if (!IS_THERE(openblas_get_parallel) || !IS_THERE(openblas_get_num_threads) ||
      !IS_THERE(openblas_set_num_threads))
    return PARALLEL_UNKNOWN;
  return openblas_get_parallel();
#endif
}

/* A serial OpenBLAS, as distributions build it, finds a free work buffer without a lock: two
 * callers at once may get the same one and compute garbage (tests/consumers/threads.c shows it). So
 * it takes one caller; the private one has had a lock put in (blas_private.c). */
static int max_inside(void)
{
#ifdef GPT2_BLAS_PRIVATE
  return MAX_INSIDE;
#else
  return threading() == PARALLEL_SERIAL ? 1 : MAX_INSIDE;
#endif
}

int blas_max_workers(void)
{
  int kind = threading();
  return kind == PARALLEL_SERIAL || kind == PARALLEL_PTHREADS ? max_inside() : 1;
}

/* OpenBLAS's thread count belongs to the whole process, and so must the memory of what it was. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t left;
  int n_users;      /* between enter and leave */
  int n_inside;     /* in a product right now */
  bool lowered;     /* the count is one, and was ... */
  int count_before; /* ... this when the first user came */
  bool forking;     /* nobody may go inside */
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER};

/* ---- fork ----
 * A child has none of the threads that were inside, but OpenBLAS's locks as they were. So a fork
 * waits until nobody is inside: for one tile; for no more than a second, lest it be one of those
 * who are inside that forks, in a handler of a signal. */

static void before_fork(void)
{
  struct timespec limit = {0};
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_sec++;
  pthread_mutex_lock(&state.mutex);
  state.forking = true;
  while (state.n_inside > 0)
    if (pthread_cond_timedwait(&state.left, &state.mutex, &limit) != 0)
      break;
}

static void after_fork_in_parent(void)
{
  state.forking = false;
  pthread_cond_broadcast(&state.left);
  pthread_mutex_unlock(&state.mutex);
}

/* A count that others had lowered is put back by the child's first user. */
static void after_fork_in_child(void)
{
  pthread_mutex_init(&state.mutex, NULL);
  pthread_cond_init(&state.left, NULL);
  state.n_users = state.n_inside = 0;
  state.forking = false;
}

static void watch_forks(void)
{
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void lock(void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  pthread_mutex_lock(&state.mutex);
}

/* ---- Going inside ---- */

void blas_enter(void)
{
  if (threading() != PARALLEL_PTHREADS)
    return;
  lock();
  if (state.n_users++ == 0 && !state.lowered) {
    state.count_before = openblas_get_num_threads();
    state.lowered = state.count_before != 1;
    if (state.lowered)
      openblas_set_num_threads(1);
  }
  pthread_mutex_unlock(&state.mutex);
}

void blas_leave(void)
{
  if (threading() != PARALLEL_PTHREADS)
    return;
  lock();
  if (--state.n_users == 0 && state.lowered) {
    if (openblas_get_num_threads() == 1)
      openblas_set_num_threads(state.count_before);
    state.lowered = false;
  }
  pthread_mutex_unlock(&state.mutex);
}

static void take_place(void)
{
  lock();
  while (state.forking || state.n_inside >= max_inside())
    pthread_cond_wait(&state.left, &state.mutex);
  state.n_inside++;
  pthread_mutex_unlock(&state.mutex);
}

static void give_place(void)
{
  lock();
  state.n_inside--;
  if (state.forking)
    pthread_cond_broadcast(&state.left); /* not only to those who wait for the place */
  else
    pthread_cond_signal(&state.left);
  pthread_mutex_unlock(&state.mutex);
}

void blas_product(bool b_transposed, size_t m, size_t n, size_t k, float alpha, const float *a,
                  size_t a_stride, const float *b, size_t b_stride, float beta, float *c,
                  size_t c_stride)
{
  take_place();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans, (int)m, (int)n,
              (int)k, alpha, a, (int)a_stride, b, (int)b_stride, beta, c, (int)c_stride);
  give_place();
}

/* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": its name and version are the first two words. */
static void describe_version(char *out, size_t capacity)
{
  const char *config = IS_THERE(openblas_get_config) ? openblas_get_config() : "cblas";
  const char *space = strchr(config, ' ');
  size_t size = strlen(config);
  if (space && strchr(space + 1, ' '))
    size = (size_t)(strchr(space + 1, ' ') - config);
  snprintf(out, capacity, "%.*s", (int)size, config);
}

void blas_describe(gpt2_build *build)
{
  static const char *const names[] = {
      [PARALLEL_SERIAL] = "serial", [PARALLEL_PTHREADS] = "pthreads", [PARALLEL_OPENMP] = "openmp"};
  int kind = threading();
  describe_version(build->blas, sizeof build->blas);
  if (IS_THERE(openblas_get_corename))
    snprintf(build->blas_core, sizeof build->blas_core, "%s", openblas_get_corename());
  snprintf(build->blas_threading, sizeof build->blas_threading, "%s",
           kind >= PARALLEL_SERIAL && kind <= PARALLEL_OPENMP ? names[kind] : "unknown");
#ifdef GPT2_BLAS_PRIVATE
  snprintf(build->blas_linkage, sizeof build->blas_linkage, "private");
#else
  snprintf(build->blas_linkage, sizeof build->blas_linkage, "system");
#endif
  build->blas_threads = IS_THERE(openblas_get_num_threads) ? openblas_get_num_threads() : 0;
}
