/* random_folder.h - Hugging Face folders of any size with random F32 weights, for shapes that no
 * fixture has. */
#ifndef TESTS_SUPPORT_RANDOM_FOLDER_H
#define TESTS_SUPPORT_RANDOM_FOLDER_H

#include <stdint.h>

typedef struct random_sizes {
  int n_vocab, n_ctx, n_embd, n_head, n_layer, n_inner;
  uint64_t seed; /* equal seeds and sizes make equal files */
} random_sizes;

/* Writes config.json and model.safetensors (tied, no tokenizer) to a new folder, which
 * remove_temporary_folder removes. What fails fails the test. */
char *make_random_folder(const random_sizes *sizes);

#endif
