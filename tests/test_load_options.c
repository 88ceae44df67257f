/* test_load_options.c - what a load does with its options: those that are refused, how weights are
 * multiplied, threads, pages, and the memory that it takes meanwhile. */
#define _GNU_SOURCE
#include "gpt2.h"
#include "kernels/convert.h"
#include "model/model.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/opened.h"
#include "support/pools.h"
#include "support/random_folder.h"
#include "support/temporary_folder.h"
#include "support/typed_model.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static typed_model *typed; /* tied, of F16 */
static char *folder;       /* the same on disk */

static int make_model(void **state)
{
  (void)state;
  typed = typed_new(ELEMENT_F16, true);
  folder = typed_folder(typed);
  return 0;
}

static int free_model(void **state)
{
  (void)state;
  typed_free(typed);
  remove_temporary_folder(folder);
  return 0;
}

static gpt2_model *load(gpt2_load_options options)
{
  gpt2_model *model = NULL;
  gpt2_error error = NO_ERROR_YET;
  options.struct_size = sizeof options;
  must_have_succeeded(gpt2_load(folder, &options, &model, &error), &error);
  return model;
}

/* All matrices: wte, wpe, those of the blocks. */
enum { N_MATRICES = 2 + 4 * TYPED_LAYERS };

static const matrix *matrix_of(const gpt2_model *model, int index)
{
  if (index < 2)
    return index == 0 ? &model->wte : &model->wpe;
  const block *b = &model->blocks[(index - 2) / 4];
  const matrix *all[] = {&b->attn_qkv.weight, &b->attn_proj.weight, &b->mlp_fc.weight,
                         &b->mlp_proj.weight};
  return all[(index - 2) % 4];
}

/* ---- What is refused ---- */

static void expect_refused(gpt2_load_options options, gpt2_status status, const char *name,
                           const char *value)
{
  gpt2_blob blobs[2];
  host_source host = {.blobs = blobs, .n_blobs = 2};
  gpt2_source callbacks = host_callbacks(&host);
  gpt2_model *model = (gpt2_model *)typed;
  gpt2_error error = NO_ERROR_YET;
  options.struct_size = sizeof options;
  typed_blobs(typed, blobs);
  expect_failure(gpt2_load(folder, &options, &model, &error), status, &error, name, value);
  assert_null(model);
  expect_failure(gpt2_load_memory(blobs, 2, &options, &model, &error), status, &error, name, value);
  expect_failure(gpt2_load_source(&callbacks, &options, &model, &error), status, &error, name,
                 value);
  assert_int_equal(host.n_released, 1);
  assert_int_equal(host.n_reads, 0);
}

static void options_out_of_their_range_are_named(void **state)
{
  (void)state;
  static const int32_t bad[] = {-1, 6, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char value[16];
    snprintf(value, sizeof value, "%d", (int)bad[i]);
    expect_refused((gpt2_load_options){.weights = bad[i]}, GPT2_ERR_ARGUMENT, "options.weights",
                   value);
    expect_refused((gpt2_load_options){.compute = bad[i]}, GPT2_ERR_ARGUMENT, "options.compute",
                   value);
  }
  expect_refused((gpt2_load_options){.compute = 3}, GPT2_ERR_ARGUMENT, "options.compute", "3");
  expect_refused((gpt2_load_options){.n_threads = -2}, GPT2_ERR_ARGUMENT, "options.n_threads",
                 "-2");
  expect_refused((gpt2_load_options){.n_threads = 1025}, GPT2_ERR_LIMIT, "options.n_threads",
                 "1024");
  expect_refused((gpt2_load_options){.reserved = 1}, GPT2_ERR_UNSUPPORTED, "options.reserved",
                 "zero");
}

/* ---- How weights are multiplied ---- */

static bool all_are_fast(const gpt2_model *model, bool fast)
{
  for (int i = 2; i < N_MATRICES; i++)
    if (matrix_of(model, i)->fast != fast)
      return false;
  return model->unembed.fast == fast;
}

