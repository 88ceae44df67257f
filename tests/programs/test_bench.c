/* test_bench.c - gpt2-bench: what its report looks like, and what its options do. How fast anything
 * is, is not tested. */
#include "programs/bench_report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "support/opened.h"
#include "support/temporary_folder.h"

#include <cmocka.h>

/* A model that is quickly measured. */
static char *small_model;

static int make_model(void **state)
{
  (void)state;
  small_model = make_odd_model(160, true);
  return 0;
}

static int remove_model(void **state)
{
  (void)state;
  remove_temporary_folder(small_model);
  return 0;
}

static void each_measurement_is_a_line_of_json(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--quick", "--repeat=1", "-t1", "-m", small_model);
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  expect_line(&text, (expected_line){"read", "f32", 1, 0, 0, "GB/s", false, false});
  expect_line(&text, (expected_line){"sgemm", NULL, 1, 0, 0, "GFLOP/s", false, false});
  expect_line(&text, (expected_line){"decode", "f32", 1, 1, 0, "ms/token", true, false});
  expect_line(&text, (expected_line){"busy", "f32", 1, 1, 0, "ms/token", true, false});
  expect_line(&text, (expected_line){"batch", "f32", 1, 8, 0, "ms/token", true, false});
  expect_line(&text, (expected_line){"prefill", "f32", 1, 128, 0, "ms", true, true});
  expect_line(&text, (expected_line){"generate", "f32", 1, 1, 0, "ms/token", true, false});
  expect_line(&text, (expected_line){"sample", NULL, 1, 1, 0, "us/token", false, false});
  expect_line(&text, (expected_line){"load", "f32", 1, 1, 0, "ms", false, false});
  expect_line(&text, (expected_line){"memory", "f32", 1, 1, 0, "MB", true, false});
  expect_line(&text, (expected_line){"encode", NULL, 1, 0, 0, "MB/s", false, false});
  expect_line(&text, (expected_line){"decode_text", NULL, 1, 0, 0, "MB/s", false, false});
  assert_string_equal(text, "");
  free_outcome(&o);
}

static void speed_is_measured_at_every_size(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--what", "prefill,batch,decode", "--repeat", "1", "-m",
                  small_model, "--threads", "2");
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  expect_line(&text, (expected_line){"decode", "f32", 2, 1, 0, "ms/token", true, false});
  expect_line(&text, (expected_line){"decode", "f32", 2, 1, 80, "ms/token", true, false});
  expect_line(&text, (expected_line){"decode", "f32", 2, 1, 159, "ms/token", true, false});
  for (int rows = 1; rows <= 32; rows *= 2)
    expect_line(&text, (expected_line){"batch", "f32", 2, rows, 0, "ms/token", true, false});
  expect_line(&text, (expected_line){"prefill", "f32", 2, 16, 0, "ms", true, true});
  expect_line(&text, (expected_line){"prefill", "f32", 2, 128, 0, "ms", true, true});
  assert_string_equal(text, "");
  free_outcome(&o);
}

/* What depends on neither is measured once. */
static void all_is_measured_with_every_type_and_number_of_threads(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--quick", "--repeat=1", "--what=decode,sample,memory",
                  "--types", "stored,f32", "-t", "1,3", "-m", small_model);
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  for (int i = 0; i < 4; i++) {
    int threads = i % 2 ? 3 : 1;
    expect_line(&text, (expected_line){"decode", "f32", threads, 1, 0, "ms/token", true, false});
    if (i == 0)
      expect_line(&text, (expected_line){"sample", NULL, 1, 1, 0, "us/token", false, false});
    expect_line(&text, (expected_line){"memory", "f32", threads, 1, 0, "MB", true, false});
  }
  assert_string_equal(text, "");
  free_outcome(&o);
}

