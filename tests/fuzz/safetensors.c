/* safetensors.c - the weights of a model in a .safetensors file of any bytes. */
#include <string.h>

#include "fuzz/fuzz.h"

enum { SIZE_FIELD = 8, MOST_SIZE = 8192 };

/* A header that grows or shrinks takes its size and the data with it, or hardly any change would
 * come further than its end. One change of eight is of any bytes. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed)
{
  static uint8_t header[MOST_SIZE];
  uint64_t header_size = 0;
  if (size > SIZE_FIELD)
    memcpy(&header_size, data, SIZE_FIELD);
  if (seed % 8 == 0 || size <= SIZE_FIELD || header_size > size - SIZE_FIELD)
    return LLVMFuzzerMutate(data, size, capacity);
  size_t rest = size - SIZE_FIELD - (size_t)header_size, most = capacity - SIZE_FIELD - rest;
  if (header_size == 0 || most > sizeof header)
    return LLVMFuzzerMutate(data, size, capacity);
  memcpy(header, data + SIZE_FIELD, (size_t)header_size);
  uint64_t mutated = LLVMFuzzerMutate(header, (size_t)header_size, most);
  memmove(data + SIZE_FIELD + mutated, data + SIZE_FIELD + header_size, rest);
  memcpy(data, &mutated, SIZE_FIELD);
  memcpy(data + SIZE_FIELD, header, (size_t)mutated);
  return SIZE_FIELD + (size_t)mutated + rest;
}

/* What can be loaded as it is can be loaded as another type, which the last byte chooses: whatever
 * the numbers are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const gpt2_blob files[] = {tiny_config(), blob_of("model.safetensors", (bytes){data, size})};
  gpt2_model *model = load_files(files, 2, true);
  if (!model)
    return 0;
  use_model(model);
  gpt2_model_free(model);
  model = load_as(files, 2, 1 + data[size - 1] % GPT2_TYPE_Q4_0);
  use_model(model);
  gpt2_model_free(model);
  return 0;
}
