/* piece.h - a piece of text, and the tokens that its bytes are merged to.
 *
 * Byte-pair encoding: every byte starts as its token; then, as long as any two neighbours can be
 * merged, the pair of the lowest rank is, the leftmost of equal ones (Sennrich et al., "Neural
 * machine translation of rare words with subword units", 2016). It takes n log n steps, whatever
 * the text and the vocabulary; of those whose turn need not be waited for (early.h), none. */
#ifndef TOKENIZER_PIECE_H
#define TOKENIZER_PIECE_H

#include "tokenizer/vocabulary.h"

/* The tree that finds the next pair (piece.c): entries below each entry, and levels enough for 2^32
 * bytes. */
enum { TREE_FAN = 8, TREE_LEVELS = 12 };

/* The tokens are a list of symbols. Before the first and after the last one stands symbol n, which
 * is no token and begins where the bytes end. */
typedef struct piece {
  const vocabulary *vocabulary;
  uint32_t n;                  /* symbols that merging began with */
  size_t capacity;             /* symbols that there is room for */
  uint64_t *memory;            /* holds all that follows */
  uint64_t *keys[TREE_LEVELS]; /* the tree */
  int top;                     /* its level of one entry */
  uint32_t *symbol;            /* (capacity) the place of its token */
  uint32_t *start;             /* (capacity) the byte at which it begins */
  uint32_t *next;              /* (capacity) the symbol after this one */
  uint32_t *previous;          /* (capacity) the symbol before this one */
} piece;

/* Cannot fail: memory is taken when it is first needed. */
void piece_init(piece *p, const vocabulary *v);
void piece_free(piece *p);

/* Finds the tokens of bytes (n > 0). `offset` is where they are in the text, for the message:
 * GPT2_ERR_UNSUPPORTED when one has no token. */
gpt2_status piece_merge(piece *p, const uint8_t *bytes, size_t n, int64_t offset,
                        gpt2_error *error);

#endif
