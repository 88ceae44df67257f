/* run.c - starts one of the programs as a user would, and keeps what became of it. */
#define _POSIX_C_SOURCE 200809L
#include "programs/run.h"

#include "support/random_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_SIZE = 4096, MAX_ARGUMENTS = 64, TIME_LIMIT = 120 /* seconds */ };

/* A file that nobody else sees, with these bytes in it. */
static int temporary_file(const char *bytes, size_t size)
{
  FILE *file = tmpfile();
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fflush(file), 0);
  int descriptor = dup(fileno(file));
  fclose(file);
  assert_true(descriptor >= 0);
  lseek(descriptor, 0, SEEK_SET);
  return descriptor;
}

/* In the child: makes `descriptor` its standard stream, or closes that. */
static void take_stream(int stream, int descriptor)
{
  if (descriptor >= 0)
    dup2(descriptor, stream);
  else
    close(stream);
}

static void set_environment(const setting *given)
{
  if (given->model)
    setenv("GPT2_MODEL", given->model, 1);
  else
    unsetenv("GPT2_MODEL");
  if (given->comma_locale) {
    unsetenv("LC_ALL");
    setenv("LANG", "C", 1);
    setenv("LC_NUMERIC", "comma", 1);
    setenv("LOCPATH", TEST_DATA_DIR "/data/locale", 1);
  }
}

running start_program(const char *name, const setting *given, const char *const *arguments)
{
  static const setting nothing;
  const setting *s = given ? given : &nothing;
  size_t input_size = s->input_size ? s->input_size : s->input ? strlen(s->input) : 0;
  running r = {.out = temporary_file("", 0), .err = temporary_file("", 0)};
  int input = s->input_from ? s->input_from : temporary_file(s->input ? s->input : "", input_size);
  char path[PATH_SIZE];
  const char *words[MAX_ARGUMENTS] = {path};
  snprintf(path, sizeof path, "%s/gpt2-%s", PROGRAMS_DIR, name);
  for (int i = 0; arguments[i]; i++) {
    assert_true(i + 2 < MAX_ARGUMENTS);
    words[i + 1] = arguments[i];
  }
  r.process = fork();
  assert_true(r.process >= 0);
  if (r.process == 0) {
    set_environment(s);
    take_stream(STDIN_FILENO, s->close_input ? -1 : input);
    take_stream(STDOUT_FILENO, s->close_output ? -1 : s->output_to ? s->output_to : r.out);
    take_stream(STDERR_FILENO, s->close_errors ? -1 : s->errors_to ? s->errors_to : r.err);
    alarm(TIME_LIMIT);
    execv(path, (char *const *)words);
    _exit(127);
  }
  if (!s->input_from)
    close(input);
  return r;
}

/* All that was written to a temporary file, which is closed. */
static char *read_back(int descriptor, size_t *size)
{
  off_t end = lseek(descriptor, 0, SEEK_END);
  assert_true(end >= 0);
  char *bytes = malloc((size_t)end + 1);
  assert_non_null(bytes);
  for (*size = 0; *size < (size_t)end;) {
    ssize_t n_read = pread(descriptor, bytes + *size, (size_t)end - *size, (off_t)*size);
    assert_true(n_read > 0);
    *size += (size_t)n_read;
  }
  bytes[*size] = 0;
  close(descriptor);
  return bytes;
}

outcome wait_for_program(running r)
{
  outcome o = {0};
  int status;
  while (waitpid(r.process, &status, 0) < 0)
    assert_int_equal(errno, EINTR);
  o.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  o.out = read_back(r.out, &o.out_size);
  o.err = read_back(r.err, &o.err_size);
  return o;
}

outcome run_program(const char *name, const setting *given, const char *const *arguments)
{
  return wait_for_program(start_program(name, given, arguments));
}

void free_outcome(outcome *o)
{
  free(o->out);
  free(o->err);
}

void assert_quiet_success(const outcome *o)
{
  assert_string_equal(o->err, "");
  assert_int_equal(o->status, 0);
}

void assert_failure(const outcome *o, int status, const char *name, const char *const *words)
{
  char prefix[64];
  snprintf(prefix, sizeof prefix, "gpt2-%s: ", name);
  const char *newline = strchr(o->err, '\n');
  if (strncmp(o->err, prefix, strlen(prefix)) != 0 || !newline || newline[1])
    fail_msg("not one line that begins with \"%s\": %s", prefix, o->err);
  for (int i = 0; words[i]; i++)
    if (!strstr(o->err, words[i]))
      fail_msg("\"%s\" is not in: %s", words[i], o->err);
  assert_string_equal(o->out, "");
  assert_int_equal(o->status, status);
}

json_t *json_of(const outcome *o)
{
  json_error_t error;
  json_t *json = json_loadb(o->out, o->out_size, JSON_ALLOW_NUL, &error);
  if (!json)
    fail_msg("no JSON (%s): %s%s", error.text, o->out, o->err);
  assert_true(json_is_object(json));
  assert_ptr_equal(strchr(o->out, '\n'), o->out + o->out_size - 1);
  return json;
}

const char *default_model(void)
{
  return MODEL_DIR;
}

static void link_tokenizer(const char *folder)
{
  static const char *const names[] = {"vocab.json", "merges.txt"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char from[PATH_SIZE], to[PATH_SIZE];
    snprintf(from, sizeof from, "%s/%s", MODEL_DIR, names[i]);
    snprintf(to, sizeof to, "%s/%s", folder, names[i]);
    assert_int_equal(symlink(from, to), 0);
  }
}

char *make_odd_model(int n_ctx, bool has_tokenizer)
{
  const random_sizes sizes = {.n_vocab = 4096,
                              .n_ctx = n_ctx,
                              .n_embd = 16,
                              .n_head = 2,
                              .n_layer = 2,
                              .n_inner = 64,
                              .seed = 1};
  char *folder = make_random_folder(&sizes);
  if (has_tokenizer)
    link_tokenizer(folder);
  return folder;
}
