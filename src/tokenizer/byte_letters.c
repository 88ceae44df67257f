/* byte_letters.c - the letters that GPT-2's vocabulary files write for bytes. */
#include "tokenizer/byte_letters.h"

#include <string.h>

#include "base/utf8.h"

/* The hidden bytes: n_ up to here of 0x00-0x20, then 0x7f-0xa0, then 0xad. */
enum {
  N_CONTROLS = 0x21,
  N_HIGH_CONTROLS = 0xa1 - 0x7f,
  N_HIDDEN = N_CONTROLS + N_HIGH_CONTROLS + 1
};

/* The byte that a character stands for, or -1. */
static int byte_of(uint32_t letter)
{
  if (letter < 0x100) {
    bool shown = (letter > 0x20 && letter < 0x7f) || (letter > 0xa0 && letter != 0xad);
    return shown ? (int)letter : -1;
  }
  uint32_t hidden = letter - 0x100;
  if (hidden < N_CONTROLS)
    return (int)hidden;
  if (hidden < N_HIDDEN - 1)
    return (int)(0x7f + hidden - N_CONTROLS);
  return hidden == N_HIDDEN - 1 ? 0xad : -1;
}

size_t letters_to_bytes(const char *name, size_t size, char *bytes, bool *written)
{
  size_t n_bytes = 0;
  *written = true;
  for (size_t at = 0, n; at < size; at += n) {
    uint32_t letter = 0;
    if (name[at] > 0x20 && name[at] < 0x7f) { /* most are ASCII, and themselves */
      bytes[n_bytes++] = name[at];
      n = 1;
      continue;
    }
    n = utf8_decode((const uint8_t *)name + at, size - at, &letter);
    int byte = n > 0 ? byte_of(letter) : -1;
    if (byte < 0) {
      *written = false;
      memcpy(bytes, name, size);
      return size;
    }
    bytes[n_bytes++] = (char)byte;
  }
  return n_bytes;
}