static void compute_is_fast_for_blocks_and_exact_else_unless_told(void **state)
{
  (void)state;
  bool bf16 = kernels_in_use()->bf16 != NULL; /* a processor that gains by rounding to it */
  for (int32_t weights = GPT2_TYPE_DEFAULT; weights <= GPT2_TYPE_Q4_0; weights++)
    for (int32_t compute = GPT2_COMPUTE_DEFAULT; compute <= GPT2_COMPUTE_FAST; compute++) {
      bool blocks = weights >= GPT2_TYPE_Q8_0;
      bool fast = blocks ? compute != GPT2_COMPUTE_EXACT
                         : weights == GPT2_TYPE_BF16 && compute == GPT2_COMPUTE_FAST && bf16;
      gpt2_model *model = load((gpt2_load_options){.weights = weights, .compute = compute});
      assert_true(all_are_fast(model, fast));
      assert_false(model->wpe.fast);
      assert_int_equal(info_of(model).compute, fast ? GPT2_COMPUTE_FAST : GPT2_COMPUTE_EXACT);
      gpt2_model_free(model);
    }
}

/* ---- Threads ---- */

static bool refuses_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *data);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *data);
static int n_created;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *data)
{
  n_created++;
  return refuses_threads ? EAGAIN : __real_pthread_create(thread, attributes, run, data);
}

static void expect_same_weights(const gpt2_model *found, const gpt2_model *expected)
{
  for (int i = 0; i < N_MATRICES; i++) {
    size_t size;
    assert_true(matrix_size(matrix_of(expected, i), &size));
    assert_memory_equal(matrix_of(found, i)->data, matrix_of(expected, i)->data, size);
  }
}

static void any_number_of_threads_gives_the_same_and_they_end_with_the_load(void **state)
{
  (void)state;
  static const int32_t counts[] = {2, 3, 5, 8, 64};
  int before = n_threads_of_process();
  for (int32_t weights = GPT2_TYPE_F32; weights <= GPT2_TYPE_Q4_0; weights++)
    for (uint32_t flags = 0; flags <= GPT2_LOAD_COPY; flags++) {
      n_created = 0;
      gpt2_model *one =
          load((gpt2_load_options){.weights = weights, .flags = flags, .n_threads = 1});
      assert_int_equal(n_created, 0);
      for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        n_created = 0;
        gpt2_model *many =
            load((gpt2_load_options){.weights = weights, .flags = flags, .n_threads = counts[i]});
        assert_in_range(n_created, 1, counts[i] - 1);
        expect_threads(before);
        expect_same_weights(many, one);
        gpt2_model_free(many);
      }
      gpt2_model_free(one);
    }
}

static void a_thread_that_is_refused_is_told_and_one_needs_none(void **state)
{
  (void)state;
  gpt2_load_options options = {
      .struct_size = sizeof options, .weights = GPT2_TYPE_Q8_0, .n_threads = 3};
  gpt2_model *model = (gpt2_model *)typed;
  gpt2_error error = NO_ERROR_YET;
  refuses_threads = true;
  expect_failure(gpt2_load(folder, &options, &model, &error), GPT2_ERR_SYSTEM, &error, "n_threads",
                 "thread 2 of 3");
  assert_null(model);
  options.n_threads = 1;
  error = NO_ERROR_YET;
  expect_success(gpt2_load(folder, &options, &model, &error), &error);
  refuses_threads = false;
  gpt2_model_free(model);
}

/* ---- Pages ---- */

/* Pages of [memory, memory + size) that are not in memory: of this process, by the kernel's map of
 * them, whose highest bit says so (Documentation/admin-guide/mm/pagemap.rst). */
static size_t absent_pages(int pagemap, const void *memory, size_t size)
{
  size_t n = 0, page_size = (size_t)sysconf(_SC_PAGESIZE);
  uintptr_t end = (uintptr_t)memory + size;
  for (uintptr_t page = (uintptr_t)memory / page_size; page * page_size < end; page++) {
    uint64_t entry = 0;
    assert_int_equal(pread(pagemap, &entry, sizeof entry, (off_t)(page * sizeof entry)), 8);
    n += !(entry >> 63);
  }
  return n;
}

