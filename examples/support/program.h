/* program.h - what every program does alike: how it starts, how it fails, what Ctrl-C does, how it
 * ends.
 *
 * Errors are one line on standard error, "gpt2-NAME: what, where, what to do". The first Ctrl-C
 * lets the program end by itself with what it has written; a second one ends it at once. */
#ifndef SUPPORT_PROGRAM_H
#define SUPPORT_PROGRAM_H

#include <gpt2.h>
#include <stdbool.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* First of all. `name` is what error lines begin with, getopt_long's too. */
void program_start(char **argv, const char *name);

const char *program_name(void);

/* Prints one line to standard error, with the program's name before it. */
void program_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and returns EXIT_FAILED. */
int program_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for an error of the library. Silent about GPT2_ERR_CANCELLED: only Ctrl-C and callbacks
 * of ours stop a call, and program_end, or the callback, knows what to say about that. */
int program_fail_error(const gpt2_error *error);

/* The same for a mistake in the command line, but exits with EXIT_USAGE. */
_Noreturn void program_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on Ctrl-C also stops what `context` is doing; NULL: no longer. */
void program_watch(gpt2_context *context);

/* Ctrl-C was pressed. */
bool program_interrupted(void);

/* Last of all: turns `status` into the exit status, with what happened to standard output in mind.
 */
int program_end(int status);

#endif
