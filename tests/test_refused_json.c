/* test_refused_json.c - JSON of every shape, parsed whole and in pieces, while allocations of the
 * process are refused, jansson's own included: it is out of memory or the same tree, never another
 * one. And what is put before a text so that jansson's buffer grows in time is never seen. */
#include "base/pool.h"
#include "formats/json_cut.h"
#include "support/expect.h"
#include "support/refusals.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static gpt2_allocator by_malloc;

typedef void (*refuser)(call_kind kind, int nth, int number);
static const refuser refusers[] = {refuse, refuse_from};

/* ---- Whole texts ---- */

static gpt2_status parse(const char *text, json_t **root, gpt2_error *error)
{
  return json_parse(&by_malloc, text, strlen(text), "some.json", root, error);
}

/* Refuses every allocation of a parse in turn; how many there were. */
static int refuse_each(const char *text, const json_t *expected, refuser refuses)
{
  bool reached = true;
  int n = 0;
  for (; reached && n < 10000; n++) {
    json_t *root = NULL;
    gpt2_error error = NO_ERROR_YET;
    refuses(CALL_ALLOCATE, n + 1, ENOMEM);
    gpt2_status status = parse(text, &root, &error);
    reached = end_refusal();
    if (status != GPT2_OK)
      expect_failure(status, GPT2_ERR_MEMORY, &error, "out of memory", NULL);
    assert_true(status == GPT2_OK || reached);
    assert_int_equal(status == GPT2_OK, root != NULL);
    if (root && !json_equal(root, expected))
      fail_msg("with allocation %d refused the tree of %s is another one", n + 1, text);
    json_decref(root);
  }
  return n - 1;
}

static void check_text(const char *text)
{
  json_t *expected;
  gpt2_error error = NO_ERROR_YET;
  expect_success(parse(text, &expected, &error), &error);
  for (int i = 0; i < 2; i++)
    assert_in_range(refuse_each(text, expected, refusers[i]), 4, 1000);
  json_decref(expected);
}

/* jansson's buffer grows at 16 bytes, at 32, 64 and so on: a token that is as long loses its last
 * byte - its closing quote, the sign of its exponent - when it cannot. */
static void a_token_of_any_length_is_whole_or_out_of_memory(void **state)
{
  (void)state;
  for (int length = 1; length < 70; length++) {
    char text[256], digits[80] = "";
    memset(digits, '1', (size_t)length);
    snprintf(text, sizeof text, "{\"%s\": null}", digits);
    check_text(text);
    snprintf(text, sizeof text, " {\"a\": \"%s\\n\\u00e9\\\"\", \"b\": [7]}", digits);
    check_text(text);
    snprintf(text, sizeof text, "{\"a\": 0.%se-5}", digits);
    check_text(text);
    snprintf(text, sizeof text, "{\"a\":%s , \"b\":-0.%s}", digits, digits);
    check_text(text);
  }
}

static void what_is_wrong_with_a_text_is_told_at_its_own_place(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int64_t offset;
    const char *place;
  } cases[] = {
      {"{ \"a\": 1, \"b\" 2}", 15, "line 1, column 15"},
      {"\n {\"a\": \"0123456789012345678901234567890123456789\",, }", 52, "line 2, column 51"},
      {"{\n\"a\": ?}", 8, "line 2, column 6"},
      {"{", 1, "line 1, column 1"},
      {"{ ", 2, "line 1, column 2"},
      {"{,", 2, "line 1, column 2"},
      {"\"a string that is longer than sixteen bytes\"", 15, "line 1, column 15"},
      {"123456789012345678901234567890", 15, "line 1, column 15"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *root;
    gpt2_error error = NO_ERROR_YET;
    expect_failure(parse(cases[i].text, &root, &error), GPT2_ERR_FORMAT, &error, cases[i].place,
                   "cannot be parsed");
    assert_int_equal(error.offset, cases[i].offset);
    assert_null(strstr(error.message, "xxx"));
    for (int k = 0; k < 2; k++) { /* and it is never taken for a sound one */
      refusers[k](CALL_ALLOCATE, 1, ENOMEM);
      assert_int_not_equal(parse(cases[i].text, &root, &error), GPT2_OK);
      end_refusal();
    }
  }
}

static void nothing_of_ours_is_left_in_the_tree(void **state)
{
  (void)state;
  json_t *root;
  gpt2_error error = NO_ERROR_YET;
  expect_success(parse(" {\t} ", &root, &error), &error);
  assert_int_equal(json_object_size(root), 0);
  json_decref(root);
  expect_success(parse("{\"xxxxxxxxxxxxxxxx\": [], \"b\": 2}", &root, &error), &error);
  assert_int_equal(json_object_size(root), 2);
  assert_string_equal(json_object_iter_key(json_object_iter(root)), "xxxxxxxxxxxxxxxx");
  json_decref(root);
  expect_failure(parse(" [ ] ", &root, &error), GPT2_ERR_FORMAT, &error, "an array of 0", NULL);
  expect_failure(parse("[1,2]", &root, &error), GPT2_ERR_FORMAT, &error, "an array of 2", NULL);
}

