/* earlier.c - what an earlier run of gpt2-bench --json measured. */
#define _POSIX_C_SOURCE 200809L
#include "bench/earlier.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "support/program.h"

static char *copy_of(json_t *object, const char *key)
{
  json_t *value = json_object_get(object, key);
  return json_is_string(value) ? strdup(json_string_value(value)) : NULL;
}

/* A whole number that an int32 holds; -1 where there is none. */
static int32_t count_of(json_t *object, const char *key)
{
  json_t *value = json_object_get(object, key);
  json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
  return number >= 0 && number <= INT32_MAX ? (int32_t)number : -1;
}

static double number_of(json_t *object, const char *key)
{
  json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

static void free_line(earlier_line *line)
{
  free(line->what);
  free(line->type);
  free(line->unit);
}

/* The key that is missing or has a value that a measurement cannot have; NULL: none. */
static const char *read_line(json_t *object, earlier_line *line)
{
  json_t *type = json_object_get(object, "type");
  *line = (earlier_line){.what = copy_of(object, "what"),
                         .type = copy_of(object, "type"),
                         .unit = copy_of(object, "unit"),
                         .n_threads = count_of(object, "threads"),
                         .n_rows = count_of(object, "rows"),
                         .context = count_of(object, "context"),
                         .value = number_of(object, "value"),
                         .share = number_of(object, "share")};
  return !line->what                          ? "what"
         : !line->type && !json_is_null(type) ? "type"
         : line->n_threads < 0                ? "threads"
         : line->n_rows < 0                   ? "rows"
         : line->context < 0                  ? "context"
         : !(line->value > 0)                 ? "value"
         : !line->unit                        ? "unit"
                                              : NULL;
}

static int add_line(earlier_run *run, const earlier_line *line)
{
  earlier_line *lines = realloc(run->lines, (run->n_lines + 1) * sizeof *lines);
  if (!lines)
    return program_fail("out of memory for an earlier run of %zu lines", run->n_lines + 1);
  run->lines = lines;
  run->lines[run->n_lines++] = *line;
  return EXIT_DONE;
}

/* The lines that describe the machine, or an accuracy, are no measurements of speed. */
static int take_line(earlier_run *run, json_t *object, const char *path, size_t number)
{
  earlier_line line;
  if (json_object_get(object, "machine") || json_object_get(object, "accuracy"))
    return EXIT_DONE;
  const char *bad = read_line(object, &line);
  int status = bad ? program_fail("%s:%zu: \"%s\" is missing, or is not what a measurement has; "
                                  "--compare takes what gpt2-bench --json wrote",
                                  path, number, bad)
                   : add_line(run, &line);
  if (status != EXIT_DONE)
    free_line(&line);
  return status;
}

static int parse_line(earlier_run *run, const char *text, size_t size, const char *path,
                      size_t number)
{
  json_error_t error;
  json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  int status;
  if (!object)
    status = program_fail("%s:%zu: %s; --compare takes what gpt2-bench --json wrote", path, number,
                          error.text);
  else
    status = take_line(run, object, path, number);
  json_decref(object);
  return status;
}

int earlier_read(earlier_run *run, const char *path)
{
  FILE *file = fopen(path, "r");
  if (!file)
    return program_fail("%s: %s; --compare takes what gpt2-bench --json wrote", path,
                        strerror(errno));
  char *text = NULL;
  size_t capacity = 0, number = 0;
  int status = EXIT_DONE;
  errno = 0;
  for (ssize_t size; status == EXIT_DONE && (size = getline(&text, &capacity, file)) >= 0;)
    status = parse_line(run, text, (size_t)size, path, ++number);
  if (status == EXIT_DONE && ferror(file))
    status = program_fail("%s: %s", path, strerror(errno));
  if (status == EXIT_DONE && run->n_lines == 0)
    status = program_fail(
        "%s: there is no measurement in it; --compare takes what gpt2-bench --json wrote", path);
  free(text);
  fclose(file);
  return status;
}

void earlier_free(earlier_run *run)
{
  for (size_t i = 0; i < run->n_lines; i++)
    free_line(&run->lines[i]);
  free(run->lines);
  *run = (earlier_run){0};
}

static bool same_text(const char *a, const char *b)
{
  return a && b ? strcmp(a, b) == 0 : a == b;
}

const earlier_line *earlier_find(const earlier_run *run, const report_line *line)
{
  for (size_t i = run->n_lines; i > 0; i--) {
    const earlier_line *old = &run->lines[i - 1];
    if (same_text(old->what, line->what) && same_text(old->type, line->type) &&
        same_text(old->unit, line->unit) && old->n_threads == line->n_threads &&
        old->n_rows == line->n_rows && old->context == line->context)
      return old;
  }
  return NULL;
}

/* MB/s, GB/s, GFLOP/s: a greater value is the better one. */
static bool is_rate(const char *unit)
{
  size_t size = strlen(unit);
  return size > 2 && strcmp(unit + size - 2, "/s") == 0;
}

double earlier_speedup(const earlier_line *old, double value)
{
  return is_rate(old->unit) ? value / old->value : old->value / value;
}
