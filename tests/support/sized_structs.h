/* sized_structs.h - structs that tell their size, as programs of other versions have them: a
 * smaller one works for ever, a larger one if what the library does not know of it is zero. */
#ifndef TESTS_SUPPORT_SIZED_STRUCTS_H
#define TESTS_SUPPORT_SIZED_STRUCTS_H

#include <stddef.h>
#include <stdint.h>

#include "gpt2.h"

/* A struct that the library fills. */
typedef struct output {
  const char *type; /* "gpt2_info" */
  const char *name; /* in messages */
  uint32_t size;
  gpt2_status (*fill)(void *given, gpt2_error *error); /* always the same */
} output;

/* A struct that it reads. */
typedef struct input {
  const char *type;
  const char *name;
  const void *sound;
  uint32_t size;
  uint32_t sizes[8]; /* of older ones: where fields end; up to a zero */
  gpt2_status (*use)(const void *given, gpt2_error *error);
} input;

/* With every size up to some bytes more than it has, the struct gets what it has room for, zeros
 * behind what is known, and nothing beyond its end. */
void check_filled_sizes(const output *o);

/* With a size of less than four bytes it is refused and not written. An error gets no words then,
 * but no harm either. */
void check_unfilled_sizes(const output *o);

/* Older ones are read as far as they go; newer ones if what is unknown of them is zero, and are
 * refused if any byte of it is not; those without a size are refused by their name. */
void check_read_sizes(const input *in);

/* Uses the sound struct as one of `size` bytes; what is beyond it is `fill`. */
gpt2_status use_sized(const input *in, uint32_t size, uint8_t fill, gpt2_error *error);

/* Fails the test unless the structs of gpt2.h that begin with their size are those (n). */
void must_be_all_sized_structs(const char *const *types, size_t n);

#endif
