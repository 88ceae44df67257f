/* test_weights.c - what a GPT-2's file must hold: every tensor by its name, in its shape, in a type
 * that we compute with; what else may be in it, and what not. */
#include "gpt2.h"
#include "support/counting_allocator.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/small_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const prefixes[] = {"", "transformer."};
enum { N_PREFIXES = 2 };

/* Its file is refused with exactly these words, and leaves nothing behind. */
static void expect_refused(small_model *small, gpt2_status expected, const char *message)
{
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_load_options options = {.struct_size = sizeof options, .allocator = &hooks};
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error error = NO_ERROR_YET;
  gpt2_status status = small_load(small, &options, &model, &error);
  expect_failure(status, expected, &error, NULL, NULL);
  assert_string_equal(error.message, message);
  assert_null(model);
  assert_int_equal(counter.n_live, 0);
}

static void expect_equal(const small_logits *found, const small_logits *expected)
{
  assert_memory_equal(found, expected, sizeof *found);
}

/* ---- Missing ---- */

static void each_tensor_that_is_missing_is_named(void **state)
{
  (void)state;
  for (size_t p = 0; p < N_PREFIXES; p++)
    for (size_t i = 1; i < SMALL_TENSORS; i++) {
      char message[200];
      small_model *small = small_new(prefixes[p]);
      snprintf(message, sizeof message, "model.safetensors: has no tensor %s",
               small->tensors[i].name);
      small_remove(small, &small->tensors[i]);
      expect_refused(small, GPT2_ERR_NOT_FOUND, message);
      small_free(small);
    }
}

static const char no_wte[] = "model.safetensors: has no tensor wte.weight or "
                             "transformer.wte.weight: is it a GPT-2?";

static void without_a_token_table_it_is_no_gpt2(void **state)
{
  (void)state;
  for (size_t p = 0; p < N_PREFIXES; p++) {
    small_model *small = small_new(prefixes[p]);
    small_remove(small, &small->tensors[0]);
    expect_refused(small, GPT2_ERR_NOT_FOUND, no_wte);
    small->n = 0;
    expect_refused(small, GPT2_ERR_NOT_FOUND, no_wte);
    small_free(small);
  }
}

static void with_and_without_the_prefix_it_is_the_same_model(void **state)
{
  (void)state;
  small_model *without = small_new(""), *with = small_new("transformer.");
  small_logits expected = small_evaluate(without), found = small_evaluate(with);
  expect_equal(&found, &expected);
  small_free(without);
  small_free(with);
}

static void a_mixture_of_names_with_and_without_the_prefix_is_refused(void **state)
{
  (void)state;
  for (size_t p = 0; p < N_PREFIXES; p++)
    for (size_t i = 0; i < SMALL_TENSORS; i++) {
      char message[200];
      small_model *small = small_new(prefixes[p]), *other = small_new(prefixes[!p]);
      /* The token table decides which of the names the others must have. */
      snprintf(message, sizeof message, "model.safetensors: has no tensor %s",
               i == 0 ? other->tensors[1].name : small->tensors[i].name);
      small_rename(small, &small->tensors[i], other->tensors[i].name);
      expect_refused(small, GPT2_ERR_NOT_FOUND, message);
      small_free(small);
      small_free(other);
    }
}

static void two_token_tables_with_and_without_the_prefix_are_refused(void **state)
{
  (void)state;
  for (size_t p = 0; p < N_PREFIXES; p++) {
    small_model *small = small_new(prefixes[p]), *other = small_new(prefixes[!p]);
    small_insert(small, small->n, other->tensors[0].name, "F32", SMALL_VOCAB, SMALL_EMBD);
    expect_refused(small, GPT2_ERR_FORMAT,
                   "model.safetensors: has both wte.weight and transformer.wte.weight; expected "
                   "one of them");
    small_free(small);
    small_free(other);
  }
}

/* ---- Shapes ---- */

