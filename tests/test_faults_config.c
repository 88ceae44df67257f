/* test_faults_config.c - whatever is wrong with config.json or the index of shards is refused by
 * name, through every door and whatever the weights are to be kept in. */
#define _POSIX_C_SOURCE 200809L

#include "support/expect.h"
#include "support/faults.h"
#include "support/opened.h"
#include "support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define C                      "config.json"
#define REFUSED(from, to, ...) FAULT_PLAIN, C, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define MISSING(from, to, ...) FAULT_PLAIN, C, from, to, GPT2_ERR_NOT_FOUND, __VA_ARGS__
#define BEYOND(from, to, ...)  FAULT_PLAIN, C, from, to, GPT2_ERR_LIMIT, __VA_ARGS__
#define UNKNOWN(from, to, ...) FAULT_PLAIN, C, from, to, GPT2_ERR_UNSUPPORTED, __VA_ARGS__

#define I                    "model.safetensors.index.json"
#define INDEX(from, to, ...) FAULT_SHARDED, I, from, to, GPT2_ERR_FORMAT, __VA_ARGS__
#define WTE_SHARD            "\"wte.weight\":\"one.safetensors\""
#define BESIDE               "the name of a file beside the index"

static const fault faults[] = {
    /* sizes that do not go together */
    {"a_width_that_the_heads_do_not_divide_is_refused",
     REFUSED("\"n_head\":1", "\"n_head\":3", C ": n_embd is 2", "n_head, 3, does not divide")},
    {"another_width_than_the_tensors_is_refused",
     REFUSED("\"n_embd\":2", "\"n_embd\":4", "model.safetensors: tensor wte.weight", "(7, 4)")},
    {"another_vocabulary_than_the_tensors_is_refused",
     REFUSED("\"vocab_size\":7", "\"vocab_size\":8", "model.safetensors: tensor wte.weight",
             "(8, 2)")},
    {"other_positions_than_the_tensors_is_refused",
     REFUSED("\"n_positions\":3", "\"n_positions\":2", "model.safetensors: tensor wpe.weight",
             "(2, 2)")},
    {"another_inner_width_than_the_tensors_is_refused",
     REFUSED("\"n_inner\":5", "\"n_inner\":null",
             "model.safetensors: tensor h.0.mlp.c_fc.weight has shape (2, 5)", "(2, 8)")},
    {"more_layers_than_the_tensors_is_refused",
     MISSING("\"n_layer\":1", "\"n_layer\":2", "model.safetensors: has no tensor h.1.ln_1.weight",
             NULL)},
    {"the_greatest_number_of_layers_is_refused_for_the_first_that_is_missing",
     MISSING("\"n_layer\":1", "\"n_layer\":1024",
             "model.safetensors: has no tensor h.1.ln_1.weight", NULL)},
    {"the_greatest_vocabulary_is_refused_for_its_tensor",
     REFUSED("\"vocab_size\":7", "\"vocab_size\":16777216",
             "model.safetensors: tensor wte.weight has shape (7, 2)", "(16777216, 2)")},
    {"a_head_that_is_not_there_is_refused_where_it_is_not_tied",
     MISSING("\"tie_word_embeddings\":true", "\"tie_word_embeddings\":false",
             "model.safetensors: has no tensor lm_head.weight", "tie_word_embeddings")},
    {"two_names_of_a_size_that_differ_are_refused",
     REFUSED("\"n_embd\":2", "\"n_embd\":2,\"hidden_size\":4", C ": \"n_embd\" is 2",
             "\"hidden_size\" is 4")},
    {"the_same_key_twice_is_refused",
     REFUSED("\"n_embd\":2", "\"n_embd\":2,\"n_embd\":2", C ": line 1", "duplicate object key")},
    /* what is no GPT-2 of ours */
    {"another_model_is_refused", UNKNOWN("\"model_type\":\"gpt2\"", "\"model_type\":\"llama\"",
                                         C ": \"model_type\" is", "llama")},
    {"a_config_that_does_not_say_gpt2_is_refused",
     REFUSED("\"model_type\":\"gpt2\",\"architectures\":[\"GPT2LMHeadModel\"]", "\"x\":1",
             C ": neither \"model_type\" nor \"architectures\"", NULL)},
    {"another_activation_is_refused",
     UNKNOWN("\"relu\"", "\"swish\"", C ": \"activation_function\" is \"swish\"", NULL)},
    {"an_activation_that_is_no_text_is_refused",
     REFUSED("\"relu\"", "null", C ": \"activation_function\" is null", "a string")},
    {"a_negative_epsilon_is_refused",
     REFUSED("1e-5", "-1e-5", C ": \"layer_norm_epsilon\" is -1", "at least 0")},
    {"an_epsilon_beyond_float32_is_refused",
     REFUSED("1e-5", "1e39", C ": \"layer_norm_epsilon\" is ", "fits a float32")},
    {"an_epsilon_beyond_all_numbers_is_refused",
     REFUSED("1e-5", "1e999", C ": line 1", "real number overflow")},
    {"an_epsilon_in_quotes_is_refused",
     REFUSED("1e-5", "\"1e-5\"", C ": \"layer_norm_epsilon\" is \"1e-5\"", "a number")},
    {"a_switch_that_is_a_number_is_refused",
     REFUSED("\"scale_attn_weights\":true", "\"scale_attn_weights\":1",
             C ": \"scale_attn_weights\" is 1", "true or false")},
    {"an_end_token_with_an_exponent_is_refused",
     REFUSED("[3,6]", "[3,6e0]", C ": \"eos_token_id\" is 6.0", "a token id")},
    {"too_many_end_tokens_are_refused",
     BEYOND("[3,6]", "[1,2,3,4,5,6,1,2,3,4,5,6,1,2,3,4,5]", C ": \"eos_token_id\"", "at most 16")},
    {"a_start_token_that_is_a_list_is_refused",
     REFUSED("\"bos_token_id\":null", "\"bos_token_id\":[1]", C ": \"bos_token_id\" is an array",
             "null")},
    /* the index of shards */
    {"a_shard_that_is_not_there_is_refused", FAULT_SHARDED, I, "one.safetensors",
     "three.safetensors", GPT2_ERR_NOT_FOUND, "three.safetensors: ", I " names it"},
    {"a_shard_outside_the_folder_is_refused",
     INDEX("one.safetensors", "../one.safetensors", I ": \"wte.weight\"", BESIDE)},
    {"a_shard_anywhere_on_the_disk_is_refused",
     INDEX("one.safetensors", "/etc/passwd", I ": \"wte.weight\" is \"/etc/passwd\"", BESIDE)},
    {"a_shard_that_is_the_folder_is_refused",
     INDEX("one.safetensors", ".", I ": \"wte.weight\" is \".\"", BESIDE)},
    {"a_shard_that_is_the_folder_above_is_refused",
     INDEX("one.safetensors", "..", I ": \"wte.weight\" is \"..\"", BESIDE)},
    {"a_shard_without_a_name_is_refused",
     INDEX("one.safetensors", "", I ": \"wte.weight\" is \"\"", BESIDE)},
    {"a_shard_that_is_a_number_is_refused",
     INDEX("\"one.safetensors\"", "1", I ": \"wte.weight\" is 1", BESIDE)},
    {"a_tensor_in_another_shard_than_the_index_says_is_refused",
     INDEX("one.safetensors", "two.safetensors", I ": says that tensor \"wte.weight\" is in two",
           "none of the shards")},
    {"a_tensor_of_the_index_that_is_in_no_shard_is_refused",
     INDEX(WTE_SHARD, WTE_SHARD ",\"x\":\"two.safetensors\"",
           I ": says that tensor \"x\" is in two", "none of the shards")},
    {"a_tensor_that_the_index_has_twice_is_refused",
     INDEX(WTE_SHARD, WTE_SHARD "," WTE_SHARD, I ": line 1", "duplicate object key")},
    {"an_index_without_a_map_is_refused",
     INDEX("weight_map", "weight_nap", I ": \"weight_map\" is missing", "each tensor's file")},
    {"an_index_that_is_empty_is_refused",
     INDEX("{\"wte.weight\":\"one.safetensors\",\"ln_f.bias\":\"two.safetensors\"}", "{}",
           I ": \"weight_map\" is an object", "each tensor's file")},
    {"an_index_that_is_a_list_is_refused",
     INDEX("{\"wte.weight\":\"one.safetensors\",\"ln_f.bias\":\"two.safetensors\"}", "[]",
           I ": \"weight_map\" is an array", "each tensor's file")},
    {"a_tensor_in_two_shards_is_refused", FAULT_SHARDED, "two.safetensors", "ln_f.weight",
     "wte.weight", GPT2_ERR_FORMAT, "tensor \"wte.weight\" is also in", "one.safetensors"},
    {"a_fault_in_a_shard_is_told_of_it", FAULT_SHARDED, "two.safetensors", "\"shape\":[5]",
     "\"shape\":[6]", GPT2_ERR_FORMAT, "two.safetensors: tensor \"h.0.mlp.c_fc.bias\" has 20 bytes",
     "need 24"},
};

