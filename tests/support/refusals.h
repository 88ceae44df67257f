/* refusals.h - a system that refuses: the N-th allocation, thread, file or mapping that the process
 * asks for.
 *
 * Calls are counted, and refused, only in tests that are linked with what stands in their way:
 * refused_memory.c for the whole process (the C library, jansson and BLAS allocate by its
 * functions, too), refused_system.c for what the library and the test call. tests/meson.build says
 * which. */
#ifndef TESTS_SUPPORT_REFUSALS_H
#define TESTS_SUPPORT_REFUSALS_H

#include <stdbool.h>

typedef enum call_kind {
  CALL_ALLOCATE, /* malloc, calloc, realloc, posix_memalign, aligned_alloc */
  CALL_THREAD,   /* pthread_create */
  CALL_OPEN,     /* open, but not */
  CALL_CONSULT,  /* open below /proc or /sys */
  CALL_EXAMINE,  /* fstat */
  CALL_LOOK,     /* stat */
  CALL_MAP,      /* mmap */
  CALL_READ_AT,  /* pread */
  CALL_READ,     /* read */
  CALL_ADVISE,   /* madvise */
  CALL_AFFINITY, /* sched_getaffinity */
  N_CALL_KINDS
} call_kind;

/* From here on calls of that kind are counted, on all threads, and the nth of them (from 1 on; 0:
 * none) fails with that errno. One kind at a time. */
void refuse(call_kind kind, int nth, int number);

/* The same, but all that follow it fail, too. */
void refuse_from(call_kind kind, int nth, int number);

/* Ends that; whether there was an nth call. */
bool end_refusal(void);

/* The calls counted so far, or until the end. */
int calls_counted(void);

/* Of functions that run while a sanitizer is not ready yet: it must not look at them. */
#define UNWATCHED __attribute__((no_sanitize("address", "undefined", "thread")))

/* For what stands in the way: counts a call; true, with errno set, when it must fail. */
UNWATCHED bool is_refused(call_kind kind);

/* Mappings made by the library and not yet given back (refused_system.c). */
int n_mappings(void);

#endif
