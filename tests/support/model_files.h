/* model_files.h - the files of a model in a folder and, the same, in memory; and every door through
 * which they can be loaded. */
#ifndef TESTS_SUPPORT_MODEL_FILES_H
#define TESTS_SUPPORT_MODEL_FILES_H

#include <stdbool.h>

#include "gpt2.h"
#include "support/host_source.h"
#include "support/record.h"

enum { MOST_FILES = 16 };

typedef struct model_files {
  char *folder;
  char *weights_path; /* the weights in it, or the index of their shards */
  bool is_temporary;  /* the folder goes with the files */
  gpt2_blob blobs[MOST_FILES];
  size_t n_blobs;
} model_files;

/* Reads the files of a folder, which the caller has allocated and now belongs to them. */
model_files *read_model_files(char *folder, bool is_temporary);

/* The little model (little_model.h) in a new folder, with a tokenizer of 25 tokens: in one file and
 * with vocab.json, merges.txt and the three files that may lie beside these; or in two shards and
 * with a tokenizer.json. So small that a test can load it thousands of times. */
model_files *make_little_files(bool sharded);

void free_model_files(model_files *files);

/* ---- Doors ---- */

typedef struct door {
  const char *name;
  gpt2_status (*load)(const model_files *from, gpt2_load_options *options, gpt2_model **model,
                      gpt2_error *error); /* sets what it needs of the options */
  bool is_on_disk;                        /* files are opened by the library */
  bool converts;                          /* weights are not kept as they are stored */
} door;

/* A folder, a file, memory, the host's callbacks with and without view; mapped and read; weights
 * kept as they are or converted to each type, by several threads. A door that fails has released
 * its source. */
enum { N_DOORS = 12 };
extern const door doors[N_DOORS];

/* What a model says of itself, its tokens for some texts, and its logits. How its bytes came to it
 * is left out. */
void describe_model(gpt2_model *model, record *r);

#endif
