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
  int32_t weights;   /* GPT2_TYPE_...: what they are kept in */
  int32_t compute;   /* GPT2_COMPUTE_... */
  bool json;
} common_options;

/* Options without a letter; a program numbers its own from OPTION_OWN. */
enum { OPTION_JSON = 256, OPTION_VERSION, OPTION_WEIGHTS, OPTION_COMPUTE, OPTION_OWN };

#define COMMON_SHORT_OPTIONS "m:t:h"
#define COMMON_LONG_OPTIONS                                                                        \
  {"model", required_argument, NULL, 'm'}, {"threads", required_argument, NULL, 't'},              \
      {"json", no_argument, NULL, OPTION_JSON}, {"help", no_argument, NULL, 'h'},                  \
  {                                                                                                \
    "version", no_argument, NULL, OPTION_VERSION                                                   \
  }

/* Two more, for programs that evaluate a model with open_model's choice of types; and their lines
 * for --help, at the end of the program's own. */
#define WEIGHTS_LONG_OPTIONS                                                                       \
  {"weights", required_argument, NULL, OPTION_WEIGHTS},                                            \
  {                                                                                                \
    "compute", required_argument, NULL, OPTION_COMPUTE                                             \
  }
#define WEIGHTS_HELP                                                                               \
  "      --weights TYPE    keep the weights in f32, f16, bf16, q8_0 or q4_0 (as they\n"            \
  "                        are stored)\n"                                                          \
  "      --compute HOW     exact or fast: activations in f32, or rounded to what the\n"            \
  "                        weights are multiplied with fastest (fast for q8_0 and\n"               \
  "                        q4_0, else exact)\n"

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

/* One of n names: its place. */
int option_choice(const char *option, const char *text, const char *const *names, int n);

#endif
