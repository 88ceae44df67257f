/* test_generation_stops.c - stop strings and characters that come in several tokens: what is handed
 * out with which token, what is held back, and what is cut. In the expected texts a '|' ends the
 * piece of each token. */
#include "gpt2.h"
#include "support/collected.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/scripted_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const own_names[] = {"one,two", "xENDySTOPz"};
enum { ONE_TWO = FIRST_OWN_TOKEN, END_AND_STOP };

typedef struct stop_case {
  const char *says;     /* what the model says: bytes, and 'A', 'B' for its own tokens */
  const char *stops[4]; /* up to the first NULL */
  const char *pieces;
  int32_t finish;
  const char *in_sequence; /* after the prompt "p" */
} stop_case;

/* At most as many tokens as the script has. */
static void check_stop_case(const stop_case *c)
{
  gpt2_token tokens[32];
  gpt2_string stops[4];
  size_t n = strlen(c->says), n_stops = 0;
  for (size_t i = 0; i < n; i++)
    tokens[i] = c->says[i] == 'A' ? ONE_TWO : c->says[i] == 'B' ? END_AND_STOP : c->says[i] & 0xff;
  for (; c->stops[n_stops]; n_stops++)
    stops[n_stops] = (gpt2_string){c->stops[n_stops], strlen(c->stops[n_stops])};
  scripted_model s = scripted_open(
      &(model_script){.tokens = tokens, .n_tokens = n, .own_names = own_names, .n_own = 2});
  gpt2_generate_options options = at_most((int32_t)n);
  options.stops = stops;
  options.n_stops = (uint32_t)n_stops;
  expect_pieces(s.context, "p", &options, c->pieces, c->finish);
  assert_string_equal(kv_text(s.context, 0) + 1, c->in_sequence);
  scripted_close(&s);
}

static void check_stop_cases(const stop_case *cases, size_t n)
{
  for (size_t i = 0; i < n; i++)
    check_stop_case(&cases[i]);
}

#define CHECK(cases) check_stop_cases(cases, sizeof cases / sizeof *cases)

/* ---- One stop string ---- */

static void a_stop_string_of_three_tokens_is_cut_from_the_text_not_from_the_sequence(void **state)
{
  (void)state;
  static const stop_case cases[] = {
      {"abxyzcd", {"xyz"}, "a|b||||", GPT2_FINISH_STOP, "abxy"},
      {"xyzcd", {"xyz"}, "|||", GPT2_FINISH_STOP, "xy"},
  };
  CHECK(cases);
}

static void what_only_began_like_a_stop_string_is_handed_out(void **state)
{
  (void)state;
  static const stop_case cases[] = {
      {"abxyacd", {"xyz"}, "a|b|||xya|c|d|", GPT2_FINISH_LENGTH, "abxyac"},
      {"abxxyzc", {"xyz"}, "a|b||x|||", GPT2_FINISH_STOP, "abxxy"},
      {"axyxyza", {"xyz"}, "a|||xy|||", GPT2_FINISH_STOP, "axyxy"},
      {"caaabd", {"aab"}, "c|||a||", GPT2_FINISH_STOP, "caaa"},
      {"ababac", {"abac"}, "|||ab|||", GPT2_FINISH_STOP, "ababa"},
      {"aaaaab", {"aaab"}, "|||a|a||", GPT2_FINISH_STOP, "aaaaa"},
  };
  CHECK(cases);
}

static void what_is_held_back_comes_with_the_end(void **state)
{
  (void)state;
  static const stop_case cases[] = {
      {"abxy", {"xyz"}, "a|b||xy|", GPT2_FINISH_LENGTH, "abx"},
      {"x", {"xyz"}, "x|", GPT2_FINISH_LENGTH, ""},
  };
  CHECK(cases);
  scripted_model s = scripted_open(&(model_script){.text = "abxy", .n_ctx = 8});
  gpt2_generate_options options = at_most(0);
  options.stops = &(gpt2_string){"xyz", 3};
  options.n_stops = 1;
  expect_pieces(s.context, "p", &options, "a|b|||xy|", GPT2_FINISH_END);
  scripted_close(&s);
  s = scripted_open(&(model_script){.text = "abxyabxy", .n_ctx = 4});
  expect_pieces(s.context, "p", &options, "a|b||xy|", GPT2_FINISH_CONTEXT);
  scripted_close(&s);
}

