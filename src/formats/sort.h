/* sort.h - sorting in place; C's qsort may allocate behind the back of the caller's hooks. */
#ifndef FORMATS_SORT_H
#define FORMATS_SORT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether element a must stand before element b. */
typedef bool (*sort_before)(const void *a, const void *b, const void *context);

/* Sorts n elements of `size` bytes. Elements of which neither must stand before the other end up
 * in any order. */
void sort(void *array, size_t n, size_t size, sort_before before, const void *context);

#endif