/* ---- Each size, with each number that is none ---- */

static const struct {
  const char *key, *value;
} sizes[] = {{"vocab_size", "7"}, {"n_positions", "3"}, {"n_embd", "2"},
             {"n_head", "1"},     {"n_layer", "1"},     {"n_inner", "5"}};

static const struct {
  const char *test, *value;
  gpt2_status status;
  const char *words;
} numbers[] = {
    {"a_size_of_zero_is_refused", "0", GPT2_ERR_FORMAT, "is 0; expected an integer from 1"},
    {"a_negative_size_is_refused", "-1", GPT2_ERR_FORMAT, "is -1; expected an integer from 1"},
    {"the_most_negative_size_is_refused", "-2147483648", GPT2_ERR_FORMAT, "is -2147483648"},
    {"a_real_size_is_refused", "2.0", GPT2_ERR_FORMAT, "is 2.0; expected an integer"},
    {"a_size_with_an_exponent_is_refused", "2e0", GPT2_ERR_FORMAT, "is 2.0; expected an integer"},
    {"a_size_in_quotes_is_refused", "\"2\"", GPT2_ERR_FORMAT, "is \"2\"; expected an integer"},
    {"a_size_that_is_true_is_refused", "true", GPT2_ERR_FORMAT, "is true; expected an integer"},
    {"a_size_that_is_a_list_is_refused", "[2]", GPT2_ERR_FORMAT, "is an array of 1"},
    {"a_size_that_is_an_object_is_refused", "{}", GPT2_ERR_FORMAT, "is an object"},
    {"a_size_above_the_limit_is_refused", "16777217", GPT2_ERR_LIMIT, "is 16777217; expected"},
    {"a_size_above_2_to_the_31_is_refused", "2147483649", GPT2_ERR_LIMIT, "is 2147483649"},
    {"a_size_that_wraps_at_2_to_the_32_is_refused", "4294967298", GPT2_ERR_LIMIT, "4294967298"},
    {"a_size_above_2_to_the_53_is_refused", "9007199254740993", GPT2_ERR_LIMIT,
     "is 9007199254740993"},
    {"a_size_of_2_to_the_63_is_refused", "9223372036854775808", GPT2_ERR_FORMAT,
     "expected an integer"},
    {"a_size_that_wraps_at_2_to_the_64_is_refused", "18446744073709551618", GPT2_ERR_FORMAT,
     "expected an integer"},
};
enum { N_SIZES = sizeof sizes / sizeof *sizes, N_NUMBERS = sizeof numbers / sizeof *numbers };

