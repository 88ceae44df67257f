/* listed_tensors.h - the tensors of a safetensors file called "m.safetensors". */
#ifndef TESTS_SUPPORT_LISTED_TENSORS_H
#define TESTS_SUPPORT_LISTED_TENSORS_H

#include "formats/safetensors.h"

/* Lists those of the source's file; after a failure *out is zeroed. */
gpt2_status list_tensors(source *s, tensors *out, gpt2_error *error);

/* Lists those of a file in memory, and gives up everything again: nothing may stay allocated.
 * `n`, which may be NULL, becomes their number, 0 after a failure. */
gpt2_status list_bytes(const void *bytes, size_t size, size_t *n, gpt2_error *error);

#endif
