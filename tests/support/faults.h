/* faults.h - one thing wrong with one file of a model, and what every way of loading it must say.
 *
 * The ways are all doors - memory, a mapped folder, one that is copied, a host's source that is
 * read, viewed, or copied - with the weights kept as they are stored and as each type. A row of a
 * table of faults is one test. */
#ifndef TESTS_SUPPORT_FAULTS_H
#define TESTS_SUPPORT_FAULTS_H

#include <stddef.h>

#include "support/tiny_files.h"

struct CMUnitTest;

/* What a tiny model has beside config.json and its weights. */
typedef enum fault_model {
  FAULT_PLAIN,          /* tokenizer.json */
  FAULT_SHARDED,        /* tokenizer.json, and weights in two shards */
  FAULT_TOKENIZER_JSON, /* the same as FAULT_PLAIN, but the model loads without the tokenizer */
  FAULT_VOCABULARY,     /* vocab.json and merges.txt; likewise, as all below */
  FAULT_OLDER,          /* and added_tokens.json, special_tokens_map.json */
  FAULT_NEWER           /* and tokenizer_config.json instead */
} fault_model;

typedef struct fault {
  const char *test; /* what must hold */
  fault_model model;
  const char *file, *from, *to; /* `to` in the place of `from`, as tiny_edit has it */
  gpt2_status status;
  const char *words, *other_words; /* of the message, which names a file; NULL: no more */
} fault;

/* A test for each fault: the model is refused, or loads without tokenizer, in these words; nothing
 * is left, and the same without the fault loads. */
void fault_tests(const fault *faults, size_t n, struct CMUnitTest *tests);

/* The same for files that a test has made itself. */
void expect_refused(const tiny_files *files, gpt2_status status, const char *words,
                    const char *other_words);
void expect_no_tokenizer(const tiny_files *files, gpt2_status status, const char *words,
                         const char *other_words);

/* Loads the files in all these ways; `check` sees each model, whose weights were asked for as
 * `type` (GPT2_TYPE_...). */
void load_every_way(const tiny_files *files,
                    void (*check)(gpt2_model *model, int32_t type, void *user), void *user);

/* The same by two doors only, memory and a source that is read. */
void load_every_type(const tiny_files *files,
                     void (*check)(gpt2_model *model, int32_t type, void *user), void *user);

/* The tiny model of that kind. */
tiny_files *fault_files(fault_model model);

#endif
