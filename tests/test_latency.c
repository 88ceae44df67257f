/* test_latency.c - what a token within a block of the cache must not cost: an allocation, a lock, a
 * system call, a page fault. */
#define _GNU_SOURCE
#include "gpt2.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/pools.h"
#include "support/process_costs.h"
#include "support/random_folder.h"
#include "support/random_numbers.h"
#include "support/temporary_folder.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 16 }; /* tokens of a block of the cache */

/* ---- What is counted ---- */

typedef struct costs {
  size_t hooks, allocations, page_faults;
  size_t locks; /* those of falling asleep and waking left out; NEVER_CALM: they say nothing */
} costs;

#define NEVER_CALM SIZE_MAX

/* ---- Memory that nobody has touched ---- */

/* Hooks that count, and whose larger pieces are always fresh from the system. */
typedef struct fresh_memory {
  size_t n_calls, n_live;
} fresh_memory;

enum { PAGE = 4096, LARGE = 16 * PAGE };

/* Before each piece: how long its mapping is; 0: it comes from the heap. */
static void *fresh_allocate(size_t size, size_t alignment, void *user)
{
  fresh_memory *counts = user;
  void *memory = NULL;
  counts->n_calls++;
  if (size < LARGE || alignment > PAGE) {
    if (posix_memalign(&memory, PAGE, size + PAGE) != 0)
      return NULL;
    *(size_t *)memory = 0;
  } else {
    memory = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return NULL;
    *(size_t *)memory = size + PAGE;
  }
  counts->n_live++;
  return (char *)memory + PAGE;
}

static void fresh_release(void *memory, void *user)
{
  void *start = (char *)memory - PAGE;
  size_t size = *(size_t *)start;
  ((fresh_memory *)user)->n_live--;
  if (size > 0)
    munmap(start, size);
  else
    free(start);
}

/* ---- What they are counted over ---- */

static const int32_t weight_types[] = {GPT2_TYPE_F32, GPT2_TYPE_F16, GPT2_TYPE_BF16, GPT2_TYPE_Q8_0,
                                       GPT2_TYPE_Q4_0};

/* Folders: a model with a tokenizer, whose weights are f16, and one of f32 with rows as long as
 * those of GPT-2 124M, which stay in the mapped file, and keys that are longer: those of a block
 * are on several pages. */
static char *tales, *wide;

static int make_models(void **state)
{
  (void)state;
  const random_sizes sizes = {.n_vocab = 503,
                              .n_ctx = 256,
                              .n_embd = 768,
                              .n_head = 4,
                              .n_layer = 2,
                              .n_inner = 1024,
                              .seed = 16};
  tales = test_data_path("../examples/models/tales");
  wide = make_random_folder(&sizes);
  return 0;
}

static int remove_models(void **state)
{
  (void)state;
  free(tales);
  remove_temporary_folder(wide);
  return 0;
}

/* A way to make one token after another. */
typedef struct stepper {
  fresh_memory memory;
  gpt2_context *context;
  gpt2_generation *generation; /* NULL: tokens are evaluated */
  random_numbers random;
  int32_t n_vocab;
} stepper;

/* What is stepped. */
typedef struct setting {
  const char *folder;
  int32_t weights, kv_type;
  int n_threads;
  bool generating;
} setting;

static void open_stepper(stepper *s, const setting *of)
{
  const gpt2_allocator hooks = {.struct_size = sizeof hooks,
                                .allocate = fresh_allocate,
                                .release = fresh_release,
                                .user = &s->memory};
  const gpt2_load_options load = {
      .struct_size = sizeof load, .allocator = &hooks, .weights = of->weights};
  const gpt2_context_options options = {
      .struct_size = sizeof options, .n_threads = of->n_threads, .kv_type = of->kv_type};
  gpt2_error error = NO_ERROR_YET;
  gpt2_model *model = NULL;
  must_have_succeeded(gpt2_load(of->folder, &load, &model, &error), &error);
  must_have_succeeded(gpt2_context_new(model, &options, &s->context, &error), &error);
  s->n_vocab = info_of(model).n_vocab;
  gpt2_model_free(model);
}

