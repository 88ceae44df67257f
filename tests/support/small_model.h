/* small_model.h - the smallest GPT-2 of which no two sizes are equal, in memory: a test changes the
 * tensors of its file - names, shapes, types, order, alignment - and loads what it has made.
 * (little_model is for what a model computes.) */
#ifndef TESTS_SUPPORT_SMALL_MODEL_H
#define TESTS_SUPPORT_SMALL_MODEL_H

#include "gpt2.h"
#include "support/safetensors_builder.h"

enum { SMALL_VOCAB = 7, SMALL_CTX = 3, SMALL_EMBD = 4, SMALL_INNER = 5, SMALL_LAYERS = 2 };

/* The tensors that every such model needs, and the elements of the largest. */
enum {
  SMALL_TENSORS = 4 + 12 * SMALL_LAYERS,
  SMALL_MOST_TENSORS = 64,
  SMALL_MOST_ELEMENTS = 3 * SMALL_EMBD * SMALL_EMBD
};

typedef struct small_model {
  size_t n;
  built_tensor tensors[SMALL_MOST_TENSORS]; /* (n) in the order of the file */
  const char *more; /* keys for config.json: ",\"tie_word_embeddings\":false" */
  size_t shift;     /* bytes that the file is moved out of its alignment */

  int n_named; /* names, and values of the tensors as any type */
  char names[SMALL_MOST_TENSORS][96];
  double data[SMALL_MOST_TENSORS][SMALL_MOST_ELEMENTS];
  char config[512];
  uint8_t *file;
} small_model;

/* A sound one, of F32, without BOS, EOS and tokenizer; names of the transformer begin with
 * `prefix`. small_free frees it, when what was loaded is gone. */
small_model *small_new(const char *prefix);
void small_free(small_model *small);

/* The tensor of that name; one that is not there fails the test. */
built_tensor *small_find(small_model *small, const char *name);

/* Takes the tensor out of the file; gives it another name. */
void small_remove(small_model *small, built_tensor *tensor);
void small_rename(small_model *small, built_tensor *tensor, const char *name);

/* Puts one more, of zeros, at that place in the file (small->n: the end); n_columns is 0 for a
 * vector. */
built_tensor *small_insert(small_model *small, size_t place, const char *name, const char *dtype,
                           uint64_t n_rows, uint64_t n_columns);

/* Adds lm_head.weight with wte's values. */
built_tensor *small_add_head(small_model *small, const char *wte_name);

/* Makes the shape another one, with ones after the first two, and the values zero. */
void small_reshape(built_tensor *tensor, int rank, uint64_t first, uint64_t second);

/* Stores the same values, all of whose bits each type has, as F16, BF16 or F64; as any other type,
 * zeros. */
void small_retype(small_model *small, built_tensor *tensor, const char *dtype);

/* Loads what it is now. What was loaded before must be gone. */
gpt2_status small_load(small_model *small, const gpt2_load_options *options, gpt2_model **model,
                       gpt2_error *error);

/* Loads what must load. */
gpt2_model *small_open(small_model *small);

/* The logits of a text that fills the context. */
typedef struct small_logits {
  float of[SMALL_CTX][SMALL_VOCAB];
} small_logits;

small_logits small_logits_of(gpt2_model *model);

/* Loads what must load, and frees the model. */
small_logits small_evaluate(small_model *small);

#endif
