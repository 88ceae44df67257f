/* run.h - starts one of the programs as a user would, and keeps what became of it. */
#ifndef TESTS_PROGRAMS_RUN_H
#define TESTS_PROGRAMS_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What the program finds. Zeroed: no input, the default model, output that is kept. */
typedef struct setting {
  const char *input; /* standard input; NULL: nothing */
  size_t input_size; /* 0: up to the NUL */
  int input_from;    /* > 0: a descriptor to read from instead */
  int output_to;     /* > 0: a descriptor to write to instead */
  int errors_to;     /* likewise, for standard error */
  bool close_input, close_output, close_errors;
  bool comma_locale; /* its numbers have a decimal comma */
  const char *model; /* GPT2_MODEL; NULL: not set */
} setting;

typedef struct outcome {
  int status;      /* exit status, or the signal that ended it as a negative number */
  char *out, *err; /* what it wrote, and a NUL after that */
  size_t out_size, err_size;
} outcome;

/* Runs gpt2-`name` with arguments (ended by NULL) to its end. Ends the test when that takes
 * minutes. */
outcome run_program(const char *name, const setting *given, const char *const *arguments);
#define RUN(name, given, ...) run_program(name, given, (const char *const[]){__VA_ARGS__, NULL})

/* The same in two steps, for tests that do something meanwhile. */
typedef struct running {
  pid_t process;
  int out, err; /* temporary files */
} running;

running start_program(const char *name, const setting *given, const char *const *arguments);
outcome wait_for_program(running r);

void free_outcome(outcome *o);

/* The program succeeded and said nothing on standard error. */
void assert_quiet_success(const outcome *o);

/* It failed with `status`, wrote no results, and gave one line on standard error: "gpt2-NAME: ..."
 * with all of these words (ended by NULL) in it. */
void assert_failure(const outcome *o, int status, const char *name, const char *const *words);
#define ASSERT_FAILURE(o, status, name, ...)                                                       \
  assert_failure(o, status, name, (const char *const[]){__VA_ARGS__, NULL})

/* The one JSON object on the one line that was written; json_decref it. */
json_t *json_of(const outcome *o);

/* A model with random weights, as many positions, and perhaps the tokenizer of the default model.
 * Its folder is to be removed by remove_temporary_folder. */
char *make_odd_model(int n_ctx, bool has_tokenizer);

/* The folder of the default model. */
const char *default_model(void);

#endif
