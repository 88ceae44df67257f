/* test_bench_accuracy.c - gpt2-bench --accuracy: how far the model is from itself in f32. */
#include "programs/bench_report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/opened.h"
#include "support/temporary_folder.h"

#include <cmocka.h>

enum { PATH_SIZE = 4096, TEXT_SIZE = 3000 };

/* The beginning of the validation text: more than one window of the default model's context. */
static char *folder;
static char text_path[PATH_SIZE], text[TEXT_SIZE + 1];

static int make_text(void **state)
{
  (void)state;
  FILE *file = fopen(TEST_DATA_DIR "/data/val.txt", "rb");
  folder = new_temporary_folder();
  assert_non_null(file);
  assert_int_equal(fread(text, 1, TEXT_SIZE, file), TEXT_SIZE);
  fclose(file);
  write_temporary_file(folder, "text", text, TEXT_SIZE);
  snprintf(text_path, sizeof text_path, "%s/text", folder);
  return 0;
}

static int remove_text(void **state)
{
  (void)state;
  remove_temporary_folder(folder);
  return 0;
}

/* What the library's own scores say of the same windows. */
typedef struct own_scores {
  size_t n_tokens;
  double perplexity;
} own_scores;

/* Windows of n_ctx tokens side by side; each position is judged by the token that comes next. */
static own_scores score_windows(void)
{
  gpt2_error error = {.struct_size = sizeof error};
  gpt2_model *model = open_model(default_model());
  gpt2_context *context = open_context(model, 0);
  gpt2_token tokens[TEXT_SIZE + 1];
  own_scores own = {0};
  size_t n_ctx = (size_t)info_of(model).n_ctx;
  double loss = 0;
  must_have_succeeded(
      gpt2_encode(model, text, TEXT_SIZE, 0, tokens, TEXT_SIZE, &own.n_tokens, &error), &error);
  assert_true(own.n_tokens > n_ctx + 1);
  for (size_t i = 0; i + 1 < own.n_tokens; i++) {
    gpt2_token_score score;
    gpt2_row row = {.token = tokens[i], .flags = GPT2_ROW_SCORE, .target = tokens[i + 1]};
    if (i % n_ctx == 0)
      gpt2_kv_clear(context);
    must_succeed(gpt2_eval_batch(context, &row, 1), context);
    must_succeed(gpt2_row_score(context, 0, &score), context);
    loss -= (double)score.logprob;
  }
  own.perplexity = exp(loss / (double)(own.n_tokens - 1));
  gpt2_context_free(context);
  gpt2_model_free(model);
  return own;
}

static double number(const json_t *line, const char *key)
{
  json_t *value = json_object_get(line, key);
  assert_true(json_is_number(value));
  return json_number_value(value);
}

/* The object of the next line, whose keys are all there; json_decref it. */
static json_t *next_accuracy(char **out, const char *type)
{
  json_t *line = next_line(out), *accuracy = json_object_get(line, "accuracy");
  assert_int_equal(json_object_size(line), 1);
  assert_int_equal(json_object_size(accuracy), 10);
  assert_string_equal(json_string_value(json_object_get(accuracy, "type")), type);
  assert_true(json_is_string(json_object_get(accuracy, "compute")));
  assert_true(json_is_string(json_object_get(accuracy, "kv")));
  json_incref(accuracy);
  json_decref(line);
  return accuracy;
}

static void a_model_is_not_far_from_itself(void **state)
{
  (void)state;
  own_scores own = score_windows();
  outcome o = RUN("bench", NULL, "--json", "--accuracy", text_path, "--types", "f32");
  assert_quiet_success(&o);
  char *out = o.out;
  json_t *line = next_accuracy(&out, "f32");
  assert_int_equal(json_integer_value(json_object_get(line, "tokens")), own.n_tokens);
  assert_true(number(line, "kl_mean") == 0);
  assert_true(number(line, "kl_p99") == 0);
  assert_true(number(line, "kl_max") == 0);
  assert_true(number(line, "same_top") == 1);
  assert_true(number(line, "perplexity") == number(line, "perplexity_f32"));
  if (fabs(number(line, "perplexity") / own.perplexity - 1) > 1e-4)
    fail_msg("perplexity %g, the library's scores say %g", number(line, "perplexity"),
             own.perplexity);
  assert_string_equal(out, "");
  json_decref(line);
  free_outcome(&o);
}

