/* vocabulary.h - the tokens of a model, and the merges that make them from bytes.
 *
 * Ids may have gaps, so inside the tokenizer a token is known by its place: its index among the
 * tokens in the order of their ids. A merge puts two tokens that stand side by side together; its
 * rank is its number, and of all merges that a text allows the lowest rank goes first. Built in
 * steps - tokens, perhaps an unknown token, merges - and then constant. */
#ifndef TOKENIZER_VOCABULARY_H
#define TOKENIZER_VOCABULARY_H

#include "tokenizer/pairs.h"
#include "tokenizer/trie.h"

/* Of a token's flags, beside the public ones: its own bytes are merged to it (joint.h). */
enum { FLAG_WHOLE = 1 << 7 };

/* Two bytes x y side by side, and what decides whether they are merged at once (early.h). */
typedef struct early_pair {
  uint32_t rank, made;  /* of their tokens' merge, or NEVER_EARLY */
  uint32_t least_left;  /* the least rank of a merge of what ends with x, and of y */
  uint32_t least_right; /* of a merge of x, and of what begins with y */
} early_pair;

typedef struct vocabulary {
  const gpt2_allocator *allocator;
  size_t n_tokens;
  gpt2_token *ids;  /* (n_tokens) ascending */
  uint32_t *starts; /* (n_tokens + 1) where each token's bytes begin */
  char *bytes;      /* (starts[n_tokens]) */
  uint8_t *flags;   /* (n_tokens) GPT2_TOKEN_SPECIAL, GPT2_TOKEN_ADDED, FLAG_WHOLE */
  size_t longest;   /* bytes of the longest token */

  uint32_t byte_token[256]; /* what each byte starts as: NO_TOKEN when it has no token */
  bool byte_unknown[256];   /* it has none of its own: the unknown token stands for it */
  bool fuse_unknown;        /* and once for a run of such bytes */

  trie names;       /* the tokens that byte letters write, by their bytes */
  bool match_words; /* a word that is a token is that token, whatever its merges */

  size_t n_merges;
  merge *merges;     /* (n_merges) by rank */
  uint32_t *made;    /* (n_merges) what each makes, once more: merging needs nothing else */
  pair_table pairs;  /* the rank of a pair of tokens */
  early_pair *early; /* (256, 256) by their bytes */
  uint32_t run_least_right[256]; /* of a merge of a byte x and of what begins with x x */
  int32_t *made_by; /* (n_tokens) the rank of the merge that makes a token, or what joint.h says */
} vocabulary;

/* A token as a file names it. */
typedef struct token_name {
  const char *text;
  size_t size;
  gpt2_token id;
  uint32_t flags;
  bool is_text; /* the text is itself what the token stands for, not byte letters */
} token_name;

/* Takes over the tokens of the array (n > 0), which it sorts; the texts are copied. `file` is
 * theirs. An id that stands twice is GPT2_ERR_FORMAT. The vocabulary must be zeroed, and be freed
 * in any case. It keeps `allocator` itself. */
gpt2_status vocabulary_set_tokens(vocabulary *v, const gpt2_allocator *allocator, token_name *names,
                                  size_t n, const char *file, gpt2_error *error);

/* Makes the token stand for bytes without one; if `fuse`, once for a run of them in a word. */
void vocabulary_set_unknown(vocabulary *v, uint32_t place, bool fuse);

/* Takes over the merges (n <= MAX_MERGES), allocated by the same allocator, also when it fails. Of
 * equal pairs the last counts, as in tokenizers. */
gpt2_status vocabulary_set_merges(vocabulary *v, merge *merges, size_t n, gpt2_error *error);

/* The place of the token with this id, or NO_TOKEN. */
uint32_t vocabulary_place(const vocabulary *v, gpt2_token id);

/* The place of the token that byte letters write as these bytes, or NO_TOKEN. */
uint32_t vocabulary_word(const vocabulary *v, const char *bytes, size_t size);

/* Whether every byte has a token of its own. */
bool vocabulary_has_all_bytes(const vocabulary *v);

/* The bytes of a token. */
const char *vocabulary_bytes(const vocabulary *v, uint32_t place, size_t *size);

void vocabulary_free(vocabulary *v);

#endif
