/* test_source.c - sources of bytes: a folder, blobs in memory and the host's callbacks answer
 * alike. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/source.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/host_source.h"
#include "support/temporary_folder.h"

static const char greeting[] = "hello, world";
enum { GREETING_SIZE = sizeof greeting - 1 };

static const gpt2_blob files_in_memory[] = {{"greeting", greeting, GREETING_SIZE, 0},
                                            {"empty", NULL, 0, 0}};
enum { N_FILES = sizeof files_in_memory / sizeof *files_in_memory };

/* Every kind of source over the same two files. */
typedef enum source_choice {
  BLOBS,
  MAPPED,
  COPIED,
  HOST,
  HOST_VIEW,
  HOST_VIEW_COPIED,
  N_CHOICES
} source_choice;

static bool has_view(source_choice choice)
{
  return choice == BLOBS || choice == MAPPED || choice == HOST_VIEW;
}

typedef struct opened {
  counting_allocator counter;
  gpt2_allocator hooks;
  host_source host;
  char *folder;
  source *source;
} opened;

/* The answer of opening; o->folder, where there is one, is made before. */
static gpt2_status try_open(source_choice choice, opened *o, gpt2_error *error)
{
  gpt2_source callbacks = host_callbacks(&o->host);
  switch (choice) {
  case BLOBS:
    return source_open_blobs(&o->hooks, files_in_memory, N_FILES, &o->source, error);
  case MAPPED:
  case COPIED:
    return source_open_folder(&o->hooks, o->folder, choice == COPIED, &o->source, error);
  default:
    return source_open_callbacks(&o->hooks, &callbacks, choice == HOST_VIEW_COPIED, &o->source,
                                 error);
  }
}

static void prepare(source_choice choice, opened *o)
{
  *o = (opened){.host = {.blobs = files_in_memory, .n_blobs = N_FILES}};
  o->hooks = counting_hooks(&o->counter);
  o->host.has_view = choice == HOST_VIEW || choice == HOST_VIEW_COPIED;
  if (choice == MAPPED || choice == COPIED) {
    o->folder = new_temporary_folder();
    write_temporary_file(o->folder, "greeting", greeting, GREETING_SIZE);
    write_temporary_file(o->folder, "empty", "", 0);
  }
}

static void open_source(source_choice choice, opened *o)
{
  gpt2_error error = NO_ERROR_YET;
  prepare(choice, o);
  expect_success(try_open(choice, o, &error), &error);
}

/* Nothing may be left behind. */
static void close_source(source_choice choice, opened *o)
{
  source_free(o->source);
  assert_int_equal(o->counter.n_live, 0);
  assert_int_equal(o->host.n_open, 0);
  assert_int_equal(o->host.n_released, choice >= HOST);
  if (o->folder)
    remove_temporary_folder(o->folder);
}

static void every_source_gives_the_same_bytes(void **state)
{
  (void)state;
  for (source_choice choice = 0; choice < N_CHOICES; choice++) {
    gpt2_error error = NO_ERROR_YET;
    opened o;
    file *f;
    char buffer[5];
    const uint8_t *bytes, *again;
    open_source(choice, &o);
    expect_success(source_file(o.source, "greeting", &f, &error), &error);
    assert_int_equal(f->size, GREETING_SIZE);
    assert_int_equal(f->view != NULL, has_view(choice));
    expect_success(file_read(f, 7, buffer, sizeof buffer, &error), &error);
    assert_memory_equal(buffer, "world", sizeof buffer);
    expect_success(file_bytes(f, GREETING_SIZE, &bytes, &error), &error);
    assert_memory_equal(bytes, greeting, GREETING_SIZE);
    expect_success(file_bytes(f, GREETING_SIZE, &again, &error), &error);
    assert_ptr_equal(bytes, again);
    assert_ptr_equal(source_allocator(o.source)->user, &o.counter);
    file_close(f);
    close_source(choice, &o);
  }
}