/* Names and texts of those faults. */
static struct {
  char test[100], from[40], to[64], words[96];
} texts[N_SIZES * N_NUMBERS];
static fault size_faults[N_SIZES * N_NUMBERS];

static void make_size_faults(void)
{
  for (int i = 0; i < N_SIZES * N_NUMBERS; i++) {
    int s = i / N_NUMBERS, n = i % N_NUMBERS;
    const char *key = sizes[s].key;
    snprintf(texts[i].test, sizeof texts[i].test, "%s: %s", key, numbers[n].test);
    snprintf(texts[i].from, sizeof texts[i].from, "\"%s\":%s", key, sizes[s].value);
    snprintf(texts[i].to, sizeof texts[i].to, "\"%s\":%s", key, numbers[n].value);
    snprintf(texts[i].words, sizeof texts[i].words, C ": \"%s\" is ", key);
    size_faults[i] =
        (fault){texts[i].test,  FAULT_PLAIN,     C, texts[i].from, texts[i].to, numbers[n].status,
                texts[i].words, numbers[n].words};
  }
}

/* ---- Sizes that go together, and are greater than any file ---- */

static void the_greatest_sizes_together_are_refused_for_the_first_tensor(void **state)
{
  (void)state;
  static const char config[] =
      "{\"model_type\":\"gpt2\",\"vocab_size\":16777216,\"n_positions\":16777216,"
      "\"n_embd\":1048576,\"n_head\":1048576,\"n_layer\":1024,\"n_inner\":16777216}";
  tiny_files *files = fault_files(FAULT_PLAIN);
  tiny_set(files, C, config, strlen(config));
  expect_refused(files, GPT2_ERR_FORMAT, "model.safetensors: tensor wte.weight has shape (7, 2)",
                 "(16777216, 1048576)");
  tiny_free(files);
}

static void a_config_or_weights_that_are_not_there_are_named(void **state)
{
  (void)state;
  static const char *const names[] = {"config.json", "model.safetensors"};
  for (int i = 0; i < 2; i++) {
    tiny_files *files = fault_files(FAULT_PLAIN);
    tiny_file(files, names[i])->name = "other";
    expect_refused(files, GPT2_ERR_NOT_FOUND, names[i], NULL);
    tiny_free(files);
  }
}

