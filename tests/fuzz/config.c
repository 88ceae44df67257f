/* config.c - the config of a model, and the index of its shards if the input has a second file. */
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  bytes input = {data, size}, file = input;
  gpt2_blob files[4];
  size_t n = 0;
  take_file(&input, &file);
  files[n++] = blob_of("config.json", file);
  if (take_file(&input, &file)) {
    files[n++] = blob_of("model.safetensors.index.json", file);
    files[n++] = tiny_shard(1);
    files[n++] = tiny_shard(2);
  } else {
    files[n++] = tiny_weights();
  }
  gpt2_model *model = load_files(files, n, true);
  if (model)
    use_model(model);
  gpt2_model_free(model);
  return 0;
}
