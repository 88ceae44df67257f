/* safetensors_builder.c - .safetensors files in memory. */
#include "support/safetensors_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE_FIELD = 8 };

/* Room for a header of header_size bytes and the data; the header's size is written already. */
static uint8_t *new_file(size_t header_size, size_t data_size, size_t *size)
{
  *size = SIZE_FIELD + header_size + data_size;
  uint8_t *file = calloc(1, *size);
  assert_non_null(file);
  for (int i = 0; i < SIZE_FIELD; i++)
    file[i] = (uint8_t)((uint64_t)header_size >> (8 * i));
  return file;
}

/* Appends one tensor's part of the header to `text`, of which *length bytes are used. */
static void describe(const built_tensor *tensor, size_t offset, char *text, size_t capacity,
                     size_t *length)
{
  *length +=
      (size_t)snprintf(text + *length, capacity - *length, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                       *length > 1 ? "," : "", tensor->name, tensor->dtype);
  for (int i = 0; i < tensor->rank; i++)
    *length += (size_t)snprintf(text + *length, capacity - *length, "%s%llu", i ? "," : "",
                                (unsigned long long)tensor->shape[i]);
  *length += (size_t)snprintf(text + *length, capacity - *length, "],\"data_offsets\":[%zu,%zu]}",
                              offset, offset + tensor->size);
}

uint8_t *build_safetensors(const built_tensor *tensors, size_t n, size_t *size)
{
  size_t capacity = 64, length = 1, data_size = 0;
  for (size_t i = 0; i < n; i++)
    capacity += strlen(tensors[i].name) +
                256; /* 11 numbers of at most 20 digits, and what is between them */
  char *text = malloc(capacity);
  assert_non_null(text);
  text[0] = '{';
  for (size_t i = 0; i < n; data_size += tensors[i++].size)
    describe(&tensors[i], data_size, text, capacity, &length);
  text[length++] = '}';
  while (length % 8 != 0)
    text[length++] = ' ';
  uint8_t *file = new_file(length, data_size, size);
  memcpy(file + SIZE_FIELD, text, length);
  free(text);
  uint8_t *to = file + SIZE_FIELD + length;
  for (size_t i = 0; i < n; to += tensors[i++].size)
    if (tensors[i].data && tensors[i].size > 0)
      memcpy(to, tensors[i].data, tensors[i].size);
  return file;
}

uint8_t *build_safetensors_text(const char *header, size_t data_size, size_t *size)
{
  size_t length = strlen(header);
  uint8_t *file = new_file(length, data_size, size);
  memcpy(file + SIZE_FIELD, header, length);
  for (size_t i = 0; i < data_size; i++)
    file[SIZE_FIELD + length + i] = (uint8_t)i;
  return file;
}
