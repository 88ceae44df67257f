/* refused_memory.c - stands in the way of every allocation and mapping of the process.
 *
 * The linker takes these functions of the program for the C library's, and so does the loader for
 * every shared library: jansson, BLAS and the C library itself then allocate by them. The memory is
 * that of the C library or, where a sanitizer watches, of its own allocator, which so finds what is
 * leaked; its names for it are the weak ones below. */
#define _GNU_SOURCE
#include "support/refusals.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

__attribute__((weak)) void *__interceptor_malloc(size_t size);
__attribute__((weak)) void *__interceptor_calloc(size_t n, size_t size);
__attribute__((weak)) void *__interceptor_realloc(void *memory, size_t size);
__attribute__((weak)) int __interceptor_posix_memalign(void **memory, size_t alignment,
                                                       size_t size);

UNWATCHED void *malloc(size_t size)
{
  if (is_refused(CALL_ALLOCATE))
    return NULL;
  return __interceptor_malloc ? __interceptor_malloc(size) : __libc_malloc(size);
}

UNWATCHED void *calloc(size_t n, size_t size)
{
  if (is_refused(CALL_ALLOCATE))
    return NULL;
  return __interceptor_calloc ? __interceptor_calloc(n, size) : __libc_calloc(n, size);
}

UNWATCHED void *realloc(void *memory, size_t size)
{
  if (is_refused(CALL_ALLOCATE))
    return NULL;
  return __interceptor_realloc ? __interceptor_realloc(memory, size) : __libc_realloc(memory, size);
}

UNWATCHED int posix_memalign(void **memory, size_t alignment, size_t size)
{
  if (is_refused(CALL_ALLOCATE))
    return ENOMEM;
  if (__interceptor_posix_memalign)
    return __interceptor_posix_memalign(memory, alignment, size);
  void *aligned = __libc_memalign(alignment, size);
  *memory = aligned ? aligned : *memory;
  return aligned ? 0 : ENOMEM;
}

UNWATCHED void *aligned_alloc(size_t alignment, size_t size)
{
  void *memory = NULL;
  int failure = posix_memalign(&memory, alignment, size);
  errno = failure != 0 ? failure : errno;
  return memory;
}

/* ---- Mappings: BLAS has its buffers from there ---- */

void *mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset);

UNWATCHED void *mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
  if (is_refused(CALL_MAP))
    return MAP_FAILED;
  return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

/* Under this name, too; meson's 64-bit file offsets would make it the one above. */
void *mmap_by_its_old_name(void *at, size_t size, int protection, int flags, int file,
                           off_t offset) __asm__("mmap");

UNWATCHED void *mmap_by_its_old_name(void *at, size_t size, int protection, int flags, int file,
                                     off_t offset)
{
  return mmap64(at, size, protection, flags, file, offset);
}
