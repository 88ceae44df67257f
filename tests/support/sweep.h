/* sweep.h - every end that a model's file may have, and every byte of it at every value: each is
 * refused in words, or gives a model that works. */
#ifndef TESTS_SUPPORT_SWEEP_H
#define TESTS_SUPPORT_SWEEP_H

#include <stddef.h>

#include "gpt2.h"
#include "support/arena.h"

/* How the cases of a sweep ended, and how many there are to be. */
typedef struct sweep_count {
  size_t expected, refused, loaded;
  size_t without_tokenizer; /* loaded, but the tokenizer's file was refused */
} sweep_count;

/* The files (n_blobs) of a model, of which one is swept: a copy of it, which is changed. */
typedef struct sweep {
  const gpt2_blob *blobs;
  size_t n_blobs;
  const char *file;
  const char *text; /* to be encoded where there is a tokenizer */
  sweep_count count;
  arena memory;
} sweep;

/* Begins a sweep; the tokenizer of the model reads `text`, NULL where there is to be none. */
void sweep_open(sweep *s, const gpt2_blob *blobs, size_t n_blobs, const char *file,
                const char *text);

/* Loads the model with the file cut off after each of its bytes but the last. */
void sweep_cuts(sweep *s);

/* Loads it with each byte of the file in [first, end) at each of the 256 values, one of which it
 * has already. */
void sweep_values(sweep *s, size_t first, size_t end);

/* Loads it with each bit of these bytes the other way round. */
void sweep_bits(sweep *s, size_t first, size_t end);

/* Prints the counts, and fails the test unless they add up. */
void sweep_close(sweep *s);

/* All of that: cuts and values of the whole file. */
void sweep_file(const gpt2_blob *blobs, size_t n_blobs, const char *file, const char *text);

#endif
