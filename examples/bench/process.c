/* process.c - what a fresh process needs: the time to its first logits, and its memory.
 *
 * The bench starts itself again, so that nothing is warm but the system's page cache. Both
 * processes read the same clock. A lazy mapping does not look fast this way: its pages are read by
 * the first evaluation. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "support/program.h"
#include "support/progress.h"

extern char **environ;

/* What the child tells. */
typedef struct child_times {
  double first_logits; /* on the clock that both read, seconds */
  double step;         /* seconds of one more step of one token */
  double peak_memory;  /* bytes */
} child_times;

/* The most memory this process ever had, as the kernel counts it; 0 where it does not. */
static double peak_memory(void)
{
  char line[256];
  double kilobytes = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, "VmHWM:", 6) == 0)
      kilobytes = strtod(line + 6, NULL);
  if (file)
    fclose(file);
  return kilobytes * 1024;
}

/* Evaluates `n_tokens` tokens at once, and then the last one once more. */
static int evaluate(gpt2_context *context, int32_t n_tokens, child_times *times)
{
  gpt2_token *tokens = calloc((size_t)n_tokens, sizeof *tokens);
  if (!tokens)
    return program_fail("out of memory for %" PRId32 " tokens", n_tokens);
  gpt2_status status = gpt2_eval(context, 0, tokens, (size_t)n_tokens, 0);
  times->first_logits = clock_seconds();
  times->peak_memory = peak_memory();
  if (status == GPT2_OK)
    status = gpt2_kv_truncate(context, 0, (size_t)n_tokens - 1);
  double start = clock_seconds();
  if (status == GPT2_OK)
    status = gpt2_eval(context, 0, tokens, 1, 0);
  times->step = clock_seconds() - start;
  free(tokens);
  return status == GPT2_OK ? EXIT_DONE : program_fail_error(gpt2_context_error(context));
}

int run_child(const bench *b, int32_t n_tokens)
{
  gpt2_model *model = NULL;
  gpt2_context *context = NULL;
  gpt2_info info;
  child_times times = {0};
  int status = subject_load(&b->opening, b->model_path.bytes, b->type, b->n_threads, &model, &info);
  if (status == EXIT_DONE)
    status = subject_context(&b->opening, model, b->n_threads, 0, &context);
  if (status == EXIT_DONE)
    status = evaluate(context, n_tokens, &times);
  if (status == EXIT_DONE) {
    buffer line = {0};
    buffer_format(&line, "%.9f %.9f %.0f\n", times.first_logits, times.step, times.peak_memory);
    output_buffer(&line);
    buffer_free(&line);
  }
  program_watch(NULL);
  gpt2_context_free(context);
  gpt2_model_free(model);
  return status;
}

enum { MAX_ARGUMENTS = 20 };

/* The child's command line: what is measured now, by the options of this program. */
static void write_arguments(const bench *b, char *count, char *threads, const char **arguments)
{
  const char *required[] = {"gpt2-bench", "--child",           count,
                            "--model",    b->model_path.bytes, "--threads",
                            threads,      "--types",           name_of(weight_types, b->type)};
  size_t n = sizeof required / sizeof *required;
  memcpy(arguments, required, sizeof required);
  if (b->opening.compute != GPT2_COMPUTE_DEFAULT) {
    arguments[n++] = "--compute";
    arguments[n++] = name_of(compute_names, b->opening.compute);
  }
  if (b->opening.kv_type != GPT2_TYPE_DEFAULT) {
    arguments[n++] = "--kv";
    arguments[n++] = name_of(kv_types, b->opening.kv_type);
  }
  if (b->opening.load_flags & GPT2_LOAD_PREFAULT)
    arguments[n++] = "--prefault";
  if (b->opening.load_flags & GPT2_LOAD_HUGE_PAGES)
    arguments[n++] = "--huge-pages";
  arguments[n] = NULL;
}

/* Starts this program as a child whose standard output is a pipe: its end to read from, or NULL. */
static FILE *start_child(const bench *b, int32_t n_tokens, pid_t *child)
{
  char count[16], threads[16];
  const char *arguments[MAX_ARGUMENTS];
  snprintf(count, sizeof count, "%" PRId32, n_tokens);
  snprintf(threads, sizeof threads, "%" PRId32, b->n_threads);
  write_arguments(b, count, threads, arguments);
  int ends[2];
  if (pipe(ends) != 0)
    return NULL;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  int refused =
      posix_spawn(child, "/proc/self/exe", &actions, NULL, (char *const *)arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  FILE *output = refused ? NULL : fdopen(ends[0], "r");
  if (!output)
    close(ends[0]);
  errno = refused ? refused : errno;
  return output;
}

/* Runs a child to its end. `start` is the moment just before it. */
static int time_child(const bench *b, int32_t n_tokens, double *start, child_times *times)
{
  pid_t child = 0;
  *start = clock_seconds();
  FILE *output = start_child(b, n_tokens, &child);
  if (!output)
    return program_fail("cannot start a process to measure: %s", strerror(errno));
  int n_read =
      fscanf(output, "%lf %lf %lf", &times->first_logits, &times->step, &times->peak_memory);
  fclose(output);
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  if (n_read == 3 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DONE)
    return EXIT_DONE;
  if (program_interrupted())
    return EXIT_INTERRUPTED;
  return program_fail("the process to measure ended without a result (wait status %d)", status);
}

int measure_load(bench *b)
{
  samples measured = {0};
  child_times times = {0};
  double start;
  int status = time_child(b, 1, &start, &times); /* fills the page cache */
  for (int32_t i = 0; i < b->n_repeats && status == EXIT_DONE; i++) {
    status = time_child(b, 1, &start, &times);
    add_sample(&measured, (times.first_logits - start - times.step) * 1e3, (bound){0});
  }
  if (status == EXIT_DONE)
    report(b,
           &(report_line){.what = "load",
                          .type = b->info.weights_type,
                          .unit = "ms",
                          .n_threads = b->n_threads,
                          .n_rows = 1},
           &measured);
  return status;
}

/* The peak after a prompt of `n_tokens`; its limit is what must be there: weights and cache. */
static int measure_peak(bench *b, int32_t n_tokens)
{
  samples measured = {0};
  child_times times = {0};
  double start;
  double needed = (double)b->info.weights_size + b->kv_token_size * n_tokens;
  int status = time_child(b, n_tokens, &start, &times);
  if (status != EXIT_DONE)
    return status;
  add_sample(&measured, times.peak_memory / 1e6, (bound){.limit = needed / 1e6});
  report(b,
         &(report_line){.what = "memory",
                        .type = b->info.weights_type,
                        .unit = "MB",
                        .n_threads = b->n_threads,
                        .n_rows = n_tokens},
         &measured);
  return EXIT_DONE;
}

int measure_memory(bench *b)
{
  int status = measure_peak(b, 1);
  if (status == EXIT_DONE && !b->quick && b->info.n_ctx > 1)
    status = measure_peak(b, b->info.n_ctx);
  return status;
}
