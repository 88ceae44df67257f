/* subject.c - the model that is measured, opened as the options say. */
#include "bench/subject.h"

#include <string.h>

#include "support/program.h"

const named_number weight_types[] = {{"stored", GPT2_TYPE_DEFAULT},
                                     {"f32", GPT2_TYPE_F32},
                                     {"f16", GPT2_TYPE_F16},
                                     {"bf16", GPT2_TYPE_BF16},
                                     {"q8_0", GPT2_TYPE_Q8_0},
                                     {"q4_0", GPT2_TYPE_Q4_0},
                                     {NULL, 0}};

const named_number kv_types[] = {{"f32", GPT2_TYPE_F32}, {"f16", GPT2_TYPE_F16}, {NULL, 0}};

const named_number compute_names[] = {{"default", GPT2_COMPUTE_DEFAULT},
                                      {"exact", GPT2_COMPUTE_EXACT},
                                      {"fast", GPT2_COMPUTE_FAST},
                                      {NULL, 0}};

/* A library that kept the weights otherwise would be measured for what it is not. */
static int check_type(const char *path, int32_t type, const gpt2_info *info)
{
  const char *wanted = name_of(weight_types, type);
  if (type == GPT2_TYPE_DEFAULT || strcmp(info->weights_type, wanted) == 0)
    return EXIT_DONE;
  return program_fail("%s: its weights were to be kept in %s, but this library keeps them in %s; "
                      "choose other --types",
                      path, wanted, info->weights_type);
}

int subject_load(const subject_options *options, const char *path, int32_t type, int32_t n_threads,
                 gpt2_model **model, gpt2_info *info)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_load_options loading = {.struct_size = sizeof loading,
                               .flags = options->load_flags,
                               .weights = type,
                               .compute = options->compute,
                               .n_threads = n_threads};
  *info = (gpt2_info){.struct_size = sizeof *info};
  if (gpt2_load(path, &loading, model, &error) == GPT2_OK &&
      gpt2_model_info(*model, info, &error) == GPT2_OK)
    return check_type(path, type, info);
  if (error.status == GPT2_ERR_NOT_FOUND)
    return program_fail("%s; name a model's folder by --model or GPT2_MODEL", error.message);
  return program_fail_error(&error);
}

int subject_context(const subject_options *options, gpt2_model *model, int32_t n_threads,
                    int32_t max_logit_rows, gpt2_context **context)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_context_options making = {.struct_size = sizeof making,
                                 .n_threads = n_threads,
                                 .max_logit_rows = max_logit_rows,
                                 .kv_type = options->kv_type};
  if (gpt2_context_new(model, &making, context, &error) != GPT2_OK)
    return program_fail_error(&error);
  program_watch(*context);
  return program_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

double subject_kv_size(const subject_options *options, const gpt2_info *info)
{
  return (double)info->kv_token_size * (options->kv_type == GPT2_TYPE_F16 ? 0.5 : 1);
}

double weight_size(const char *type)
{
  static const struct {
    const char *type;
    double size;
  } sizes[] = {
      {"f32", 4}, {"f16", 2}, {"bf16", 2}, {"q8_0", 34.0 / 32}, {"q4_0", 18.0 / 32},
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (strcmp(type, sizes[i].type) == 0)
      return sizes[i].size;
  return sizeof(float); /* whatever else a file holds, the library widens */
}
