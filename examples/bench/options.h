/* options.h - the options of gpt2-bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench/bench.h"

/* What is to be done; how, is in the bench itself. */
typedef struct settings {
  const char *what;          /* a list of measurements; NULL: all */
  number_list types;         /* GPT2_TYPE_...; at least one */
  number_list thread_counts; /* at least one; 0: one for each core */
  const char *compare_path;  /* an earlier run; NULL: none */
  const char *accuracy_path; /* a text, to measure accuracy and not speed; NULL: none */
  int32_t n_child_tokens;    /* this is the process that another one measures; 0: it is not */
} settings;

/* Reads the command line; wrong usage ends the program. */
void read_options(int argc, char **argv, settings *s, bench *b);

#endif
