/* program.c - what every program does alike. */
#define _POSIX_C_SOURCE 200809L
#include "support/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/output.h"

static const char *name_in_use = "gpt2";
static volatile sig_atomic_t interrupted;
static gpt2_context *volatile watched;

static void on_interrupt(int number)
{
  (void)number;
  if (interrupted)
    _exit(EXIT_INTERRUPTED);
  interrupted = 1;
  if (watched)
    gpt2_cancel(watched);
}

/* No SA_RESTART: a program that waits for its input must notice. Who starts a program with SIGINT
 * ignored, as shells do in the background, wants it left alone. */
static void catch_interrupt(void)
{
  struct sigaction action = {.sa_handler = on_interrupt};
  struct sigaction before;
  if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
    sigaction(SIGINT, &action, NULL);
}

/* A model's file must not be given the number of a closed standard stream. Standard input is
 * replaced by something that cannot be read, so that a program which needs it says so. */
static bool open_standard_streams(void)
{
  if (fcntl(STDIN_FILENO, F_GETFD) == -1)
    open("/dev/null", O_WRONLY);
  bool has_output = fcntl(STDOUT_FILENO, F_GETFD) != -1;
  if (!has_output)
    open("/dev/null", O_WRONLY);
  if (fcntl(STDERR_FILENO, F_GETFD) == -1)
    open("/dev/null", O_WRONLY);
  return has_output;
}

void program_start(char **argv, const char *name)
{
  name_in_use = name;
  if (argv[0])
    argv[0] = (char *)name; /* getopt_long begins its messages with it, and never writes to it */
  if (!open_standard_streams())
    exit(program_fail("standard output is closed; redirect it to a file, a pipe or /dev/null"));
  signal(SIGPIPE, SIG_IGN); /* writing then answers EPIPE, and the program ends in order */
  catch_interrupt();
}

const char *program_name(void)
{
  return name_in_use;
}

/* What came from a file or the command line may hold line breaks; the message is one line all the
 * same. */
static void say(const char *format, va_list arguments)
{
  char line[2048];
  vsnprintf(line, sizeof line, format, arguments);
  for (char *at = line; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f)
      *at = ' ';
  fprintf(stderr, "%s: %s\n", name_in_use, line);
}

void program_say(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments);
  va_end(arguments);
}

int program_fail(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments);
  va_end(arguments);
  return EXIT_FAILED;
}

int program_fail_error(const gpt2_error *error)
{
  if (error->status != GPT2_ERR_CANCELLED)
    program_say("%s", error->message);
  return EXIT_FAILED;
}

void program_usage_error(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments);
  va_end(arguments);
  exit(EXIT_USAGE);
}

void program_watch(gpt2_context *context)
{
  watched = context;
}

bool program_interrupted(void)
{
  return interrupted;
}

int program_end(int status)
{
  int failure = output_failed();
  if (interrupted)
    return EXIT_INTERRUPTED;
  if (failure == EPIPE)
    return EXIT_DONE; /* the reader has what it wanted */
  if (failure)
    return program_fail("standard output: %s; the results are incomplete", strerror(failure));
  return status;
}
