/* sort.c - heapsort (Williams 1964): in place, and never slower than n log n. */
#include "formats/sort.h"

#include <stdint.h>

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
  for (size_t i = 0; i < size; i++) {
    uint8_t byte = a[i];
    a[i] = b[i];
    b[i] = byte;
  }
}

/* Element `at` may stand before its children, at 2 at + 1 and 2 at + 2, though in a heap none
 * does: moves it down until that holds. */
static void sift(uint8_t *array, size_t at, size_t n, size_t size, sort_before before,
                 const void *context)
{
  for (size_t child = 2 * at + 1; child < n; at = child, child = 2 * at + 1) {
    if (child + 1 < n && before(array + child * size, array + (child + 1) * size, context))
      child++;
    if (!before(array + at * size, array + child * size, context))
      return;
    swap(array + at * size, array + child * size, size);
  }
}

void sort(void *array, size_t n, size_t size, sort_before before, const void *context)
{
  uint8_t *bytes = array;
  for (size_t i = n / 2; i > 0; i--)
    sift(bytes, i - 1, n, size, before, context);
  for (size_t last = n; last > 1; last--) {
    swap(bytes, bytes + (last - 1) * size, size);
    sift(bytes, 0, last - 1, size, before, context);
  }
}
