/* bench.c - times kernels and prints what they do a second. */
#include "kernels/bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *wanted = "";

/* A measurement lasts so long, in so many rounds; a call that takes longer is made once a round,
 * one that takes long in as few as fit. */
static const double SHORTEST = 0.003, LONGEST = 1.0; /* seconds */
enum { N_ROUNDS = 9, MOST_JOBS = 16 };

/* ---- Time ---- */

/* The processor's time of this thread: when the system lets others run, it stands still. */
static double now(void)
{
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds of one of n runs. */
static double time_runs(const bench_job *job, size_t n)
{
  double start = now();
  for (size_t i = 0; i < n; i++)
    job->run(job->data);
  return (now() - start) / (double)n;
}

/* How many runs last as long as is worth timing. */
static size_t runs_worth_timing(bench_job *job)
{
  size_t n = 1;
  job->seconds = time_runs(job, 1);
  while (job->seconds * (double)n < SHORTEST) {
    n = job->seconds * (double)n < SHORTEST / 16 ? n * 8
                                                 : (size_t)(SHORTEST / job->seconds * 1.1) + 1;
    job->seconds = time_runs(job, n);
  }
  return n;
}

static int compare_numbers(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *numbers, size_t n)
{
  qsort(numbers, n, sizeof *numbers, compare_numbers);
  return (numbers[n / 2] + numbers[(n - 1) / 2]) / 2;
}

/* Seconds of the first job in each round, as multiples of this one's. */
static void find_ratio(bench_job *job, const double *first, const double *own, int n_rounds)
{
  double ratios[N_ROUNDS];
  for (int i = 0; i < n_rounds; i++)
    ratios[i] = first[i] / own[i];
  job->ratio = median(ratios, (size_t)n_rounds);
}

void bench_jobs(bench_job *jobs, size_t n)
{
  size_t runs[MOST_JOBS];
  double seconds[MOST_JOBS][N_ROUNDS], longest = 0;
  int n_rounds = 1;
  for (size_t i = 0; i < n; i++) {
    runs[i] = runs_worth_timing(&jobs[i]);
    seconds[i][0] = jobs[i].seconds;
    longest = fmax(longest, jobs[i].seconds * (double)runs[i]);
  }
  for (; n_rounds < N_ROUNDS && longest * n_rounds < LONGEST; n_rounds++)
    for (size_t i = 0; i < n; i++) {
      seconds[i][n_rounds] = time_runs(&jobs[i], runs[i]);
      jobs[i].seconds = fmin(jobs[i].seconds, seconds[i][n_rounds]);
    }
  for (size_t i = 0; i < n; i++)
    find_ratio(&jobs[i], seconds[0], seconds[i], n_rounds);
}

/* ---- Entries ---- */

static void entry_title(const bench_work *work, char *title, size_t size)
{
  snprintf(title, size, "%s %s", work->entry->name, work->shape);
}

bool bench_wants(const bench_work *work)
{
  char title[128];
  entry_title(work, title, sizeof title);
  return strstr(title, wanted) != NULL;
}

bool bench_title(const char *title)
{
  if (!strstr(title, wanted))
    return false;
  printf("\n%s\n", title);
  return true;
}

typedef struct entry_job {
  const bench_work *work;
  const kernel_set *set;
} entry_job;

static void run_entry(const void *data)
{
  const entry_job *job = data;
  job->work->run(&job->set->table, job->work->data);
}

static void print_rate(double amount, double seconds, const char *unit)
{
  if (amount > 0)
    printf(" %8.1f %s", 1e-9 * amount / seconds, unit);
  else
    printf(" %8s %*s", "", (int)strlen(unit), "");
}

static void print_entry(const bench_work *work, const bench_job *jobs, size_t i)
{
  const entry_job *job = jobs[i].data;
  char title[128];
  entry_title(work, title, sizeof title);
  printf("%-56s %-12s %10.2f us", title, job->set->name, 1e6 * jobs[i].seconds);
  print_rate(work->operations, jobs[i].seconds, "GFLOP/s");
  print_rate(work->bytes, jobs[i].seconds, "GB/s");
  if (i > 0)
    printf(" %7.2f x %s", jobs[i].ratio, ((const entry_job *)jobs[0].data)->set->name);
  if (i > 1)
    printf(" %7.2f x %s", jobs[i].ratio / jobs[i - 1].ratio,
           ((const entry_job *)jobs[i - 1].data)->set->name);
  printf("\n");
}

void bench_entry(const bench_work *work)
{
  size_t n_sets, n = 0;
  const kernel_set *sets = kernel_sets(&n_sets);
  bench_job jobs[MOST_JOBS];
  entry_job data[MOST_JOBS];
  if (!bench_wants(work))
    return;
  for (size_t i = 0; i < n_sets && n < MOST_JOBS; i++)
    if (entry_is_own(work->entry, sets, i)) {
      data[n] = (entry_job){work, &sets[i]};
      jobs[n] = (bench_job){.run = run_entry, .data = &data[n]};
      n++;
    }
  bench_jobs(jobs, n);
  for (size_t i = 0; i < n; i++)
    print_entry(work, jobs, i);
  fflush(stdout);
}

/* ---- Data ---- */

void *bench_bytes(size_t size)
{
  void *bytes = NULL;
  random_numbers random = {1};
  if (posix_memalign(&bytes, 4096, size + 8) != 0) {
    fprintf(stderr, "no memory for %zu bytes\n", size);
    exit(1);
  }
  for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
    uint64_t bits = random_bits(&random);
    memcpy((char *)bytes + i, &bits, sizeof bits);
  }
  return bytes;
}

void *bench_elements(element_type type, size_t n)
{
  random_numbers random = {2};
  void *elements = bench_bytes(n * element_size(type));
  for (size_t i = 0; i < n; i += 1024) {
    float floats[1024];
    size_t size = n - i < 1024 ? n - i : 1024;
    for (size_t k = 0; k < size; k++)
      floats[k] = (float)((int)(random_bits(&random) & 0xffff) - 0x8000) / 0x10000;
    kernels_in_use()->from_f32[type]((char *)elements + i * element_size(type), floats, size);
  }
  return elements;
}

int run_benchmarks(const char *pattern)
{
  wanted = pattern;
  bench_peaks();
  bench_products();
  bench_attention();
  bench_vectors();
  bench_against_blas();
  return 0;
}
