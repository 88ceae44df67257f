/* opened.c - models and contexts that must open. */
#include "support/opened.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void must_succeed(gpt2_status status, const gpt2_context *context)
{
  if (status != GPT2_OK)
    fail_msg("%s: %s", gpt2_status_name(status), gpt2_context_error(context)->message);
}

void must_have_succeeded(gpt2_status status, const gpt2_error *error)
{
  if (status != GPT2_OK)
    fail_msg("%s: %s", gpt2_status_name(status), error->message);
}

gpt2_model *open_model(const char *folder)
{
  gpt2_model *model = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  must_have_succeeded(gpt2_load(folder, NULL, &model, &error), &error);
  assert_non_null(model);
  return model;
}

static gpt2_context *open_with(gpt2_model *model, int n_threads, int n_rows)
{
  gpt2_context *context = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_context_options options = {.struct_size = sizeof options,
                                  .n_threads = n_threads,
                                  .max_logit_rows = n_rows,
                                  .max_hidden_rows = n_rows};
  must_have_succeeded(gpt2_context_new(model, &options, &context, &error), &error);
  assert_non_null(context);
  return context;
}

gpt2_context *open_context(gpt2_model *model, int n_threads)
{
  return open_with(model, n_threads, 0);
}

gpt2_context *open_context_for_rows(gpt2_model *model, int n_threads)
{
  return open_with(model, n_threads, info_of(model).n_ctx);
}

gpt2_info info_of(const gpt2_model *model)
{
  gpt2_info info = {.struct_size = sizeof info};
  gpt2_error error = {.struct_size = sizeof error};
  must_have_succeeded(gpt2_model_info(model, &info, &error), &error);
  return info;
}

void must_evaluate_a_token(gpt2_model *model)
{
  const gpt2_token token = 0;
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_eval(context, 0, &token, 1, 0), context);
  assert_non_null(gpt2_logits(context, 0));
  gpt2_context_free(context);
}