/* What a lossy type costs: something, but little; never more in the mean than at the worst
 * place. */
static void expect_small_loss(json_t *line, double least, double most)
{
  double mean = number(line, "kl_mean"), worst = number(line, "kl_max");
  if (!(mean >= least && mean <= most))
    fail_msg("mean divergence %g, expected %g to %g", mean, least, most);
  assert_true(mean <= worst && number(line, "kl_p99") <= worst);
  assert_true(number(line, "same_top") > 0.5 && number(line, "same_top") <= 1);
  assert_true(fabs(log(number(line, "perplexity") / number(line, "perplexity_f32"))) < most + 0.05);
  json_decref(line);
}

/* The upper bounds are those that are promised for the default model, which is stored in f16. A
 * type that cost nothing would not be in use. */
static void types_of_fewer_bits_are_a_little_farther(void **state)
{
  (void)state;
  outcome o =
      RUN("bench", NULL, "--json", "--accuracy", text_path, "--types", "f16,bf16,q8_0,q4_0");
  assert_quiet_success(&o);
  char *out = o.out;
  expect_small_loss(next_accuracy(&out, "f16"), 0, 1e-9);
  expect_small_loss(next_accuracy(&out, "bf16"), 1e-7, 1e-3);
  expect_small_loss(next_accuracy(&out, "q8_0"), 1e-5, 1e-3);
  expect_small_loss(next_accuracy(&out, "q4_0"), 1e-3, 5e-2);
  assert_string_equal(out, "");
  free_outcome(&o);
}

static void keys_and_values_in_f16_cost_next_to_nothing(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--accuracy", text_path, "--types=f32", "--kv", "f16");
  assert_quiet_success(&o);
  char *out = o.out;
  json_t *line = next_accuracy(&out, "f32");
  assert_string_equal(json_string_value(json_object_get(line, "kv")), "f16");
  expect_small_loss(line, 1e-12, 1e-5);
  free_outcome(&o);
}

static void people_get_a_table(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--accuracy", text_path, "--types=f32");
  assert_quiet_success(&o);
  assert_memory_equal(o.out, "type ", 5);
  assert_non_null(strstr(o.out, "\nf32 "));
  assert_non_null(strstr(o.out, " 100.00% "));
  free_outcome(&o);
}

static void what_measures_speed_does_not_go_with_it(void **state)
{
  (void)state;
  static const char *const options[][2] = {
      {"--what", "decode"}, {"--compare", "old.json"}, {"--text", "text"},
      {"--repeat", "3"},    {"--quick", "--json"},     {"--threads", "1,2"},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    outcome o = RUN("bench", NULL, "--accuracy", text_path, options[i][0], options[i][1]);
    ASSERT_FAILURE(&o, 2, "bench", options[i][0], "--accuracy");
    free_outcome(&o);
  }
}

static void a_text_that_cannot_be_read_is_named(void **state)
{
  (void)state;
  char path[PATH_SIZE];
  outcome o = RUN("bench", NULL, "--accuracy", "/nowhere/text");
  ASSERT_FAILURE(&o, 1, "bench", "/nowhere/text", "--accuracy");
  free_outcome(&o);
  write_temporary_file(folder, "short", "a", 1);
  snprintf(path, sizeof path, "%s/short", folder);
  o = RUN("bench", NULL, "--accuracy", path);
  ASSERT_FAILURE(&o, 1, "bench", path, "two tokens");
  free_outcome(&o);
}

static void a_model_without_tokenizer_is_refused(void **state)
{
  (void)state;
  char *model = make_odd_model(16, false);
  outcome o = RUN("bench", NULL, "--accuracy", text_path, "-m", model);
  assert_int_equal(o.status, 1);
  assert_string_equal(o.out, "");
  assert_non_null(strstr(o.err, "tokenizer"));
  free_outcome(&o);
  remove_temporary_folder(model);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_model_is_not_far_from_itself),
      cmocka_unit_test(types_of_fewer_bits_are_a_little_farther),
      cmocka_unit_test(keys_and_values_in_f16_cost_next_to_nothing),
      cmocka_unit_test(people_get_a_table),
      cmocka_unit_test(what_measures_speed_does_not_go_with_it),
      cmocka_unit_test(a_text_that_cannot_be_read_is_named),
      cmocka_unit_test(a_model_without_tokenizer_is_refused),
  };
  return cmocka_run_group_tests(tests, make_text, remove_text);
}
