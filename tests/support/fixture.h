/* fixture.h - the fixtures of tests/fixtures as C sees them: folders of tiny models, and beside
 * each what transformers computes for it in float64. tests/fixtures/README.md tells of the
 * files. */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The tests folder of the source tree: the environment variable GPT2_TEST_DATA, or where the test
 * was compiled. */
const char *test_data_folder(void);

/* The path of a file below it, such as "data/val.txt". The caller frees it. */
char *test_data_path(const char *name);

/* A whole file (size bytes and a NUL after them), or a failed test. The caller frees it. */
char *read_test_file(const char *path, size_t *size);

typedef struct token_list {
  int32_t *tokens; /* (n) */
  size_t n;
} token_list;

/* How each token of a text is judged; unscored tokens have rank 0. */
typedef struct score_case {
  bool bos;
  int stride; /* 0: the default */
  size_t n;
  double *logprob, *entropy; /* (n) nats */
  int *rank;                 /* (n) */
  int *lowest, *highest;     /* (n): the ranks that logits off by 1e-5 of their range can give */
  uint64_t n_scored;
  double sum_logprob, perplexity;
} score_case;

typedef struct model_fixture {
  char *name, *folder;
  json_t *config, *expected; /* config.json and expected.json */
  int n_vocab, n_ctx, n_embd, n_layer;
  bool tied;
  token_list prompt, continuation, text, long_text;
  double *logits; /* (prompt.n, n_vocab) */
  double *hidden; /* (prompt.n, n_embd) */
} model_fixture;

/* Calls `check` with every tiny model, in the order of their names. */
void for_each_fixture(void (*check)(const model_fixture *fixture));

/* Opens tests/fixtures/models/NAME; anything that is missing is a failed test. */
model_fixture *fixture_open(const char *name);
void fixture_close(model_fixture *fixture);

token_list expected_tokens(const json_t *object,
                           const char *key); /* an empty list when there is no such key */
token_list concatenate(token_list first, token_list second);
void free_tokens(token_list list);

/* Raw doubles: exactly `count`, or a failed test. The caller frees them. */
double *read_doubles(const char *path, size_t count);

/* The index-th entry of "text_scores" or "long_text_scores"; false beyond the last. */
bool read_score_case(const json_t *expected, const char *key, size_t index, score_case *scores);
void free_score_case(score_case *scores);

/* The greatest of a row of logits (n) less the least: what tolerances are multiplied with. */
double logits_range(const double *logits, size_t n);

/* The greatest distance of `found` (n) from `expected` (n); infinite if anything found is not a
 * number. */
double greatest_error(const float *found, const double *expected, size_t n);

#endif
