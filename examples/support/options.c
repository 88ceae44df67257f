/* options.c - the options that every program has, and the values of options. */
#include "support/options.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/output.h"
#include "support/program.h"

enum { MAX_THREADS = 1024 }; /* gpt2_context_new takes no more */

static const char common_help[] =
    "  -m, --model PATH      a model's folder, or a .safetensors file inside one, or\n"
    "                        the .safetensors.index.json of its shards; without it\n"
    "                        the environment variable GPT2_MODEL, else the model\n"
    "                        that came along\n"
    "  -t, --threads N       threads to use, at most 1024; 0: one for each core (0)\n"
    "      --json            write JSON, one object on a line\n"
    "  -h, --help            show this\n"
    "      --version         show the version\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 after Ctrl-C.\n";

_Noreturn static void print_and_end(const char *text, const char *more)
{
  output_bytes(text, strlen(text));
  output_bytes(more, strlen(more));
  exit(program_end(EXIT_DONE));
}

_Noreturn static void print_version(void)
{
  buffer line = {0};
  buffer_format(&line, "%s %s\n", program_name(), gpt2_version());
  buffer_add(&line, "", 1);
  print_and_end(line.bytes, "");
}

/* In the order of GPT2_TYPE_... and GPT2_COMPUTE_... . */
static const char *const types[] = {"stored", "f32", "f16", "bf16", "q8_0", "q4_0"};
static const char *const computes[] = {"default", "exact", "fast"};

#define N_NAMES(names) (int)(sizeof(names) / sizeof *(names))

void common_option(common_options *common, int option, const char *help)
{
  switch (option) {
  case 'm':
    if (!*optarg)
      program_usage_error("--model: is empty; name a model's folder");
    common->model = optarg;
    break;
  case 't':
    common->n_threads = option_integer("--threads", optarg, 0, MAX_THREADS);
    break;
  case OPTION_WEIGHTS:
    common->weights = option_choice("--weights", optarg, types, N_NAMES(types));
    break;
  case OPTION_COMPUTE:
    common->compute = option_choice("--compute", optarg, computes, N_NAMES(computes));
    break;
  case OPTION_JSON:
    common->json = true;
    break;
  case 'h':
    print_and_end(help, common_help);
  case OPTION_VERSION:
    print_version();
  default:
    exit(EXIT_USAGE);
  }
}

const char *only_operand(int argc, char **argv)
{
  if (argc - optind > 1)
    program_usage_error("\"%s\": one text at most is taken; put a text with spaces in quotes",
                        argv[optind + 1]);
  return optind < argc ? argv[optind] : NULL;
}

void no_operand(int argc, char **argv)
{
  if (optind < argc)
    program_usage_error("\"%s\": only options are taken; a model is named by --model",
                        argv[optind]);
}

/* Digits, perhaps after a minus sign: what strtoll and strtoull read beyond that (space, a plus
 * sign, another base) is more likely a mistake. */
static bool is_integer(const char *text)
{
  const char *digits = *text == '-' ? text + 1 : text;
  return *digits && digits[strspn(digits, "0123456789")] == 0;
}

int32_t option_integer(const char *option, const char *text, int32_t low, int32_t high)
{
  errno = 0;
  long long value = is_integer(text) ? strtoll(text, NULL, 10) : 0;
  if (!is_integer(text) || errno || value < low || value > high)
    program_usage_error("%s: \"%s\" is not a whole number from %" PRId32 " to %" PRId32, option,
                        text, low, high);
  return (int32_t)value;
}

uint64_t option_u64(const char *option, const char *text)
{
  errno = 0;
  unsigned long long value = is_integer(text) && *text != '-' ? strtoull(text, NULL, 10) : 0;
  if (!is_integer(text) || *text == '-' || errno || value > UINT64_MAX)
    program_usage_error("%s: \"%s\" is not a whole number from 0 to %" PRIu64, option, text,
                        UINT64_MAX);
  return value;
}

/* A decimal fraction, perhaps with an exponent; not "inf", "nan" or "0x1p3". The point is a point
 * in every locale, because the programs never leave the one they start in. */
float option_real(const char *option, const char *text, float low, float high)
{
  char *end = NULL;
  bool plain = *text && text[strspn(text, "0123456789.eE+-")] == 0;
  double value = plain ? strtod(text, &end) : 0;
  if (!plain || end == text || *end || !(value >= low && value <= high)) {
    if (high < FLT_MAX)
      program_usage_error("%s: \"%s\" is not a number from %g to %g", option, text, low, high);
    program_usage_error("%s: \"%s\" is not a number of at least %g", option, text, low);
  }
  return (float)value;
}

int option_choice(const char *option, const char *text, const char *const *names, int n)
{
  buffer list = {0};
  for (int i = 0; i < n; i++) {
    if (strcmp(text, names[i]) == 0) {
      buffer_free(&list);
      return i;
    }
    buffer_format(&list, "%s%s", i ? ", " : "", names[i]);
  }
  buffer_add(&list, "", 1);
  program_usage_error("%s: \"%s\" is none of %s", option, text, list.bytes);
}
