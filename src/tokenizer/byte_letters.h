/* byte_letters.h - the letters that GPT-2's vocabulary files write for bytes.
 *
 * The files are text, tokens are bytes: each byte is written as one character. Those that Latin-1
 * shows (0x21-0x7e, 0xa1-0xac, 0xae-0xff) stand for themselves, the 68 others, in their order, are
 * U+0100 to U+0143: a space is U+0120. (Radford et al., 2019, the published encoder.) */
#ifndef TOKENIZER_BYTE_LETTERS_H
#define TOKENIZER_BYTE_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the bytes that a name (size) stands for to `bytes`, which has room for `size`; their
 * number. A name with any other character stands for its own UTF-8, and is not `written`. */
size_t letters_to_bytes(const char *name, size_t size, char *bytes, bool *written);

#endif
