/* merges.h - reads the merges of a vocabulary file. */
#ifndef TOKENIZER_MERGES_H
#define TOKENIZER_MERGES_H

#include "formats/json_cut.h"
#include "tokenizer/vocabulary.h"

/* Where they are: in a text, one a line, the two names with a space between; or in an array, as
 * such texts or as pairs. "#version" lines and empty ones are left out of a text. */
typedef struct merge_file {
  vocabulary *vocabulary;   /* it has its tokens, and gets the merges */
  const json_pieces *vocab; /* its tokens as the file has them */
  const char *name;         /* of the file, for messages */
  const uint8_t *text;      /* (size) or NULL: */
  size_t size;
  const json_pieces *array;
} merge_file;

/* Pieces of the file are read by several threads; what is wrong is told of the first place. */
gpt2_status merges_read(const merge_file *f, pool *p, gpt2_error *error);

#endif
