/* options.h - the options that every program has, and the values of options.
 *
 * A program's table for getopt_long has COMMON_LONG_OPTIONS at its end, its short options have
 * COMMON_SHORT_OPTIONS, and what its switch does not know goes to common_option. Values are read
 * whole and within their range, or the program ends with a line that names the option. */
#ifndef SUPPORT_OPTIONS_H
#define SUPPORT_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct common_options {
  const char *model; /* NULL: not given */
  int32_t n_threads; /* 0: as many as the library thinks right */
  bool json;
} common_options;

/* Options without a letter; a program numbers its own from OPTION_OWN. */
enum { OPTION_JSON = 256, OPTION_VERSION, OPTION_OWN };

#define COMMON_SHORT_OPTIONS "m:t:h"
#define COMMON_LONG_OPTIONS                                                                        \
  {"model", required_argument, NULL, 'm'}, {"threads", required_argument, NULL, 't'},              \
      {"json", no_argument, NULL, OPTION_JSON}, {"help", no_argument, NULL, 'h'},                  \
  {                                                                                                \
    "version", no_argument, NULL, OPTION_VERSION                                                   \
  }

/* Takes a common option. For --help it prints `help` and what the common options do, and ends the
 * program; likewise for --version, and for an option that getopt_long refused (it has said why). */
void common_option(common_options *common, int option, const char *help);

/* The one operand after the options, or NULL when there is none. */
const char *only_operand(int argc, char **argv);

/* For a program that takes no operands. */
void no_operand(int argc, char **argv);

/* Values in [low, high]. `option` is how the message calls it: "--top-k". */
int32_t option_integer(const char *option, const char *text, int32_t low, int32_t high);
float option_real(const char *option, const char *text, float low, float high);
uint64_t option_u64(const char *option, const char *text);

#endif
