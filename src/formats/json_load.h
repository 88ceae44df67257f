/* json_load.h - jansson's parser, made safe for the day when memory is refused.
 *
 * jansson collects the bytes of each token in a buffer, and does not notice when that cannot grow
 * (lex_save in its load.c): bytes of the token are lost, and where the last one is, it reads beyond
 * the buffer or fails an assertion. So the first token that it is given is one of ours, at least as
 * long as any of the text, of which it has not seen the end before the buffer is known to have
 * grown; from then on the buffer is never too small. */
#ifndef FORMATS_JSON_LOAD_H
#define FORMATS_JSON_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As json_loadb without duplicate keys. NULL when the text is no object or array, with jansson's
 * words and the place in *about, or when memory was refused: *out_of_memory. Any thread. */
json_t *json_load_text(const uint8_t *text, size_t size, json_error_t *about, bool *out_of_memory);

/* Past the string whose opening quote is at `at`: `end` when nothing closes it. */
const uint8_t *json_after_string(const uint8_t *at, const uint8_t *end);

#endif
