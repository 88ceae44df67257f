/* split.h - GPT-2's split pattern: where a text is cut into words before anything is merged.
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * A word is a contraction's end, or a run of letters, of numbers or of neither with one space
 * before it, or white space - without its last character when something else follows, so that a
 * space stays with the word after it. (Radford et al., "Language models are unsupervised multitask
 * learners", 2019; the pattern is in the code published with it.) */
#ifndef TOKENIZER_SPLIT_H
#define TOKENIZER_SPLIT_H

#include <stddef.h>
#include <stdint.h>

/* The size of the first word of `text` (`size` > 0). Bytes that are not UTF-8 count as characters
 * that are neither letter nor number nor white space, each for itself. */
size_t split_word(const uint8_t *text, size_t size);

#endif