static void an_empty_file_is_a_file(void **state)
{
  (void)state;
  for (source_choice choice = 0; choice < N_CHOICES; choice++) {
    gpt2_error error = NO_ERROR_YET;
    opened o;
    file *f;
    const uint8_t *bytes = NULL;
    open_source(choice, &o);
    expect_success(source_file(o.source, "empty", &f, &error), &error);
    assert_int_equal(f->size, 0);
    expect_success(file_bytes(f, 0, &bytes, &error), &error);
    assert_non_null(bytes);
    expect_success(file_read(f, 0, NULL, 0, &error), &error);
    file_close(f);
    close_source(choice, &o);
  }
}

static void a_missing_file_is_not_found_and_the_others_still_open(void **state)
{
  (void)state;
  for (source_choice choice = 0; choice < N_CHOICES; choice++) {
    gpt2_error error = NO_ERROR_YET;
    opened o;
    file *f;
    open_source(choice, &o);
    expect_failure(source_file(o.source, "nothing.json", &f, &error), GPT2_ERR_NOT_FOUND, &error,
                   "nothing.json", o.folder);
    assert_null(f);
    assert_int_equal(source_file(o.source, "greeting", &f, NULL), GPT2_OK);
    file_close(f);
    close_source(choice, &o);
  }
}

static void no_name_leads_out_of_the_folder(void **state)
{
  (void)state;
  static const char *const names[] = {"../greeting", "/greeting", "sub/greeting", "/", ""};
  for (source_choice choice = 0; choice < N_CHOICES; choice++) {
    opened o;
    file *f;
    open_source(choice, &o);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      gpt2_error error = NO_ERROR_YET;
      expect_failure(source_file(o.source, names[i], &f, &error), GPT2_ERR_FORMAT, &error, names[i],
                     "is not the name of a file");
      assert_null(f);
    }
    close_source(choice, &o);
  }
}

static void nothing_is_read_beyond_the_end(void **state)
{
  (void)state;
  static const struct {
    uint64_t offset;
    size_t size;
  } ranges[] = {{0, GREETING_SIZE + 1},
                {GREETING_SIZE, 1},
                {GREETING_SIZE + 1, 0},
                {UINT64_MAX, 1},
                {1, SIZE_MAX}};
  for (source_choice choice = 0; choice < N_CHOICES; choice++) {
    opened o;
    file *f;
    char buffer[64];
    open_source(choice, &o);
    assert_int_equal(source_file(o.source, "greeting", &f, NULL), GPT2_OK);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
      gpt2_error error = NO_ERROR_YET;
      expect_failure(file_read(f, ranges[i].offset, buffer, ranges[i].size, &error),
                     GPT2_ERR_FORMAT, &error, "greeting: ends at byte 12", NULL);
      assert_int_equal(error.offset, GREETING_SIZE);
    }
    assert_int_equal(file_read(f, 11, buffer, 1, NULL), GPT2_OK);
    assert_int_equal(buffer[0], 'd');
    file_close(f);
    close_source(choice, &o);
  }
}

static void a_file_larger_than_its_reader_wants_is_refused(void **state)
{
  (void)state;
  for (source_choice choice = 0; choice < N_CHOICES; choice++) {
    gpt2_error error = NO_ERROR_YET;
    opened o;
    file *f;
    const uint8_t *bytes;
    open_source(choice, &o);
    assert_int_equal(source_file(o.source, "greeting", &f, NULL), GPT2_OK);
    expect_failure(file_bytes(f, GREETING_SIZE - 1, &bytes, &error), GPT2_ERR_LIMIT, &error,
                   "greeting: has 12 bytes", "at most 11");
    assert_int_equal(file_bytes(f, GREETING_SIZE, &bytes, NULL), GPT2_OK);
    file_close(f);
    close_source(choice, &o);
  }
}

