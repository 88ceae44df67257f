/* little_model.h - a little GPT-2 with random weights, in memory, whose weights a test may change
 * before it is loaded. */
#ifndef TESTS_SUPPORT_LITTLE_MODEL_H
#define TESTS_SUPPORT_LITTLE_MODEL_H

#include "gpt2.h"
#include "support/safetensors_builder.h"

enum {
  LITTLE_VOCAB = 50,
  LITTLE_CTX = 40,
  LITTLE_EMBD = 16,
  LITTLE_HEADS = 2,
  LITTLE_LAYERS = 2,
  LITTLE_INNER = 24,
  LITTLE_TENSORS = 4 + 12 * LITTLE_LAYERS
};

typedef struct little_model {
  char config[256];
  built_tensor tensors[LITTLE_TENSORS]; /* F32, without prefix */
  size_t n_tensors;
  uint8_t **files; /* (n_files) model.safetensors at each load: models stand on them */
  size_t n_files;
} little_model;

/* Always the same weights. What fails fails the test. */
little_model *little_new(void);

/* Frees everything; models loaded from it must be gone. */
void little_free(little_model *little);

/* The values of the tensor of that name, to be changed before it is loaded. */
float *little_values(little_model *little, const char *name);

/* Loads it as it is now. */
gpt2_status little_load(little_model *little, const gpt2_load_options *options, gpt2_model **model,
                        gpt2_error *error);

/* Makes such a model, or a context on it, that must open. The context alone keeps the model. */
gpt2_model *little_open(little_model *little);
gpt2_context *little_context(little_model *little, const gpt2_context_options *options);

#endif
