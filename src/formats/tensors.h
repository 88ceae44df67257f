/* tensors.h - named tensors in files, whatever the format. */
#ifndef FORMATS_TENSORS_H
#define FORMATS_TENSORS_H

#include "base/source.h"
#include "kernels/types.h"

/* A GPT-2 needs two dimensions; the mask buffers of old files have four. */
enum { MAX_RANK = 8 };

typedef struct tensor {
  const char *name;      /* as the file has it; owned by the tensors */
  element_type type;     /* N_ELEMENT_TYPES: one that we do not compute with */
  const char *type_name; /* as the file writes it: "F16", "BOOL"; static memory */
  int32_t rank;
  uint64_t shape[MAX_RANK];
  uint64_t n;    /* elements: the product of the shape */
  uint64_t size; /* bytes: n times the element's size; within the file */
  file *from;
  uint64_t offset; /* of the first byte in the file */
  bool used;       /* set by the model for each tensor that it takes */
} tensor;

/* All tensors of a model, in the order of the file (of the shards, and of the offsets in them).
 * Tensors of an element type that we do not compute with are listed too, as mask buffers may be:
 * only using one is an error. */
typedef struct tensors {
  gpt2_allocator allocator;
  size_t n, capacity;
  tensor *tensor;
  size_t *by_name; /* (n) indices sorted by name, for tensors_find */
  size_t n_files;
  file **files;    /* the open files that they are in */
  char format[32]; /* "safetensors" */
} tensors;

/* The tensor of that name; NULL when there is none. */
tensor *tensors_find(const tensors *t, const char *name);

/* GPT2_ERR_UNSUPPORTED unless we compute with its element type. What follows is for such tensors;
 * only tensor_read_f32 asks by itself. */
gpt2_status tensor_check_type(const tensor *t, gpt2_error *error);

/* A pointer to the tensor's elements where they are in memory; else NULL. And the same where they
 * are aligned to their type, too. */
const uint8_t *tensor_bytes(const tensor *t);
const void *tensor_view(const tensor *t);

/* Reads elements [first, first + n) as f32, from a view or through a small buffer on the stack; or
 * as they are. */
gpt2_status tensor_read_f32(const tensor *t, uint64_t first, uint64_t n, float *to,
                            gpt2_error *error);
gpt2_status tensor_read(const tensor *t, uint64_t first, uint64_t n, void *to, gpt2_error *error);

/* These elements of a view have been read and are not needed soon (file_forget). */
void tensor_forget(const tensor *t, uint64_t first, uint64_t n);

/* Closes the files and frees everything; accepts what was half built, and a zeroed struct. */
void tensors_free(tensors *t);

/* For the readers of formats: start with a zeroed struct that has an allocator; add each file
 * (which is theirs from then on, and closed if adding fails) and its tensors (whose name is
 * copied); at last, make them findable. Two tensors of one name are GPT2_ERR_FORMAT. */
gpt2_status tensors_add_file(tensors *t, file *f, gpt2_error *error);
gpt2_status tensors_add(tensors *t, const tensor *one, gpt2_error *error);
gpt2_status tensors_index(tensors *t, gpt2_error *error);

#endif
