/* reading.h - what the readers of tokenizer.json and of vocab.json + merges.txt have in common: the
 * tokenizer that they fill, and the steps in which they do it. */
#ifndef TOKENIZER_READING_H
#define TOKENIZER_READING_H

#include "formats/json_cut.h"
#include "tokenizer/added.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

struct tokenizer {
  gpt2_allocator allocator;
  const char *origin;
  vocabulary vocabulary;
  added_tokens added;
  bool use_regex;        /* split the text into words by GPT-2's pattern */
  bool add_prefix_space; /* before text that does not begin with one */
};

/* Each fills a zeroed tokenizer; GPT2_ERR_NOT_FOUND when its first file is not there. */
gpt2_status read_tokenizer_json(tokenizer *t, source *s, pool *p, gpt2_error *error);
gpt2_status read_vocabulary_files(tokenizer *t, source *s, pool *p, gpt2_error *error);

/* ---- The tokens; then come the merges (merges.h) ---- */

/* Added tokens while they are collected; their texts belong to the JSON they come from. */
typedef struct added_list {
  const gpt2_allocator *allocator;
  added_token *tokens; /* (n), room for `capacity` */
  size_t n, capacity;
} added_list;

/* An empty text is left out, as in tokenizers. */
gpt2_status added_list_add(added_list *list, const char *text, gpt2_token id, uint32_t flags,
                           gpt2_error *error);
void added_list_free(added_list *list);

/* The flags lstrip, rstrip, single_word, normalized and special of a JSON object; those that it
 * does not have stay as they are. */
gpt2_status read_added_flags(const json_t *object, const char *where, uint32_t *flags,
                             gpt2_error *error);

/* <|endoftext|> is special in every GPT-2 vocabulary that has it, whether a file says so or not
 * (transformers' GPT2Tokenizer makes it unk, bos and eos by default). */
extern const char end_of_text[];

/* Fills t->vocabulary's tokens and t->added. `vocab` maps names to ids; added tokens that it has,
 * too, must have the same id there. */
gpt2_status read_tokens(tokenizer *t, const json_pieces *vocab, const added_list *added,
                        const char *where, gpt2_error *error);

#endif