static void shape_text(const built_tensor *tensor, char *text, size_t capacity)
{
  size_t length = (size_t)snprintf(text, capacity, "(");
  for (int i = 0; i < tensor->rank; i++)
    length += (size_t)snprintf(text + length, capacity - length, "%s%d", i ? ", " : "",
                               (int)tensor->shape[i]);
  snprintf(text + length, capacity - length, ")");
}

/* The tensor with that name of a sound model is refused in this shape, and both shapes are told. */
static void expect_wrong_shape(size_t place, int rank, uint64_t first, uint64_t second)
{
  char found[64], expected[64], message[300];
  small_model *small = small_new("");
  built_tensor *tensor = &small->tensors[place];
  shape_text(tensor, expected, sizeof expected);
  small_reshape(tensor, rank, first, second);
  shape_text(tensor, found, sizeof found);
  snprintf(message, sizeof message,
           "model.safetensors: tensor %s has shape %s, the config asks for %s", tensor->name, found,
           expected);
  expect_refused(small, GPT2_ERR_FORMAT, message);
  small_free(small);
}

static void each_tensor_of_a_wrong_shape_is_named_with_what_was_found_and_expected(void **state)
{
  (void)state;
  small_model *sound = small_new("");
  for (size_t i = 0; i < SMALL_TENSORS; i++) {
    int rank = sound->tensors[i].rank;
    uint64_t first = sound->tensors[i].shape[0], second = sound->tensors[i].shape[1];
    expect_wrong_shape(i, rank, first + 1, second);
    expect_wrong_shape(i, rank, first - 1, second);
    expect_wrong_shape(i, rank, 0, second);
    expect_wrong_shape(i, 0, 0, 0);
    expect_wrong_shape(i, 3, first, rank == 1 ? 1 : second);
    expect_wrong_shape(i, 8, first, rank == 1 ? 1 : second);
    expect_wrong_shape(i, 3 - rank, rank == 1 ? first : first * second, 1); /* 2 or 1 */
    if (rank == 1)
      continue;
    expect_wrong_shape(i, rank, first, second + 1);
    if (first != second)
      expect_wrong_shape(i, rank, second, first); /* as torch's Linear would have it */
  }
  small_free(sound);
}

/* ---- Types ---- */

static void each_type_gives_the_same_model_to_the_bit(void **state)
{
  (void)state;
  static const char *const types[] = {"F16", "BF16", "F64", "F32"};
  small_model *f32 = small_new("");
  small_logits expected = small_evaluate(f32);
  for (size_t type = 0; type < 4; type++) {
    small_model *one = small_new(""), *mixed = small_new("");
    for (size_t i = 0; i < SMALL_TENSORS; i++) {
      small_retype(one, &one->tensors[i], types[type]);
      small_retype(mixed, &mixed->tensors[i], types[(type + i) % 4]);
    }
    small_logits of_one = small_evaluate(one), of_mixed = small_evaluate(mixed);
    expect_equal(&of_one, &expected);
    expect_equal(&of_mixed, &expected);
    small_free(one);
    small_free(mixed);
  }
  small_free(f32);
}

static void each_tensor_of_a_type_that_we_do_not_compute_with_is_named(void **state)
{
  (void)state;
  static const char *const types[] = {"BOOL", "U8", "I16", "I32", "I64", "F8_E4M3"};
  for (size_t i = 0; i < SMALL_TENSORS; i++) {
    const char *type = types[i % 6];
    char message[300];
    small_model *small = small_new("");
    small_retype(small, &small->tensors[i], type);
    snprintf(message, sizeof message,
             "model.safetensors: tensor \"%s\" has elements of type %s; expected F32, F16, BF16 or "
             "F64",
             small->tensors[i].name, type);
    expect_refused(small, GPT2_ERR_UNSUPPORTED, message);
    small_free(small);
  }
}

