/* copies.h - the library as a plugin: loaded while the program runs, its functions found by name.
 * Several copies of it may be in the process at once. */
#ifndef TESTS_CONSUMERS_COPIES_H
#define TESTS_CONSUMERS_COPIES_H

#include <dlfcn.h>
#include <gpt2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_FUNCTIONS(X)                                                                          \
  X(gpt2_build_info)                                                                               \
  X(gpt2_context_error)                                                                            \
  X(gpt2_context_free)                                                                             \
  X(gpt2_context_new)                                                                              \
  X(gpt2_eval)                                                                                     \
  X(gpt2_generate)                                                                                 \
  X(gpt2_kv_clear)                                                                                 \
  X(gpt2_load)                                                                                     \
  X(gpt2_logits)                                                                                   \
  X(gpt2_model_free)                                                                               \
  X(gpt2_model_info)                                                                               \
  X(gpt2_score)                                                                                    \
  X(gpt2_version)

typedef struct copy {
  const char *name; /* for people */
  void *handle;     /* what dlopen gave; NULL: the program is linked with it */
#define COPY_FUNCTION(function) __typeof__(&function) function;
  COPY_FUNCTIONS(COPY_FUNCTION)
#undef COPY_FUNCTION
} copy;

/* Ends the program with what went wrong. */
static void give_up(const char *what, const char *words)
{
  fprintf(stderr, "%s: %s\n", what, words);
  exit(1);
}

/* ISO C has no conversion from dlsym's pointer to one of a function; POSIX makes their bits the
 * same. */
static void find_function(const copy *c, const char *name, void *function)
{
  void *found = dlsym(c->handle, name);
  if (!found)
    give_up(c->name, dlerror());
  memcpy(function, &found, sizeof found);
}

/* Loads the library of that path, with RTLD_LOCAL or RTLD_GLOBAL. */
static copy open_copy(const char *path, int scope)
{
  copy c = {.name = path, .handle = dlopen(path, RTLD_NOW | scope)};
  if (!c.handle)
    give_up(path, dlerror());
#define COPY_FUNCTION(function) find_function(&c, #function, &c.function);
  COPY_FUNCTIONS(COPY_FUNCTION)
#undef COPY_FUNCTION
  return c;
}

static gpt2_model *load_with(const copy *c, const char *path)
{
  gpt2_model *model = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  if (c->gpt2_load(path, NULL, &model, &error) != GPT2_OK)
    give_up(c->name, error.message);
  return model;
}

static gpt2_context *context_with(const copy *c, gpt2_model *model, int n_threads)
{
  gpt2_context_options options = {.struct_size = sizeof options, .n_threads = n_threads};
  gpt2_context *context = NULL;
  gpt2_error error = {.struct_size = sizeof error};
  if (c->gpt2_context_new(model, &options, &context, &error) != GPT2_OK)
    give_up(c->name, error.message);
  return context;
}

/* The program ends unless the call on the context succeeded. */
static void must_succeed(const copy *c, const gpt2_context *context, gpt2_status status)
{
  if (status != GPT2_OK)
    give_up(c->name, c->gpt2_context_error(context)->message);
}

#endif
