/* lists.c - options whose value is a list with commas, or a name out of a few. */
#include "bench/lists.h"

#include <string.h>

#include "support/options.h"
#include "support/output.h"
#include "support/program.h"

bool next_item(const char **list, const char **item, size_t *size)
{
  if (!*list)
    return false;
  *item = *list;
  *size = strcspn(*list, ",");
  *list = (*list)[*size] ? *list + *size + 1 : NULL;
  return true;
}

static void add_to(number_list *list, const char *option, int32_t value)
{
  if (list->n_values == MAX_LISTED)
    program_usage_error("%s: at most %d are taken at once", option, MAX_LISTED);
  list->values[list->n_values++] = value;
}

number_list option_integers(const char *option, const char *text, int32_t low, int32_t high)
{
  number_list list = {0};
  const char *item;
  size_t size;
  while (next_item(&text, &item, &size)) {
    buffer number = {0};
    buffer_add(&number, item, size);
    buffer_add(&number, "", 1);
    add_to(&list, option, option_integer(option, number.bytes, low, high));
    buffer_free(&number);
  }
  return list;
}

_Noreturn static void refuse_name(const char *option, const char *name, size_t size,
                                  const named_number *table)
{
  buffer allowed = {0};
  for (const named_number *entry = table; entry->name; entry++)
    buffer_format(&allowed, "%s%s", entry == table ? "" : ", ", entry->name);
  buffer_add(&allowed, "", 1);
  program_usage_error("%s: \"%.*s\" is none of %s", option, (int)size, name, allowed.bytes);
}

static int32_t find_name(const char *option, const char *name, size_t size,
                         const named_number *table)
{
  for (const named_number *entry = table; entry->name; entry++)
    if (strlen(entry->name) == size && memcmp(entry->name, name, size) == 0)
      return entry->number;
  refuse_name(option, name, size, table);
}

number_list option_names(const char *option, const char *text, const named_number *table)
{
  number_list list = {0};
  const char *item;
  size_t size;
  while (next_item(&text, &item, &size))
    add_to(&list, option, find_name(option, item, size, table));
  return list;
}

int32_t option_name(const char *option, const char *text, const named_number *table)
{
  return find_name(option, text, strlen(text), table);
}

const char *name_of(const named_number *table, int32_t number)
{
  for (const named_number *entry = table; entry->name; entry++)
    if (entry->number == number)
      return entry->name;
  return NULL;
}
