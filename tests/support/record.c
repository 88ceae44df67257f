/* record.c - what calls gave, byte by byte. */
#include "support/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void keep(record *r, const void *bytes, size_t size)
{
  assert_true(size <= sizeof r->bytes - r->size);
  if (size > 0)
    memcpy(r->bytes + r->size, bytes, size);
  r->size += size;
}

void expect_same(const record *found, const record *expected)
{
  assert_int_equal(found->size, expected->size);
  assert_true(expected->size > 0);
  assert_memory_equal(found->bytes, expected->bytes, expected->size);
}
