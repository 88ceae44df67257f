/* storage.h - what the weights are kept in: the memory of the file or our own, in which element
 * type, and the work of getting them there.
 *
 * A load lists the weights first (weights.c): what is missing or misshapen is an error before
 * anything is read. Then all that cannot stay where it is gets one piece of memory, and is
 * converted in tiles; pages of the file that have been read are given back at once, so that a model
 * never needs the room of both. */
#ifndef MODEL_STORAGE_H
#define MODEL_STORAGE_H

#include "kernels/convert.h"
#include "model/model.h"

typedef enum weight_kind {
  WEIGHT_VECTOR, /* a const float * */
  WEIGHT_MATRIX, /* a matrix as Hugging Face's Conv1D keeps it: (n_in, n_out) */
  WEIGHT_TABLE,  /* a matrix whose rows are looked up: (n_out, n_in) */
  WEIGHT_UNEMBED /* the same that is multiplied with, too */
} weight_kind;

/* A weight on its way from the file into the model. */
typedef struct weight {
  const tensor *from;
  weight_kind kind;
  void *field;       /* of the model, or of a block: a const float *, or a matrix */
  conversion change; /* of a matrix: what it is kept as */
  size_t size;       /* bytes, as it is kept */
  size_t offset;     /* in our own memory ... */
  const void *view;  /* ... unless it stays here, in the file's */
  size_t tile_rows;  /* rows of the file that are converted at a time */
  size_t first_tile; /* of all tiles */
} weight;

typedef struct storage {
  gpt2_model *model;
  const kernels *kernel;
  weight *weights; /* (n) */
  size_t n;
  size_t n_page_tiles, n_tiles; /* what storage_tile does: pages for our memory, then the rest */
} storage;

/* Decides what each weight is kept as, and takes the memory. */
gpt2_status storage_place(storage *s, const gpt2_load_options *options, gpt2_error *error);

/* A tile_function over the storage: converts what has a view, as many tiles as n_tiles. */
void storage_tile(void *work, size_t tile, int worker);

/* Afterwards, on the thread that loads: converts what must be read, and fills the model's
 * fields. */
gpt2_status storage_finish(storage *s, pool *p, gpt2_error *error);

/* And has what stays in the file in memory (ours is). */
void storage_prefault(storage *s, pool *p);

#endif
