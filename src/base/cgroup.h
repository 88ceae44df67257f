/* cgroup.h - how much processor time the system's control groups leave this process. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

/* Processors' worth of time, rounded up, by the tightest quota of the process's groups and of those
 * that they are in; 0: none. `groups` is the file that lists them (/proc/self/cgroup), `root` where
 * they are mounted (/sys/fs/cgroup). Versions 1 and 2, and both side by side. cgroups(7), and the
 * kernel's documents cgroup-v2 and sched-bwc. */
int cgroup_cores(const char *groups, const char *root);

#endif
