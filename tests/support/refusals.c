/* refusals.c - counts calls, and says which one fails. */
#include "support/refusals.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/* A thread that begins makes sanitizers allocate, which must not fail: with them allocations are
 * refused to the thread alone that has asked for it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { THREADS_ARE_SPARED = 1 };
#else
enum { THREADS_ARE_SPARED = 0 };
#endif

static struct {
  _Atomic int kind; /* N_CALL_KINDS: none is counted */
  int nth, number;
  bool and_on; /* all from the nth on fail */
  pthread_t by;
  _Atomic int n_calls;
} refusal = {.kind = N_CALL_KINDS};

static void begin(call_kind kind, int nth, int number, bool and_on)
{
  refusal.nth = nth;
  refusal.number = number;
  refusal.and_on = and_on;
  refusal.by = pthread_self();
  atomic_store(&refusal.n_calls, 0);
  atomic_store(&refusal.kind, (int)kind);
}

void refuse(call_kind kind, int nth, int number)
{
  begin(kind, nth, number, false);
}

void refuse_from(call_kind kind, int nth, int number)
{
  begin(kind, nth, number, true);
}

bool end_refusal(void)
{
  atomic_store(&refusal.kind, N_CALL_KINDS);
  return refusal.nth > 0 && calls_counted() >= refusal.nth;
}

int calls_counted(void)
{
  return atomic_load(&refusal.n_calls);
}

bool is_refused(call_kind kind)
{
  if (atomic_load(&refusal.kind) != (int)kind)
    return false;
  if (THREADS_ARE_SPARED && kind == CALL_ALLOCATE && !pthread_equal(pthread_self(), refusal.by))
    return false;
  int n = atomic_fetch_add(&refusal.n_calls, 1) + 1;
  bool now = n == refusal.nth || (refusal.and_on && refusal.nth > 0 && n > refusal.nth);
  if (now)
    errno = refusal.number;
  return now;
}
