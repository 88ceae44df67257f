/* fuzz.h - what the fuzzers share: how they say what is wrong, how they read their input, and a
 * model of four positions for those that are about its files.
 *
 * A fuzzer is a file with LLVMFuzzerTestOneInput: it gets bytes, and ends the process if anything
 * does not hold that must. Sanitizers and libFuzzer see to crashes, leaks, hangs and memory. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpt2.h"

/* libFuzzer calls the first two, and offers the last. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);

/* Ends the process with what was expected, unless it holds; libFuzzer then keeps the input. */
#define must(condition, ...)                                                                       \
  ((condition) ? (void)0 : end_with(__FILE__, __LINE__, #condition, __VA_ARGS__))

void end_with(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));

/* ---- Inputs ---- */

typedef struct bytes {
  const uint8_t *at;
  size_t size;
} bytes;

/* The next byte of an input; 0 when there is none left. */
uint8_t take_byte(bytes *input);

/* Files in one input: a line "====" ends each but the last. What is left of the input becomes the
 * next file; false when there is none. */
bool take_file(bytes *input, bytes *file);

/* ---- Models ---- */

/* The sizes of the model whose files are fuzzed one by one; the others are sound. */
enum { TINY_VOCAB = 5, TINY_CTX = 4, TINY_EMBD = 4, TINY_HEADS = 2, TINY_INNER = 3 };

gpt2_blob tiny_config(void);
gpt2_blob tiny_weights(void); /* all tensors, in one file */
gpt2_blob tiny_shard(int i);  /* the same in "1.safetensors" and "2.safetensors": i is 1 or 2 */

gpt2_blob blob_of(const char *name, bytes file);

/* Loads files in memory, and if `twice` once more through callbacks: all is read then that was seen
 * before, and must come to the same. NULL when the files are refused, as they may be: with one of
 * four statuses and words that name a file. A load may take little memory. */
gpt2_model *load_files(const gpt2_blob *files, size_t n_files, bool twice);

/* Loads files that can be loaded once more, with the weights converted to a GPT2_TYPE_... */
gpt2_model *load_as(const gpt2_blob *files, size_t n_files, int32_t weights);

/* Evaluates some tokens, whatever the weights, and has them scored and sampled. */
void use_model(gpt2_model *model);

#endif