static void a_stop_string_that_the_last_token_completes_is_a_stop(void **state)
{
  (void)state;
  static const stop_case cases[] = {{"abxyz", {"xyz"}, "a|b||||", GPT2_FINISH_STOP, "abxy"}};
  CHECK(cases);
}

static void a_stop_string_inside_a_token_is_cut_from_it(void **state)
{
  (void)state;
  static const stop_case cases[] = {
      {"aAb", {","}, "a|one|", GPT2_FINISH_STOP, "a"},
      {"aAb", {"one"}, "a||", GPT2_FINISH_STOP, "a"},
      {"aAb", {"two"}, "a|one,|", GPT2_FINISH_STOP, "a"},
      {"aAb", {"ob"}, "a|one,tw||", GPT2_FINISH_STOP, "aA"},
      {"aAb", {"aone"}, "||", GPT2_FINISH_STOP, "a"},
  };
  CHECK(cases);
}

static void a_stop_string_that_the_prompt_begins_is_none(void **state)
{
  (void)state;
  static const stop_case cases[] = {{"abc", {"pab"}, "a|b|c|", GPT2_FINISH_LENGTH, "ab"}};
  CHECK(cases);
}

/* ---- Several ---- */

static void of_several_the_one_that_is_complete_first_wins(void **state)
{
  (void)state;
  static const stop_case cases[] = {
      {"1B2", {"STOP", "END"}, "1|x|", GPT2_FINISH_STOP, "1"},
      {"1B2", {"END", "STOP"}, "1|x|", GPT2_FINISH_STOP, "1"},
      {"1B2", {"DyS", "END"}, "1|x|", GPT2_FINISH_STOP, "1"},
      {"1B2", {"yS", "STOP"}, "1|xEND|", GPT2_FINISH_STOP, "1"},
      {"abcd", {"abcd", "bc"}, "||a|", GPT2_FINISH_STOP, "ab"},
      {"abcd", {"cd", "abcx"}, "|||ab|", GPT2_FINISH_STOP, "abc"},
  };
  CHECK(cases);
}

static void of_several_with_one_end_the_longest_wins(void **state)
{
  (void)state;
  static const stop_case cases[] = {
      {"abcd", {"c", "bc"}, "a|||", GPT2_FINISH_STOP, "ab"},
      {"abcd", {"bc", "c", "abc"}, "|||", GPT2_FINISH_STOP, "ab"},
      {"1B2", {"P", "TOP", "OP"}, "1|xENDyS|", GPT2_FINISH_STOP, "1"},
  };
  CHECK(cases);
}

static void stop_strings_are_copied_when_the_generation_is_made(void **state)
{
  (void)state;
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  char *bytes = malloc(2);
  gpt2_string *stops = malloc(sizeof *stops);
  gpt2_generation *generation;
  gpt2_generate_options options = at_most(9);
  gpt2_piece piece = {.struct_size = sizeof piece};
  assert_true(bytes && stops);
  memcpy(bytes, "cd", 2);
  *stops = (gpt2_string){bytes, 2};
  options.stops = stops;
  options.n_stops = 1;
  must_succeed(gpt2_generation_new(s.context, "p", 1, &options, &generation), s.context);
  free(bytes);
  free(stops);
  int n = 0;
  for (; piece.finish == GPT2_FINISH_NONE; n++)
    must_succeed(gpt2_generation_next(generation, &piece), s.context);
  assert_int_equal(n, 4);
  assert_int_equal(piece.finish, GPT2_FINISH_STOP);
  gpt2_generation_free(generation);
  scripted_close(&s);
}

