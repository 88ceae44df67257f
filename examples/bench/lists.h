/* lists.h - options whose value is a list with commas, or a name out of a few. */
#ifndef BENCH_LISTS_H
#define BENCH_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_LISTED = 16 };

typedef struct number_list {
  int32_t values[MAX_LISTED];
  int32_t n_values;
} number_list;

/* A name that stands for a number; a table of them ends with a NULL name. */
typedef struct named_number {
  const char *name;
  int32_t number;
} named_number;

/* Takes the next item off a list, the empty one too; false when there are no more. */
bool next_item(const char **list, const char **item, size_t *size);

/* Reads an option's value. What is not in the range, or in the table, ends the program with a line
 * that names the option, the item, and what is allowed. */
number_list option_integers(const char *option, const char *text, int32_t low, int32_t high);
number_list option_names(const char *option, const char *text, const named_number *table);
int32_t option_name(const char *option, const char *text, const named_number *table);

/* The name of a number of the table; NULL where it has none. */
const char *name_of(const named_number *table, int32_t number);

#endif
