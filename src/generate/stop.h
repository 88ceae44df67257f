/* stop.h - finds stop strings in a text that comes in pieces.
 *
 * Text that may be the beginning of a stop string is held back until that is decided; what is
 * handed out can then never be part of one. */
#ifndef GENERATE_STOP_H
#define GENERATE_STOP_H

#include "base/memory.h"

typedef struct stop_finder {
  gpt2_string *strings; /* (n) copies */
  size_t n, longest;
  char *text; /* (capacity) what was handed out last, then the rest */
  size_t size, capacity;
  size_t handed_out; /* bytes of `text` that the caller has */
} stop_finder;

enum { MAX_STOP_SIZE = 4096 };

/* `longest_piece` is the most that is added between two takes. */
gpt2_status stop_finder_init(stop_finder *f, const gpt2_allocator *allocator,
                             const gpt2_string *strings, size_t n, size_t longest_piece,
                             gpt2_error *error);

/* Adds `size` <= longest_piece bytes of text; what was handed out last is gone. */
void stop_finder_add(stop_finder *f, const char *bytes, size_t size);

/* Hands out f->text (*size): all before the stop string, if one is complete; else all that cannot
 * be the beginning of one, or, `at_end`, all there is. Returns whether one is complete. */
bool stop_finder_take(stop_finder *f, bool at_end, size_t *size);

void stop_finder_free(stop_finder *f, const gpt2_allocator *allocator);

#endif
