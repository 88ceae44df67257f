/* piece.h - a piece of text and the tokens that it is merged to, and the two ways of finding them.
 *
 * Merging by rank is what byte-pair encoding says: every byte starts as its token; then, as long as any
 * two neighbours can be merged, the pair of the lowest rank is, the leftmost of equal ones (Sennrich et
 * al., "Neural machine translation of rare words with subword units", 2016). It works for any vocabulary.
 * Matching from left to right finds the same tokens several times as quickly, but only where joint.h
 * proves that they are the same. */
#ifndef TOKENIZER_PIECE_H
#define TOKENIZER_PIECE_H

#include "tokenizer/vocabulary.h"

enum { TREE_FAN = 16, TREE_LEVELS = 9 }; /* entries below each entry; enough levels for 2^32 bytes */

/* The tokens are a list of symbols, each known by the byte at which it begins. */
typedef struct piece {
  const vocabulary *vocabulary;
  const uint8_t *bytes; /* (n) */
  uint32_t n;
  uint32_t last;        /* the last symbol */

  size_t capacity;      /* bytes that there is room for */
  uint32_t *memory;     /* holds all that follows */
  uint32_t *symbol;     /* (capacity) the place of the token that begins here */
  uint32_t *next;       /* (capacity) the symbol after this one; n: none */
  uint32_t *previous;   /* (capacity) the symbol before this one, but for the first */
  int32_t *keys[TREE_LEVELS]; /* merge.c's tree */
  int top;                    /* the level of it that has one entry */
} piece;

/* Cannot fail: memory is taken when it is first needed. */
void piece_init(piece *p, const vocabulary *v);
void piece_free(piece *p);

/* Makes room for n bytes. */
gpt2_status piece_reserve(piece *p, size_t n, gpt2_error *error);

/* Finds the tokens of the piece by merging. `offset` is where it is in the text, for the message:
 * GPT2_ERR_UNSUPPORTED when a byte has no token. */
gpt2_status piece_merge(piece *p, int64_t offset, gpt2_error *error);

/* Finds the tokens of the piece by matching; false: it does not know them. */
bool piece_match(piece *p);

/* Finds the tokens of bytes (n > 0) in the quickest way that is exact. */
gpt2_status piece_encode(piece *p, const uint8_t *bytes, size_t n, int64_t offset, gpt2_error *error);

#endif
