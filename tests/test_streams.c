/* test_streams.c - the standard streams belong to the host: the library prints nothing to them, and
 * where they are closed, and a model's file gets their numbers, nothing is written to that.
 *
 * Each session runs in a process of its own: this program once more, told what to do:
 *
 *     test_streams FOLDER RECORD           a session with the folder's model; writes its record
 *     test_streams FOLDER RECORD closed    the same, and a file must have got number 0
 *     test_streams FOLDER RECORD print     the same, and it prints */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/fixture.h"
#include "support/session.h"
#include "support/temporary_folder.h"

enum { PATH_SIZE = 4096, TIME_LIMIT = 100 /* seconds */ };

static const char *const model_files[] = {"config.json", "model.safetensors", "vocab.json",
                                          "merges.txt"};
enum { N_FILES = sizeof model_files / sizeof *model_files };

/* ---- A session ---- */

static int lowest_opened = 1000;

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

/* The linker puts this in the library's way: what is opened can be written to where the system
 * allows it. */
int __wrap_open64(const char *path, int flags, ...)
{
  int descriptor = __real_open64(path, (flags & ~O_ACCMODE) | O_RDWR);
  if (descriptor < 0)
    descriptor = __real_open64(path, flags);
  if (descriptor >= 0 && descriptor < lowest_opened)
    lowest_opened = descriptor;
  return descriptor;
}

/* The status to end with: 0, or what went wrong. */
static int be_the_session(const char *folder, const char *record_path, const char *how)
{
  static record r;
  run_session((const char *const[]){folder, NULL}, &r);
  if (strcmp(how, "closed") == 0 && lowest_opened != 0)
    return 3;
  if (strcmp(how, "print") == 0) {
    printf("to the output");
    fputs("to the errors", stderr);
  }
  FILE *file = fopen(record_path, "wb");
  if (!file || fwrite(&r, 1, sizeof r, file) != sizeof r || fclose(file) != 0)
    return 4;
  return 0;
}

/* ---- Its host ---- */

typedef struct host {
  char *folder; /* a copy of a model */
  char record_path[PATH_SIZE];
  int out, err; /* what its process gets as standard streams; -1: closed, and its input is, too */
} host;

static void make_folder(host *h)
{
  *h = (host){.folder = new_temporary_folder(), .out = -1, .err = -1};
  snprintf(h->record_path, sizeof h->record_path, "%s/record", h->folder);
  for (int i = 0; i < N_FILES; i++) {
    char name[128];
    size_t size;
    snprintf(name, sizeof name, "fixtures/models/base/%s", model_files[i]);
    char *path = test_data_path(name), *bytes = read_test_file(path, &size);
    write_temporary_file(h->folder, model_files[i], bytes, size);
    free(bytes);
    free(path);
  }
}

/* Starts the session's process. */
static pid_t start(const host *h, const char *how)
{
  pid_t process = fork();
  assert_true(process >= 0);
  if (process == 0) {
    int streams[] = {h->out < 0 ? -1 : STDIN_FILENO, h->out, h->err};
    for (int i = 0; i < 3; i++)
      if (streams[i] < 0)
        close(i);
      else
        dup2(streams[i], i);
    alarm(TIME_LIMIT);
    execl("/proc/self/exe", "test_streams", h->folder, h->record_path, how, (char *)NULL);
    _exit(127);
  }
  return process;
}

static void must_end_well(pid_t process)
{
  int status = -1;
  assert_int_equal(waitpid(process, &status, 0), process);
  if (status != 0)
    fail_msg("the session's process ended with %d",
             WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

/* All that comes out of a pipe. */
static size_t read_all(int pipe_end, char *bytes, size_t capacity)
{
  size_t size = 0;
  ssize_t n;
  while (size < capacity && (n = read(pipe_end, bytes + size, capacity - size)) > 0)
    size += (size_t)n;
  close(pipe_end);
  return size;
}

/* Runs a session whose output and errors go into pipes; what came out of them, as strings. */
static void run_with_pipes(host *h, const char *how, char out[PATH_SIZE], char err[PATH_SIZE])
{
  int output[2], errors[2];
  assert_int_equal(pipe2(output, O_CLOEXEC), 0);
  assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
  h->out = output[1];
  h->err = errors[1];
  pid_t process = start(h, how);
  close(output[1]);
  close(errors[1]);
  out[read_all(output[0], out, PATH_SIZE - 1)] = '\0';
  err[read_all(errors[0], err, PATH_SIZE - 1)] = '\0';
  must_end_well(process);
  h->out = h->err = -1;
}

static void read_record(const host *h, record *r)
{
  size_t size;
  char *bytes = read_test_file(h->record_path, &size);
  assert_int_equal(size, sizeof *r);
  memcpy(r, bytes, size);
  free(bytes);
}

static void files_must_be_untouched(const host *h)
{
  for (int i = 0; i < N_FILES; i++) {
    char path[PATH_SIZE], name[128];
    size_t size, expected_size;
    snprintf(path, sizeof path, "%s/%s", h->folder, model_files[i]);
    snprintf(name, sizeof name, "fixtures/models/base/%s", model_files[i]);
    char *expected_path = test_data_path(name);
    char *bytes = read_test_file(path, &size);
    char *expected = read_test_file(expected_path, &expected_size);
    assert_int_equal(size, expected_size);
    assert_memory_equal(bytes, expected, size);
    free(bytes);
    free(expected);
    free(expected_path);
  }
}

/* ---- Tests ---- */

static void a_whole_session_prints_nothing(void **state)
{
  (void)state;
  host h;
  char out[PATH_SIZE], err[PATH_SIZE];
  make_folder(&h);
  run_with_pipes(&h, "", out, err);
  assert_string_equal(out, "");
  assert_string_equal(err, "");
  remove_temporary_folder(h.folder);
}

static void what_is_printed_would_be_seen(void **state)
{
  (void)state;
  host h;
  char out[PATH_SIZE], err[PATH_SIZE];
  make_folder(&h);
  run_with_pipes(&h, "print", out, err);
  assert_string_equal(out, "to the output");
  assert_string_equal(err, "to the errors");
  remove_temporary_folder(h.folder);
}

/* Files of the model get the numbers of the streams. */
static void with_closed_streams_a_session_is_the_same_and_nothing_is_written(void **state)
{
  (void)state;
  static record open_streams, closed_streams;
  host h;
  char out[PATH_SIZE], err[PATH_SIZE];
  make_folder(&h);
  run_with_pipes(&h, "", out, err);
  read_record(&h, &open_streams);
  must_end_well(start(&h, "closed"));
  read_record(&h, &closed_streams);
  expect_same(&closed_streams, &open_streams);
  files_must_be_untouched(&h);
  remove_temporary_folder(h.folder);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_whole_session_prints_nothing),
      cmocka_unit_test(what_is_printed_would_be_seen),
      cmocka_unit_test(with_closed_streams_a_session_is_the_same_and_nothing_is_written),
  };
  if (argc > 1)
    return be_the_session(argv[1], argv[2], argv[3]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
