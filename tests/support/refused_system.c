/* refused_system.c - stands in the way of what the library asks the system for. With --wrap the
 * linker gives every call of read to __wrap_read, and so on; meson asks for 64-bit file offsets, so
 * some have names of their own. */
#define _GNU_SOURCE
#include "support/refusals.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Declares a function of the system and the one in its way, which fails with FAILURE when it is
 * refused and else goes on to the other. */
#define IN_THE_WAY_OF(kind, failure, type, name, parameters, arguments)                            \
  type __real_##name parameters;                                                                   \
  type __wrap_##name parameters;                                                                   \
  type __wrap_##name parameters                                                                    \
  {                                                                                                \
    return is_refused(kind) ? (failure) : __real_##name arguments;                                 \
  }

IN_THE_WAY_OF(CALL_EXAMINE, -1, int, fstat64, (int file, struct stat *about), (file, about))
IN_THE_WAY_OF(CALL_LOOK, -1, int, stat64, (const char *path, struct stat *about), (path, about))
IN_THE_WAY_OF(CALL_READ_AT, -1, ssize_t, pread64, (int file, void *to, size_t size, off_t offset),
              (file, to, size, offset))
IN_THE_WAY_OF(CALL_READ, -1, ssize_t, read, (int file, void *to, size_t size), (file, to, size))
IN_THE_WAY_OF(CALL_ADVISE, -1, int, madvise, (void *at, size_t size, int advice),
              (at, size, advice))
IN_THE_WAY_OF(CALL_AFFINITY, -1, int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *cpus),
              (pid, size, cpus))
IN_THE_WAY_OF(CALL_THREAD, errno, int, pthread_create,
              (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *),
               void *data),
              (thread, attributes, run, data))

/* ---- Files: those in which the system tells of itself are of another kind ---- */

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
  bool tells = strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0;
  if (is_refused(tells ? CALL_CONSULT : CALL_OPEN))
    return -1;
  return __real_open64(path, flags); /* to be read: without a mode */
}

/* ---- Mappings, which are counted, too ---- */

static _Atomic int n_mapped;

int n_mappings(void)
{
  return atomic_load(&n_mapped);
}

void *__real_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);

void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
  if (is_refused(CALL_MAP))
    return MAP_FAILED;
  void *map = __real_mmap64(at, size, protection, flags, file, offset);
  atomic_fetch_add(&n_mapped, map != MAP_FAILED);
  return map;
}

int __wrap_munmap(void *at, size_t size)
{
  int failure = __real_munmap(at, size);
  atomic_fetch_sub(&n_mapped, failure == 0);
  return failure;
}