static void weights_are_measured_in_every_type(void **state)
{
  (void)state;
  static const char *const types[] = {"f16", "bf16", "q8_0", "q4_0"};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    outcome o = RUN("bench", NULL, "--json", "--quick", "--repeat=1", "-t1",
                    "--what=read,decode,prefill,load,memory", "--types", types[i]);
    assert_success(&o);
    char *text = o.out;
    expect_machine(next_line(&text));
    expect_line(&text, (expected_line){"read", types[i], 1, 0, 0, "GB/s", false, false});
    expect_line(&text, (expected_line){"decode", types[i], 1, 1, 0, "ms/token", true, false});
    expect_line(&text, (expected_line){"prefill", types[i], 1, 128, 0, "ms", true, true});
    expect_line(&text, (expected_line){"load", types[i], 1, 1, 0, "ms", false, false});
    expect_line(&text, (expected_line){"memory", types[i], 1, 1, 0, "MB", true, false});
    assert_string_equal(text, "");
    free_outcome(&o);
  }
}

static void the_run_tells_how_it_was_asked_for(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--what=encode", "--repeat=2", "-m", small_model,
                  "--compute", "exact", "--kv=f16", "--huge-pages");
  assert_success(&o);
  char *text = o.out;
  json_t *line = next_line(&text), *run = json_object_get(line, "run");
  assert_string_equal(json_string_value(json_object_get(run, "model")), small_model);
  assert_string_equal(json_string_value(json_object_get(run, "compute")), "exact");
  assert_string_equal(json_string_value(json_object_get(run, "kv")), "f16");
  assert_true(json_is_false(json_object_get(run, "prefault")));
  assert_true(json_is_true(json_object_get(run, "huge_pages")));
  assert_int_equal(json_integer_value(json_object_get(run, "repeat")), 2);
  json_decref(line);
  free_outcome(&o);
}

/* Load and memory are measured in another process, which must open the model likewise. */
static void the_model_is_opened_as_the_options_say(void **state)
{
  (void)state;
  outcome o =
      RUN("bench", NULL, "--json", "--quick", "--repeat=1", "-t1", "--prefault", "--huge-pages",
          "--kv=f16", "--compute=fast", "--types=q8_0", "--what=decode,load,memory");
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  expect_line(&text, (expected_line){"decode", "q8_0", 1, 1, 0, "ms/token", true, false});
  expect_line(&text, (expected_line){"load", "q8_0", 1, 1, 0, "ms", false, false});
  expect_line(&text, (expected_line){"memory", "q8_0", 1, 1, 0, "MB", true, false});
  assert_string_equal(text, "");
  free_outcome(&o);
}

/* Half the keys and values: the limit of the memory that a full context takes tells how much. */
static double memory_limit(const char *kv)
{
  outcome o = RUN("bench", NULL, "--json", "--repeat=1", "-t1", "--what=memory", "--kv", kv, "-m",
                  small_model);
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  json_decref(next_line(&text)); /* one token */
  json_t *line = next_line(&text);
  double limit = json_number_value(json_object_get(line, "limit"));
  json_decref(line);
  free_outcome(&o);
  return limit;
}

static void keys_and_values_in_f16_take_half(void **state)
{
  (void)state;
  gpt2_model *model = open_model(small_model);
  gpt2_info info = info_of(model);
  double saved = (double)info.kv_token_size * info.n_ctx / 2 / 1e6;
  gpt2_model_free(model);
  assert_true(fabs(memory_limit("f32") - memory_limit("f16") - saved) < 2e-3 * saved + 1e-3);
}

static void a_text_of_the_users_is_encoded(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--what=encode", "--repeat=1", "--text",
                  TEST_DATA_DIR "/data/val.txt");
  assert_success(&o);
  char *text = o.out;
  expect_machine(next_line(&text));
  expect_line(&text, (expected_line){"encode", NULL, 1, 0, 0, "MB/s", false, false});
  free_outcome(&o);
  outcome missing =
      RUN("bench", NULL, "--what=encode", "--repeat=1", "--text", "/nowhere/text", "--json");
  assert_int_equal(missing.status, 1);
  assert_non_null(strstr(missing.err, "/nowhere/text"));
  free_outcome(&missing);
}

