/* test_generate.c - gpt2-generate: continues a prompt, as the documents promise it. */
#define _POSIX_C_SOURCE 200809L
#include "programs/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/temporary_folder.h"

#include <cmocka.h>

#define PROMPT "Once upon a time"
#define STORY  " there was a great forest, and in the forest" /* ten tokens: the model's README */

static void expect(outcome o, const char *expected)
{
  assert_quiet_success(&o);
  assert_string_equal(o.out, expected);
  free_outcome(&o);
}

static void the_likeliest_story_is_told(void **state)
{
  (void)state;
  expect(RUN("generate", NULL, "--greedy", "-n", "10", PROMPT), PROMPT STORY);
  expect(RUN("generate", NULL, PROMPT, "--temperature", "0", "--tokens", "10"), PROMPT STORY);
}

static void the_prompt_is_left_out_on_request(void **state)
{
  (void)state;
  expect(RUN("generate", NULL, "--greedy", "-n10", "--no-echo", PROMPT), STORY);
}

static void the_prompt_may_come_from_standard_input(void **state)
{
  (void)state;
  const setting given = {.input = PROMPT};
  expect(RUN("generate", &given, "--greedy", "-n10"), PROMPT STORY);
  expect(RUN("generate", &given, "--greedy", "-n10", "-"), PROMPT STORY);
}

static void the_prompt_is_not_stripped(void **state)
{
  (void)state;
  const setting given = {.input = "\n The king \n\n"};
  outcome o = RUN("generate", &given, "--greedy", "-n1");
  assert_quiet_success(&o);
  assert_memory_equal(o.out, given.input, strlen(given.input));
  free_outcome(&o);
}

static void json_tells_everything(void **state)
{
  (void)state;
  expect(RUN("generate", NULL, "--greedy", "-n10", "--json", "--no-echo", PROMPT),
         "{\"prompt\":\"" PROMPT "\",\"text\":\"" STORY
         "\",\"tokens\":[437,307,258,535,970,11,269,296,259,970],"
         "\"finish\":\"length\",\"seed\":0}\n");
}

static void a_stop_string_ends_the_text_before_it(void **state)
{
  (void)state;
  expect(RUN("generate", NULL, "--greedy", "--stop", "forest", PROMPT),
         PROMPT " there was a great ");
  expect(RUN("generate", NULL, "--greedy", "--stop", "queen", "--stop", "t fore", "--stop=forest,",
             PROMPT),
         PROMPT " there was a grea");
  outcome o = RUN("generate", NULL, "--greedy", "--json", "--stop", " great", PROMPT);
  json_t *json = json_of(&o);
  assert_string_equal(json_string_value(json_object_get(json, "finish")), "stop");
  assert_string_equal(json_string_value(json_object_get(json, "text")), " there was a");
  json_decref(json);
  free_outcome(&o);
}

/* Reads "gpt2-generate: seed N\n", which is all there is. */
static char *told_seed(const outcome *o)
{
  static const char prefix[] = "gpt2-generate: seed ";
  assert_int_equal(o->status, 0);
  assert_memory_equal(o->err, prefix, strlen(prefix));
  char *seed = strdup(o->err + strlen(prefix));
  assert_ptr_equal(strchr(seed, '\n'), seed + strlen(seed) - 1);
  seed[strlen(seed) - 1] = 0;
  return seed;
}

static void a_random_seed_is_told_and_tells_the_same_story_again(void **state)
{
  (void)state;
  outcome first = RUN("generate", NULL, "-n30", PROMPT);
  char *seed = told_seed(&first);
  outcome other = RUN("generate", NULL, "-n30", PROMPT);
  char *other_seed = told_seed(&other);
  assert_string_not_equal(seed, other_seed);
  expect(RUN("generate", NULL, "-n30", "--seed", seed, PROMPT), first.out);
  outcome json = RUN("generate", NULL, "-n30", "--seed", seed, PROMPT, "--json");
  assert_quiet_success(&json);
  assert_non_null(strstr(json.out, seed));
  free_outcome(&first);
  free_outcome(&other);
  free_outcome(&json);
  free(seed);
  free(other_seed);
}

