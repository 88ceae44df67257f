/* cgroup.c - how much processor time the system's control groups leave this process. */
#include "base/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/system_file.h"

/* A group of the process: its path below where its hierarchy is mounted. */
typedef struct group {
  const char *mount; /* below the root */
  char *path;        /* begins with a slash; the root group's is one */
  bool v2;
} group;

enum { LONGEST_PATH = 4096 };

/* Whole processors in a quota of a period; 0: no limit. */
static int whole_cores(long long quota, long long period)
{
  if (quota <= 0 || period <= 0)
    return 0;
  long long cores = quota / period + (quota % period != 0);
  return cores < INT_MAX ? (int)cores : 0;
}

/* What a file of a group says; one with too long a path is not there. */
static bool read_setting(const char *root, const group *g, const char *name, char *text,
                         size_t capacity)
{
  char path[LONGEST_PATH];
  int n = snprintf(path, sizeof path, "%s%s%s/%s", root, g->mount, g->path, name);
  return n > 0 && (size_t)n < sizeof path && read_system_file(path, text, capacity);
}

/* "quota period" in one file, where a quota of "max" is none. */
static int cores_v2(const char *root, const group *g)
{
  char text[64], *end;
  if (!read_setting(root, g, "cpu.max", text, sizeof text))
    return 0;
  long long quota = strtoll(text, &end, 10);
  return end == text ? 0 : whole_cores(quota, strtoll(end, NULL, 10));
}

/* A file for each, where a quota of -1 is none. */
static int cores_v1(const char *root, const group *g)
{
  char quota[32], period[32];
  if (!read_setting(root, g, "cpu.cfs_quota_us", quota, sizeof quota) ||
      !read_setting(root, g, "cpu.cfs_period_us", period, sizeof period))
    return 0;
  return whole_cores(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

static int tighter(int a, int b)
{
  return a == 0 || (b > 0 && b < a) ? b : a;
}

/* Of a group and those that it is in, up to the root. Within a container the path may be that of
 * the host, where there is nothing: then the root is the container's own. */
static int cores_of_group(const char *root, const group *g)
{
  int tightest = 0;
  for (;;) {
    tightest = tighter(tightest, g->v2 ? cores_v2(root, g) : cores_v1(root, g));
    char *slash = strrchr(g->path, '/');
    if (!slash)
      return tightest;
    *slash = '\0';
  }
}

/* Whether "cpu" is one of the names between commas. */
static bool has_cpu(const char *controllers)
{
  for (const char *at = controllers; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
    if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == '\0'))
      return true;
  return false;
}

/* A line "number:controllers:path"; without controllers it is the one of version 2. */
static int cores_of_line(const char *root, char *line)
{
  char *controllers = strchr(line, ':');
  char *path = controllers ? strchr(controllers + 1, ':') : NULL;
  if (!path)
    return 0;
  *controllers++ = '\0';
  *path++ = '\0';
  if (*controllers == '\0')
    return cores_of_group(root, &(group){"", path, true});
  return has_cpu(controllers) ? cores_of_group(root, &(group){"/cpu", path, false}) : 0;
}

int cgroup_cores(const char *groups, const char *root)
{
  char text[2 * LONGEST_PATH], *rest = text;
  int tightest = 0;
  if (!read_system_file(groups, text, sizeof text))
    return 0;
  if (strlen(text) == sizeof text - 1) { /* its last line may be cut */
    char *end = strrchr(text, '\n');
    *(end ? end : text) = '\0';
  }
  while (*rest != '\0') {
    char *line = rest;
    rest += strcspn(rest, "\n");
    if (*rest == '\n')
      *rest++ = '\0';
    tightest = tighter(tightest, cores_of_line(root, line));
  }
  return tightest;
}
