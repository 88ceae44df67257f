/* test_json_cut.c - a JSON file that is parsed in pieces is the file that is parsed whole: its
 * values, or what is said to be wrong with it, with any number of threads. */
#include "formats/json_cut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/pools.h"
#include "support/random_numbers.h"

/* ---- Texts ---- */

/* A text that grows. */
typedef struct text {
  char *bytes;
  size_t size, capacity;
} text;

static void append(text *t, const char *more)
{
  size_t size = strlen(more);
  while (t->capacity < t->size + size + 1) {
    t->capacity = t->capacity ? 2 * t->capacity : 1 << 16;
    t->bytes = realloc(t->bytes, t->capacity);
    assert_non_null(t->bytes);
  }
  memcpy(t->bytes + t->size, more, size + 1);
  t->size += size;
}

/* Members that are hard to cut at: with brackets, commas, quotes and escapes in their strings,
 * nested values, spaces. */
static void append_member(text *t, int i)
{
  static const char *const keys[] = {"a%d",        "\\u0120%d",   "},{%d",
                                     "\\\"%d\\\\", "\xc4\xa0%d,", " [%d"};
  static const char *const values[] = {"%d",
                                       "\"%d\"",
                                       "[%d, {\"a\": [1, 2]}]",
                                       "{\"b\": %d}",
                                       " %d.5e-3\n",
                                       "\"\\\\\\\"%d]\"",
                                       "null",
                                       "12345678901234567890123%d"};
  char key[32], value[64];
  snprintf(key, sizeof key, keys[i % 6], i);
  snprintf(value, sizeof value, values[i % 8], i);
  append(t, i ? ",\"" : "\"");
  append(t, key);
  append(t, i % 5 ? "\":" : "\" : ");
  append(t, value);
}

static void append_members(text *t, int n)
{
  for (int i = 0; i < n; i++)
    append_member(t, i);
}

static void append_elements(text *t, int n)
{
  for (int i = 0; i < n; i++) {
    char element[64];
    snprintf(element, sizeof element, i % 2 ? "%s\"a %d\"" : "%s[\"],[\", \"%d\"]", i ? ", " : "",
             i);
    append(t, element);
  }
}

/* About four pieces. */
enum { N_MEMBERS = 5000, N_ELEMENTS = 7000 };

static text flat_text(void)
{
  text t = {NULL, 0, 0};
  append(&t, " {");
  append_members(&t, N_MEMBERS);
  append(&t, "}\n");
  return t;
}

/* As tokenizer.json has it, with keys of the same names elsewhere. */
static text nested_text(bool merges_first)
{
  text t = {NULL, 0, 0};
  append(&t, "{\"version\": \"1.0\", \"vocab\": {\"model\": 1}, \"x\": [{\"model\": {}}], "
             "\"model\" :\n{\"type\": \"BPE\", \"more\": {\"vocab\": []}, ");
  for (int part = 0; part < 2; part++) {
    bool is_vocab = (part == 0) != merges_first;
    append(&t, is_vocab ? "\"vocab\": {" : "\"merges\": [");
    if (is_vocab)
      append_members(&t, N_MEMBERS);
    else
      append_elements(&t, N_ELEMENTS);
    append(&t, is_vocab ? "}" : "]");
    append(&t, part ? "}" : ", ");
  }
  append(&t, ", \"end\": true}");
  return t;
}

/* ---- Both ways ---- */

static const json_pieces root_cut[] = {{.outer = NULL}};
static const json_pieces nested_cuts[] = {{.outer = "model", .inner = "vocab"},
                                          {.outer = "model", .inner = "merges"}};

/* A text in pieces; `status` and `error` say whether it could be. */
typedef struct outcome {
  gpt2_status status;
  gpt2_error error;
  json_document document;
  json_pieces cuts[MAX_CUTS];
  size_t n_cuts;
  source *source;
  pool *pool;
  uint8_t *exact; /* the text, not a byte more */
} outcome;

static counting_allocator counter;

