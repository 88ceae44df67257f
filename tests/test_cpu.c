/* test_cpu.c - how many threads are worth starting, and which instructions may be used. */
#define _GNU_SOURCE
#include "base/cpu.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void there_is_at_least_one_core_and_no_more_than_processors(void **state)
{
  (void)state;
  assert_in_range(cpu_cores(), 1, sysconf(_SC_NPROCESSORS_ONLN));
}

static void a_process_that_may_run_on_one_processor_only_has_one_core(void **state)
{
  (void)state;
  cpu_set_t allowed, one;
  assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int before = cpu_cores();
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed))
      continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cpu_cores(), 1);
  }
  assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0);
  assert_int_equal(cpu_cores(), before);
}

/* The features that a new process with GPT2_CPU=mask finds; it must not have asked before. */
static uint32_t features_with(const char *mask)
{
  int ends[2];
  uint32_t features = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    bool set = mask ? setenv("GPT2_CPU", mask, 1) == 0 : unsetenv("GPT2_CPU") == 0;
    features = cpu_features();
    _exit(set && write(ends[1], &features, sizeof features) == sizeof features ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(read(ends[0], &features, sizeof features), sizeof features);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  close(ends[0]);
  close(ends[1]);
  return features;
}

static void the_environment_can_take_instruction_sets_away(void **state)
{
  (void)state;
  uint32_t all = features_with(NULL);
  assert_int_equal(features_with("scalar"), 0);
  assert_int_equal(features_with("avx2"), all & CPU_AVX2);
  assert_int_equal(features_with("avx512"), all & (CPU_AVX2 | CPU_AVX512));
  assert_int_equal(features_with("another word"), all);
  assert_int_equal(features_with(""), all);
}

static void an_instruction_set_comes_with_those_that_it_stands_on(void **state)
{
  (void)state;
  uint32_t all = features_with(NULL);
  assert_true(!(all & CPU_AVX512) || (all & CPU_AVX2));
  assert_true(!(all & (CPU_AVX512_VNNI | CPU_AVX512_BF16)) || (all & CPU_AVX512));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_environment_can_take_instruction_sets_away),
      cmocka_unit_test(an_instruction_set_comes_with_those_that_it_stands_on),
      cmocka_unit_test(there_is_at_least_one_core_and_no_more_than_processors),
      cmocka_unit_test(a_process_that_may_run_on_one_processor_only_has_one_core),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
