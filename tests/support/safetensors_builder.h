/* safetensors_builder.h - .safetensors files in memory, sound ones and broken ones. */
#ifndef TESTS_SUPPORT_SAFETENSORS_BUILDER_H
#define TESTS_SUPPORT_SAFETENSORS_BUILDER_H

#include <stddef.h>
#include <stdint.h>

typedef struct built_tensor {
  const char *name, *dtype; /* "F32" */
  int rank;
  uint64_t shape[8];
  const void *
      data; /* (size) bytes; NULL: zeros. Nothing checks that they are as many as the shape needs */
  size_t size;
} built_tensor;

/* A file with these tensors, their data in this order, and the header filled up with spaces so
 * that the data starts at a multiple of 8. The caller frees it; running out of memory fails the
 * test. */
uint8_t *build_safetensors(const built_tensor *tensors, size_t n, size_t *size);

/* A file with this header, sound or not, and `data_size` bytes of data: 0, 1, 2, ... */
uint8_t *build_safetensors_text(const char *header, size_t data_size, size_t *size);

#endif
