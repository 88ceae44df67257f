/* model.c - the model that the common options name, and a context on it. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "support/model.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The build tells where the repository's model, and what meson tells about the build, are from the
 * folder of the programs that are built, and where the installed model is: from the folder of the
 * installed programs, so that both trees may be moved, and in full. */
#if !defined(MODEL_FROM_BUILD) || !defined(BUILD_INFORMATION) || !defined(MODEL_FROM_PROGRAMS) ||  \
    !defined(INSTALLED_MODEL)
#error "examples/meson.build defines these paths"
#endif

/* The folder of this program, ended by NUL; "" where the system does not tell. */
static void find_program_folder(buffer *folder)
{
  char path[PATH_MAX];
  ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  while (size > 0 && path[size - 1] != '/')
    size--;
  buffer_add(folder, path, size > 1 ? (size_t)size - 1 : 0);
  buffer_add(folder, "", 1);
}

static bool exists(const buffer *path)
{
  return access(path->bytes, F_OK) == 0;
}

static void set_path(buffer *path, const char *folder, const char *name)
{
  path->size = 0;
  buffer_format(path, "%s%s", folder, name);
  buffer_add(path, "", 1);
}

/* The same path without "..": people read it. */
static void tidy(buffer *path)
{
  char *real = realpath(path->bytes, NULL);
  if (real)
    set_path(path, "", real);
  free(real);
}

/* A program that runs from where it was built, where what meson tells about the build is found,
 * takes the repository's model, an installed one the installed model; what does not exist is passed
 * over. */
static bool find_shipped_model(buffer *path)
{
  buffer folder = {0};
  find_program_folder(&folder);
  set_path(path, folder.bytes, "/" BUILD_INFORMATION);
  set_path(path, folder.bytes, exists(path) ? "/" MODEL_FROM_BUILD : "/" MODEL_FROM_PROGRAMS);
  if (!exists(path))
    set_path(path, "", INSTALLED_MODEL);
  buffer_free(&folder);
  tidy(path);
  return exists(path);
}

int find_model(const common_options *common, buffer *path)
{
  const char *variable = getenv("GPT2_MODEL");
  const char *named = common->model ? common->model : variable && *variable ? variable : NULL;
  if (named)
    set_path(path, "", named);
  else if (!find_shipped_model(path))
    return program_fail("no model: there is none in %s; name one by --model or GPT2_MODEL",
                        INSTALLED_MODEL);
  return EXIT_DONE;
}

int open_model(const common_options *common, gpt2_model **model)
{
  buffer path = {0};
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_load_options options = {.struct_size = sizeof options,
                               .weights = common->weights,
                               .compute = common->compute,
                               .n_threads = common->n_threads};
  int status = find_model(common, &path);
  if (status == EXIT_DONE && gpt2_load(path.bytes, &options, model, &error) != GPT2_OK)
    status = error.status == GPT2_ERR_NOT_FOUND
                 ? program_fail("%s; name a model's folder by --model or GPT2_MODEL", error.message)
                 : program_fail_error(&error);
  buffer_free(&path);
  return status;
}

int open_context(const common_options *common, gpt2_model **model, gpt2_context **context)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_context_options options = {.struct_size = sizeof options, .n_threads = common->n_threads};
  int status = open_model(common, model);
  if (status != EXIT_DONE)
    return status;
  if (gpt2_context_new(*model, &options, context, &error) != GPT2_OK)
    return program_fail_error(&error);
  program_watch(*context);
  return program_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

void close_context(gpt2_model *model, gpt2_context *context)
{
  program_watch(NULL);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

int token_piece(const gpt2_model *model, gpt2_token token, const char **bytes, size_t *size)
{
  gpt2_error error = {.struct_size = sizeof error};
  if (gpt2_token_bytes(model, token, bytes, size, &error) != GPT2_OK)
    return program_fail_error(&error);
  return EXIT_DONE;
}