static outcome *open_cut(const char *bytes, size_t size, const json_pieces *cuts, size_t n_cuts,
                         int n_threads)
{
  static gpt2_allocator hooks;
  gpt2_error none = NO_ERROR_YET;
  outcome *o = calloc(1, sizeof *o);
  assert_non_null(o);
  o->error = NO_ERROR_YET;
  o->exact = malloc(size + !size);
  assert_non_null(o->exact);
  memcpy(o->exact, bytes, size);
  const gpt2_blob blob = {"some.json", o->exact, size, 0};
  size_t refused = counter.refused;
  counter = (counting_allocator){0};
  hooks = counting_hooks(&counter);
  expect_success(source_open_blobs(&hooks, &blob, 1, &o->source, &none), &none);
  o->pool = new_pool(n_threads);
  o->n_cuts = n_cuts;
  memcpy(o->cuts, cuts, n_cuts * sizeof *cuts);
  counter.refused = refused ? counter.n_calls + refused : 0;
  o->status =
      json_open_cut(o->source, o->pool, "some.json", &o->document, o->cuts, n_cuts, &o->error);
  counter.refused = 0;
  return o;
}

static void close_outcome(outcome *o)
{
  json_close_cut(o->pool, &o->document, o->cuts, o->n_cuts);
  source_free(o->source);
  pool_free(o->pool);
  free(o->exact);
  free(o);
  assert_int_equal(counter.n_live, 0);
}

/* The member of a whole tree that a cut is of. */
static json_t *member_of(json_t *root, const json_pieces *cut)
{
  return cut->outer ? json_object_get(json_object_get(root, cut->outer), cut->inner) : root;
}

/* Puts what is in pieces back into the document, whose own is empty. */
static void join(outcome *o)
{
  for (size_t i = 0; i < o->n_cuts; i++) {
    json_t *into = member_of(o->document.root, &o->cuts[i]);
    if (o->cuts[i].n == 0 || o->cuts[i].piece[0] == into)
      continue; /* it was not cut */
    assert_true(o->cuts[i].n > 1);
    assert_int_equal(json_object_size(into) + json_array_size(into), 0);
    for (size_t piece = 0; piece < o->cuts[i].n; piece++)
      if (json_is_object(into))
        assert_int_equal(json_object_update(into, o->cuts[i].piece[piece]), 0);
      else
        assert_int_equal(json_array_extend(into, o->cuts[i].piece[piece]), 0);
  }
}

/* Parsed whole, it is or says the same; whether it is sound. */
static bool check_text(const char *bytes, size_t size, const json_pieces *cuts, size_t n_cuts,
                       int n_threads)
{
  gpt2_allocator hooks;
  gpt2_error error = NO_ERROR_YET;
  json_t *whole = NULL;
  outcome *o = open_cut(bytes, size, cuts, n_cuts, n_threads);
  assert_int_equal(allocator_read(&hooks, NULL, NULL), GPT2_OK);
  gpt2_status status = json_parse(&hooks, o->exact, size, "some.json", &whole, &error);
  assert_int_equal(o->status, status);
  assert_string_equal(o->error.message, error.message);
  assert_int_equal(o->error.offset, error.offset);
  if (status == GPT2_OK) {
    join(o);
    assert_true(json_equal(o->document.root, whole));
  } else {
    assert_null(o->document.root);
    for (size_t i = 0; i < n_cuts; i++)
      assert_int_equal(o->cuts[i].n, 0);
  }
  json_decref(whole);
  close_outcome(o);
  return status == GPT2_OK;
}

/* ---- Sound texts ---- */

/* All members and elements, in the order of the text. */
static void expect_pieces(const outcome *o, const json_pieces *cut, size_t n)
{
  int i = 0;
  (void)o;
  assert_int_equal(json_pieces_size(cut), n);
  for (size_t piece = 0; piece < cut->n; piece++) {
    const char *key;
    json_t *value;
    for (size_t k = 0; k < json_array_size(cut->piece[piece]); k++, i++) {
      json_t *element = json_array_get(cut->piece[piece], k);
      const char *last =
          json_string_value(json_is_array(element) ? json_array_get(element, 1) : element);
      assert_int_equal(atoi(last + (last[0] == 'a' ? 2 : 0)), i);
    }
    json_object_foreach (cut->piece[piece], key, value) {
      size_t digits = strcspn(key, "0123456789");
      assert_int_equal(atoi(key + digits), i);
      assert_ptr_equal(json_pieces_get(cut, key), value);
      i++;
    }
  }
  assert_int_equal(i, n);
  assert_null(json_pieces_get(cut, "none of them"));
}

static void a_large_object_is_cut_and_nothing_is_lost(void **state)
{
  (void)state;
  text t = flat_text();
  for (int n_threads = 1; n_threads <= 3; n_threads++) {
    outcome *o = open_cut(t.bytes, t.size, root_cut, 1, n_threads);
    expect_success(o->status, &o->error);
    assert_int_equal(o->cuts[0].n, t.size / PIECE_SIZE + 1);
    assert_string_equal(o->document.name, "some.json");
    expect_pieces(o, &o->cuts[0], N_MEMBERS);
    close_outcome(o);
    assert_true(check_text(t.bytes, t.size, root_cut, 1, n_threads));
  }
  free(t.bytes);
}

