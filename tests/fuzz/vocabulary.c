/* vocabulary.c - vocab.json, merges.txt, and the files beside them: those of the table, in its
 * order; one that is empty, or that the input does not come to, is not there. */
#include "fuzz/load_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json",
                                      "special_tokens_map.json", "added_tokens.json"};
  enum { N_NAMES = sizeof names / sizeof *names };
  bytes input = {data, size}, file;
  gpt2_blob files[N_NAMES];
  size_t n = 0;
  for (size_t i = 0; i < N_NAMES && take_file(&input, &file); i++)
    if (file.size > 0)
      files[n++] = blob_of(names[i], file);
  fuzz_tokenizer(files, n, (bytes){data, size});
  return 0;
}
