/* header_functions.c - reads the declarations of gpt2.h. */
#include "support/header_functions.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fixture.h"

static header_function found[MOST_FUNCTIONS];

/* A file of the source tree as a string. */
static char *read_source(const char *below_tests)
{
  size_t size;
  char *path = test_data_path(below_tests), *text = read_test_file(path, &size);
  free(path);
  return text;
}

static void blank_comments(char *text)
{
  for (char *at = strstr(text, "/*"); at; at = strstr(at, "/*")) {
    const char *end = strstr(at, "*/");
    assert_non_null(end);
    memset(at, ' ', (size_t)(end + 2 - at));
  }
}

static bool is_of_name(char c)
{
  return isalnum((unsigned char)c) || c == '_';
}

/* The last name in [from, to); where it begins. */
static const char *last_name(const char *from, const char *to, char name[64])
{
  while (to > from && !is_of_name(to[-1]))
    to--;
  const char *start = to;
  while (start > from && is_of_name(start[-1]))
    start--;
  assert_in_range(to - start, 1, 63);
  memcpy(name, start, (size_t)(to - start));
  name[to - start] = '\0';
  return start;
}

static bool ends_like(const char *name, const char *end)
{
  size_t size = strlen(name), end_size = strlen(end);
  return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* Types of functions are called ..._callback. */
static void read_parameter(header_function *f, const char *from, const char *to)
{
  char type[64] = "x";
  assert_true(f->n_parameters < MOST_PARAMETERS);
  header_parameter *p = &f->parameters[f->n_parameters++];
  const char *start = last_name(from, to, p->name);
  p->is_pointer = memchr(from, '*', (size_t)(to - from)) != NULL;
  if (!p->is_pointer)
    last_name(from, start, type);
  p->is_pointer |= ends_like(type, "_callback");
}

/* A declaration from its return type on. */
static void read_function(header_function *f, const char *at)
{
  const char *open = strchr(at, '('), *end = strchr(at, ';');
  assert_true(open && end && open < end);
  last_name(at, open, f->name);
  if (strncmp(open, "(void)", 6) == 0)
    return;
  while (*open != ')') {
    const char *next = open + 1 + strcspn(open + 1, ",)");
    read_parameter(f, open + 1, next);
    open = next;
  }
}

static bool is_in_header(const char *name, int n)
{
  for (int i = 0; i < n; i++)
    if (strcmp(found[i].name, name) == 0)
      return true;
  return false;
}

static void compare_with_symbols(int n)
{
  char *symbols = read_source("house/symbols.txt");
  int n_symbols = 0;
  for (char *line = strtok(symbols, "\n"); line; line = strtok(NULL, "\n")) {
    if (*line == '#')
      continue;
    n_symbols++;
    if (!is_in_header(line, n))
      fail_msg("gpt2.h does not declare %s", line);
  }
  assert_int_equal(n_symbols, n);
  free(symbols);
}

const header_function *header_functions(int *n)
{
  static const char mark[] = "\nGPT2_API ";
  char *text = read_source("../include/gpt2.h");
  memset(found, 0, sizeof found);
  blank_comments(text);
  *n = 0;
  for (const char *at = strstr(text, mark); at; at = strstr(at + 1, mark)) {
    assert_true(*n < MOST_FUNCTIONS);
    read_function(&found[(*n)++], at + sizeof mark - 1);
  }
  free(text);
  compare_with_symbols(*n);
  return found;
}