static void start_generation(stepper *s)
{
  const gpt2_sampler_options sampling = {
      .struct_size = sizeof sampling, .seed = 3, .temperature = 0.9f, .top_k = 40, .top_p = 0.95f};
  const gpt2_string stop = {"no such words", 13};
  const gpt2_generate_options options = {.struct_size = sizeof options,
                                         .flags = GPT2_GENERATE_IGNORE_END,
                                         .sampling = &sampling,
                                         .stops = &stop,
                                         .n_stops = 1};
  must_succeed(gpt2_generation_new(s->context, "Once", 4, &options, &s->generation), s->context);
}

static void close_stepper(stepper *s)
{
  gpt2_generation_free(s->generation);
  gpt2_context_free(s->context);
  assert_int_equal(s->memory.n_live, 0);
}

/* One token more in sequence 0. */
static void step(stepper *s)
{
  if (s->generation) {
    gpt2_piece piece = {.struct_size = sizeof piece};
    must_succeed(gpt2_generation_next(s->generation, &piece), s->context);
  } else {
    gpt2_token token = random_below(&s->random, s->n_vocab);
    must_succeed(gpt2_eval(s->context, 0, &token, 1, 0), s->context);
  }
}

/* Goes on to the first token of the next block, and then counts over the others of it. */
static costs count_block(stepper *s)
{
  do
    step(s);
  while (gpt2_kv_length(s->context, 0) % BLOCK != 1);
  costs before = {s->memory.n_calls, n_allocations, n_page_faults(), n_locks};
  size_t slept = n_sleeps;
  while (gpt2_kv_length(s->context, 0) % BLOCK != 0)
    step(s);
  size_t locks = n_locks - before.locks, of_sleep = 2 * (n_sleeps - slept);
  return (costs){s->memory.n_calls - before.hooks, n_allocations - before.allocations,
                 n_page_faults() - before.page_faults, locks > of_sleep ? locks - of_sleep : 0};
}

/* The sums over several blocks after one that warms up, and the fewest locks of a block: a thread
 * may want to fall asleep, and find that it need not. Where a thread has lost its core, others fall
 * asleep, and for a while all of them do sooner: what locks there are then says nothing, nor in the
 * block that follows. */
static costs count_blocks(stepper *s)
{
  enum { N_BLOCKS = 12 };
  costs sum = {.locks = NEVER_CALM};
  bool was_calm = false;
  count_block(s);
  for (int i = 0; i < N_BLOCKS; i++) {
    size_t before = n_preemptions();
    costs c = count_block(s);
    bool is_calm = n_preemptions() == before;
    sum = (costs){sum.hooks + c.hooks, sum.allocations + c.allocations,
                  sum.page_faults + c.page_faults, sum.locks};
    if ((c.locks == 0 || (is_calm && was_calm)) && c.locks < sum.locks)
      sum.locks = c.locks;
    was_calm = is_calm;
  }
  return sum;
}

/* Some times until there is no page fault, or no lock: the system may take a page, or a core, away,
 * but it does not do so every time. */
static costs costs_of(setting of, bool of_locks)
{
  costs found = {.page_faults = 1, .locks = 1};
  for (int attempt = 0; attempt < 10 && (of_locks ? found.locks : found.page_faults) > 0;
       attempt++) {
    stepper s = {.random = {11}};
    open_stepper(&s, &of);
    if (of.generating)
      start_generation(&s);
    found = count_blocks(&s);
    close_stepper(&s);
  }
  return found;
}

static void must_be_free(setting of)
{
  costs found = costs_of(of, false);
  assert_int_equal(found.hooks + found.allocations + found.page_faults, 0);
}

