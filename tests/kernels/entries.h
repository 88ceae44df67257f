/* entries.h - the entries of the table of kernels, each tried at every instruction set; and what
 * the table as a whole must hold. */
#ifndef TESTS_KERNELS_ENTRIES_H
#define TESTS_KERNELS_ENTRIES_H

#include "support/kernel_trials.h"

/* A function of the table: where it stands in it. */
typedef struct kernel_entry {
  const char *name;
  size_t offset;
  int index;   /* in an array of entries: an element type, an activation */
  size_t part; /* of bf16_products, where `offset` is that of `bf16` */
} kernel_entry;

#define ENTRY(member) (&(kernel_entry){#member, offsetof(kernels, member), 0, 0})
#define ENTRY_AT(member, index)                                                                    \
  (&(kernel_entry){#member "[" #index "]", offsetof(kernels, member[index]), index, 0})
#define BF16_ENTRY(member)                                                                         \
  (&(kernel_entry){"bf16->" #member, offsetof(kernels, bf16), 0, offsetof(bf16_products, member)})

/* A function's address, or 0, to be compared with others. */
uintptr_t entry_address(const kernel_entry *entry, const kernels *table);

/* Whether the set of that index has a function there that the sets before it have not. */
bool entry_is_own(const kernel_entry *entry, const kernel_set *sets, size_t set);

/* Runs the trials for every instruction set that has a function of its own there, and remembers
 * that it was tried. */
void try_entry(const kernel_entry *entry, void (*check)(const kernel_trial *trial));

/* One trial of so many numbers for each, of one kind and at one place. */
void try_entry_once(const kernel_entry *entry, size_t n, void (*check)(const kernel_trial *trial));

#endif