static void an_empty_file_is_named(void **state)
{
  (void)state;
  static const char *const names[] = {"config.json", "model.safetensors"};
  for (int i = 0; i < 2; i++) {
    tiny_files *files = fault_files(FAULT_PLAIN);
    tiny_set(files, names[i], "", 0);
    expect_refused(files, GPT2_ERR_FORMAT, names[i], NULL);
    tiny_free(files);
  }
}

/* ---- Where the folder's name is longer than any message ---- */

/* Makes a folder of some 800 bytes in another, and writes the files to it. */
static char *make_deep_folder(const char *parent, const tiny_files *files)
{
  enum { PATH_SIZE = 4200, DEPTH = 4, LENGTH = 200 };
  char *folder = malloc(PATH_SIZE);
  assert_non_null(folder);
  size_t n = (size_t)snprintf(folder, PATH_SIZE, "%s", parent);
  for (int level = 0; level < DEPTH; level++) {
    folder[n++] = '/';
    memset(folder + n, 'd', LENGTH);
    folder[n += LENGTH] = '\0';
    assert_int_equal(mkdir(folder, 0700), 0);
  }
  for (size_t i = 0; i < files->n; i++)
    write_temporary_file(folder, files->blobs[i].name, files->blobs[i].bytes,
                         (size_t)files->blobs[i].size);
  return folder;
}

static void the_name_of_a_file_is_told_however_long_its_path_is(void **state)
{
  (void)state;
  static const fault long_faults[] = {
      {"", REFUSED("\"gpt2\"", "1", "d/config.json: \"model_type\" is 1; expected a string", NULL)},
      {"", FAULT_PLAIN, "model.safetensors", "[7,2]", "[-7,2]", GPT2_ERR_FORMAT,
       "d/model.safetensors: tensor \"wte.weight\": \"shape[]\" is -7", "2^53"},
      {"", FAULT_PLAIN, "model.safetensors", "{", "{\"__metadata__\":{\"x\":1},", GPT2_ERR_FORMAT,
       "d/model.safetensors: \"__metadata__\": \"x\" is 1", NULL},
      {"", FAULT_TOKENIZER_JSON, "tokenizer.json", "BPE", "Unigram", GPT2_ERR_UNSUPPORTED,
       "d/tokenizer.json: \"model\" of type \"Unigram\"", NULL},
      {"", FAULT_TOKENIZER_JSON, "tokenizer.json", "\"id\":5", "\"id\":-5", GPT2_ERR_FORMAT,
       "d/tokenizer.json: added_tokens[0]: \"id\" is -5", NULL},
  };
  for (size_t i = 0; i < sizeof long_faults / sizeof *long_faults; i++) {
    const fault *f = &long_faults[i];
    char *parent = new_temporary_folder();
    tiny_files *files = fault_files(f->model);
    tiny_edit(files, f->file, f->from, f->to, strlen(f->to));
    char *folder = make_deep_folder(parent, files);
    gpt2_model *model = NULL;
    gpt2_error error = NO_ERROR_YET;
    gpt2_status status = gpt2_load(folder, NULL, &model, &error);
    if (f->model == FAULT_TOKENIZER_JSON) {
      expect_success(status, &error);
      gpt2_info info = info_of(model);
      assert_int_equal(info.tokenizer_status, f->status);
      if (!strstr(info.tokenizer_message, f->words))
        fail_msg("\"%s\"; expected \"%s\"", info.tokenizer_message, f->words);
    } else {
      expect_failure(status, f->status, &error, f->words, f->other_words);
      assert_memory_equal(error.message, folder, 50); /* and where, as far as there is room */
      assert_null(model);
    }
    gpt2_model_free(model);
    free(folder);
    tiny_free(files);
    remove_temporary_folder(parent);
  }
}

int main(void)
{
  enum { N_FAULTS = sizeof faults / sizeof *faults };
  const struct CMUnitTest others[] = {
      cmocka_unit_test(the_greatest_sizes_together_are_refused_for_the_first_tensor),
      cmocka_unit_test(a_config_or_weights_that_are_not_there_are_named),
      cmocka_unit_test(an_empty_file_is_named),
      cmocka_unit_test(the_name_of_a_file_is_told_however_long_its_path_is),
  };
  struct CMUnitTest tests[N_FAULTS + N_SIZES * N_NUMBERS + sizeof others / sizeof *others];
  make_size_faults();
  fault_tests(faults, N_FAULTS, tests);
  fault_tests(size_faults, N_SIZES * N_NUMBERS, tests + N_FAULTS);
  memcpy(tests + N_FAULTS + N_SIZES * N_NUMBERS, others, sizeof others);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
