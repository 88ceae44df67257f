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
  return IS_THERE(openblas_get_parallel) ? openblas_get_parallel() : PARALLEL_UNKNOWN;
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

/* Who is inside is the whole process's concern, as its BLAS library is. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t left;
  int n_inside;  /* in a product right now */
  int n_forking; /* threads that are about to fork: nobody may go inside */
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
  state.n_forking++;
  while (state.n_inside > 0)
    if (pthread_cond_timedwait(&state.left, &state.mutex, &limit) != 0)
      break;
}

static void after_fork_in_parent(void)
{
  state.n_forking--;
  pthread_cond_broadcast(&state.left);
  pthread_mutex_unlock(&state.mutex);
}

static void after_fork_in_child(void)
{
  pthread_mutex_init(&state.mutex, NULL);
  pthread_cond_init(&state.left, NULL);
  state.n_inside = state.n_forking = 0;
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

static void take_place(void)
{
  lock();
  while (state.n_forking > 0 || state.n_inside >= max_inside())
    pthread_cond_wait(&state.left, &state.mutex);
  state.n_inside++;
  pthread_mutex_unlock(&state.mutex);
}

static void give_place(void)
{
  lock();
  state.n_inside--;
  if (state.n_forking > 0)
    pthread_cond_broadcast(&state.left); /* not only to those who wait for the place */
  else
    pthread_cond_signal(&state.left);
  pthread_mutex_unlock(&state.mutex);
}

/* ---- Products ---- */

/* What cblas_sgemm is asked for. */
typedef struct sgemm {
  bool b_transposed;
  size_t m, n, k;
  float alpha;
  const float *a;
  size_t a_stride;
  const float *b;
  size_t b_stride;
  float beta;
  float *c;
  size_t c_stride;
} sgemm;

static void call(const sgemm *s)
{
  cblas_sgemm(CblasRowMajor, CblasNoTrans, s->b_transposed ? CblasTrans : CblasNoTrans, (int)s->m,
              (int)s->n, (int)s->k, s->alpha, s->a, (int)s->a_stride, s->b, (int)s->b_stride,
              s->beta, s->c, (int)s->c_stride);
}

/* A product of fewer multiplications than ALONE is done by the thread that asks for it, whatever
 * OpenBLAS's thread count is: its interface/gemm.c shares none of up to SMP_THRESHOLD_MIN (65536)
 * times GEMM_MULTITHREAD_THRESHOLD (4, unless it was built with another) of them. So we need not
 * touch the count, which is the host's. Pieces of 128 by 64 are the fastest of that size that were
 * measured: 512 rows take 1.1 times as long as in one call with SSE kernels, 1.2 with those for
 * AVX2 (on which we have our own). */
enum { ALONE = 65536 * 4, PIECE_ROWS = 128, PIECE_COLUMNS = 64 };

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

static sgemm piece_of(const sgemm *s, size_t row, size_t column, size_t input)
{
  sgemm piece = *s;
  piece.m = least(PIECE_ROWS, s->m - row);
  piece.n = least(PIECE_COLUMNS, s->n - column);
  piece.k = least((ALONE - 1) / (piece.m * piece.n), s->k - input);
  piece.a += row * s->a_stride + input;
  piece.b += s->b_transposed ? column * s->b_stride + input : input * s->b_stride + column;
  piece.c += row * s->c_stride + column;
  piece.beta = input == 0 ? s->beta : 1.0f;
  return piece;
}

static void call_in_pieces(const sgemm *s)
{
  for (size_t column = 0; column < s->n; column += PIECE_COLUMNS)
    for (size_t row = 0; row < s->m; row += PIECE_ROWS)
      for (size_t input = 0; input < s->k;) {
        sgemm piece = piece_of(s, row, column, input);
        call(&piece);
        input += piece.k;
      }
}

void blas_product(bool b_transposed, size_t m, size_t n, size_t k, float alpha, const float *a,
                  size_t a_stride, const float *b, size_t b_stride, float beta, float *c,
                  size_t c_stride)
{
  const sgemm whole = {b_transposed, m, n, k, alpha, a, a_stride, b, b_stride, beta, c, c_stride};
  take_place();
  if (threading() == PARALLEL_PTHREADS)
    call_in_pieces(&whole);
  else
    call(&whole);
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
