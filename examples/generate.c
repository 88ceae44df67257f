/* generate.c - continues a prompt, streaming whole characters as they come.
 *
 * Shows: a generation (gpt2_generation_new, _next), which hands out one token after another with
 * the text it completes; sampling options; stop strings; how Ctrl-C stops a running evaluation
 * (support/program.c). */
#define _POSIX_C_SOURCE 200809L
#include <gpt2.h>

#include <float.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/json.h"
#include "support/model.h"
#include "support/options.h"
#include "support/progress.h"
#include "support/program.h"
#include "support/text.h"

static const char help[] =
    "Usage: gpt2-generate [options] [PROMPT]\n"
    "Continues PROMPT, or the text on standard input when there is none or it is \"-\".\n"
    "Prints the prompt and what follows it, as it comes.\n"
    "\n"
    "  -n, --tokens N        tokens to generate; 0: until the text ends or the context\n"
    "                        is full (200)\n"
    "      --temperature T   0: always the likeliest token; 1: as the model predicts\n"
    "                        (0.8)\n"
    "      --top-k K         choose among the K likeliest; 0: among all (40)\n"
    "      --top-p P         choose among the likeliest that add up to P, from 0 to 1;\n"
    "                        0: among all (0.95)\n"
    "      --seed S          same seed, same text (random, told on standard error)\n"
    "      --greedy          the same as --temperature 0\n"
    "      --stop TEXT       end where TEXT appears, without it; may be repeated\n"
    "      --no-echo         do not print the prompt\n" WEIGHTS_HELP;

enum { MAX_STOP_SIZE = 4096 }; /* a longer stop string is refused by the library */

typedef struct settings {
  common_options common;
  const char *operand;
  gpt2_sampler_options sampling;
  gpt2_generate_options generating; /* .stops is ours */
  bool greedy;
  bool has_seed;
  bool no_echo;
} settings;

static void add_stop(settings *s, const char *text)
{
  size_t size = strlen(text);
  if (size == 0 || size > MAX_STOP_SIZE)
    program_usage_error("--stop: a text of %zu bytes; 1 to %d are allowed", size, MAX_STOP_SIZE);
  size_t n_stops = s->generating.n_stops;
  gpt2_string *stops = realloc((void *)s->generating.stops, (n_stops + 1) * sizeof *stops);
  if (!stops)
    exit(program_fail("out of memory for %zu stop strings", n_stops + 1));
  stops[n_stops] = (gpt2_string){.bytes = text, .size = size};
  s->generating.stops = stops;
  s->generating.n_stops++;
}

enum { TEMPERATURE = OPTION_OWN, TOP_K, TOP_P, SEED, GREEDY, STOP, NO_ECHO };

static void take_option(settings *s, int option)
{
  switch (option) {
  case 'n':
    s->generating.max_tokens = option_integer("--tokens", optarg, 0, INT32_MAX);
    break;
  case TEMPERATURE:
    s->sampling.temperature = option_real("--temperature", optarg, 0, FLT_MAX);
    break;
  case TOP_K:
    s->sampling.top_k = option_integer("--top-k", optarg, 0, INT32_MAX);
    break;
  case TOP_P:
    s->sampling.top_p = option_real("--top-p", optarg, 0, 1);
    break;
  case SEED:
    s->sampling.seed = option_u64("--seed", optarg);
    s->has_seed = true;
    break;
  case GREEDY:
    s->greedy = true;
    break;
  case STOP:
    add_stop(s, optarg);
    break;
  case NO_ECHO:
    s->no_echo = true;
    break;
  default:
    common_option(&s->common, option, help);
  }
}

static void read_options(int argc, char **argv, settings *s)
{
  static const struct option options[] = {{"tokens", required_argument, NULL, 'n'},
                                          {"temperature", required_argument, NULL, TEMPERATURE},
                                          {"top-k", required_argument, NULL, TOP_K},
                                          {"top-p", required_argument, NULL, TOP_P},
                                          {"seed", required_argument, NULL, SEED},
                                          {"greedy", no_argument, NULL, GREEDY},
                                          {"stop", required_argument, NULL, STOP},
                                          {"no-echo", no_argument, NULL, NO_ECHO},
                                          WEIGHTS_LONG_OPTIONS,
                                          COMMON_LONG_OPTIONS,
                                          {0}};
  int option;
  while ((option = getopt_long(argc, argv, "n:" COMMON_SHORT_OPTIONS, options, NULL)) != -1)
    take_option(s, option);
  s->operand = only_operand(argc, argv);
  if (s->greedy)
    s->sampling.temperature = 0;
}

/* The user will want to know the seed. */
static bool is_random(const settings *s)
{
  return !s->has_seed && s->sampling.temperature > 0;
}

/* Takes a seed from the system. 32 bits of it are enough: they are easier to type again, and every
 * reader of JSON can hold them. */
