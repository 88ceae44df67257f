/* test_cgroup.c - quotas of processor time are found in control groups of both versions. */
#include "base/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/temporary_folder.h"

/* ---- A system of files ---- */

static char *root;

static int make_root(void **state)
{
  (void)state;
  root = new_temporary_folder();
  return 0;
}

static int remove_root(void **state)
{
  (void)state;
  remove_temporary_folder(root);
  return 0;
}

/* Writes root/name, and makes the folders that it stands in. */
static void put(const char *name, const char *text)
{
  char path[4096];
  for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
    snprintf(path, sizeof path, "%s/%.*s", root, (int)(slash - name), name);
    mkdir(path, 0700);
  }
  write_temporary_file(root, name, text, strlen(text));
}

static int cores_in(const char *groups)
{
  char path[4096];
  put("groups", groups);
  snprintf(path, sizeof path, "%s/groups", root);
  return cgroup_cores(path, root);
}

/* ---- Tests ---- */

static void version_2_has_one_file_in_each_group(void **state)
{
  (void)state;
  put("cpu.max", "max 100000\n");
  put("a/cpu.max", "250000 100000\n");
  put("a/b/cpu.max", "400000 100000\n");
  put("free/cpu.max", "max 100000\n");
  put("tiny/cpu.max", "1000 100000\n");
  assert_int_equal(cores_in("0::/\n"), 0);
  assert_int_equal(cores_in("0::/a\n"), 3);
  assert_int_equal(cores_in("0::/a/b\n"), 3); /* no more than the group that it is in */
  assert_int_equal(cores_in("0::/a/b/c\n"), 3);
  assert_int_equal(cores_in("0::/free\n"), 0);
  assert_int_equal(cores_in("0::/tiny\n"), 1);
  put("cpu.max", "200000 100000\n");
  assert_int_equal(cores_in("0::/free\n"), 2);
}

static void version_1_has_a_hierarchy_for_processors(void **state)
{
  (void)state;
  put("cpu/cpu.cfs_quota_us", "-1\n");
  put("cpu/cpu.cfs_period_us", "100000\n");
  put("cpu/job/cpu.cfs_quota_us", "150000\n");
  put("cpu/job/cpu.cfs_period_us", "50000\n");
  put("cpu.max", "100000 100000\n"); /* of nobody */
  assert_int_equal(cores_in("4:memory:/job\n3:cpu,cpuacct:/job\n2:cpuset:/job\n"), 3);
  assert_int_equal(cores_in("3:cpuacct,cpu:/job"), 3);
  assert_int_equal(cores_in("3:cpu:/other\n"), 0);
  assert_int_equal(cores_in("3:cpuset:/job\n2:cpuacct:/job\n"), 0);
}

/* The controllers of version 1 are then not in the other one. */
static void both_may_stand_side_by_side(void **state)
{
  (void)state;
  put("cpu/job/cpu.cfs_quota_us", "150000\n");
  put("cpu/job/cpu.cfs_period_us", "50000\n");
  put("user/cpu.max", "500000 100000\n");
  assert_int_equal(cores_in("3:cpu,cpuacct:/job\n1:name=systemd:/job\n0::/user\n"), 3);
  assert_int_equal(cores_in("3:cpu,cpuacct:/\n0::/user\n"), 5);
}

/* A container sees the path that its group has on the host, and its own group as the root. */
static void a_path_that_is_not_there_is_looked_for_further_up(void **state)
{
  (void)state;
  put("cpu/cpu.cfs_quota_us", "200000\n");
  put("cpu/cpu.cfs_period_us", "100000\n");
  assert_int_equal(cores_in("3:cpu,cpuacct:/docker/0123456789\n"), 2);
}

static void what_makes_no_sense_is_no_limit(void **state)
{
  (void)state;
  static const char *const quotas[] = {"",          "max",       "0 100000",
                                       "-5 100000", "100000 0",  "100000",
                                       "a b",       "100000 -1", "99999999999999999999 1"};
  for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
    put("cpu.max", quotas[i]);
    assert_int_equal(cores_in("0::/\n"), 0);
  }
  put("cpu.max", "100000 100000");
  assert_int_equal(cores_in("0::\n"), 1);
  static const char *const groups[] = {"", "\n\n", "0", "0:", "x:y\n", "3:cpu\n"};
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
    assert_int_equal(cores_in(groups[i]), 0);
  assert_int_equal(cgroup_cores("/no/such/file", root), 0);
}

int main(void)
{
#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
  const struct CMUnitTest tests[] = {
      WITH_ROOT(version_2_has_one_file_in_each_group),
      WITH_ROOT(version_1_has_a_hierarchy_for_processors),
      WITH_ROOT(both_may_stand_side_by_side),
      WITH_ROOT(a_path_that_is_not_there_is_looked_for_further_up),
      WITH_ROOT(what_makes_no_sense_is_no_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
