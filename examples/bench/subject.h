/* subject.h - the model that is measured, opened as the options say. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <gpt2.h>

#include "bench/lists.h"
#include "support/options.h"

/* How a model is opened, beside its path. */
typedef struct subject_options {
  int32_t compute;     /* GPT2_COMPUTE_... */
  int32_t kv_type;     /* GPT2_TYPE_... */
  uint32_t load_flags; /* GPT2_LOAD_... */
} subject_options;

/* What the options call them: GPT2_TYPE_..., GPT2_COMPUTE_... . */
extern const named_number weight_types[], kv_types[], compute_names[];

/* Opens the model at `path` with its weights in one type, and describes it. EXIT_DONE, or
 * EXIT_FAILED after a message; also when they are kept in another type than was asked for. */
int subject_load(const subject_options *options, const char *path, int32_t type, int32_t n_threads,
                 gpt2_model **model, gpt2_info *info);

/* Makes a context on it, which Ctrl-C stops. */
int subject_context(const subject_options *options, gpt2_model *model, int32_t n_threads,
                    int32_t max_logit_rows, gpt2_context **context);

/* Bytes of keys and values of one token. */
double subject_kv_size(const subject_options *options, const gpt2_info *info);

/* Bytes of one weight of a type, by the name that gpt2_info has for it. */
double weight_size(const char *type);

#endif
