/* test_huggingface_config.c - config.json is read as transformers reads it, or refused by file
 * and key. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/huggingface.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/comma_locale.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/temporary_folder.h"

static gpt2_status read_config(const char *text, config *out, gpt2_error *error)
{
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  const gpt2_blob blob = {"config.json", text, strlen(text), 0};
  source *s;
  assert_int_equal(source_open_blobs(&hooks, &blob, 1, &s, NULL), GPT2_OK);
  gpt2_status status = huggingface_config(s, out, error);
  source_free(s);
  assert_int_equal(counter.n_live, 0);
  return status;
}

/* A config with this beside the model type, which must be sound. */
static config config_with(const char *keys)
{
  char text[1024];
  config c;
  gpt2_error error = NO_ERROR_YET;
  snprintf(text, sizeof text, "{\"model_type\": \"gpt2\"%s%s}", keys[0] ? ", " : "", keys);
  expect_success(read_config(text, &c, &error), &error);
  return c;
}

static void an_empty_config_is_the_smallest_published_gpt2(void **state)
{
  (void)state;
  config c = config_with("");
  assert_int_equal(c.n_vocab, 50257);
  assert_int_equal(c.n_ctx, 1024);
  assert_int_equal(c.n_embd, 768);
  assert_int_equal(c.n_head, 12);
  assert_int_equal(c.n_layer, 12);
  assert_int_equal(c.n_inner, 3072);
  assert_int_equal(c.activation, GPT2_ACTIVATION_GELU_TANH);
  assert_true(c.layer_norm_epsilon == 1e-5f);
  assert_true(c.scale_attn && !c.scale_attn_by_layer && c.tie_word_embeddings);
  assert_int_equal(c.bos_token, 50256);
  assert_int_equal(c.n_eos_tokens, 1);
  assert_int_equal(c.eos_tokens[0], 50256);
}

static void every_key_that_changes_the_arithmetic_is_read(void **state)
{
  (void)state;
  config c = config_with(
      "\"vocab_size\": 301, \"n_positions\": 128, \"n_embd\": 40, \"n_head\": 5, \"n_layer\": 3,"
      "\"n_inner\": 77, \"activation_function\": \"relu\", \"layer_norm_epsilon\": 0.25,"
      "\"scale_attn_weights\": false, \"scale_attn_by_inverse_layer_idx\": true,"
      "\"tie_word_embeddings\": false, \"bos_token_id\": 7, \"eos_token_id\": 8");
  assert_int_equal(c.n_vocab, 301);
  assert_int_equal(c.n_ctx, 128);
  assert_int_equal(c.n_embd, 40);
  assert_int_equal(c.n_head, 5);
  assert_int_equal(c.n_layer, 3);
  assert_int_equal(c.n_inner, 77);
  assert_int_equal(c.activation, GPT2_ACTIVATION_RELU);
  assert_true(c.layer_norm_epsilon == 0.25f);
  assert_true(!c.scale_attn && c.scale_attn_by_layer && !c.tie_word_embeddings);
  assert_int_equal(c.bos_token, 7);
  assert_int_equal(c.n_eos_tokens, 1);
  assert_int_equal(c.eos_tokens[0], 8);
}

static void the_second_names_of_sizes_count_when_the_first_is_absent_or_equal(void **state)
{
  (void)state;
  config c = config_with(
      "\"hidden_size\": 40, \"max_position_embeddings\": 99, \"num_attention_heads\": 4,"
      "\"num_hidden_layers\": 2");
  assert_true(c.n_embd == 40 && c.n_ctx == 99 && c.n_head == 4 && c.n_layer == 2 &&
              c.n_inner == 160);
  c = config_with("\"n_embd\": 48, \"hidden_size\": 48");
  assert_int_equal(c.n_embd, 48);
  config untouched = {.n_embd = -5};
  gpt2_error error = NO_ERROR_YET;
  expect_failure(read_config("{\"model_type\": \"gpt2\", \"n_embd\": 48, \"hidden_size\": 60}",
                             &untouched, &error),
                 GPT2_ERR_FORMAT, &error, "config.json: \"n_embd\" is 48", "\"hidden_size\" is 60");
  assert_int_equal(untouched.n_embd, -5);
}

