/* table.c - chooses the kernels for this processor. */
#include <pthread.h>

#include "base/cpu.h"
#include "kernels/kernels.h"

static kernels table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Later sets override earlier ones, so they stand from the plainest to the most capable. */
static void fill(void)
{
  kernels_scalar(&table);
}

const kernels *kernels_in_use(void)
{
  pthread_once(&once, fill);
  return &table;
}
