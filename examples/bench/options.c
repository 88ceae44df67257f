/* options.c - the options of gpt2-bench. */
#include "bench/options.h"

#include "support/program.h"

static const char help[] =
    "Usage: gpt2-bench [options]\n"
    "Measures the library on this machine: a table, or with --json a line for the\n"
    "machine and one for each measurement. `limit` is what the machine allows, where\n"
    "that can be told; `share` is the part of it that was reached.\n"
    "\n"
    "      --what LIST       what to measure, separated by commas: read, sgemm,\n"
    "                        decode, busy, batch, prefill, generate, sample,\n"
    "                        load, memory, encode, decode_text (all)\n"
    "      --types LIST      element types to keep the weights in, one after another:\n"
    "                        stored, f32, f16, bf16, q8_0, q4_0 (stored)\n"
    "      --compute HOW     exact, or fast: activations are rounded (as the type has\n"
    "                        it)\n"
    "      --kv TYPE         keys and values in f32, or f16 (f32)\n"
    "      --prefault        have all pages in memory when the model is loaded\n"
    "      --huge-pages      ask the system for huge pages\n"
    "      --repeat N        measurements of each; medians are printed (7)\n"
    "      --quick           only the first size of each, and 3 times\n"
    "      --text FILE       a text to encode instead of invented sentences\n"
    "      --compare FILE    what --json wrote earlier: how many times as good each\n"
    "                        measurement is now\n"
    "      --accuracy FILE   instead of speed: how far each type's predictions over\n"
    "                        the text in FILE are from those in f32\n"
    "  -t, --threads LIST    here several numbers may stand, with commas between them:\n"
    "                        all is measured with each\n"
    "\n";

enum {
  WHAT = OPTION_OWN,
  TYPES,
  COMPUTE,
  KV,
  PREFAULT,
  HUGE_PAGES,
  REPEAT,
  QUICK,
  TEXT,
  COMPARE,
  ACCURACY,
  CHILD
};

static const struct option long_options[] = {{"what", required_argument, NULL, WHAT},
                                             {"types", required_argument, NULL, TYPES},
                                             {"compute", required_argument, NULL, COMPUTE},
                                             {"kv", required_argument, NULL, KV},
                                             {"prefault", no_argument, NULL, PREFAULT},
                                             {"huge-pages", no_argument, NULL, HUGE_PAGES},
                                             {"repeat", required_argument, NULL, REPEAT},
                                             {"quick", no_argument, NULL, QUICK},
                                             {"text", required_argument, NULL, TEXT},
                                             {"compare", required_argument, NULL, COMPARE},
                                             {"accuracy", required_argument, NULL, ACCURACY},
                                             {"child", required_argument, NULL, CHILD},
                                             COMMON_LONG_OPTIONS,
                                             {0}};

enum { MAX_THREADS = 1024 }; /* gpt2_context_new takes no more */

static void take_opening(int option, subject_options *opening)
{
  switch (option) {
  case COMPUTE:
    opening->compute = option_name("--compute", optarg, compute_names);
    break;
  case KV:
    opening->kv_type = option_name("--kv", optarg, kv_types);
    break;
  case PREFAULT:
    opening->load_flags |= GPT2_LOAD_PREFAULT;
    break;
  default:
    opening->load_flags |= GPT2_LOAD_HUGE_PAGES;
  }
}

static void take_option(int option, settings *s, bench *b)
{
  switch (option) {
  case WHAT:
    s->what = optarg;
    break;
  case TYPES:
    s->types = option_names("--types", optarg, weight_types);
    break;
  case COMPUTE:
  case KV:
  case PREFAULT:
  case HUGE_PAGES:
    take_opening(option, &b->opening);
    break;
  case REPEAT:
    b->n_repeats = option_integer("--repeat", optarg, 1, MAX_REPEATS);
    break;
  case QUICK:
    b->quick = true;
    break;
  case TEXT:
    b->text_path = optarg;
    break;
  case COMPARE:
    s->compare_path = optarg;
    break;
  case ACCURACY:
    s->accuracy_path = optarg;
    break;
  case CHILD:
    s->n_child_tokens = option_integer("--child", optarg, 1, INT32_MAX);
    break;
  case 't':
    s->thread_counts = option_integers("--threads", optarg, 0, MAX_THREADS);
    break;
  default:
    common_option(&b->common, option, help);
  }
}

/* Accuracy has no clock, and does not depend on threads. */
static void check_accuracy(const settings *s, const bench *b)
{
  const char *useless = s->what                         ? "--what"
                        : s->compare_path               ? "--compare"
                        : b->text_path                  ? "--text"
                        : b->quick                      ? "--quick"
                        : b->n_repeats                  ? "--repeat"
                        : s->thread_counts.n_values > 1 ? "--threads with several numbers"
                                                        : NULL;
  if (s->accuracy_path && useless)
    program_usage_error("%s: not together with --accuracy, which measures no speed", useless);
}

void read_options(int argc, char **argv, settings *s, bench *b)
{
  int option;
  while ((option = getopt_long(argc, argv, COMMON_SHORT_OPTIONS, long_options, NULL)) != -1)
    take_option(option, s, b);
  no_operand(argc, argv);
  check_accuracy(s, b);
  if (s->types.n_values == 0)
    s->types = (number_list){{GPT2_TYPE_DEFAULT}, 1};
  if (s->thread_counts.n_values == 0)
    s->thread_counts = (number_list){{0}, 1};
  if (b->n_repeats == 0)
    b->n_repeats = b->quick ? 3 : 7;
}
