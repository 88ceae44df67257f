/* load_tokenizer.h - what the fuzzers of a tokenizer's files do with them. */
#ifndef TESTS_FUZZ_LOAD_TOKENIZER_H
#define TESTS_FUZZ_LOAD_TOKENIZER_H

#include "fuzz/fuzz.h"

/* Loads a sound model with these files beside it, and puts text through the tokenizer if it is one.
 * A first file that ends with a line break is loaded once more, with so many in place of its first
 * ones that JSON is parsed in pieces, which must come to the same. */
void fuzz_tokenizer(const gpt2_blob *files, size_t n_files, bytes text);

#endif
