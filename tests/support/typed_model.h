/* typed_model.h - a GPT-2 in memory whose weights are stored in any type, and whose sizes end
 * inside blocks, groups, tiles and pieces that are read at a time. */
#ifndef TESTS_SUPPORT_TYPED_MODEL_H
#define TESTS_SUPPORT_TYPED_MODEL_H

#include <stdbool.h>

#include "gpt2.h"
#include "kernels/types.h"
#include "support/safetensors_builder.h"

enum {
  TYPED_VOCAB = 9001,
  TYPED_CTX = 19,
  TYPED_EMBD = 72,
  TYPED_HEADS = 2,
  TYPED_LAYERS = 2,
  TYPED_INNER = 4807,
  TYPED_TENSORS = 5 + 12 * TYPED_LAYERS,
  TYPED_MATRICES = 3 + 4 * TYPED_LAYERS
};

/* In place of a type: one tensor after the other has another one. */
enum { TYPED_MIXED = N_ELEMENT_TYPES };

typedef struct typed_model {
  char config[256];
  built_tensor
      tensors[TYPED_TENSORS]; /* (n_tensors) wte, wpe, blocks, ln_f, and lm_head if untied */
  size_t n_tensors;
  uint8_t *file; /* model.safetensors, at a multiple of 64 */
  size_t size;
} typed_model;

/* Always the same numbers, before they are rounded to the type. What fails fails the test. */
typed_model *typed_new(int type, bool tied);
void typed_free(typed_model *typed);

const built_tensor *typed_tensor(const typed_model *typed, const char *name);

/* The type that a tensor is stored in, and its number of elements. */
element_type typed_type(const built_tensor *tensor);
size_t typed_count(const built_tensor *tensor);

/* Its files, to be loaded: two. */
void typed_blobs(const typed_model *typed, gpt2_blob *blobs);

/* Writes them to a new folder, which remove_temporary_folder removes. */
char *typed_folder(const typed_model *typed);

/* The same, with the published vocabulary. */
char *typed_published_folder(const typed_model *typed);

#endif
