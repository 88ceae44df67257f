/* test_text.c - text to tokens and back through the public functions: buffers, ids at the edges,
 * and what is refused. Which tokens a text becomes is the tokenizer tests' matter: here every byte
 * is one. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/random_numbers.h"
#include "support/scripted_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const own_names[] = {"wide"};
enum { WIDE = FIRST_OWN_TOKEN, TEXTLESS };

/* Tokens 0 to 255, <|endoftext|>, "wide", and one without text. */
static scripted_model open_model_of_words(void)
{
  return scripted_open(
      &(model_script){.text = "abc", .own_names = own_names, .n_own = 1, .n_more_rows = 1});
}

/* The tokens of a text, which must be `n`. */
static void encode(const scripted_model *s, const char *text, size_t size, uint32_t flags,
                   gpt2_token *tokens, size_t n)
{
  size_t found = 0;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_encode(s->model, text, size, flags, tokens, n, &found, &error), &error);
  assert_int_equal(found, n);
}

/* ---- There and back ---- */

static void bytes_of_any_kind_come_back_as_they_were(void **state)
{
  (void)state;
  enum { SIZE = 3000 };
  char text[SIZE], back[SIZE];
  gpt2_token tokens[SIZE];
  size_t size = 0;
  gpt2_error error = NO_ERROR_YET;
  scripted_model s = open_model_of_words();
  random_numbers chance = random_from_seed(__func__);
  for (int i = 0; i < SIZE; i++)
    text[i] = (char)(i < 256 ? i : random_below(&chance, 256));
  encode(&s, text, SIZE, 0, tokens, SIZE);
  expect_success(gpt2_decode(s.model, tokens, SIZE, back, SIZE, &size, &error), &error);
  assert_int_equal(size, SIZE);
  assert_memory_equal(back, text, SIZE);
  scripted_close(&s);
}

static void nothing_becomes_nothing_without_any_buffer(void **state)
{
  (void)state;
  scripted_model s = open_model_of_words();
  size_t n = 7, size = 7;
  assert_int_equal(gpt2_encode(s.model, NULL, 0, 0, NULL, 0, &n, NULL), GPT2_OK);
  assert_int_equal(n, 0);
  assert_int_equal(gpt2_decode(s.model, NULL, 0, NULL, 0, &size, NULL), GPT2_OK);
  assert_int_equal(size, 0);
  scripted_close(&s);
}

static void special_tokens_are_read_only_on_request(void **state)
{
  (void)state;
  scripted_model s = open_model_of_words();
  gpt2_token tokens[16];
  encode(&s, "a<|endoftext|>", 14, 0, tokens, 14);
  assert_int_equal(tokens[1], '<');
  encode(&s, "a<|endoftext|>", 14, GPT2_ENCODE_SPECIAL, tokens, 2);
  assert_int_equal(tokens[1], END_TOKEN);
  scripted_close(&s);
}

static void special_and_wide_tokens_decode_to_their_text(void **state)
{
  (void)state;
  static const gpt2_token tokens[] = {'a', END_TOKEN, WIDE, TEXTLESS, 0xe2, 'b'};
  static const char expected[] = "a<|endoftext|>wide\xe2"
                                 "b";
  scripted_model s = open_model_of_words();
  char text[32];
  size_t size;
  assert_int_equal(gpt2_decode(s.model, tokens, 6, text, sizeof text, &size, NULL), GPT2_OK);
  assert_int_equal(size, sizeof expected - 1);
  assert_memory_equal(text, expected, size);
  scripted_close(&s);
}

/* ---- Buffers ---- */

static void encoding_asks_for_the_room_it_needs_and_writes_nothing(void **state)
{
  (void)state;
  scripted_model s = open_model_of_words();
  gpt2_token tokens[5] = {-7, -7, -7, -7, -7};
  for (size_t capacity = 0; capacity < 5; capacity++) {
    size_t n = 0;
    gpt2_error error = NO_ERROR_YET;
    expect_failure(
        gpt2_encode(s.model, "abcde", 5, 0, capacity ? tokens : NULL, capacity, &n, &error),
        GPT2_ERR_BUFFER_TOO_SMALL, &error, "capacity", "5 tokens");
    assert_int_equal(n, 5);
    for (int i = 0; i < 5; i++)
      assert_int_equal(tokens[i], -7);
  }
  encode(&s, "abcde", 5, 0, tokens, 5);
  assert_int_equal(tokens[4], 'e');
  scripted_close(&s);
}

