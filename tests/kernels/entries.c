/* entries.c - the entries of the table of kernels. */
#include "kernels/entries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "gpt2.h"
#include "kernels/checks.h"

/* The table is pointers to functions but for its name and some sizes. */
typedef void (*any_function)(void);
_Static_assert(sizeof(kernels) % sizeof(any_function) == 0, "a table of pointers");
_Static_assert(sizeof(bf16_products) % sizeof(any_function) == 0, "a table of pointers");
_Static_assert(sizeof(any_function) == sizeof(uintptr_t), "pointers are compared as numbers");

/* Whether a function of every set stands at this byte of the table. bf16 products have no scalar
 * form, as those of f32 are as fast there. */
static bool is_function(size_t at)
{
  return at != offsetof(kernels, name) && at != offsetof(kernels, strip_columns) &&
         at != offsetof(kernels, strip_rows) && at != offsetof(kernels, own_rows) &&
         at != offsetof(kernels, wide_rows) && at != offsetof(kernels, bf16);
}

static uintptr_t pointer_at(const void *table, size_t offset)
{
  uintptr_t pointer;
  memcpy(&pointer, (const char *)table + offset, sizeof pointer);
  return pointer;
}

uintptr_t entry_address(const kernel_entry *entry, const kernels *table)
{
  if (entry->offset != offsetof(kernels, bf16))
    return pointer_at(table, entry->offset);
  return table->bf16 ? pointer_at(table->bf16, entry->part) : 0;
}

/* ---- What was tried ---- */

static struct {
  size_t offset, part;
  uintptr_t address;
} tried[1024];
static size_t n_tried;

static bool was_tried(const kernel_entry *entry, uintptr_t address)
{
  for (size_t i = 0; i < n_tried; i++)
    if (tried[i].offset == entry->offset && tried[i].part == entry->part &&
        tried[i].address == address)
      return true;
  return false;
}

static void remember(const kernel_entry *entry, uintptr_t address)
{
  assert_true(n_tried < sizeof tried / sizeof *tried);
  tried[n_tried].offset = entry->offset;
  tried[n_tried].part = entry->part;
  tried[n_tried++].address = address;
}

bool entry_is_own(const kernel_entry *entry, const kernel_set *sets, size_t set)
{
  uintptr_t address = entry_address(entry, &sets[set].table);
  for (size_t i = 0; i < set; i++)
    if (entry_address(entry, &sets[i].table) == address)
      return false;
  return address != 0;
}

static kernel_trial trial_of(const kernel_entry *entry, const kernel_set *set)
{
  return (kernel_trial){.kernel = &set->table, .set = set->name, .index = entry->index};
}

void try_entry(const kernel_entry *entry, void (*check)(const kernel_trial *trial))
{
  size_t n;
  const kernel_set *sets = kernel_sets(&n);
  for (size_t i = 0; i < n; i++) {
    if (!entry_is_own(entry, sets, i))
      continue;
    run_trials(trial_of(entry, &sets[i]), check);
    remember(entry, entry_address(entry, &sets[i].table));
  }
}

void try_entry_once(const kernel_entry *entry, size_t size,
                    void (*check)(const kernel_trial *trial))
{
  size_t n;
  const kernel_set *sets = kernel_sets(&n);
  for (size_t i = 0; i < n; i++) {
    kernel_trial trial = trial_of(entry, &sets[i]);
    trial.n = size;
    if (entry_is_own(entry, sets, i))
      check(&trial);
  }
}

/* ---- All of the table ---- */

/* `what` stands where an entry does: in the table, or in what `bf16` points to. */
static void check_tried(const kernel_set *set, const char *what, const kernel_entry *entry)
{
  uintptr_t address = entry_address(entry, &set->table);
  if (address && !was_tried(entry, address))
    fail_msg("%s: the entry at byte %zu of %s is tried by no test", set->name,
             entry->offset == offsetof(kernels, bf16) ? entry->part : entry->offset, what);
}

void every_entry_was_tried_at_every_instruction_set(void **state)
{
  (void)state;
  size_t n;
  const kernel_set *sets = kernel_sets(&n);
  for (size_t i = 0; i < n; i++) {
    for (size_t at = 0; at < sizeof(kernels); at += sizeof(any_function))
      if (is_function(at))
        check_tried(&sets[i], "the table", &(kernel_entry){.offset = at});
    for (size_t at = 0; at < sizeof(bf16_products); at += sizeof(any_function))
      check_tried(&sets[i], "bf16_products",
                  &(kernel_entry){.offset = offsetof(kernels, bf16), .part = at});
  }
}

void every_set_has_what_the_scalar_one_has(void **state)
{
  (void)state;
  size_t n;
  const kernel_set *sets = kernel_sets(&n);
  for (size_t i = 0; i < n; i++)
    for (size_t at = 0; at < sizeof(kernels); at += sizeof(any_function)) {
      bool there = pointer_at(&sets[i].table, at) != 0;
      if (is_function(at) && there != (pointer_at(&sets[0].table, at) != 0))
        fail_msg("%s: the entry at byte %zu of the table is %sthere", sets[i].name, at,
                 there ? "" : "not ");
    }
}

void the_table_in_use_is_that_of_this_processor(void **state)
{
  (void)state;
  kernels expected;
  kernels_for(cpu_features(), &expected);
  assert_string_equal(kernels_in_use()->name, expected.name);
  assert_memory_equal(kernels_in_use(), &expected, sizeof expected);
}