static void members_of_members_are_cut_and_nothing_is_lost(void **state)
{
  (void)state;
  for (int merges_first = 0; merges_first < 2; merges_first++) {
    text t = nested_text(merges_first);
    outcome *o = open_cut(t.bytes, t.size, nested_cuts, 2, 3);
    expect_success(o->status, &o->error);
    assert_true(o->cuts[0].n >= 3 && o->cuts[1].n >= 3);
    expect_pieces(o, &o->cuts[0], N_MEMBERS);
    expect_pieces(o, &o->cuts[1], N_ELEMENTS);
    assert_true(json_is_true(json_object_get(o->document.root, "end")));
    close_outcome(o);
    assert_true(check_text(t.bytes, t.size, nested_cuts, 2, 2));
    assert_true(check_text(t.bytes, t.size, root_cut, 1, 2));
    free(t.bytes);
  }
}

static void what_is_small_missing_or_no_container_stays_whole(void **state)
{
  (void)state;
  static const char *const small[] = {"{}",
                                      "{\"model\": {}}",
                                      "{\"model\": []}",
                                      "{\"model\": {\"vocab\": 1, \"merges\": \"x\"}}",
                                      "{\"model\": {\"vocab\": {\"a\": 1}, \"merges\": [\"a b\"]}}",
                                      "{\"mod\\u0065l\": 1}"};
  for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
    assert_true(check_text(small[i], strlen(small[i]), nested_cuts, 2, 2));
    assert_true(check_text(small[i], strlen(small[i]), root_cut, 1, 2));
  }
  text t = flat_text(); /* large, but without those members */
  outcome *o = open_cut(t.bytes, t.size, nested_cuts, 2, 2);
  expect_success(o->status, &o->error);
  assert_int_equal(o->cuts[0].n + o->cuts[1].n, 0);
  assert_int_equal(json_object_size(o->document.root), N_MEMBERS);
  close_outcome(o);
  free(t.bytes);
}

/* An array where the object should be whose two members are cut: the document itself, or its
 * member. It has a comma behind PIECE_SIZE bytes, and as many follow. */
static void an_array_in_place_of_their_object_is_not_cut_for_both(void **state)
{
  (void)state;
  static const char *const around[][2] = {{"[1", "]"}, {"{\"model\": [1", "]}"}};
  char spaces[PIECE_SIZE + 1];
  memset(spaces, ' ', PIECE_SIZE);
  spaces[PIECE_SIZE] = '\0';
  for (int is_member = 0; is_member < 2; is_member++) {
    text t = {NULL, 0, 0};
    append(&t, around[is_member][0]);
    append(&t, spaces);
    append(&t, ", 2");
    append(&t, spaces);
    append(&t, around[is_member][1]);
    assert_int_equal(check_text(t.bytes, t.size, nested_cuts, 2, 2), is_member);
    free(t.bytes);
  }
}

/* ---- Broken texts ---- */

/* The text with `more` instead of the first comma behind a place. */
static void check_with(const text *t, size_t place, const char *more, bool sound,
                       const json_pieces *cuts, size_t n_cuts)
{
  const char *comma = strstr(t->bytes + place, ",\"a");
  assert_non_null(comma);
  size_t before = (size_t)(comma - t->bytes), size = strlen(more);
  char *changed = malloc(t->size + size);
  assert_non_null(changed);
  memcpy(changed, t->bytes, before);
  memcpy(changed + before, more, size);
  memcpy(changed + before + size, comma + 1, t->size - before - 1);
  assert_int_equal(check_text(changed, t->size - 1 + size, cuts, n_cuts, 2), sound);
  free(changed);
}

static void what_is_wrong_anywhere_is_told_as_of_the_whole(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    bool sound;
  } changes[] = {
      {",", true},
      {", \"new\": [[[]]],", true},
      {",,", false},
      {"", false},
      {";", false},
      {",\"a0\": 1,", false}, /* a key of the first piece */
      {",\"new\": 1, \"new\": 2,", false},
      {",\"\\u00611200\": 1,", false}, /* the same, written otherwise */
      {", \"bad\": \"\xff\",", false},
      {", \"nul\": \"\\u0000\",", false},
      {", \"open\": \"", false},
      {", \"bracket\": [1, 2},", false},
      {"},", false},
      {", \"deep\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
       "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],",
       false},
  };
  text flat = flat_text(), nested = nested_text(true);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    for (int place = 0; place < 4; place++) { /* in the vocabulary, which is the second half */
      size_t in_flat = flat.size * (size_t)place / 4 + 9;
      size_t in_nested = nested.size - (nested.size - in_flat) / 2;
      check_with(&flat, in_flat, changes[i].text, changes[i].sound, root_cut, 1);
      check_with(&nested, in_nested, changes[i].text, changes[i].sound, nested_cuts, 2);
    }
  free(flat.bytes);
  free(nested.bytes);
}

