/* test_text_decoder.c - a decoder hands out whole characters as their tokens come, every byte once,
 * and what is no character as it is or replaced. */
#include "gpt2.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/random_numbers.h"
#include "support/scripted_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static gpt2_decoder *new_decoder(gpt2_model *model, uint32_t flags)
{
  gpt2_decoder *decoder = NULL;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_decoder_new(model, flags, &decoder, &error), &error);
  assert_non_null(decoder);
  return decoder;
}

/* Pushes a token; fails unless `expected` comes out. */
static void push(gpt2_decoder *decoder, gpt2_token token, const char *expected)
{
  const char *text = NULL;
  size_t size = 99;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_decoder_push(decoder, token, &text, &size, &error), &error);
  assert_int_equal(size, strlen(expected));
  assert_memory_equal(text, expected, size);
}

static void finish(gpt2_decoder *decoder, const char *expected)
{
  const char *text = NULL;
  size_t size = 99;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_decoder_finish(decoder, &text, &size, &error), &error);
  assert_int_equal(size, strlen(expected));
  assert_memory_equal(text, expected, size);
}

/* ---- Characters ---- */

static void a_character_of_three_tokens_comes_out_with_the_third(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = ""});
  gpt2_decoder *decoder = new_decoder(s.model, 0);
  push(decoder, 'a', "a");
  push(decoder, 0xe2, "");
  push(decoder, 0x82, "");
  push(decoder, 0xac, "\xe2\x82\xac");
  push(decoder, END_TOKEN, "<|endoftext|>");
  finish(decoder, "");
  gpt2_decoder_free(decoder);
  scripted_close(&s);
}

static void what_waits_comes_out_when_no_character_can_come_of_it(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = ""});
  for (int replaced = 0; replaced < 2; replaced++) {
    gpt2_decoder *decoder = new_decoder(s.model, replaced ? GPT2_DECODE_REPLACE : 0);
    push(decoder, 0xf0, "");
    push(decoder, 0x9f, "");
    push(decoder, 'b',
         replaced ? "\xef\xbf\xbd"
                    "b"
                  : "\xf0\x9f"
                    "b");
    push(decoder, 0xff, replaced ? "\xef\xbf\xbd" : "\xff");
    gpt2_decoder_free(decoder);
  }
  scripted_close(&s);
}

static void finishing_hands_out_what_waits_and_begins_anew(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = ""});
  for (int replaced = 0; replaced < 2; replaced++) {
    gpt2_decoder *decoder = new_decoder(s.model, replaced ? GPT2_DECODE_REPLACE : 0);
    push(decoder, 0xe2, "");
    push(decoder, 0x82, "");
    finish(decoder, replaced ? "\xef\xbf\xbd" : "\xe2\x82");
    finish(decoder, "");
    push(decoder, 0xac, replaced ? "\xef\xbf\xbd" : "\xac");
    push(decoder, 'c', "c");
    gpt2_decoder_free(decoder);
  }
  scripted_close(&s);
}

/* ---- All of UTF-8, against the table of well-formed byte sequences (Unicode 16, table 3-7) ----
 */

