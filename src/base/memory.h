/* memory.h - every allocation of the library: through the hooks given at load, with sizes that
 * cannot wrap. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What all our memory is aligned to: a cache line, and the widest vector. */
enum { MEMORY_ALIGNMENT = 64 };

/* Reads a caller's hooks; NULL gives malloc's. */
gpt2_status allocator_read(gpt2_allocator *allocator, const gpt2_allocator *given,
                           gpt2_error *error);

/* Memory aligned to MEMORY_ALIGNMENT; NULL when it is refused. A size of 0 gets one byte, so that
 * NULL always means failure. */
void *allocate(const gpt2_allocator *allocator, size_t size);
void *allocate_zeroed(const gpt2_allocator *allocator, size_t size);

/* The same, aligned to a greater power of two. */
void *allocate_aligned(const gpt2_allocator *allocator, size_t size, size_t alignment);

/* Room for n elements of `size` bytes, zeroed; NULL also when the product does not fit a size_t. */
void *allocate_array(const gpt2_allocator *allocator, size_t n, size_t size);

/* Makes room for n elements (old_n of which are kept) by moving; on failure *array is as before. */
bool grow_array(const gpt2_allocator *allocator, void **array, size_t old_n, size_t n, size_t size);

/* A copy of `size` bytes with a NUL after them. */
char *duplicate(const gpt2_allocator *allocator, const void *bytes, size_t size);

/* Gives memory back; NULL is nothing. */
void release(const gpt2_allocator *allocator, void *memory);

static inline size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

static inline size_t larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

/* The least multiple of `unit` that is not less than n; they are small enough for it. */
static inline size_t round_up(size_t n, size_t unit)
{
  return (n + unit - 1) / unit * unit;
}

/* GPT2_ERR_ARGUMENT, by name, for a count of elements that no array of a caller can have, such as
 * (size_t)-1: nothing of it must be read. */
gpt2_status check_count(const char *name, size_t n, size_t element_size, gpt2_error *error);

/* out = a * b, out = a + b: false when it does not fit. */
bool mul_size(size_t *out, size_t a, size_t b);
bool add_size(size_t *out, size_t a, size_t b);
bool mul_u64(uint64_t *out, uint64_t a, uint64_t b);
bool add_u64(uint64_t *out, uint64_t a, uint64_t b);

#endif
