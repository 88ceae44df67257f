/* tiny_files.h - the files of the tiniest whole model, weights, config and tokenizer, in memory: a
 * test puts others in their places or changes what they say, and loads what it has made.
 *
 * Its vocabulary is a, b, ab, <|endoftext|> and the space, so that whatever a file is changed to,
 * it is read in no time. */
#ifndef TESTS_SUPPORT_TINY_FILES_H
#define TESTS_SUPPORT_TINY_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "gpt2.h"
#include "support/safetensors_builder.h"

enum { TINY_VOCAB = 7, TINY_CTX = 3, TINY_EMBD = 2, TINY_INNER = 5, TINY_TENSORS = 16 };
enum { TINY_MOST_FILES = 10, TINY_MOST_ELEMENTS = TINY_VOCAB * TINY_EMBD };

/* The text that its tokenizers know. */
extern const char tiny_text[];

/* The file that is named in every test of its kind. */
extern const char tiny_weights[], tiny_index[], tiny_first_shard[], tiny_second_shard[];

typedef struct tiny_files {
  gpt2_blob blobs[TINY_MOST_FILES]; /* (n) each exactly as large as it says */
  size_t n;
} tiny_files;

/* config.json and model.safetensors; or the same in two shards with their index. */
tiny_files *tiny_new(void);
tiny_files *tiny_new_sharded(void);
void tiny_free(tiny_files *files);

/* Adds a tokenizer: tokenizer.json; vocab.json and merges.txt; these and the files that stood
 * beside them over the years, the two older ones or the one that replaced them. */
void tiny_add_tokenizer_json(tiny_files *files);
void tiny_add_vocabulary(tiny_files *files);
void tiny_add_older_side_files(tiny_files *files);
void tiny_add_newer_side_file(tiny_files *files);

/* The weights, F32, for a test that builds the file itself. `values` has room for those of all. */
void tiny_tensors(built_tensor tensors[TINY_TENSORS],
                  float values[TINY_TENSORS][TINY_MOST_ELEMENTS]);

/* The file of that name; one that is not there fails the test. */
gpt2_blob *tiny_file(tiny_files *files, const char *name);

/* Puts a copy of these bytes in the place of the file, or adds it. */
void tiny_set(tiny_files *files, const char *name, const void *bytes, size_t size);

/* Puts `to` (to_size bytes) in the place of the text `from` where it stands first; it must stand
 * there. An empty `from` puts it at the very end. In a safetensors file the header alone is
 * searched, and its size made right. */
void tiny_edit(tiny_files *files, const char *name, const char *from, const void *to,
               size_t to_size);

#endif