/* The size of the character that begins at `bytes` (n left); 0: none does, or it is cut. */
static size_t well_formed(const uint8_t *bytes, size_t n)
{
  static const struct {
    uint8_t size, first[2], second[2];
  } rows[] = {
      {1, {0x00, 0x7f}, {0, 0}},       {2, {0xc2, 0xdf}, {0x80, 0xbf}},
      {3, {0xe0, 0xe0}, {0xa0, 0xbf}}, {3, {0xe1, 0xec}, {0x80, 0xbf}},
      {3, {0xed, 0xed}, {0x80, 0x9f}}, {3, {0xee, 0xef}, {0x80, 0xbf}},
      {4, {0xf0, 0xf0}, {0x90, 0xbf}}, {4, {0xf1, 0xf3}, {0x80, 0xbf}},
      {4, {0xf4, 0xf4}, {0x80, 0x8f}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t size = rows[i].size;
    bool fits = size <= n && bytes[0] >= rows[i].first[0] && bytes[0] <= rows[i].first[1];
    fits = fits && (size < 2 || (bytes[1] >= rows[i].second[0] && bytes[1] <= rows[i].second[1]));
    for (size_t k = 2; k < size; k++)
      fits = fits && bytes[k] >= 0x80 && bytes[k] <= 0xbf;
    if (fits)
      return size;
  }
  return 0;
}

/* Whether some more bytes would make a character of these (n). */
static bool can_become_one(const uint8_t *bytes, size_t n)
{
  uint8_t tried[4] = {0};
  if (n >= sizeof tried || well_formed(bytes, n) > 0)
    return false;
  memcpy(tried, bytes, n);
  for (int second = 0x80; second <= 0xbf; second++) {
    for (size_t k = n; k < sizeof tried; k++)
      tried[k] = k == 1 ? (uint8_t)second : 0x80;
    if (well_formed(tried, sizeof tried) > n)
      return true;
  }
  return false;
}

enum { MOST_BYTES = 64 };

/* The size of a part (of n bytes) that is no character: the longest beginning of one, or a byte. A
 * maximal subpart, as Unicode calls it. */
static size_t subpart(const uint8_t *bytes, size_t n)
{
  size_t size = 1;
  while (size < n && can_become_one(bytes, size + 1))
    size++;
  return size;
}

/* What must have come out after these bytes (n), those that wait left out. */
static size_t expected_text(const uint8_t *bytes, size_t n, bool replaced, char *text)
{
  size_t size = 0;
  for (size_t at = 0, part; at < n; at += part) {
    size_t whole = well_formed(bytes + at, n - at);
    if (whole == 0 && can_become_one(bytes + at, n - at))
      break;
    part = whole ? whole : subpart(bytes + at, n - at);
    size_t n_put = whole || !replaced ? part : 3;
    memcpy(text + size, whole || !replaced ? (const char *)bytes + at : "\xef\xbf\xbd", n_put);
    size += n_put;
  }
  return size;
}

/* Bytes that often make characters, and often nearly. */
static uint8_t random_byte(random_numbers *chance)
{
  static const uint8_t telling[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                    0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                    0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff, 'a'};
  if (random_below(chance, 2))
    return (uint8_t)(0x80 + random_below(chance, 0x40));
  return telling[random_below(chance, sizeof telling)];
}

static void any_bytes_come_out_as_soon_as_they_are_certain(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = ""});
  random_numbers chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 400; repeat++) {
    bool replaced = repeat % 2;
    uint8_t bytes[MOST_BYTES];
    char expected[3 * MOST_BYTES], found[3 * MOST_BYTES];
    size_t n_found = 0;
    gpt2_decoder *decoder = new_decoder(s.model, replaced ? GPT2_DECODE_REPLACE : 0);
    for (size_t n = 1; n <= MOST_BYTES; n++) {
      const char *text;
      size_t size;
      bytes[n - 1] = random_byte(&chance);
      assert_int_equal(gpt2_decoder_push(decoder, bytes[n - 1], &text, &size, NULL), GPT2_OK);
      memcpy(found + n_found, text, size);
      n_found += size;
      assert_int_equal(n_found, expected_text(bytes, n, replaced, expected));
      assert_memory_equal(found, expected, n_found);
    }
    gpt2_decoder_free(decoder);
  }
  scripted_close(&s);
}

/* ---- Its life ---- */

static void a_decoder_keeps_its_model_and_pushing_allocates_nothing(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  scripted_model s = scripted_open(&(model_script){.text = "", .allocator = &hooks});
  gpt2_decoder *decoder = new_decoder(s.model, GPT2_DECODE_REPLACE);
  gpt2_context_free(s.context);
  gpt2_model_free(s.model);
  s.context = NULL;
  s.model = NULL;
  size_t n_calls = counter.n_calls;
  for (gpt2_token token = 0; token < 256; token++)
    assert_int_equal(gpt2_decoder_push(decoder, token, &(const char *){NULL}, &(size_t){0}, NULL),
                     GPT2_OK);
  push(decoder, 'a', "a");
  assert_int_equal(counter.n_calls, n_calls);
  gpt2_decoder_free(decoder);
  assert_int_equal(counter.n_live, 0);
  scripted_close(&s);
}

