/* process_costs.h - what the threads of this process do to memory, to locks and to the system.
 *
 * Linked into a test whose calls of these functions are wrapped (tests/meson.build). */
#ifndef TESTS_SUPPORT_PROCESS_COSTS_H
#define TESTS_SUPPORT_PROCESS_COSTS_H

#include <stdatomic.h>
#include <stddef.h>

/* Calls of malloc and its kin, of pthread_mutex_lock and of pthread_cond_wait. */
extern _Atomic size_t n_allocations, n_locks, n_sleeps;

/* AddressSanitizer meets some of its own, which say nothing: then 0. */
size_t n_page_faults(void);

/* How often the system took a core away from a thread that wanted to go on. */
size_t n_preemptions(void);

#endif