static void a_token_within_a_block_allocates_nothing_and_meets_no_page_fault(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof weight_types / sizeof *weight_types; i++)
    for (int n_threads = 1; n_threads <= 2; n_threads++)
      must_be_free((setting){.folder = wide, .weights = weight_types[i], .n_threads = n_threads});
  must_be_free((setting){.folder = wide, .kv_type = GPT2_TYPE_F16, .n_threads = 2});
}

static void so_does_a_token_that_is_generated(void **state)
{
  (void)state;
  must_be_free((setting){.folder = tales, .n_threads = 1, .generating = true});
  must_be_free((setting){.folder = tales, .n_threads = 2, .generating = true});
}

static bool takes_no_lock(setting of)
{
  size_t locks = costs_of(of, true).locks;
  if (locks == NEVER_CALM)
    return false;
  assert_int_equal(locks, 0);
  return true;
}

static void no_lock_is_taken_while_no_thread_sleeps(void **state)
{
  (void)state;
  bool told = true;
  for (int n_threads = 1; n_threads <= 2; n_threads++) {
    for (size_t i = 0; i < sizeof weight_types / sizeof *weight_types; i++)
      told &= takes_no_lock(
          (setting){.folder = wide, .weights = weight_types[i], .n_threads = n_threads});
    told &= takes_no_lock((setting){.folder = tales, .n_threads = n_threads, .generating = true});
  }
  if (!told)
    skip(); /* the system took cores away all the time */
}

static void what_is_counted_does_exist(void **state)
{
  (void)state;
  stepper s = {.random = {11}};
  open_stepper(&s, &(setting){.folder = tales, .n_threads = 2});
  count_block(&s);
  costs before = {s.memory.n_calls, n_allocations, n_page_faults(), n_locks};
  gpt2_token tokens[300] = {0};
  nap(5); /* the other thread falls asleep, and to wake it takes a lock */
  must_succeed(gpt2_eval(s.context, 1, tokens, 300, 0), s.context);
  assert_true(s.memory.n_calls > before.hooks);
  assert_true(n_allocations > before.allocations);
  assert_true(n_locks > before.locks);
#ifndef __SANITIZE_ADDRESS__
  assert_true(n_page_faults() > before.page_faults);
#endif
  close_stepper(&s);
}

/* ---- System calls ---- */

/* From here on any call to the system but read, write, return from a signal and exit of the thread
 * ends the process. */
static void forbid_system_calls(void)
{
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
    syscall(SYS_exit, 77);
}

/* In a process of its own: a block's tokens. Returns its status. */
static int status_of_child(int32_t weights, bool generating)
{
  stepper s = {.random = {11}};
  open_stepper(&s, &(setting){.folder = tales, .weights = weights, .n_threads = 1});
  if (generating)
    start_generation(&s);
  count_block(&s);
  do
    step(&s);
  while (gpt2_kv_length(s.context, 0) % BLOCK != 1);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    step(&s); /* the pages that were shared with the parent become our own */
    forbid_system_calls();
    while (gpt2_kv_length(s.context, 0) % BLOCK != 0)
      step(&s);
    syscall(SYS_exit, 0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  close_stepper(&s);
  return status;
}

static void on_one_thread_the_system_is_not_called(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof weight_types / sizeof *weight_types; i++)
    for (int generating = 0; generating < 2; generating++) {
      int status = status_of_child(weight_types[i], generating);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* a kernel without seccomp */
      assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_token_within_a_block_allocates_nothing_and_meets_no_page_fault),
      cmocka_unit_test(so_does_a_token_that_is_generated),
      cmocka_unit_test(no_lock_is_taken_while_no_thread_sleeps),
      cmocka_unit_test(what_is_counted_does_exist),
      cmocka_unit_test(on_one_thread_the_system_is_not_called),
  };
  return cmocka_run_group_tests(tests, make_models, remove_models);
}
