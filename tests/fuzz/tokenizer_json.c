/* tokenizer_json.c - a tokenizer.json of any bytes, and its text through the tokenizer. */
#include "fuzz/load_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  bytes file = {data, size};
  fuzz_tokenizer(&(gpt2_blob){.name = "tokenizer.json", .bytes = data, .size = size}, 1, file);
  return 0;
}
