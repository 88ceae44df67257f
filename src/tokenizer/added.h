/* added.h - added tokens: found in a text as they are, before it is split into words.
 *
 * What tokenizers does (its AddedVocabulary), and so do we: the text is searched twice, first for
 * the tokens that are not `normalized`, then what is left for those that are. Of tokens that match,
 * the leftmost and then the longest counts, and the search goes on behind it, whether it is taken
 * or, for one of its flags, is not. */
#ifndef TOKENIZER_ADDED_H
#define TOKENIZER_ADDED_H

#include "base/memory.h"

enum {
  ADDED_SPECIAL = 1 << 0,     /* taken only on request */
  ADDED_SINGLE_WORD = 1 << 1, /* taken only if no word character is before or after it */
  ADDED_LSTRIP = 1 << 2,      /* takes the white space before it, too */
  ADDED_RSTRIP = 1 << 3,      /* and after it */
  ADDED_NORMALIZED = 1 << 4   /* looked for in the second search */
};

/* Bytes of an added token: what looking for one costs, at the worst, for each byte of a text. */
enum { MAX_ADDED_SIZE = 256 };

typedef struct added_token {
  const char *text; /* (size > 0) */
  size_t size;
  gpt2_token id;
  uint32_t flags; /* ADDED_... */
} added_token;

enum { ADDED_SEARCHES = 2 };

/* The tokens of one search, in the order of their bytes. */
typedef struct added_set {
  const added_token *tokens; /* (n) */
  size_t n;
  bool has_plain;      /* one at least is not special */
  uint32_t first[257]; /* where the tokens begin whose first byte this is */
} added_set;

typedef struct added_tokens {
  added_token *tokens; /* (n) */
  size_t n;
  char *texts;
  added_set sets[ADDED_SEARCHES];
} added_tokens;

/* Copies the list. GPT2_ERR_FORMAT when a text stands there twice, GPT2_ERR_LIMIT when one is too
 * long. `file` is its source, for the message. */
gpt2_status added_tokens_init(added_tokens *a, const gpt2_allocator *allocator,
                              const added_token *list, size_t n, const char *file,
                              gpt2_error *error);
void added_tokens_free(added_tokens *a, const gpt2_allocator *allocator);

/* The token with this text, or NULL. */
const added_token *added_tokens_find(const added_tokens *a, const char *text, size_t size);

/* Cuts a text into tokens and what is between them. */
typedef struct added_scan {
  const added_set *set;
  const uint8_t *text; /* (size) */
  size_t size;
  bool special;               /* take special tokens, too */
  size_t at;                  /* where the search goes on */
  size_t done;                /* the end of what was handed out */
  size_t space_end;           /* where the white space ended that was skipped last */
  const added_token *pending; /* found, and still to be handed out */
} added_scan;

typedef struct added_piece {
  const added_token *token; /* or NULL: text [start, start + size) */
  size_t start, size;
} added_piece;

added_scan added_scan_over(const added_set *set, const uint8_t *text, size_t size, bool special);

/* The next piece; false: there are no more. Pieces of text are never empty. */
bool added_scan_next(added_scan *s, added_piece *piece);

#endif