static void a_stop_string_may_hold_nul_bytes(void **state)
{
  (void)state;
  static const gpt2_token tokens[] = {'a', 0, 'b', 'c'};
  scripted_model s = scripted_open(&(model_script){.tokens = tokens, .n_tokens = 4});
  gpt2_generate_options options = at_most(4);
  options.stops = &(gpt2_string){"\0b", 2};
  options.n_stops = 1;
  expect_pieces(s.context, "p", &options, "a|||", GPT2_FINISH_STOP);
  scripted_close(&s);
}

/* ---- Stop strings that are refused ---- */

static void a_stop_string_that_cannot_be_is_refused_by_its_number(void **state)
{
  (void)state;
  static char longest[4097];
  const struct {
    gpt2_string stop;
    gpt2_status status;
    const char *found;
  } cases[] = {
      {{NULL, 1}, GPT2_ERR_ARGUMENT, "NULL"},
      {{"x", 0}, GPT2_ERR_ARGUMENT, "is 0"},
      {{longest, 4097}, GPT2_ERR_LIMIT, "4097"},
      {{"x", UINT64_MAX}, GPT2_ERR_LIMIT, "4096"},
      {{"a\xe2\x82", 3}, GPT2_ERR_ARGUMENT, "not UTF-8"},
      {{"\xc0\x80", 2}, GPT2_ERR_ARGUMENT, "not UTF-8"},
  };
  scripted_model s = scripted_open(&(model_script){.text = "abcdef"});
  memset(longest, 'x', sizeof longest);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gpt2_string stops[] = {{"c", 1}, cases[i].stop};
    gpt2_generate_options options = at_most(1);
    collected all = {.stop_at = 0};
    options.stops = stops;
    options.n_stops = 2;
    expect_failure(generate_into(s.context, "p", &options, &all), cases[i].status,
                   gpt2_context_error(s.context), "options.stops[1]", cases[i].found);
    assert_int_equal(gpt2_kv_length(s.context, 0), 0);
  }
  gpt2_generate_options options = at_most(6);
  collected all = {.stop_at = 0};
  options.n_stops = 1;
  expect_failure(generate_into(s.context, "p", &options, &all), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(s.context), "options.stops", "NULL");
  options.stops = &(gpt2_string){longest, 4096};
  expect_pieces(s.context, "p", &options, "a|b|c|d|e|f|", GPT2_FINISH_LENGTH);
  scripted_close(&s);
}

/* ---- Characters ---- */

typedef struct character_case {
  const char *says, *stop;
  bool is_replaced;
  const char *pieces;
  int32_t finish;
} character_case;

static void check_character_case(const character_case *c)
{
  scripted_model s = scripted_open(&(model_script){.text = c->says});
  gpt2_generate_options options = at_most((int32_t)strlen(c->says));
  options.flags = c->is_replaced ? GPT2_GENERATE_REPLACE : 0;
  options.stops = &(gpt2_string){c->stop, c->stop ? strlen(c->stop) : 0};
  options.n_stops = c->stop ? 1 : 0;
  expect_pieces(s.context, "p", &options, c->pieces, c->finish);
  scripted_close(&s);
}

static void check_character_cases(const character_case *cases, size_t n)
{
  for (size_t i = 0; i < n; i++)
    check_character_case(&cases[i]);
}

#define CHECK_CHARACTERS(cases) check_character_cases(cases, sizeof cases / sizeof *cases)

static void a_character_of_several_tokens_comes_whole_with_the_last(void **state)
{
  (void)state;
  static const character_case cases[] = {
      {"a\xc3\xa9z", NULL, false, "a||\xc3\xa9|z|", GPT2_FINISH_LENGTH},
      {"a\xe2\x82\xacz", NULL, false, "a|||\xe2\x82\xac|z|", GPT2_FINISH_LENGTH},
      {"\xf0\x9f\x98\x80z", NULL, true, "|||\xf0\x9f\x98\x80|z|", GPT2_FINISH_LENGTH},
  };
  CHECK_CHARACTERS(cases);
}