static void people_get_a_table(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--what=decode", "--quick", "--repeat=1", "-m", small_model);
  assert_success(&o);
  assert_non_null(strstr(o.out, "\nwhat "));
  assert_non_null(strstr(o.out, "\ndecode "));
  assert_null(strstr(o.out, " \n"));
  free_outcome(&o);
}

static bool has_avx(void)
{
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx");
#else
  return false;
#endif
}

/* OpenBLAS's oldest kernels know nothing of AVX, the newest all that there is. */
static void kernels_of_blas_that_are_too_old_are_told(void **state)
{
  (void)state;
  outcome o =
      RUN("bench", NULL, "--json", "--what=prefill", "--quick", "--repeat=1", "-m", small_model);
  assert_success(&o);
  char *text = o.out;
  json_t *line = next_line(&text);
  const char *core =
      json_string_value(json_object_get(json_object_get(line, "machine"), "blas_core"));
  if (core && (strcmp(core, "Prescott") == 0 || strcmp(core, "Nehalem") == 0) && has_avx()) {
    assert_non_null(strstr(o.err, core));
    assert_non_null(strstr(o.err, "OPENBLAS_CORETYPE="));
  }
  if (!core || strcmp(core, "SkylakeX") == 0 || strcmp(core, "Cooperlake") == 0)
    assert_string_equal(o.err, "");
  json_decref(line);
  free_outcome(&o);
}

static void what_is_not_judged_by_blas_tells_nothing_of_it(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--json", "--what=decode,encode", "--quick", "--repeat=1", "-m",
                  small_model);
  assert_quiet_success(&o);
  free_outcome(&o);
}

static void wrong_usage_is_told_before_anything_is_opened(void **state)
{
  (void)state;
  static const struct {
    const char *option, *value;
  } cases[] = {
      {"--what", "speed"},
      {"--what", "decode,"},
      {"--what", "decode,speed"},
      {"--what", "decod"},
      {"--what", ""},
      {"--types", "f64"},
      {"--types", "F32"},
      {"--types", "f32,"},
      {"--types", ""},
      {"--threads", "1,x"},
      {"--threads", "1,1025"},
      {"--threads", ","},
      {"--threads", "1,,2"},
      {"--threads", "0000000001,-1"},
      {"--compute", "exactly"},
      {"--compute", "exact,fast"},
      {"--kv", "q8_0"},
      {"--kv", ""},
      {"--threads", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    outcome o = RUN("bench", NULL, cases[i].option, cases[i].value, "-m", "/nowhere");
    ASSERT_FAILURE(&o, 2, "bench", cases[i].option);
    free_outcome(&o);
  }
}

static void what_may_stand_in_an_option_is_named(void **state)
{
  (void)state;
  outcome o = RUN("bench", NULL, "--types", "f32,int8");
  ASSERT_FAILURE(&o, 2, "bench", "--types", "\"int8\"", "stored, f32, f16, bf16, q8_0, q4_0");
  free_outcome(&o);
  o = RUN("bench", NULL, "--what", "speed");
  ASSERT_FAILURE(&o, 2, "bench", "\"speed\"", "decode, busy, batch, prefill");
  free_outcome(&o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_measurement_is_a_line_of_json),
      cmocka_unit_test(speed_is_measured_at_every_size),
      cmocka_unit_test(all_is_measured_with_every_type_and_number_of_threads),
      cmocka_unit_test(weights_are_measured_in_every_type),
      cmocka_unit_test(the_run_tells_how_it_was_asked_for),
      cmocka_unit_test(the_model_is_opened_as_the_options_say),
      cmocka_unit_test(keys_and_values_in_f16_take_half),
      cmocka_unit_test(a_text_of_the_users_is_encoded),
      cmocka_unit_test(people_get_a_table),
      cmocka_unit_test(kernels_of_blas_that_are_too_old_are_told),
      cmocka_unit_test(what_is_not_judged_by_blas_tells_nothing_of_it),
      cmocka_unit_test(wrong_usage_is_told_before_anything_is_opened),
      cmocka_unit_test(what_may_stand_in_an_option_is_named),
  };
  return cmocka_run_group_tests(tests, make_model, remove_model);
}
