/* test_few_cores.c - a process that may use one processor, some of many, or a part of their time:
 * so many threads are the default, from the system's files to the threads that run; and more than
 * that work all the same. */
#define _GNU_SOURCE
#include "gpt2.h"
#include "support/pools.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "support/all_work.h"
#include "support/opened.h"
#include "support/temporary_folder.h"

enum { HANG_SECONDS = 200, SEED = 21, N_VOCAB = 301, N_ROWS = 100 };

/* Prompts whose time is taken: enough for the system to give each thread its turn. */
#if defined(__SANITIZE_THREAD__)
enum { N_PROMPTS = 5 };
#else
enum { N_PROMPTS = 60 };
#endif

/* ---- A system of any size: the linker puts these in the way of what asks for it ---- */

static char *root;         /* in place of /proc and /sys; NULL: the real ones */
static int n_cpus_allowed; /* 0: those that really are */

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_sched_getaffinity(pid_t process, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t process, size_t size, cpu_set_t *set);

int __wrap_open64(const char *path, int flags, ...)
{
  char moved[4096];
  if (!root || (strncmp(path, "/sys/", 5) != 0 && strncmp(path, "/proc/", 6) != 0))
    return __real_open64(path, flags, 0);
  snprintf(moved, sizeof moved, "%s%s", root, path);
  return __real_open64(moved, flags, 0);
}

int __wrap_sched_getaffinity(pid_t process, size_t size, cpu_set_t *set)
{
  if (n_cpus_allowed == 0)
    return __real_sched_getaffinity(process, size, set);
  CPU_ZERO_S(size, set);
  for (int i = 0; i < n_cpus_allowed; i++)
    CPU_SET_S((size_t)i, size, set);
  return 0;
}

/* Writes a file of that system, and makes the folders that it stands in. */
static void put(const char *path, const char *text)
{
  char folder[4096];
  for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    snprintf(folder, sizeof folder, "%s%.*s", root, (int)(slash - path), path);
    mkdir(folder, 0700);
  }
  write_temporary_file(root, path + 1, text, strlen(text));
}

static int make_system(void **state)
{
  (void)state;
  root = new_temporary_folder();
  n_cpus_allowed = 8;
  return 0;
}

static int leave_system(void **state)
{
  (void)state;
  remove_temporary_folder(root);
  root = NULL;
  n_cpus_allowed = 0;
  return 0;
}

/* ---- What follows from it ---- */

static record expected, found;

static int find_expected(void **state)
{
  (void)state;
  const gpt2_context_options one = {.struct_size = sizeof one, .n_threads = 1};
  gpt2_model *model = open_base_model(GPT2_TYPE_F32, NULL);
  do_all_work(model, &one, SEED, &expected);
  gpt2_model_free(model);
  return 0;
}

/* The library says that there are n cores, a context takes as many threads by default, and so many
 * run; with one, none is started at all, nor by a load. */
static void must_be_default(int n)
{
  gpt2_build build = {.struct_size = sizeof build};
  assert_int_equal(gpt2_build_info(&build, NULL), GPT2_OK);
  assert_int_equal(build.n_cpus, n);
  int before = n_threads_of_process();
  gpt2_model *model = open_base_model(GPT2_TYPE_Q8_0, NULL);
  gpt2_context *context = open_context(model, 0);
  assert_int_equal(gpt2_context_threads(context), n);
  const gpt2_token token = 5;
  must_succeed(gpt2_eval(context, 0, &token, 1, 0), context);
  expect_threads(before + n - 1);
  gpt2_context_free(context);
  gpt2_model_free(model);
  expect_threads(before);
}

/* ---- Control groups ---- */

static void without_limits_there_are_as_many_as_processors(void **state)
{
  (void)state;
  must_be_default(8);
  put("/proc/self/cgroup", "0::/job\n");
  put("/sys/fs/cgroup/job/cpu.max", "max 100000\n");
  must_be_default(8);
}

static void a_quota_of_either_version_of_control_groups_is_the_default(void **state)
{
  (void)state;
  put("/proc/self/cgroup", "0::/job/part\n");
  put("/sys/fs/cgroup/job/cpu.max", "250000 100000\n");
  must_be_default(3);
  put("/sys/fs/cgroup/job/part/cpu.max", "100000 100000\n");
  must_be_default(1);
  put("/sys/fs/cgroup/job/part/cpu.max", "1 100000\n");
  must_be_default(1);
  put("/sys/fs/cgroup/job/part/cpu.max", "9900000 100000\n");
  must_be_default(3);
  put("/sys/fs/cgroup/job/cpu.max", "9900000 100000\n");
  must_be_default(8); /* no more than there are */
  put("/proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n");
  put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "200000\n");
  put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "50000\n");
  must_be_default(4);
}

static void processors_of_one_core_count_once_and_the_quota_is_of_cores(void **state)
{
  (void)state;
  for (int cpu = 0; cpu < 8; cpu++) {
    char path[96], siblings[16];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    snprintf(siblings, sizeof siblings, "%d,%d\n", cpu % 4, cpu % 4 + 4);
    put(path, siblings);
  }
  must_be_default(4);
  put("/proc/self/cgroup", "0::/\n");
  put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  must_be_default(2);
}

