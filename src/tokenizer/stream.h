/* stream.h - a stream of token bytes, handed out in whole characters.
 *
 * Bytes of a character that is not complete wait for more; what can become none comes out as it is,
 * or as U+FFFD: one for each beginning of a character that does not go on, and for each other byte,
 * as Unicode recommends. The buffer is made once, for the longest token, so pushing never
 * allocates. */
#ifndef TOKENIZER_STREAM_H
#define TOKENIZER_STREAM_H

#include "base/memory.h"

typedef struct stream {
  bool replace;       /* write U+FFFD for what is no character */
  uint8_t waiting[4]; /* (n_waiting) the beginning of a character */
  size_t n_waiting;
  char *text; /* what was handed out last */
} stream;

/* `longest` is the size of the longest push. */
gpt2_status stream_init(stream *s, const gpt2_allocator *allocator, size_t longest, bool replace,
                        gpt2_error *error);

/* Adds bytes (size <= longest); what became whole is in s->text; returns its size. */
size_t stream_push(stream *s, const char *bytes, size_t size);

/* What still waits, as it is or replaced; the stream is new again. */
size_t stream_finish(stream *s);

void stream_free(stream *s, const gpt2_allocator *allocator);

#endif