static void a_value_that_there_is_no_memory_to_show_is_refused_all_the_same(void **state)
{
  (void)state;
  json_t *root;
  gpt2_error error = NO_ERROR_YET;
  int n = 0;
  expect_success(parse("{\"size\": 1.5}", &root, &error), &error);
  for (bool reached = true; reached && n < 100; n++) {
    int64_t size = 7;
    refuse(CALL_ALLOCATE, n + 1, ENOMEM);
    gpt2_status status = json_get_integer(root, "size", 1, 9, "some.json", &size, &error);
    reached = end_refusal();
    expect_failure(status, GPT2_ERR_FORMAT, &error, "some.json: \"size\" is ",
                   reached ? "; expected an integer from 1 to 9" : "1.5; expected");
    assert_null(strstr(error.message, "is ;"));
    assert_int_equal(size, 7);
  }
  assert_in_range(n, 2, 99);
  json_decref(root);
}

/* ---- Pieces ---- */

/* Some hundred members and elements in several pieces, with few allocations. */
static char *large_text(void)
{
  enum { MEMBERS = 60, SIZE = 200000 };
  char *text = malloc(SIZE), value[1200];
  assert_non_null(text);
  size_t used = (size_t)snprintf(text, SIZE, "{\"model\": {\"vocab\": {");
  for (int i = 0; i < MEMBERS; i++) {
    memset(value, 'a' + i % 26, sizeof value);
    value[600 + i] = '\0';
    used += (size_t)snprintf(text + used, SIZE - used, "%s\"%s%d\":%d", i ? "," : "", value, i, i);
  }
  used += (size_t)snprintf(text + used, SIZE - used, "}, \"merges\": [");
  for (int i = 0; i < MEMBERS; i++) {
    memset(value, 'A' + i % 26, sizeof value);
    value[900 + i] = '\0';
    used += (size_t)snprintf(text + used, SIZE - used, "%s\"%s\"", i ? "," : "", value);
  }
  snprintf(text + used, SIZE - used, "]}}");
  return text;
}

/* What comes of the pieces: the vocabulary and the merges, each as one. */
static json_t *joined(const json_pieces cuts[MAX_CUTS])
{
  json_t *vocab = json_object(), *merges = json_array();
  for (size_t i = 0; i < cuts[0].n; i++)
    assert_int_equal(json_object_update(vocab, cuts[0].piece[i]), 0);
  for (size_t i = 0; i < cuts[1].n; i++)
    assert_int_equal(json_array_extend(merges, cuts[1].piece[i]), 0);
  return json_pack("[o, o]", vocab, merges);
}

/* Opens the text in pieces with the nth allocation refused; what comes of it, or NULL. */
static json_t *open_in_pieces(const char *text, refuser refuses, int nth, bool *reached)
{
  const gpt2_blob blob = {"some.json", text, strlen(text), 0};
  gpt2_error error = NO_ERROR_YET;
  source *from;
  pool *p;
  json_document document;
  json_pieces cuts[MAX_CUTS] = {{.outer = "model", .inner = "vocab"},
                                {.outer = "model", .inner = "merges"}};
  assert_int_equal(source_open_blobs(&by_malloc, &blob, 1, &from, NULL), GPT2_OK);
  assert_int_equal(pool_new(&by_malloc, 2, NULL, NULL, &p, NULL), GPT2_OK);
  assert_int_equal(pool_start(p, NULL), GPT2_OK);
  refuses(CALL_ALLOCATE, nth, ENOMEM);
  gpt2_status status = json_open_cut(from, p, "some.json", &document, cuts, MAX_CUTS, &error);
  *reached = end_refusal();
  if (status != GPT2_OK)
    expect_failure(status, GPT2_ERR_MEMORY, &error, "out of memory", NULL);
  json_t *found = status == GPT2_OK ? joined(cuts) : NULL;
  json_close_cut(p, &document, cuts, MAX_CUTS);
  pool_free(p);
  source_free(from);
  return found;
}

static void pieces_are_whole_or_out_of_memory(void **state)
{
  (void)state;
  char *text = large_text();
  bool reached;
  json_t *expected = open_in_pieces(text, refuse, 0, &reached);
  assert_non_null(expected);
  for (int i = 0; i < 2; i++) {
    int n = 0;
    for (reached = true; reached && n < 10000; n++) {
      json_t *found = open_in_pieces(text, refusers[i], n + 1, &reached);
      assert_true(found || reached);
      assert_true(!found || json_equal(found, expected));
      json_decref(found);
    }
    assert_in_range(n, 50, 9999); /* a sanitizer spares the other thread */
  }
  json_decref(expected);
  free(text);
}

static int read_allocator(void **state)
{
  (void)state;
  return allocator_read(&by_malloc, NULL, NULL) == GPT2_OK ? 0 : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_token_of_any_length_is_whole_or_out_of_memory),
      cmocka_unit_test(what_is_wrong_with_a_text_is_told_at_its_own_place),
      cmocka_unit_test(nothing_of_ours_is_left_in_the_tree),
      cmocka_unit_test(a_value_that_there_is_no_memory_to_show_is_refused_all_the_same),
      cmocka_unit_test(pieces_are_whole_or_out_of_memory),
  };
  return cmocka_run_group_tests(tests, read_allocator, NULL);
}