static void bytes_that_are_no_character_come_as_they_are_or_replaced(void **state)
{
  (void)state;
  static const character_case cases[] = {
      {"a\xff"
       "b",
       NULL, false, "a|\xff|b|", GPT2_FINISH_LENGTH},
      {"a\xff"
       "b",
       NULL, true, "a|\xef\xbf\xbd|b|", GPT2_FINISH_LENGTH},
      {"\xe2\x82z", NULL, false, "||\xe2\x82z|", GPT2_FINISH_LENGTH},
      {"\xe2\x82z", NULL, true, "||\xef\xbf\xbdz|", GPT2_FINISH_LENGTH},
      {"\xe2\xe2\x82\xac", NULL, false, "|\xe2||\xe2\x82\xac|", GPT2_FINISH_LENGTH},
      {"\xed\xa0\x80", NULL, true, "|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd|", GPT2_FINISH_LENGTH},
  };
  CHECK_CHARACTERS(cases);
}

static void a_character_that_the_end_cuts_comes_as_it_is_or_replaced(void **state)
{
  (void)state;
  static const character_case cases[] = {
      {"a\xe2\x82", NULL, false, "a||\xe2\x82|", GPT2_FINISH_LENGTH},
      {"a\xe2\x82", NULL, true, "a||\xef\xbf\xbd|", GPT2_FINISH_LENGTH},
  };
  CHECK_CHARACTERS(cases);
}

static void stop_strings_are_found_among_whole_characters(void **state)
{
  (void)state;
  static const character_case cases[] = {
      {"a\xe2\x82\xacz", "\xe2\x82\xac", false, "a||||", GPT2_FINISH_STOP},
      {"a\xe2\x82\xacz", "\xe2\x82\xaf", false, "a|||\xe2\x82\xac|z|", GPT2_FINISH_LENGTH},
      {"ab\xff"
       "cd",
       "c", false, "a|b|\xff||", GPT2_FINISH_STOP},
      {"ab\xff"
       "cd",
       "\xef\xbf\xbd"
       "c",
       true, "a|b|||", GPT2_FINISH_STOP},
      {"ab\xff"
       "cd",
       "\xef\xbf\xbd"
       "c",
       false, "a|b|\xff|c|d|", GPT2_FINISH_LENGTH},
      {"ab\xe2", "\xef\xbf\xbd", true, "a|b||", GPT2_FINISH_STOP},
  };
  CHECK_CHARACTERS(cases);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stop_string_of_three_tokens_is_cut_from_the_text_not_from_the_sequence),
      cmocka_unit_test(what_only_began_like_a_stop_string_is_handed_out),
      cmocka_unit_test(what_is_held_back_comes_with_the_end),
      cmocka_unit_test(a_stop_string_that_the_last_token_completes_is_a_stop),
      cmocka_unit_test(a_stop_string_inside_a_token_is_cut_from_it),
      cmocka_unit_test(a_stop_string_that_the_prompt_begins_is_none),
      cmocka_unit_test(of_several_the_one_that_is_complete_first_wins),
      cmocka_unit_test(of_several_with_one_end_the_longest_wins),
      cmocka_unit_test(stop_strings_are_copied_when_the_generation_is_made),
      cmocka_unit_test(a_stop_string_may_hold_nul_bytes),
      cmocka_unit_test(a_stop_string_that_cannot_be_is_refused_by_its_number),
      cmocka_unit_test(a_character_of_several_tokens_comes_whole_with_the_last),
      cmocka_unit_test(bytes_that_are_no_character_come_as_they_are_or_replaced),
      cmocka_unit_test(a_character_that_the_end_cuts_comes_as_it_is_or_replaced),
      cmocka_unit_test(stop_strings_are_found_among_whole_characters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
