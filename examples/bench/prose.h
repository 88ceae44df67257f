/* prose.h - a text to encode when none is at hand. */
#ifndef BENCH_PROSE_H
#define BENCH_PROSE_H

#include <stddef.h>

#include "support/output.h"

/* Writes about `size` bytes of sentences and paragraphs: always the same ones. Their words are
 * common English ones, about as frequent as they are in English, and now and then one that no
 * vocabulary knows. */
void write_prose(buffer *text, size_t size);

#endif