void without_any_instruction_set_it_is_the_scalar_one(void **state)
{
  (void)state;
  kernels found, expected;
  kernels_for(0, &found);
  kernels_scalar(&expected);
  assert_string_equal(found.name, "scalar");
  assert_memory_equal(&found, &expected, sizeof expected);
}

/* ---- Which sets bring which functions ---- */

#if defined(__x86_64__)

enum { AVX2 = CPU_AVX2, AVX512 = CPU_AVX512, VNNI = CPU_AVX512_VNNI, BF16 = CPU_AVX512_BF16 };

/* Sets that must have a function of their own for an entry: it is another than the same processor
 * would get without the set. */
static const struct {
  kernel_entry entry;
  uint32_t sets;
} own[] = {
#define OWN(member, sets)                                                                          \
  {                                                                                                \
    {#member, offsetof(kernels, member), 0, 0}, sets                                               \
  }
#define OWN_AT(member, index, sets)                                                                \
  {                                                                                                \
    {#member "[" #index "]", offsetof(kernels, member[index]), index, 0}, sets                     \
  }
    OWN_AT(product_in_out, ELEMENT_F32, AVX2 | AVX512),
    OWN_AT(product_in_out, ELEMENT_F16, AVX2 | AVX512),
    OWN_AT(product_in_out, ELEMENT_BF16, AVX2 | AVX512),
    OWN_AT(product_out_in, ELEMENT_F32, AVX2 | AVX512),
    OWN_AT(product_out_in, ELEMENT_F16, AVX2 | AVX512),
    OWN_AT(product_out_in, ELEMENT_BF16, AVX2 | AVX512),
    OWN(pack_rows, AVX2 | AVX512),
    OWN(product_strip, AVX2 | AVX512),
    OWN_AT(product_packed, ELEMENT_Q8_0, AVX2 | VNNI),
    OWN_AT(product_packed, ELEMENT_Q4_0, AVX2 | VNNI),
    OWN(bf16, BF16),
    OWN_AT(to_f32, ELEMENT_F16, AVX2 | AVX512),
    OWN_AT(to_f32, ELEMENT_BF16, AVX2 | AVX512),
    OWN_AT(from_f32, ELEMENT_F16, AVX2 | AVX512),
    OWN_AT(from_f32, ELEMENT_BF16, AVX2 | AVX512),
    OWN(quantize_row, AVX2 | AVX512),
    OWN_AT(pack_block, ELEMENT_Q8_0, AVX2 | AVX512),
    OWN_AT(pack_block, ELEMENT_Q4_0, AVX2 | AVX512),
    OWN_AT(unpack_block, ELEMENT_Q8_0, AVX2 | AVX512),
    OWN_AT(unpack_block, ELEMENT_Q4_0, AVX2 | AVX512),
    OWN(layer_norm, AVX2 | AVX512),
    OWN_AT(activation, GPT2_ACTIVATION_GELU_TANH, AVX2 | AVX512),
    OWN_AT(activation, GPT2_ACTIVATION_GELU_ERF, AVX2 | AVX512),
    OWN_AT(activation, GPT2_ACTIVATION_RELU, AVX2 | AVX512),
    OWN_AT(scores, ELEMENT_F32, AVX2 | AVX512),
    OWN_AT(scores, ELEMENT_F16, AVX2 | AVX512),
    OWN(softmax, AVX2 | AVX512),
    OWN_AT(weighted_sum, ELEMENT_F32, AVX2 | AVX512),
    OWN_AT(weighted_sum, ELEMENT_F16, AVX2 | AVX512),
    OWN(maximum, AVX2 | AVX512),
    OWN(first_equal, AVX2 | AVX512),
    OWN(exponentials, AVX2 | AVX512),
    OWN(exponential_sums, AVX2 | AVX512),
    OWN(count_greater, AVX2 | AVX512),
    OWN(find_greater, AVX2 | AVX512),
    OWN(sum_greater, AVX2 | AVX512),
    OWN(add, AVX2 | AVX512),
    OWN(scale, AVX2 | AVX512),
#undef OWN
#undef OWN_AT
};

/* A processor with this set as its greatest. */
static uint32_t processor_with(uint32_t set)
{
  return set == AVX2 ? AVX2 : AVX2 | AVX512 | set;
}

static bool is_own_of(const kernel_entry *entry, uint32_t set)
{
  kernels with, without;
  kernels_for(processor_with(set), &with);
  kernels_for(processor_with(set) & ~set, &without);
  uintptr_t address = pointer_at(&with, entry->offset);
  if (address != 0 && address != pointer_at(&without, entry->offset))
    return true;
  print_message("# %s: a processor with %s gets the function of one without\n", entry->name,
                set == AVX2     ? "AVX2"
                : set == AVX512 ? "AVX-512"
                : set == VNNI   ? "AVX-512-VNNI"
                                : "AVX-512-BF16");
  return false;
}

void capable_processors_get_functions_of_their_own(void **state)
{
  (void)state;
  int n_missing = 0;
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    for (uint32_t set = AVX2; set <= BF16; set <<= 1)
      n_missing += (own[i].sets & set) && !is_own_of(&own[i].entry, set);
  assert_int_equal(n_missing, 0);
}

#endif