static void the_mlp_is_four_times_as_wide_unless_the_config_says_otherwise(void **state)
{
  (void)state;
  assert_int_equal(config_with("\"n_embd\": 36").n_inner, 144);
  assert_int_equal(config_with("\"n_embd\": 36, \"n_inner\": null").n_inner, 144);
  assert_int_equal(config_with("\"n_embd\": 36, \"n_inner\": 1").n_inner, 1);
}

static void each_name_of_our_activations_is_known(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    int32_t activation;
  } cases[] = {
      {"gelu_new", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_pytorch_tanh", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_python_tanh", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_accurate", GPT2_ACTIVATION_GELU_TANH},
      {"gelu_fast", GPT2_ACTIVATION_GELU_TANH},
      {"gelu", GPT2_ACTIVATION_GELU_ERF},
      {"gelu_python", GPT2_ACTIVATION_GELU_ERF},
      {"relu", GPT2_ACTIVATION_RELU},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char keys[100];
    snprintf(keys, sizeof keys, "\"activation_function\": \"%s\"", cases[i].name);
    assert_int_equal(config_with(keys).activation, cases[i].activation);
  }
}

static void other_activations_are_refused_by_name(void **state)
{
  (void)state;
  static const char *const names[] = {"gelu_10", "quick_gelu", "silu", "swish", "mish",
                                      "relu6",   "tanh",       "GELU", ""};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char text[128], words[64];
    config c;
    gpt2_error error = NO_ERROR_YET;
    snprintf(text, sizeof text, "{\"model_type\": \"gpt2\", \"activation_function\": \"%s\"}",
             names[i]);
    snprintf(words, sizeof words, "\"activation_function\" is \"%s\"", names[i]);
    expect_failure(read_config(text, &c, &error), GPT2_ERR_UNSUPPORTED, &error, "config.json",
                   words);
  }
}

static void special_tokens_may_be_one_many_none_or_out_of_range(void **state)
{
  (void)state;
  config c = config_with("\"bos_token_id\": null, \"eos_token_id\": null");
  assert_int_equal(c.bos_token, -1);
  assert_int_equal(c.n_eos_tokens, 0);
  c = config_with("\"eos_token_id\": [3, 0, 2]");
  assert_int_equal(c.n_eos_tokens, 3);
  assert_memory_equal(c.eos_tokens, ((const int32_t[]){3, 0, 2}), 12);
  c = config_with("\"eos_token_id\": [], \"bos_token_id\": 0");
  assert_int_equal(c.n_eos_tokens, 0);
  assert_int_equal(c.bos_token, 0);
  c = config_with("\"bos_token_id\": -1, \"eos_token_id\": [-1, 4294967296, 5, 16777216]");
  assert_int_equal(c.bos_token, -1);
  assert_int_equal(c.n_eos_tokens, 1);
  assert_int_equal(c.eos_tokens[0], 5);
  c = config_with("\"vocab_size\": 10, \"bos_token_id\": 4294967296, \"eos_token_id\": 10");
  assert_int_equal(c.bos_token, -1);
  assert_int_equal(c.eos_tokens[0], 10); /* the model will not use it */
  c = config_with("\"eos_token_id\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]");
  assert_int_equal(c.n_eos_tokens, 16);
  assert_int_equal(c.eos_tokens[15], 16);
}

static void what_does_not_change_the_arithmetic_is_ignored(void **state)
{
  (void)state;
  config c;
  gpt2_error error = NO_ERROR_YET;
  expect_success(
      read_config(
          "{\"model_type\": \"gpt2\", \"n_ctx\": 17, \"use_cache\": false, \"dtype\": \"float16\","
          "\"torch_dtype\": 3, \"attn_pdrop\": 0.5, \"reorder_and_upcast_attn\": true,"
          "\"add_cross_attention\": false, \"quantization_config\": null, \"whatever\": {\"a\": "
          "[]},"
          "\"architectures\": [\"Other\"], \"max_length\": 1000000000000000019884624838656}",
          &c, &error),
      &error);
  assert_true(c.n_ctx == 1024 && c.n_embd == 768 && c.n_layer == 12 && c.scale_attn &&
              !c.scale_attn_by_layer);
  assert_int_equal(c.activation, GPT2_ACTIVATION_GELU_TANH);
}

