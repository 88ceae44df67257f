/* test_streaming.c - gpt2-generate writes whole characters as they come, and ends well when Ctrl-C
 * is pressed or nobody reads any more. */
#define _GNU_SOURCE /* pipe2 */
#include "programs/run.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"
#include "support/temporary_folder.h"
#include "support/terminal.h"

#include <cmocka.h>

#define PROMPT "Once upon a time"
#define STORY  " there was a great forest, and in the forest" /* ten tokens: the model's README */

static bool is_utf8(const char *bytes, size_t size)
{
  size_t at = 0, length = 1;
  for (; at < size && length > 0; at += length)
    length = utf8_character((const uint8_t *)bytes + at, size - at);
  return length > 0;
}

/* In this kind of pipe, what is written at once is read at once. Random weights choose all kinds of
 * bytes. */
static void every_write_is_whole_characters(void **state)
{
  (void)state;
  char *folder = make_odd_model(400, true);
  int ends[2];
  assert_int_equal(pipe2(ends, O_DIRECT), 0);
  const setting given = {.output_to = ends[1], .model = folder};
  running r =
      start_program("generate", &given,
                    (const char *const[]){"--seed", "3", "--temperature", "2", "--top-k", "0",
                                          "--top-p", "0", "-n380", "caf\xc3\xa9", NULL});
  close(ends[1]);
  char piece[4096];
  ssize_t size;
  int n_pieces = 0, n_accents = 0;
  while ((size = read(ends[0], piece, sizeof piece)) > 0) {
    assert_true(is_utf8(piece, (size_t)size));
    n_accents +=
        memchr(piece, 0xc3, (size_t)size) != NULL || memchr(piece, 0xef, (size_t)size) != NULL;
    n_pieces++;
  }
  assert_true(n_pieces > 100);
  assert_true(n_accents > 1);
  outcome o = wait_for_program(r);
  assert_int_equal(o.status, 0);
  free_outcome(&o);
  close(ends[0]);
  remove_temporary_folder(folder);
}

static void wait_a_little(void)
{
  nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
}

/* The kernel's list of the signals that the process handles has SIGINT. */
static bool handles_ctrl_c(pid_t process)
{
  char path[64], line[256];
  unsigned long long caught = 0;
  snprintf(path, sizeof path, "/proc/%d/status", (int)process);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file))
    sscanf(line, "SigCgt: %llx", &caught);
  fclose(file);
  return caught >> (SIGINT - 1) & 1;
}

static void ctrl_c_ends_the_wait_for_a_prompt(void **state)
{
  (void)state;
  int input[2];
  assert_int_equal(pipe(input), 0);
  const setting given = {.input_from = input[0]};
  running r = start_program("generate", &given, (const char *const[]){"--greedy", NULL});
  while (!handles_ctrl_c(r.process))
    wait_a_little();
  for (int i = 0; i < 25; i++) /* until it has, in all likelihood, started to read */
    wait_a_little();
  kill(r.process, SIGINT);
  outcome o = wait_for_program(r);
  assert_int_equal(o.status, 130);
  assert_string_equal(o.out, "");
  assert_string_equal(o.err, "");
  free_outcome(&o);
  close(input[0]);
  close(input[1]);
}

/* Waits until a pipe has more than `at_least` bytes to read, and nothing more comes for a while. */
static void wait_until_full(int pipe_end, int at_least)
{
  int waiting = 0;
  for (int n_still = 0; n_still < 15; wait_a_little()) {
    int before = waiting;
    assert_int_equal(ioctl(pipe_end, FIONREAD, &waiting), 0);
    n_still = waiting > at_least && waiting == before ? n_still + 1 : 0;
  }
}

/* The pipe is nearly full at first, so the program is stuck in the middle of its story when Ctrl-C
 * comes. */
static void ctrl_c_leaves_what_was_written(void **state)
{
  (void)state;
  static char filling[1 << 16];
  int output[2];
  assert_int_equal(pipe(output), 0);
  int capacity = fcntl(output[1], F_SETPIPE_SZ, 4096);
  assert_in_range(capacity, 1024, sizeof filling);
  int filled = capacity - 40;
  assert_int_equal(write(output[1], filling, (size_t)filled), filled);
  const setting given = {.output_to = output[1]};
  running r = start_program("generate", &given, (const char *const[]){"--greedy", PROMPT, NULL});
  wait_until_full(output[0], filled);
  kill(r.process, SIGINT);
  outcome o = wait_for_program(r);
  close(output[1]);
  assert_int_equal(o.status, 130);
  assert_string_equal(o.err, "");
  for (ssize_t skipped = 0; skipped < filled;)
    skipped += read(output[0], filling, (size_t)(filled - skipped));
  char told[128] = "";
  ssize_t size = read(output[0], told, sizeof told - 1);
  assert_true(size >= (ssize_t)strlen(PROMPT));
  assert_memory_equal(told, PROMPT STORY, (size_t)size);
  free_outcome(&o);
  close(output[0]);
}

/* A story that takes a while: the seed is told when it begins, and then Ctrl-C comes. */
static bool cancels_in_json(const char *folder)
{
  int errors[2];
  char seed[128];
  assert_int_equal(pipe(errors), 0);
  const setting given = {.errors_to = errors[1], .model = folder};
  running r =
      start_program("generate", &given, (const char *const[]){"-n0", "--json", PROMPT, NULL});
  close(errors[1]);
  assert_true(read(errors[0], seed, sizeof seed) > 0);
  kill(r.process, SIGINT);
  outcome o = wait_for_program(r);
  close(errors[0]);
  assert_int_equal(o.status, 130);
  json_t *json = json_of(&o);
  const char *finish = json_string_value(json_object_get(json, "finish"));
  bool cancelled = strcmp(finish, "cancelled") == 0;
  json_decref(json);
  free_outcome(&o);
  return cancelled;
}

static void json_says_that_it_was_cancelled(void **state)
{
  (void)state;
  char *folder = make_odd_model(8192, true);
  int n_tries = 0;
  while (!cancels_in_json(folder)) /* an end token may come first */
    assert_true(++n_tries < 20);
  remove_temporary_folder(folder);
}

static void a_closed_pipe_ends_it_quietly(void **state)
{
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  close(ends[0]);
  const setting given = {.output_to = ends[1]};
  outcome o = RUN("generate", &given, "--greedy", "-n0", PROMPT);
  assert_quiet_success(&o);
  free_outcome(&o);
  close(ends[1]);
}

/* Whoever reads at a terminal gets the last line ended. */
static void a_terminal_gets_a_line_break_at_the_end(void **state)
{
  (void)state;
  terminal t = open_terminal();
  const setting given = {.output_to = t.written};
  outcome o = RUN("generate", &given, "--greedy", "-n10", PROMPT);
  assert_quiet_success(&o);
  char shown[256];
  close_terminal(t, shown, sizeof shown);
  assert_string_equal(shown, PROMPT STORY "\r\n");
  free_outcome(&o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_write_is_whole_characters),
      cmocka_unit_test(ctrl_c_ends_the_wait_for_a_prompt),
      cmocka_unit_test(ctrl_c_leaves_what_was_written),
      cmocka_unit_test(json_says_that_it_was_cancelled),
      cmocka_unit_test(a_closed_pipe_ends_it_quietly),
      cmocka_unit_test(a_terminal_gets_a_line_break_at_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