/* Bytes of weights in the file and in memory of our own. */
static void expect_sizes(small_model *small, uint64_t mapped, uint64_t allocated)
{
  gpt2_model *model = small_open(small);
  assert_int_equal(info_of(model).mapped_size, mapped);
  assert_int_equal(info_of(model).allocated_size, allocated);
  gpt2_model_free(model);
}

static void f32_is_used_where_it_is_if_aligned_and_copied_if_not(void **state)
{
  (void)state;
  small_model *small = small_new("");
  small_logits expected = small_evaluate(small);
  gpt2_model *model = small_open(small);
  uint64_t size = info_of(model).n_parameters * sizeof(float);
  gpt2_model_free(model);
  for (size_t shift = 0; shift <= 8; shift++) {
    small->shift = shift;
    small_logits found = small_evaluate(small);
    expect_equal(&found, &expected);
    expect_sizes(small, shift % 4 ? 0 : size, shift % 4 ? size : 0);
  }
  small_free(small);
}

static void tensors_are_aligned_or_not_one_by_one(void **state)
{
  (void)state;
  small_model *small = small_new("");
  small_logits expected = small_evaluate(small);
  gpt2_model *model = small_open(small);
  uint64_t size = info_of(model).n_parameters * sizeof(float);
  gpt2_model_free(model);
  uint64_t last = small->tensors[SMALL_TENSORS - 1].size; /* ln_f.bias alone is behind it */
  small_insert(small, SMALL_TENSORS - 1, "odd", "U8", 3, 0);
  small_logits found = small_evaluate(small);
  expect_equal(&found, &expected);
  expect_sizes(small, size - last, last);
  small_free(small);
}

/* Vectors go along with the matrices that leave the file. */
static void what_is_converted_is_counted_as_our_own(void **state)
{
  (void)state;
  uint64_t wte = SMALL_VOCAB * SMALL_EMBD, wpe = SMALL_CTX * SMALL_EMBD;
  small_model *small = small_new("");
  gpt2_model *model = small_open(small);
  uint64_t n = info_of(model).n_parameters;
  gpt2_model_free(model);
  small_retype(small, &small->tensors[1], "F16"); /* wpe: a half stays a half */
  expect_sizes(small, 4 * (n - wpe) + 2 * wpe, 0);
  small_retype(small, &small->tensors[0], "F64");
  uint64_t vectors = (2 + SMALL_LAYERS * 9) * SMALL_EMBD + SMALL_LAYERS * SMALL_INNER;
  uint64_t own = 4 * (wte + vectors);
  expect_sizes(small, 4 * (n - wte - wpe - vectors) + 2 * wpe, own);
  small_free(small);
}

/* ---- What else is in the file ---- */

static void a_tensor_inside_a_block_that_no_gpt2_has_is_refused_by_name(void **state)
{
  (void)state;
  static const char *const names[] = {
      "h.0.crossattention.c_attn.weight",
      "h.1.ln_cross_attn.weight",
      "h.0.attn.c_attn.lora_A.weight",
      "h.1.adapter.bias",
      "h.2.ln_1.weight", /* the config has two layers */
      "h.10.mlp.c_fc.bias",
      "h.00.ln_1.weight",
      "h.0.attn.bias.more",
      "h.0.attn.masked",
      "h.0.weight",
      "h.18446744073709551616.ln_1.bias",
      "h.1.",
  };
  for (size_t p = 0; p < N_PREFIXES; p++)
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      char name[96], message[300];
      small_model *small = small_new(prefixes[p]);
      snprintf(name, sizeof name, "%s%s", prefixes[p], names[i]);
      snprintf(
          message, sizeof message,
          "model.safetensors: tensor %s is inside a block but no part of a GPT-2 with 2 layers",
          name);
      small_insert(small, (7 * i) % SMALL_TENSORS, name, "F32", 4, 0);
      expect_refused(small, GPT2_ERR_UNSUPPORTED, message);
      small_free(small);
    }
}