static size_t absent_weights(const gpt2_model *model)
{
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  size_t n = absent_pages(pagemap, model->ln_f.weight, TYPED_EMBD * sizeof(float)), size;
  assert_true(pagemap >= 0);
  for (int i = 0; i < N_MATRICES; i++) {
    matrix_size(matrix_of(model, i), &size);
    n += absent_pages(pagemap, matrix_of(model, i)->data, size);
  }
  close(pagemap);
  return n;
}

static void prefaulted_weights_are_in_memory_when_the_load_returns(void **state)
{
  (void)state;
  for (int32_t weights = GPT2_TYPE_DEFAULT; weights <= GPT2_TYPE_Q4_0; weights++)
    for (uint32_t more = 0; more <= GPT2_LOAD_COPY; more++) {
      gpt2_model *model =
          load((gpt2_load_options){.weights = weights, .flags = GPT2_LOAD_PREFAULT | more});
      assert_int_equal(absent_weights(model), 0);
      gpt2_model_free(model);
    }
}

/* Whether the mapping that has the address is to have huge pages. */
static bool wants_huge_pages(const void *address)
{
  char line[512];
  bool inside = false, huge = false;
  FILE *maps = fopen("/proc/self/smaps", "r");
  assert_non_null(maps);
  while (fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
      inside = (uintptr_t)address >= from && (uintptr_t)address < to;
    if (inside && strncmp(line, "VmFlags:", 8) == 0)
      huge = strstr(line, " hg") != NULL;
  }
  fclose(maps);
  return huge;
}

static void huge_pages_are_asked_for_own_memory_and_for_mapped_files(void **state)
{
  (void)state;
  enum { HUGE = 2 << 20 };
  if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) != 0)
    skip(); /* a system without them */
  for (uint32_t flags = 0; flags <= GPT2_LOAD_HUGE_PAGES; flags += GPT2_LOAD_HUGE_PAGES) {
    gpt2_model *model = load((gpt2_load_options){.weights = GPT2_TYPE_F32, .flags = flags});
    assert_true(info_of(model).allocated_size > HUGE);
    assert_int_equal(wants_huge_pages(model->memory), flags != 0);
    assert_int_equal(wants_huge_pages(model->wpe.data), flags != 0); /* it stays in the file */
    if (flags)
      assert_int_equal((uintptr_t)model->memory % HUGE, 0);
    gpt2_model_free(model);
  }
}

/* Advice changes no weight. */
static void pages_change_nothing_but_speed(void **state)
{
  (void)state;
  for (int32_t weights = GPT2_TYPE_DEFAULT; weights <= GPT2_TYPE_Q4_0; weights++) {
    gpt2_model *plain = load((gpt2_load_options){.weights = weights});
    gpt2_model *advised = load((gpt2_load_options){
        .weights = weights, .flags = GPT2_LOAD_PREFAULT | GPT2_LOAD_HUGE_PAGES});
    expect_same_weights(advised, plain);
    assert_int_equal(info_of(advised).mapped_size, info_of(plain).mapped_size);
    assert_int_equal(info_of(advised).allocated_size, info_of(plain).allocated_size);
    gpt2_model_free(plain);
    gpt2_model_free(advised);
  }
}

/* ---- Memory while it loads ---- */

/* 35 MB of F32; the token table is more than half of it. */
static const random_sizes large = {.n_vocab = 20000,
                                   .n_ctx = 64,
                                   .n_embd = 256,
                                   .n_head = 4,
                                   .n_layer = 5,
                                   .n_inner = 1024,
                                   .seed = 8};

static long status_kilobytes(const char *key)
{
  char line[256];
  long found = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status))
    if (strncmp(line, key, strlen(key)) == 0)
      found = strtol(line + strlen(key), NULL, 10);
  if (status)
    fclose(status);
  return found;
}

/* In a process of its own, whether a load takes not much more at its peak than what it keeps: 1 to
 * 3 MB, and with AddressSanitizer 10, where the file would be 35. */