static int choose_seed(settings *s)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_sampler_options options = {.struct_size = sizeof options, .flags = GPT2_SAMPLER_RANDOM_SEED};
  gpt2_sampler *sampler = NULL;
  if (gpt2_sampler_new(&options, &sampler, &error) != GPT2_OK)
    return program_fail_error(&error);
  s->sampling.seed = gpt2_sampler_seed(sampler) & UINT32_MAX;
  gpt2_sampler_free(sampler);
  return EXIT_DONE;
}

/* What became of a generation. */
typedef struct story {
  buffer text;   /* only collected for JSON */
  buffer tokens; /* gpt2_token, one after another */
  const char *finish;
  char last; /* byte printed; 0: none */
} story;

static void print(story *told, const char *text, size_t size)
{
  output_bytes(text, size);
  if (size > 0)
    told->last = text[size - 1];
}

/* Takes a piece: to the screen at once, or to the story for later. */
static void take_piece(const gpt2_piece *piece, bool json, story *told)
{
  if (piece->token >= 0)
    buffer_add(&told->tokens, &piece->token, sizeof piece->token);
  if (json)
    buffer_add(&told->text, piece->text, (size_t)piece->size);
  else
    print(told, piece->text, (size_t)piece->size);
}

/* Draws token after token. Ctrl-C makes the library answer GPT2_ERR_CANCELLED; a piece that nobody
 * reads any more ends the story as well. */
static int tell(gpt2_context *context, gpt2_generation *generation, const settings *s, story *told)
{
  gpt2_piece piece = {.struct_size = sizeof piece};
  progress bar;
  progress_start(&bar, !s->common.json);
  gpt2_status status = GPT2_OK;
  while (status == GPT2_OK && !piece.finish && !output_failed()) {
    status = gpt2_generation_next(generation, &piece);
    if (status == GPT2_OK)
      take_piece(&piece, s->common.json, told);
    progress_update(&bar, told->tokens.size / sizeof piece.token, (size_t)s->generating.max_tokens);
  }
  progress_end(&bar);
  told->finish = gpt2_finish_name(status == GPT2_OK ? piece.finish : GPT2_FINISH_CANCELLED);
  if (status == GPT2_OK || status == GPT2_ERR_CANCELLED)
    return EXIT_DONE;
  return program_fail_error(gpt2_context_error(context));
}

static void write_json(const buffer *prompt, const story *told, uint64_t seed)
{
  buffer json = {0};
  buffer_text(&json, "{\"prompt\":");
  write_string(&json, prompt->bytes, prompt->size);
  buffer_text(&json, ",\"text\":");
  write_string(&json, told->text.bytes, told->text.size);
  buffer_text(&json, ",\"tokens\":");
  write_integers(&json, (const int32_t *)told->tokens.bytes,
                 told->tokens.size / sizeof(gpt2_token));
  buffer_format(&json, ",\"finish\":\"%s\",\"seed\":%" PRIu64 "}\n", told->finish, seed);
  output_buffer(&json);
  buffer_free(&json);
}

/* Whoever reads along at a terminal wants the next line to be a new one. A file or a pipe gets
 * prompt and text, and nothing else. */
static void end_line(const story *told)
{
  if (isatty(STDOUT_FILENO) && told->last && told->last != '\n')
    output_bytes("\n", 1);
}

static int generate(gpt2_context *context, const buffer *prompt, const settings *s)
{
  gpt2_generation *generation = NULL;
  if (gpt2_generation_new(context, prompt->bytes, prompt->size, &s->generating, &generation) !=
      GPT2_OK)
    return program_fail_error(gpt2_context_error(context));
  if (is_random(s))
    program_say("seed %" PRIu64, s->sampling.seed);
  story told = {0};
  if (!s->common.json && !s->no_echo)
    print(&told, prompt->bytes, prompt->size);
  int status = tell(context, generation, s, &told);
  if (!s->common.json)
    end_line(&told);
  else if (status == EXIT_DONE)
    write_json(prompt, &told, gpt2_generation_seed(generation));
  buffer_free(&told.text);
  buffer_free(&told.tokens);
  gpt2_generation_free(generation);
  return status;
}

int main(int argc, char **argv)
{
  settings s = {
      .sampling = {.struct_size = sizeof s.sampling,
                   .temperature = 0.8f,
                   .top_k = 40,
                   .top_p = 0.95f},
      .generating = {.struct_size = sizeof s.generating,
                     .flags = GPT2_GENERATE_REPLACE,
                     .max_tokens = 200},
  };
  s.generating.sampling = &s.sampling;
  buffer prompt = {0};
  gpt2_model *model = NULL;
  gpt2_context *context = NULL;

  program_start(argv, "gpt2-generate");
  read_options(argc, argv, &s);
  int status = open_context(&s.common, &model, &context);
  if (status == EXIT_DONE)
    status = text_whole(s.operand, &prompt);
  if (status == EXIT_DONE && is_random(&s))
    status = choose_seed(&s);
  if (status == EXIT_DONE)
    status = generate(context, &prompt, &s);
  close_context(model, context);
  buffer_free(&prompt);
  free((void *)s.generating.stops);
  return program_end(status);
}