/* Opens the source and both files, and takes the bytes of one. */
static gpt2_status use_everything(source_choice choice, opened *o, gpt2_error *error)
{
  file *greeting_file = NULL, *empty_file = NULL;
  const uint8_t *bytes;
  gpt2_status status = try_open(choice, o, error);
  if (status == GPT2_OK)
    status = source_file(o->source, "greeting", &greeting_file, error);
  if (status == GPT2_OK)
    status = source_file(o->source, "empty", &empty_file, error);
  if (status == GPT2_OK)
    status = file_bytes(greeting_file, 100, &bytes, error);
  file_close(greeting_file);
  file_close(empty_file);
  return status;
}

static void any_refused_allocation_is_an_error_and_leaves_nothing_behind(void **state)
{
  (void)state;
  for (source_choice choice = 0; choice < N_CHOICES; choice++) {
    gpt2_status status = GPT2_ERR_MEMORY;
    size_t refused = 1;
    for (; status != GPT2_OK; refused++) {
      gpt2_error error = NO_ERROR_YET;
      opened o;
      prepare(choice, &o);
      o.counter.refused = refused;
      status = use_everything(choice, &o, &error);
      if (status != GPT2_OK)
        expect_failure(status, GPT2_ERR_MEMORY, &error, "out of memory", "bytes were refused");
      if (!o.source)
        o.host.n_released += choice >= HOST; /* what never opened is not released */
      close_source(choice, &o);
    }
    assert_true(refused > 4);
  }
}

/* ---- What only one kind can do wrong ---- */

static void a_blob_without_name_or_bytes_is_refused(void **state)
{
  (void)state;
  static const struct {
    gpt2_blob blob;
    gpt2_status status;
    const char *text;
  } cases[] = {
      {{NULL, "x", 1, 0}, GPT2_ERR_ARGUMENT, "blobs[1]: name is NULL"},
      {{"b", NULL, 1, 0}, GPT2_ERR_ARGUMENT, "blobs[1]: bytes is NULL"},
      {{"b", "x", 1, 7}, GPT2_ERR_UNSUPPORTED, "blobs[1]: reserved is not zero"},
  };
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  source *s;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_error error = NO_ERROR_YET;
    const gpt2_blob blobs[] = {{"a", "x", 1, 0}, cases[i].blob};
    expect_failure(source_open_blobs(&hooks, blobs, 2, &s, &error), cases[i].status, &error,
                   cases[i].text, NULL);
    assert_null(s);
    assert_int_equal(counter.n_live, 0);
  }
  gpt2_error error = NO_ERROR_YET;
  expect_failure(source_open_blobs(&hooks, NULL, 1, &s, &error), GPT2_ERR_ARGUMENT, &error,
                 "blobs: is NULL", NULL);
  assert_int_equal(source_open_blobs(&hooks, NULL, 0, &s, NULL), GPT2_OK); /* a source of nothing */
  source_free(s);
  assert_int_equal(counter.n_live, 0);
}

