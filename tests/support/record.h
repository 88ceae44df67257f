/* record.h - what calls gave, byte by byte, so that it can be compared to the bit. */
#ifndef TESTS_SUPPORT_RECORD_H
#define TESTS_SUPPORT_RECORD_H

#include <stddef.h>
#include <stdint.h>

typedef struct record {
  size_t size;
  uint8_t bytes[1 << 16];
} record;

/* Appends; what finds no room fails the test. */
void keep(record *r, const void *bytes, size_t size);

/* Fails the test unless both are the same, and not empty. */
void expect_same(const record *found, const record *expected);

#endif