static void a_bad_token_changes_nothing(void **state)
{
  (void)state;
  static const gpt2_token bad[] = {-1, 257, INT32_MAX};
  scripted_model s = scripted_open(&(model_script){.text = ""});
  gpt2_decoder *decoder = new_decoder(s.model, 0);
  push(decoder, 0xc3, "");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *text = "before";
    size_t size = 6;
    gpt2_error error = NO_ERROR_YET;
    expect_failure(gpt2_decoder_push(decoder, bad[i], &text, &size, &error), GPT2_ERR_ARGUMENT,
                   &error, "token", "from 0 to 256");
    assert_string_equal(text, "before");
    assert_int_equal(size, 6);
  }
  push(decoder, 0xa9, "\xc3\xa9");
  gpt2_decoder_free(decoder);
  scripted_close(&s);
}

static void whichever_allocation_is_refused_a_decoder_can_be_made_afterwards(void **state)
{
  (void)state;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  scripted_model s = scripted_open(&(model_script){.text = "", .allocator = &hooks});
  size_t n_live = counter.n_live, n = 0;
  gpt2_status status = GPT2_ERR_MEMORY;
  for (; status != GPT2_OK; n++) {
    gpt2_decoder *decoder = (gpt2_decoder *)&s;
    gpt2_error error = NO_ERROR_YET;
    counter.refused = counter.n_calls + n + 1;
    status = gpt2_decoder_new(s.model, 0, &decoder, &error);
    if (status != GPT2_OK) {
      expect_failure(status, GPT2_ERR_MEMORY, &error, "memory", NULL);
      assert_null(decoder);
    }
    gpt2_decoder_free(decoder);
    assert_int_equal(counter.n_live, n_live);
  }
  assert_int_equal(n, 3); /* refused twice */
  counter.refused = 0;
  scripted_close(&s);
}

static void arguments_that_are_missing_or_unknown_are_named(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = ""});
  gpt2_decoder *decoder = (gpt2_decoder *)&s;
  const char *text;
  size_t size;
  gpt2_error error = NO_ERROR_YET;
#define REFUSED(call, name) expect_failure(call, GPT2_ERR_ARGUMENT, &error, name, "NULL")
  REFUSED(gpt2_decoder_new(NULL, 0, &decoder, &error), "model");
  assert_null(decoder);
  REFUSED(gpt2_decoder_new(s.model, 0, NULL, &error), "decoder");
  expect_failure(gpt2_decoder_new(s.model, 2, &decoder, &error), GPT2_ERR_UNSUPPORTED, &error,
                 "flags", "0x2");
  decoder = new_decoder(s.model, 0);
  REFUSED(gpt2_decoder_push(NULL, 'a', &text, &size, &error), "decoder");
  REFUSED(gpt2_decoder_push(decoder, 'a', NULL, &size, &error), "text");
  REFUSED(gpt2_decoder_push(decoder, 'a', &text, NULL, &error), "size");
  REFUSED(gpt2_decoder_finish(NULL, &text, &size, &error), "decoder");
  REFUSED(gpt2_decoder_finish(decoder, NULL, &size, &error), "text");
  REFUSED(gpt2_decoder_finish(decoder, &text, NULL, &error), "size");
#undef REFUSED
  push(decoder, 'a', "a");
  gpt2_decoder_free(decoder);
  gpt2_decoder_free(NULL);
  scripted_close(&s);
}

static void a_model_without_tokenizer_has_no_decoder(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.has_no_tokenizer = true});
  gpt2_decoder *decoder = (gpt2_decoder *)&s;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(gpt2_decoder_new(s.model, 0, &decoder, &error), GPT2_ERR_NO_TOKENIZER, &error,
                 "no tokenizer", "vocab.json");
  assert_null(decoder);
  scripted_close(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_character_of_three_tokens_comes_out_with_the_third),
      cmocka_unit_test(what_waits_comes_out_when_no_character_can_come_of_it),
      cmocka_unit_test(finishing_hands_out_what_waits_and_begins_anew),
      cmocka_unit_test(any_bytes_come_out_as_soon_as_they_are_certain),
      cmocka_unit_test(a_decoder_keeps_its_model_and_pushing_allocates_nothing),
      cmocka_unit_test(a_bad_token_changes_nothing),
      cmocka_unit_test(whichever_allocation_is_refused_a_decoder_can_be_made_afterwards),
      cmocka_unit_test(arguments_that_are_missing_or_unknown_are_named),
      cmocka_unit_test(a_model_without_tokenizer_has_no_decoder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