static void buffers_of_the_causal_mask_are_ignored_and_not_listed(void **state)
{
  (void)state;
  for (size_t p = 0; p < N_PREFIXES; p++) {
    small_model *small = small_new(prefixes[p]);
    small_logits expected = small_evaluate(small);
    for (int layer = 0; layer < SMALL_LAYERS; layer++) {
      char name[96];
      snprintf(name, sizeof name, "%sh.%d.attn.bias", prefixes[p], layer);
      small_reshape(small_insert(small, 5, name, layer ? "BOOL" : "F32", 1, 1), 4, 1, 1);
      snprintf(name, sizeof name, "%sh.%d.attn.masked_bias", prefixes[p], layer);
      small_reshape(small_insert(small, small->n, name, layer ? "U8" : "F16", 1, 0), 0, 0, 0);
    }
    small_logits found = small_evaluate(small);
    expect_equal(&found, &expected);
    gpt2_model *model = small_open(small);
    assert_int_equal(info_of(model).n_ignored, 0);
    assert_null(gpt2_ignored_tensor(model, 0));
    gpt2_model_free(model);
    small_free(small);
  }
}

static void heads_of_other_tasks_are_ignored_and_listed_in_the_order_of_the_file(void **state)
{
  (void)state;
  static const char *const names[] = {"v_head.summary.weight",
                                      "score.weight",
                                      "h.x.ln_1.weight", /* no block's number */
                                      "h..ln_1.weight",
                                      "h.0",
                                      "transformer.score",
                                      "a.h.0.ln_1.weight",
                                      "multiple_choice_head.summary.bias"};
  enum { N = sizeof names / sizeof *names };
  small_model *small = small_new("");
  small_logits expected = small_evaluate(small);
  for (size_t i = 0; i < N; i++) /* at the beginning, between the others, and at the end */
    small_insert(small, i * SMALL_TENSORS / (N - 1) + i, names[i], i % 2 ? "F32" : "I64", 2, i);
  small_logits found = small_evaluate(small);
  expect_equal(&found, &expected);
  gpt2_model *model = small_open(small);
  assert_int_equal(info_of(model).n_ignored, N);
  for (size_t i = 0; i < N; i++)
    assert_string_equal(gpt2_ignored_tensor(model, i), names[i]);
  assert_null(gpt2_ignored_tensor(model, N));
  assert_null(gpt2_ignored_tensor(model, SIZE_MAX));
  assert_null(gpt2_ignored_tensor(NULL, 0));
  gpt2_model_free(model);
  small_free(small);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_tensor_that_is_missing_is_named),
      cmocka_unit_test(without_a_token_table_it_is_no_gpt2),
      cmocka_unit_test(with_and_without_the_prefix_it_is_the_same_model),
      cmocka_unit_test(a_mixture_of_names_with_and_without_the_prefix_is_refused),
      cmocka_unit_test(two_token_tables_with_and_without_the_prefix_are_refused),
      cmocka_unit_test(each_tensor_of_a_wrong_shape_is_named_with_what_was_found_and_expected),
      cmocka_unit_test(each_type_gives_the_same_model_to_the_bit),
      cmocka_unit_test(each_tensor_of_a_type_that_we_do_not_compute_with_is_named),
      cmocka_unit_test(f32_is_used_where_it_is_if_aligned_and_copied_if_not),
      cmocka_unit_test(tensors_are_aligned_or_not_one_by_one),
      cmocka_unit_test(what_is_converted_is_counted_as_our_own),
      cmocka_unit_test(a_tensor_inside_a_block_that_no_gpt2_has_is_refused_by_name),
      cmocka_unit_test(buffers_of_the_causal_mask_are_ignored_and_not_listed),
      cmocka_unit_test(heads_of_other_tasks_are_ignored_and_listed_in_the_order_of_the_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