static void decoding_asks_for_the_room_it_needs_and_writes_nothing(void **state)
{
  (void)state;
  static const gpt2_token tokens[] = {'a', WIDE};
  scripted_model s = open_model_of_words();
  char text[6] = "#####";
  for (size_t capacity = 0; capacity < 5; capacity++) {
    size_t size = 0;
    gpt2_error error = NO_ERROR_YET;
    expect_failure(gpt2_decode(s.model, tokens, 2, capacity ? text : NULL, capacity, &size, &error),
                   GPT2_ERR_BUFFER_TOO_SMALL, &error, "capacity", "5 bytes");
    assert_int_equal(size, 5);
    assert_string_equal(text, "#####");
  }
  size_t size;
  assert_int_equal(gpt2_decode(s.model, tokens, 2, text, 5, &size, NULL), GPT2_OK);
  assert_string_equal(text, "awide");
  scripted_close(&s);
}

/* ---- Single tokens ---- */

static void the_bytes_of_a_token_are_the_models_own(void **state)
{
  (void)state;
  scripted_model s = open_model_of_words();
  const struct {
    gpt2_token token;
    const char *bytes;
    size_t size;
  } cases[] = {{'a', "a", 1}, {0, "", 1}, {0xff, "\xff", 1}, {WIDE, "wide", 4}, {TEXTLESS, "", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *bytes = NULL, *again = NULL;
    size_t size = 99;
    gpt2_error error = NO_ERROR_YET;
    expect_success(gpt2_token_bytes(s.model, cases[i].token, &bytes, &size, &error), &error);
    assert_int_equal(size, cases[i].size);
    assert_memory_equal(bytes, cases[i].bytes, size);
    assert_int_equal(gpt2_token_bytes(s.model, cases[i].token, &again, &size, NULL), GPT2_OK);
    assert_ptr_equal(again, bytes);
  }
  scripted_close(&s);
}

static void flags_say_what_a_token_is(void **state)
{
  (void)state;
  scripted_model s =
      scripted_open(&(model_script){.own_names = own_names,
                                    .n_own = 1,
                                    .n_more_rows = 1,
                                    .special = "\"bos_token_id\":97,\"eos_token_id\":[258,97]"});
  assert_int_equal(gpt2_token_flags(s.model, 'a'),
                   GPT2_TOKEN_BOS | GPT2_TOKEN_EOS | GPT2_TOKEN_TEXT);
  assert_int_equal(gpt2_token_flags(s.model, 'b'), GPT2_TOKEN_TEXT);
  assert_int_equal(gpt2_token_flags(s.model, END_TOKEN),
                   GPT2_TOKEN_SPECIAL | GPT2_TOKEN_ADDED | GPT2_TOKEN_TEXT);
  assert_int_equal(gpt2_token_flags(s.model, WIDE), GPT2_TOKEN_TEXT);
  assert_int_equal(gpt2_token_flags(s.model, TEXTLESS), GPT2_TOKEN_EOS);
  assert_int_equal(gpt2_token_flags(s.model, TEXTLESS + 1), 0);
  assert_int_equal(gpt2_token_flags(s.model, -1), 0);
  assert_int_equal(gpt2_token_flags(s.model, INT32_MAX), 0);
  assert_int_equal(gpt2_token_flags(NULL, 'a'), 0);
  scripted_close(&s);
}

static void the_tokens_that_begin_and_end_a_text_are_the_configs(void **state)
{
  (void)state;
  scripted_model s = scripted_open(
      &(model_script){.special = "\"bos_token_id\":97,\"eos_token_id\":[5000,98,97]"});
  assert_int_equal(gpt2_bos_token(s.model), 97);
  assert_int_equal(gpt2_eos_token(s.model, 0), 98); /* 5000 is none of the model's */
  assert_int_equal(gpt2_eos_token(s.model, 1), 97);
  assert_int_equal(gpt2_eos_token(s.model, 2), -1);
  assert_int_equal(gpt2_eos_token(s.model, SIZE_MAX), -1);
  assert_int_equal(gpt2_bos_token(NULL), -1);
  assert_int_equal(gpt2_eos_token(NULL, 0), -1);
  scripted_close(&s);
  s = scripted_open(&(model_script){.special = "\"bos_token_id\":5000,\"eos_token_id\":null"});
  assert_int_equal(gpt2_bos_token(s.model), END_TOKEN);
  assert_int_equal(gpt2_eos_token(s.model, 0), -1);
  scripted_close(&s);
}

/* ---- What is refused ---- */

static void ids_that_neither_model_nor_tokenizer_knows_are_refused(void **state)
{
  (void)state;
  static const gpt2_token bad[] = {-1, INT32_MIN, TEXTLESS + 1, INT32_MAX};
  scripted_model s = open_model_of_words();
  char text[8];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *bytes;
    size_t size;
    gpt2_error error = NO_ERROR_YET;
    expect_failure(gpt2_decode(s.model, (gpt2_token[]){'a', bad[i]}, 2, text, 8, &size, &error),
                   GPT2_ERR_ARGUMENT, &error, "tokens[1]", "from 0 to 258");
    error = NO_ERROR_YET;
    expect_failure(gpt2_token_bytes(s.model, bad[i], &bytes, &size, &error), GPT2_ERR_ARGUMENT,
                   &error, "token: is", "from 0 to 258");
  }
  scripted_close(&s);
}