static void what_is_no_regular_file_is_refused(void **state)
{
  (void)state;
  for (source_choice choice = MAPPED; choice <= COPIED; choice++) {
    opened o;
    file *f;
    char path[4096];
    open_source(choice, &o);
    snprintf(path, sizeof path, "%s/folder", o.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/pipe", o.folder);
    assert_int_equal(mkfifo(path, 0600), 0); /* opening it must not wait for a writer */
    static const char *const names[] = {"folder", "pipe", ".", ".."};
    for (size_t i = 0; i < 4; i++) {
      gpt2_error error = NO_ERROR_YET;
      expect_failure(source_file(o.source, names[i], &f, &error), GPT2_ERR_IO, &error, names[i],
                     "is not a regular file");
    }
    close_source(choice, &o);
  }
}

static void a_file_that_shrinks_while_it_is_read_is_an_error(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  opened o;
  file *f;
  char buffer[GREETING_SIZE];
  open_source(COPIED, &o);
  assert_int_equal(source_file(o.source, "greeting", &f, NULL), GPT2_OK);
  write_temporary_file(o.folder, "greeting", greeting, 5);
  expect_failure(file_read(f, 0, buffer, sizeof buffer, &error), GPT2_ERR_IO, &error, "greeting",
                 "ended while it was read");
  assert_int_equal(error.offset, 5);
  assert_int_equal(file_read(f, 0, buffer, 5, NULL), GPT2_OK);
  file_close(f);
  close_source(COPIED, &o);
}

static void mapped_and_copied_files_leave_no_descriptor_open(void **state)
{
  (void)state;
  for (source_choice choice = MAPPED; choice <= COPIED; choice++) {
    opened o;
    file *f, *g;
    open_source(choice, &o);
    int before = dup(0);
    assert_int_equal(source_file(o.source, "greeting", &f, NULL), GPT2_OK);
    assert_int_equal(source_file(o.source, "missing", &g, NULL), GPT2_ERR_NOT_FOUND);
    assert_int_equal(source_file(o.source, ".", &g, NULL), GPT2_ERR_IO);
    file_close(f);
    int after = dup(0);
    assert_int_equal(after, before + 1); /* the lowest free one: nothing in between is taken */
    close(before);
    close(after);
    close_source(choice, &o);
  }
}

static void a_host_may_leave_out_view_close_and_release(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  host_source host = {.blobs = files_in_memory, .n_blobs = N_FILES, .has_view = true};
  gpt2_source given = host_callbacks(&host);
  given.view = NULL;
  given.close = NULL;
  given.release = NULL;
  source *s;
  file *f;
  const uint8_t *bytes;
  assert_int_equal(source_open_callbacks(&hooks, &given, false, &s, NULL), GPT2_OK);
  assert_int_equal(source_file(s, "greeting", &f, NULL), GPT2_OK);
  assert_int_equal(file_bytes(f, 100, &bytes, NULL), GPT2_OK);
  assert_memory_equal(bytes, greeting, GREETING_SIZE);
  file_close(f);
  source_free(s);
  assert_int_equal(counter.n_live, 0);
  assert_int_equal(host.n_released, 0);
}

static void a_host_that_fails_is_named_and_may_be_asked_again(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  opened o;
  file *f;
  const uint8_t *bytes;
  open_source(HOST, &o);
  o.host.broken_name = "greeting";
  expect_failure(source_file(o.source, "greeting", &f, &error), GPT2_ERR_IO, &error, "greeting",
                 "open answered -1");
  o.host.broken_name = NULL;
  o.host.broken_read = 1;
  assert_int_equal(source_file(o.source, "greeting", &f, NULL), GPT2_OK);
  error = NO_ERROR_YET;
  expect_failure(file_bytes(f, 100, &bytes, &error), GPT2_ERR_IO, &error, "greeting",
                 "read_at answered 5");
  assert_int_equal(file_bytes(f, 100, &bytes, NULL), GPT2_OK);
  assert_memory_equal(bytes, greeting, GREETING_SIZE);
  file_close(f);
  close_source(HOST, &o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_source_gives_the_same_bytes),
      cmocka_unit_test(an_empty_file_is_a_file),
      cmocka_unit_test(a_missing_file_is_not_found_and_the_others_still_open),
      cmocka_unit_test(no_name_leads_out_of_the_folder),
      cmocka_unit_test(nothing_is_read_beyond_the_end),
      cmocka_unit_test(a_file_larger_than_its_reader_wants_is_refused),
      cmocka_unit_test(any_refused_allocation_is_an_error_and_leaves_nothing_behind),
      cmocka_unit_test(a_blob_without_name_or_bytes_is_refused),
      cmocka_unit_test(what_is_no_regular_file_is_refused),
      cmocka_unit_test(a_file_that_shrinks_while_it_is_read_is_an_error),
      cmocka_unit_test(mapped_and_copied_files_leave_no_descriptor_open),
      cmocka_unit_test(a_host_may_leave_out_view_close_and_release),
      cmocka_unit_test(a_host_that_fails_is_named_and_may_be_asked_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