static bool is_frugal(const char *path, int32_t weights, uint32_t flags)
{
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    gpt2_load_options options = {
        .struct_size = sizeof options, .weights = weights, .flags = flags, .n_threads = 2};
    gpt2_model *model = NULL;
    alarm(60);
    long before = status_kilobytes("VmRSS:");
    if (gpt2_load(path, &options, &model, NULL) != GPT2_OK)
      _exit(2);
    long peak = status_kilobytes("VmHWM:") - before;
    long kept = (long)(info_of(model).allocated_size >> 10);
    _exit(peak < kept + kept / 10 + (14 << 10) ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void converting_never_needs_the_room_of_both(void **state)
{
  (void)state;
  char *path = make_random_folder(&large);
  for (int32_t weights = GPT2_TYPE_F16; weights <= GPT2_TYPE_Q4_0; weights++) {
    assert_true(is_frugal(path, weights, 0));
    assert_true(is_frugal(path, weights, GPT2_LOAD_COPY));
    assert_true(is_frugal(path, weights, GPT2_LOAD_PREFAULT));
  }
  remove_temporary_folder(path);
}

/* ---- Reads that fail ---- */

static void whichever_read_fails_while_weights_are_converted_it_is_told(void **state)
{
  (void)state;
  gpt2_blob blobs[2];
  typed_blobs(typed, blobs);
  for (int32_t weights = GPT2_TYPE_DEFAULT; weights <= GPT2_TYPE_Q4_0; weights += 4) {
    int failing = 1;
    for (bool loaded = false; !loaded; failing++) {
      host_source host = {.blobs = blobs, .n_blobs = 2, .broken_read = failing};
      gpt2_source callbacks = host_callbacks(&host);
      gpt2_load_options options = {.struct_size = sizeof options, .weights = weights};
      gpt2_model *model = NULL;
      gpt2_error error = NO_ERROR_YET;
      gpt2_status status = gpt2_load_source(&callbacks, &options, &model, &error);
      loaded = status == GPT2_OK;
      if (!loaded)
        expect_failure(status, GPT2_ERR_IO, &error, "read_at answered 5", NULL);
      assert_int_equal(host.n_released, !loaded);
      assert_int_equal(model != NULL, loaded);
      gpt2_model_free(model);
    }
    assert_true(failing > TYPED_MATRICES);
  }
}

/* ---- A forked process ---- */

static void a_child_loads_as_its_parent_does(void **state)
{
  (void)state;
  gpt2_model *parents = load((gpt2_load_options){.weights = GPT2_TYPE_Q8_0, .n_threads = 3});
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    size_t size;
    gpt2_load_options options = {
        .struct_size = sizeof options, .weights = GPT2_TYPE_Q8_0, .n_threads = 3};
    gpt2_model *model = NULL;
    alarm(20);
    bool same = gpt2_load(folder, &options, &model, NULL) == GPT2_OK;
    for (int i = 0; same && i < N_MATRICES; i++)
      same = matrix_size(matrix_of(model, i), &size) &&
             memcmp(matrix_of(model, i)->data, matrix_of(parents, i)->data, size) == 0;
    _exit(same ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  gpt2_model_free(parents);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_out_of_their_range_are_named),
      cmocka_unit_test(compute_is_fast_for_blocks_and_exact_else_unless_told),
      cmocka_unit_test(any_number_of_threads_gives_the_same_and_they_end_with_the_load),
      cmocka_unit_test(a_thread_that_is_refused_is_told_and_one_needs_none),
      cmocka_unit_test(prefaulted_weights_are_in_memory_when_the_load_returns),
      cmocka_unit_test(huge_pages_are_asked_for_own_memory_and_for_mapped_files),
      cmocka_unit_test(pages_change_nothing_but_speed),
      cmocka_unit_test(converting_never_needs_the_room_of_both),
      cmocka_unit_test(whichever_read_fails_while_weights_are_converted_it_is_told),
      cmocka_unit_test(a_child_loads_as_its_parent_does),
  };
  return cmocka_run_group_tests(tests, make_model, free_model);
}