/* Of the likeliest one, and of those within a tiny probability, there is only one. */
static void top_k_and_top_p_narrow_the_choice(void **state)
{
  (void)state;
  expect(RUN("generate", NULL, "--seed", "7", "--temperature", "5", "--top-k", "1", "-n10", PROMPT),
         PROMPT STORY);
  expect(RUN("generate", NULL, "--seed", "7", "--top-k", "0", "--top-p", "1e-9", "-n10", PROMPT),
         PROMPT STORY);
}

static void a_hot_temperature_without_filters_tells_something_else(void **state)
{
  (void)state;
  outcome o = RUN("generate", NULL, "--seed", "7", "--temperature", "3", "--top-k", "0", "--top-p",
                  "0", "-n10", PROMPT);
  assert_quiet_success(&o);
  assert_memory_equal(o.out, PROMPT, strlen(PROMPT));
  assert_string_not_equal(o.out, PROMPT STORY);
  free_outcome(&o);
}

static void an_empty_prompt_begins_a_text(void **state)
{
  (void)state;
  outcome o = RUN("generate", NULL, "--greedy", "-n5", "--json", "");
  json_t *json = json_of(&o);
  assert_string_equal(json_string_value(json_object_get(json, "prompt")), "");
  assert_int_equal(json_array_size(json_object_get(json, "tokens")), 5);
  json_decref(json);
  free_outcome(&o);
}

static void zero_tokens_means_until_the_context_is_full(void **state)
{
  (void)state;
  char *folder = make_odd_model(16, true);
  const setting given = {.model = folder};
  outcome o = RUN("generate", &given, "--seed", "1", "-n0", "--json", PROMPT);
  json_t *json = json_of(&o);
  assert_string_equal(json_string_value(json_object_get(json, "finish")), "context");
  assert_in_range(json_array_size(json_object_get(json, "tokens")), 12, 13);
  json_decref(json);
  free_outcome(&o);
  remove_temporary_folder(folder);
}

static void a_prompt_longer_than_the_context_is_refused(void **state)
{
  (void)state;
  char *folder = make_odd_model(3, true);
  outcome o = RUN("generate", NULL, "--greedy", "-m", folder, PROMPT);
  ASSERT_FAILURE(&o, 1, "generate", "4 tokens", "3");
  free_outcome(&o);
  remove_temporary_folder(folder);
}

static void a_model_without_tokenizer_is_refused(void **state)
{
  (void)state;
  char *folder = make_odd_model(16, false);
  outcome o = RUN("generate", NULL, "--greedy", "-m", folder, PROMPT);
  ASSERT_FAILURE(&o, 1, "generate", "tokenizer");
  free_outcome(&o);
  remove_temporary_folder(folder);
}

static void bytes_that_are_not_utf8_are_echoed_and_marked_in_json(void **state)
{
  (void)state;
  const setting given = {.input = "a\xff"
                                  "b\xe2\x82"};
  outcome text = RUN("generate", &given, "--greedy", "-n1");
  assert_quiet_success(&text);
  assert_memory_equal(text.out, given.input, strlen(given.input));
  free_outcome(&text);
  outcome o = RUN("generate", &given, "--greedy", "-n1", "--json");
  json_t *json = json_of(&o);
  assert_string_equal(json_string_value(json_object_get(json, "prompt")), "a\xef\xbf\xbd"
                                                                          "b\xef\xbf\xbd");
  json_decref(json);
  free_outcome(&o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_likeliest_story_is_told),
      cmocka_unit_test(the_prompt_is_left_out_on_request),
      cmocka_unit_test(the_prompt_may_come_from_standard_input),
      cmocka_unit_test(the_prompt_is_not_stripped),
      cmocka_unit_test(json_tells_everything),
      cmocka_unit_test(a_stop_string_ends_the_text_before_it),
      cmocka_unit_test(a_random_seed_is_told_and_tells_the_same_story_again),
      cmocka_unit_test(top_k_and_top_p_narrow_the_choice),
      cmocka_unit_test(a_hot_temperature_without_filters_tells_something_else),
      cmocka_unit_test(an_empty_prompt_begins_a_text),
      cmocka_unit_test(zero_tokens_means_until_the_context_is_full),
      cmocka_unit_test(a_prompt_longer_than_the_context_is_refused),
      cmocka_unit_test(a_model_without_tokenizer_is_refused),
      cmocka_unit_test(bytes_that_are_not_utf8_are_echoed_and_marked_in_json),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