/* ---- One processor ---- */

static cpu_set_t all_processors;

/* For every thread of the process, as taskset does it. */
static void set_affinity(const cpu_set_t *set)
{
  DIR *tasks = opendir("/proc/self/task");
  assert_non_null(tasks);
  for (struct dirent *entry = readdir(tasks); entry; entry = readdir(tasks))
    if (entry->d_name[0] != '.')
      assert_int_equal(sched_setaffinity(atoi(entry->d_name), sizeof *set, set), 0);
  closedir(tasks);
}

static int take_one_processor(void **state)
{
  (void)state;
  cpu_set_t one;
  size_t cpu = 0;
  assert_int_equal(sched_getaffinity(0, sizeof all_processors, &all_processors), 0);
  while (!CPU_ISSET(cpu, &all_processors))
    cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  set_affinity(&one);
  return 0;
}

static int give_back_processors(void **state)
{
  (void)state;
  set_affinity(&all_processors);
  return 0;
}

static void on_one_processor_one_thread_is_the_default(void **state)
{
  (void)state;
  must_be_default(1);
}

static void more_threads_than_that_compute_the_same_to_the_bit(void **state)
{
  (void)state;
  gpt2_model *model = open_base_model(GPT2_TYPE_F32, NULL);
  for (int32_t n_threads = 1; n_threads <= 9; n_threads += 4) {
    const gpt2_context_options options = {.struct_size = sizeof options, .n_threads = n_threads};
    do_all_work(model, &options, SEED, &found);
    expect_same(&found, &expected);
  }
  gpt2_model_free(model);
}

static double seconds_of_prompts(gpt2_context *context)
{
  struct timespec begin, end;
  gpt2_token tokens[N_ROWS];
  for (int i = 0; i < N_ROWS; i++)
    tokens[i] = i;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < N_PROMPTS; i++) {
    must_succeed(gpt2_kv_clear(context), context);
    must_succeed(gpt2_eval(context, 0, tokens, N_ROWS, 0), context);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  return (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
}

/* In turn, as the machine may be busy for a while; the best of each counts. Sixteen threads take
 * about 4 times as long as one; threads that waited without ever going to sleep, 14 to 42 times. */
static void must_not_collapse(gpt2_context *one, gpt2_context *many)
{
  double best_one = 1e9, best_many = 1e9;
  for (int round = 0; round < 5; round++) {
    double a = seconds_of_prompts(one), b = seconds_of_prompts(many);
    best_one = a < best_one ? a : best_one;
    best_many = b < best_many ? b : best_many;
  }
  print_message("# %d threads take %.1f times as long as one\n", (int)gpt2_context_threads(many),
                best_many / best_one);
  if (best_many > 10 * best_one)
    fail_msg("%.1f times as long", best_many / best_one);
}

static void they_take_not_much_longer_than_one(void **state)
{
  (void)state;
  gpt2_model *model = open_base_model(GPT2_TYPE_F32, NULL);
  gpt2_context *one = open_context(model, 1), *many = open_context(model, 16);
  must_not_collapse(one, many);
  gpt2_context_free(one);
  gpt2_context_free(many);
  gpt2_model_free(model);
}

/* Made when there were more processors, and used then: as when a host is given fewer later on. */
static void threads_that_had_more_processors_before_compute_the_same_to_the_bit(void **state)
{
  static record before;
  if (cpu_cores() < 2)
    skip(); /* this machine has but one */
  gpt2_model *model = open_base_model(GPT2_TYPE_F32, NULL);
  gpt2_context *context = open_context(model, 2);
  before.size = found.size = 0;
  work_in_context(context, SEED, &before);
  take_one_processor(state);
  work_in_context(context, SEED, &found);
  give_back_processors(state);
  expect_same(&found, &before);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

#define IN_A_SYSTEM(test) cmocka_unit_test_setup_teardown(test, make_system, leave_system)
#define ON_ONE_PROCESSOR(test)                                                                     \
  cmocka_unit_test_setup_teardown(test, take_one_processor, give_back_processors)

int main(void)
{
  const struct CMUnitTest tests[] = {
      IN_A_SYSTEM(without_limits_there_are_as_many_as_processors),
      IN_A_SYSTEM(a_quota_of_either_version_of_control_groups_is_the_default),
      IN_A_SYSTEM(processors_of_one_core_count_once_and_the_quota_is_of_cores),
      ON_ONE_PROCESSOR(on_one_processor_one_thread_is_the_default),
      ON_ONE_PROCESSOR(more_threads_than_that_compute_the_same_to_the_bit),
      ON_ONE_PROCESSOR(they_take_not_much_longer_than_one),
      cmocka_unit_test(threads_that_had_more_processors_before_compute_the_same_to_the_bit),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, find_expected, NULL);
}