/* A comma before the bracket leaves an empty piece, where pieces end there. */
static void a_comma_before_the_last_bracket_is_refused_wherever_pieces_end(void **state)
{
  (void)state;
  for (int extra = 0; extra < 40; extra++) {
    text t = {NULL, 0, 0};
    append(&t, "{\"a\": \"");
    for (int i = 0; i < PIECE_SIZE - 20 + extra; i++)
      append(&t, "x");
    append(&t, "\",\n}");
    assert_false(check_text(t.bytes, t.size, root_cut, 1, 2));
    memcpy(t.bytes + t.size - 3, "  }", 3);
    assert_true(check_text(t.bytes, t.size, root_cut, 1, 2));
    free(t.bytes);
  }
}

static void every_cut_off_text_is_refused_as_the_whole_is(void **state)
{
  (void)state;
  text t = nested_text(false);
  for (size_t size = 0; size < t.size; size += size < 120 || size + 120 > t.size ? 1 : 9973)
    assert_false(check_text(t.bytes, size, nested_cuts, 2, 2));
  free(t.bytes);
}

/* Bytes that JSON is made of, anywhere. */
static void any_changed_byte_is_judged_as_in_the_whole(void **state)
{
  (void)state;
  static const char bytes[] = "{}[],:\"\\ 1a\n\x80";
  random_numbers random = random_from_seed(__func__);
  text flat = flat_text(), nested = nested_text(false);
  for (int i = 0; i < 80; i++) {
    text *t = i % 2 ? &flat : &nested;
    size_t place = (size_t)random_below(&random, (int)t->size);
    char before = t->bytes[place];
    t->bytes[place] = bytes[random_below(&random, (int)sizeof bytes - 1)];
    if (i % 2)
      check_text(t->bytes, t->size, root_cut, 1, 3);
    else
      check_text(t->bytes, t->size, nested_cuts, 2, 3);
    t->bytes[place] = before;
  }
  free(flat.bytes);
  free(nested.bytes);
}

/* ---- Memory and files ---- */

static void whichever_allocation_is_refused_nothing_is_left(void **state)
{
  (void)state;
  text t = nested_text(true);
  size_t refused = 0;
  for (gpt2_status status = GPT2_ERR_MEMORY; status != GPT2_OK; refused++) {
    counter.refused = refused + 1;
    outcome *o = open_cut(t.bytes, t.size, nested_cuts, 2, 2);
    status = o->status;
    if (status != GPT2_OK)
      expect_failure(status, GPT2_ERR_MEMORY, &o->error, "memory", NULL);
    close_outcome(o);
  }
  assert_in_range(refused, 9, 30);
  free(t.bytes);
}

static void a_file_that_is_not_there_is_told_so(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  outcome *o = open_cut("{}", 2, root_cut, 1, 1);
  json_close_cut(o->pool, &o->document, o->cuts, 1);
  expect_failure(json_open_cut(o->source, o->pool, "other.json", &o->document, o->cuts, 1, &error),
                 GPT2_ERR_NOT_FOUND, &error, "other.json", NULL);
  assert_null(o->document.root);
  close_outcome(o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_large_object_is_cut_and_nothing_is_lost),
      cmocka_unit_test(members_of_members_are_cut_and_nothing_is_lost),
      cmocka_unit_test(what_is_small_missing_or_no_container_stays_whole),
      cmocka_unit_test(an_array_in_place_of_their_object_is_not_cut_for_both),
      cmocka_unit_test(what_is_wrong_anywhere_is_told_as_of_the_whole),
      cmocka_unit_test(a_comma_before_the_last_bracket_is_refused_wherever_pieces_end),
      cmocka_unit_test(every_cut_off_text_is_refused_as_the_whole_is),
      cmocka_unit_test(any_changed_byte_is_judged_as_in_the_whole),
      cmocka_unit_test(whichever_allocation_is_refused_nothing_is_left),
      cmocka_unit_test(a_file_that_is_not_there_is_told_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
