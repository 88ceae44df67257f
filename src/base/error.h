/* error.h - failures in words, and the structs that callers hand in.
 *
 * A function that can fail returns a gpt2_status and takes a gpt2_error; `fail` fills the one and
 * returns the other, so that every failure is one line: return fail(error, GPT2_ERR_FORMAT, at,
 * "%s: ...", file, ...). */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpt2.h"

enum { NO_OFFSET = -1 };

/* Fills `error` (which may be NULL, or shorter than ours) and returns `status`. Control characters
 * and bytes that are not UTF-8, which names in a bad file may hold, become '?'; of a message that
 * is too long the middle is left out. No floating-point formats: they follow the locale. */
gpt2_status fail(gpt2_error *error, gpt2_status status, int64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Replaces, in place, what would garble a terminal or a log, as `fail` does; a character that the
 * buffer's end cut goes too. */
void make_printable(char *text);

/* Copies a text to `to` (capacity of 64 at least, the NUL included) as `fail` does: without its
 * middle where it is too long, and printable. */
void shorten(char *to, size_t capacity, const char *text);

/* An allocation of `size` bytes was refused. */
gpt2_status fail_memory(gpt2_error *error, size_t size);

/* The required argument `name` is NULL. */
gpt2_status fail_null(gpt2_error *error, const char *name);

/* What errno says, in words of our own (strerror follows the locale): "no such file or
 * directory". */
const char *errno_text(int number);

/* Copies a caller's struct, of which `given->struct_size` bytes exist, into `known` (known_size
 * bytes, zero where the caller's is shorter). A NULL struct is all zero. `name` is the struct's,
 * for the message. */
gpt2_status struct_read(void *known, size_t known_size, const void *given, const char *name,
                        gpt2_error *error);

/* Copies `known` out to a caller's struct as far as that goes, zeroing what is beyond our
 * knowledge; struct_size stays the caller's. */
gpt2_status struct_write(void *given, const void *known, size_t known_size, const char *name,
                         gpt2_error *error);

#endif