static void a_config_without_model_type_must_name_a_gpt2_architecture(void **state)
{
  (void)state;
  static const char *const without[] = {
      "{}", "{\"architectures\": []}", "{\"architectures\": [\"BertModel\", 7]}",
      "{\"architectures\": \"GPT2LMHeadModel\"}", "{\"architectures\": [\"GPT\"]}"};
  config c;
  gpt2_error error = NO_ERROR_YET;
  expect_success(read_config("{\"architectures\": [1, \"GPT2LMHeadModel\"]}", &c, &error), &error);
  expect_success(
      read_config("{\"architectures\": [\"GPT2ForSequenceClassification\"]}", &c, &error), &error);
  for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
    error = NO_ERROR_YET;
    expect_failure(read_config(without[i], &c, &error), GPT2_ERR_FORMAT, &error,
                   "config.json: neither \"model_type\" nor \"architectures\"",
                   "\"model_type\": \"gpt2\"");
  }
}

static void what_we_do_not_implement_is_refused_by_name(void **state)
{
  (void)state;
  static const struct {
    const char *text, *words;
  } cases[] = {
      {"{\"model_type\": \"llama\"}", "\"model_type\" is \"llama\""},
      {"{\"model_type\": \"gpt_neo\", \"architectures\": [\"GPT2LMHeadModel\"]}",
       "\"model_type\" is \"gpt_neo\""},
      {"{\"model_type\": \"gpt2\", \"add_cross_attention\": true}",
       "\"add_cross_attention\" is true"},
      {"{\"model_type\": \"gpt2\", \"quantization_config\": {\"quant_method\": \"gptq\"}}",
       "\"quantization_config\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    config c;
    gpt2_error error = NO_ERROR_YET;
    expect_failure(read_config(cases[i].text, &c, &error), GPT2_ERR_UNSUPPORTED, &error,
                   "config.json", cases[i].words);
  }
}

static void a_value_that_cannot_be_is_refused_with_its_key(void **state)
{
  (void)state;
  static const struct {
    const char *key, *value;
    gpt2_status status;
  } cases[] = {
      {"vocab_size", "0", GPT2_ERR_FORMAT},
      {"vocab_size", "-1", GPT2_ERR_FORMAT},
      {"vocab_size", "16777217", GPT2_ERR_LIMIT},
      {"n_positions", "1e3", GPT2_ERR_FORMAT},
      {"n_positions", "1024.0", GPT2_ERR_FORMAT},
      {"n_positions", "0", GPT2_ERR_FORMAT},
      {"n_positions", "9007199254740993", GPT2_ERR_LIMIT},
      {"n_embd", "null", GPT2_ERR_FORMAT},
      {"n_embd", "\"768\"", GPT2_ERR_FORMAT},
      {"n_embd", "1048577", GPT2_ERR_LIMIT},
      {"n_embd", "100000000000000000000", GPT2_ERR_FORMAT},
      {"hidden_size", "0", GPT2_ERR_FORMAT},
      {"n_head", "true", GPT2_ERR_FORMAT},
      {"n_head", "0", GPT2_ERR_FORMAT},
      {"n_head", "2147483648", GPT2_ERR_LIMIT},
      {"n_layer", "[12]", GPT2_ERR_FORMAT},
      {"n_layer", "0", GPT2_ERR_FORMAT},
      {"n_layer", "1025", GPT2_ERR_LIMIT},
      {"n_inner", "0", GPT2_ERR_FORMAT},
      {"n_inner", "16777217", GPT2_ERR_LIMIT},
      {"n_inner", "\"null\"", GPT2_ERR_FORMAT},
      {"model_type", "1", GPT2_ERR_FORMAT},
      {"model_type", "null", GPT2_ERR_FORMAT},
      {"activation_function", "null", GPT2_ERR_FORMAT},
      {"activation_function", "[\"relu\"]", GPT2_ERR_FORMAT},
      {"layer_norm_epsilon", "-1e-9", GPT2_ERR_FORMAT},
      {"layer_norm_epsilon", "1e300", GPT2_ERR_FORMAT},
      {"layer_norm_epsilon", "\"1e-5\"", GPT2_ERR_FORMAT},
      {"layer_norm_epsilon", "null", GPT2_ERR_FORMAT},
      {"scale_attn_weights", "1", GPT2_ERR_FORMAT},
      {"scale_attn_by_inverse_layer_idx", "\"false\"", GPT2_ERR_FORMAT},
      {"tie_word_embeddings", "null", GPT2_ERR_FORMAT},
      {"add_cross_attention", "0", GPT2_ERR_FORMAT},
      {"bos_token_id", "1.0", GPT2_ERR_FORMAT},
      {"bos_token_id", "[1]", GPT2_ERR_FORMAT},
      {"eos_token_id", "\"</s>\"", GPT2_ERR_FORMAT},
      {"eos_token_id", "[1, \"2\"]", GPT2_ERR_FORMAT},
      {"eos_token_id", "[[1]]", GPT2_ERR_FORMAT},
      {"eos_token_id", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", GPT2_ERR_LIMIT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[256], words[64];
    config c = {.n_embd = -5};
    gpt2_error error = NO_ERROR_YET;
    const char *type = strcmp(cases[i].key, "model_type") == 0 ? "" : "\"model_type\": \"gpt2\", ";
    snprintf(text, sizeof text, "{%s\"%s\": %s}", type, cases[i].key, cases[i].value);
    snprintf(words, sizeof words, "config.json: \"%s\" is ", cases[i].key);
    expect_failure(read_config(text, &c, &error), cases[i].status, &error, words, NULL);
    assert_int_equal(c.n_embd, -5);
  }
}

static void heads_must_divide_the_width(void **state)
{
  (void)state;
  config c;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(
      read_config("{\"model_type\": \"gpt2\", \"n_embd\": 40, \"n_head\": 12}", &c, &error),
      GPT2_ERR_FORMAT, &error, "config.json: n_embd is 40", "n_head, 12, does not divide");
  expect_failure(
      read_config("{\"model_type\": \"gpt2\", \"n_embd\": 40, \"n_head\": 80}", &c, &error),
      GPT2_ERR_FORMAT, &error, "config.json: n_embd is 40", "n_head, 80, does not divide");
}

static void the_greatest_sizes_are_accepted(void **state)
{
  (void)state;
  config c = config_with(
      "\"vocab_size\": 16777216, \"n_positions\": 16777216, \"n_embd\": 1048576,"
      "\"n_head\": 1048576, \"n_layer\": 1024, \"n_inner\": 16777216, \"layer_norm_epsilon\": 0");
  assert_true(c.n_vocab == MAX_VOCAB && c.n_ctx == MAX_CTX && c.n_embd == MAX_EMBD &&
              c.n_head == MAX_EMBD);
  assert_true(c.n_layer == MAX_LAYERS && c.n_inner == MAX_INNER && c.layer_norm_epsilon == 0);
}

static void a_checked_config_has_no_impossible_number(void **state)
{
  (void)state;
  const config sound = config_with("");
  gpt2_error error = NO_ERROR_YET;
  expect_success(config_check(&sound, "f", &error), &error);
  struct {
    const char *name;
    int32_t *number;
  } sizes[6];
  config c;
  sizes[0].name = "n_vocab", sizes[0].number = &c.n_vocab;
  sizes[1].name = "n_ctx", sizes[1].number = &c.n_ctx;
  sizes[2].name = "n_embd", sizes[2].number = &c.n_embd;
  sizes[3].name = "n_head", sizes[3].number = &c.n_head;
  sizes[4].name = "n_layer", sizes[4].number = &c.n_layer;
  sizes[5].name = "n_inner", sizes[5].number = &c.n_inner;
  for (size_t i = 0; i < 6; i++) {
    c = sound;
    *sizes[i].number = 0;
    expect_failure(config_check(&c, "f", &error), GPT2_ERR_FORMAT, &error, sizes[i].name, "f: ");
    *sizes[i].number = INT32_MIN;
    expect_failure(config_check(&c, "f", &error), GPT2_ERR_FORMAT, &error, sizes[i].name,
                   "-2147483648");
    *sizes[i].number = INT32_MAX;
    expect_failure(config_check(&c, "f", &error), GPT2_ERR_LIMIT, &error, sizes[i].name,
                   "2147483647");
  }
  static const float wrong[] = {-1e-5f, NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 4; i++) {
    c = sound;
    c.layer_norm_epsilon = wrong[i];
    expect_failure(config_check(&c, "f", &error), GPT2_ERR_FORMAT, &error, "f: layer_norm_epsilon",
                   "at least 0");
  }
}

static void numbers_do_not_follow_the_locale(void **state)
{
  (void)state;
  if (!use_comma_locale())
    skip();
  config c = config_with("\"layer_norm_epsilon\": 0.125");
  leave_comma_locale();
  assert_true(c.layer_norm_epsilon == 0.125f);
}

static void a_missing_or_broken_config_is_named_with_its_folder(void **state)
{
  (void)state;
  gpt2_error error = NO_ERROR_YET;
  gpt2_allocator hooks = counting_hooks(&(counting_allocator){0});
  char *folder = new_temporary_folder(), path[4096];
  source *s;
  config c;
  snprintf(path, sizeof path, "%s/config.json: ", folder);
  assert_int_equal(source_open_folder(&hooks, folder, false, &s, NULL), GPT2_OK);
  expect_failure(huggingface_config(s, &c, &error), GPT2_ERR_NOT_FOUND, &error, path,
                 "no such file");
  write_temporary_file(folder, "config.json", "{\"a\":\n1 2}", 10);
  expect_failure(huggingface_config(s, &c, &error), GPT2_ERR_FORMAT, &error, path,
                 "line 2, column 3");
  write_temporary_file(folder, "config.json", "{\"model_type\":\"x\"}", 18);
  expect_failure(huggingface_config(s, &c, &error), GPT2_ERR_UNSUPPORTED, &error, path, "\"x\"");
  write_temporary_file(folder, "config.json", "{\"model_type\":\"gpt2\"}", 21);
  error = NO_ERROR_YET;
  expect_success(huggingface_config(s, &c, &error), &error);
  source_free(s);
  remove_temporary_folder(folder);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_config_is_the_smallest_published_gpt2),
      cmocka_unit_test(every_key_that_changes_the_arithmetic_is_read),
      cmocka_unit_test(the_second_names_of_sizes_count_when_the_first_is_absent_or_equal),
      cmocka_unit_test(the_mlp_is_four_times_as_wide_unless_the_config_says_otherwise),
      cmocka_unit_test(each_name_of_our_activations_is_known),
      cmocka_unit_test(other_activations_are_refused_by_name),
      cmocka_unit_test(special_tokens_may_be_one_many_none_or_out_of_range),
      cmocka_unit_test(what_does_not_change_the_arithmetic_is_ignored),
      cmocka_unit_test(a_config_without_model_type_must_name_a_gpt2_architecture),
      cmocka_unit_test(what_we_do_not_implement_is_refused_by_name),
      cmocka_unit_test(a_value_that_cannot_be_is_refused_with_its_key),
      cmocka_unit_test(heads_must_divide_the_width),
      cmocka_unit_test(the_greatest_sizes_are_accepted),
      cmocka_unit_test(a_checked_config_has_no_impossible_number),
      cmocka_unit_test(numbers_do_not_follow_the_locale),
      cmocka_unit_test(a_missing_or_broken_config_is_named_with_its_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