static void ids_of_the_tokenizer_that_the_model_lacks_have_text(void **state)
{
  (void)state;
  scripted_model s =
      scripted_open(&(model_script){.own_names = own_names, .n_own = 1, .n_more_rows = -1});
  const char *bytes;
  size_t size;
  assert_int_equal(gpt2_token_bytes(s.model, WIDE, &bytes, &size, NULL), GPT2_OK);
  assert_int_equal(size, 4);
  assert_int_equal(gpt2_token_bytes(s.model, WIDE + 1, &bytes, &size, NULL), GPT2_ERR_ARGUMENT);
  scripted_close(&s);
}

static void arguments_that_are_missing_or_unknown_are_named(void **state)
{
  (void)state;
  scripted_model s = open_model_of_words();
  gpt2_token token = 'a';
  size_t n;
  char text[4];
  const char *bytes;
  gpt2_error error = NO_ERROR_YET;
#define REFUSED(call, name) expect_failure(call, GPT2_ERR_ARGUMENT, &error, name, "NULL")
  REFUSED(gpt2_encode(NULL, "a", 1, 0, &token, 1, &n, &error), "model");
  REFUSED(gpt2_encode(s.model, NULL, 1, 0, &token, 1, &n, &error), "text");
  REFUSED(gpt2_encode(s.model, "a", 1, 0, NULL, 1, &n, &error), "tokens");
  REFUSED(gpt2_encode(s.model, "a", 1, 0, &token, 1, NULL, &error), "n_tokens");
  REFUSED(gpt2_decode(NULL, &token, 1, text, 4, &n, &error), "model");
  REFUSED(gpt2_decode(s.model, NULL, 1, text, 4, &n, &error), "tokens");
  REFUSED(gpt2_decode(s.model, &token, 1, NULL, 4, &n, &error), "text");
  REFUSED(gpt2_decode(s.model, &token, 1, text, 4, NULL, &error), "size");
  REFUSED(gpt2_token_bytes(NULL, 'a', &bytes, &n, &error), "model");
  REFUSED(gpt2_token_bytes(s.model, 'a', NULL, &n, &error), "bytes");
  REFUSED(gpt2_token_bytes(s.model, 'a', &bytes, NULL, &error), "size");
#undef REFUSED
  expect_failure(gpt2_encode(s.model, "a", 1, 6, &token, 1, &n, &error), GPT2_ERR_UNSUPPORTED,
                 &error, "flags", "0x6");
  encode(&s, "b", 1, 0, &token, 1);
  assert_int_equal(token, 'b');
  scripted_close(&s);
}

static void a_model_without_tokenizer_says_why_it_has_none(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.has_no_tokenizer = true});
  gpt2_token token = 'a';
  size_t n;
  char text[4];
  const char *bytes;
  gpt2_error error = NO_ERROR_YET;
#define REFUSED(call)                                                                              \
  expect_failure(call, GPT2_ERR_NO_TOKENIZER, &error, "no tokenizer", "vocab.json")
  REFUSED(gpt2_encode(s.model, "a", 1, 0, &token, 1, &n, &error));
  REFUSED(gpt2_encode(s.model, "", 0, 0, NULL, 0, &n, &error));
  REFUSED(gpt2_decode(s.model, &token, 1, text, 4, &n, &error));
  REFUSED(gpt2_token_bytes(s.model, 'a', &bytes, &n, &error));
#undef REFUSED
  assert_int_equal(gpt2_token_flags(s.model, END_TOKEN), GPT2_TOKEN_BOS | GPT2_TOKEN_EOS);
  scripted_close(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bytes_of_any_kind_come_back_as_they_were),
      cmocka_unit_test(nothing_becomes_nothing_without_any_buffer),
      cmocka_unit_test(special_tokens_are_read_only_on_request),
      cmocka_unit_test(special_and_wide_tokens_decode_to_their_text),
      cmocka_unit_test(encoding_asks_for_the_room_it_needs_and_writes_nothing),
      cmocka_unit_test(decoding_asks_for_the_room_it_needs_and_writes_nothing),
      cmocka_unit_test(the_bytes_of_a_token_are_the_models_own),
      cmocka_unit_test(flags_say_what_a_token_is),
      cmocka_unit_test(the_tokens_that_begin_and_end_a_text_are_the_configs),
      cmocka_unit_test(ids_that_neither_model_nor_tokenizer_knows_are_refused),
      cmocka_unit_test(ids_of_the_tokenizer_that_the_model_lacks_have_text),
      cmocka_unit_test(arguments_that_are_missing_or_unknown_are_named),
      cmocka_unit_test(a_model_without_tokenizer_says_why_it_has_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
