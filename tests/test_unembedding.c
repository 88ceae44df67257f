/* test_unembedding.c - lm_head.weight: there or not, equal to the token table or not, and what
 * tie_word_embeddings says. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/small_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

static const char untied[] = ",\"tie_word_embeddings\":false";
static const char tied[] = ",\"tie_word_embeddings\":true";

static const char other_shape[] =
    "model.safetensors: tensor lm_head.weight has shape (4, 7), the config asks for (7, 4)";
static const char other_type[] =
    "model.safetensors: tensor \"lm_head.weight\" has elements of type I32; "
    "expected F32, F16, BF16 or F64";

/* Parameters of a tied one. */
enum {
  BLOCK_PARAMETERS =
      4 * SMALL_EMBD * SMALL_EMBD + 2 * SMALL_EMBD * SMALL_INNER + 9 * SMALL_EMBD + SMALL_INNER,
  PARAMETERS = (SMALL_VOCAB + SMALL_CTX + 2) * SMALL_EMBD + SMALL_LAYERS * BLOCK_PARAMETERS,
  HEAD_PARAMETERS = SMALL_VOCAB * SMALL_EMBD
};

static float head_values[HEAD_PARAMETERS];

/* One whose lm_head has values of its own, or wte's. */
static small_model *new_with_head(const char *prefix, const char *more, bool own)
{
  small_model *small = small_new(prefix);
  small->more = more;
  built_tensor *head = small_add_head(small, *prefix ? "transformer.wte.weight" : "wte.weight");
  for (int i = 0; i < HEAD_PARAMETERS; i++)
    head_values[i] = (float)(i * i % 31 - 15) / 16.0f;
  if (own)
    head->data = head_values;
  return small;
}

/* The model is tied or not, and its logits are those of the one or the other table. */
static void expect_unembedding(small_model *small, bool is_tied)
{
  gpt2_model *model = small_open(small);
  gpt2_info info = info_of(model);
  assert_int_equal(info.flags & GPT2_INFO_TIED, is_tied ? GPT2_INFO_TIED : 0);
  assert_int_equal(info.n_parameters, PARAMETERS + (is_tied ? 0 : HEAD_PARAMETERS));
  assert_int_equal(info.n_ignored, 0);
  gpt2_model_free(model);
}

/* Every logit is the product of the last hidden state and the token's row of the head (SMALL_VOCAB,
 * SMALL_EMBD). */
static void expect_products(small_model *small, const float *head)
{
  static const gpt2_token text[SMALL_CTX] = {1, 6, 3};
  gpt2_model *model = small_open(small);
  gpt2_context *context = open_context(model, 1);
  must_succeed(gpt2_eval(context, 0, text, SMALL_CTX, GPT2_ROW_HIDDEN), context);
  const float *hidden = gpt2_row_hidden(context, SMALL_CTX - 1), *logits = gpt2_logits(context, 0);
  for (int token = 0; token < SMALL_VOCAB; token++) {
    double product = 0, size = 0;
    for (int i = 0; i < SMALL_EMBD; i++) {
      product += (double)hidden[i] * (double)head[token * SMALL_EMBD + i];
      size += fabs((double)hidden[i] * (double)head[token * SMALL_EMBD + i]);
    }
    assert_true(fabs((double)logits[token] - product) <= 1e-6 * size);
  }
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void expect_refused(small_model *small, gpt2_status expected, const char *message)
{
  gpt2_model *model = (gpt2_model *)small;
  gpt2_error error = NO_ERROR_YET;
  expect_failure(small_load(small, NULL, &model, &error), expected, &error, NULL, NULL);
  assert_string_equal(error.message, message);
  assert_null(model);
}

static void without_one_the_unembedding_is_the_token_table(void **state)
{
  (void)state;
  small_model *small = small_new("");
  for (int said = 0; said < 2; said++) {
    small->more = said ? tied : "";
    expect_unembedding(small, true);
    expect_products(small, small_find(small, "wte.weight")->data);
  }
  small_free(small);
}

static void one_that_equals_the_token_table_is_tied_whatever_its_type(void **state)
{
  (void)state;
  static const char *const types[] = {"F32", "F16", "BF16", "F64"};
  small_model *alone = small_new("transformer.");
  small_logits expected = small_evaluate(alone);
  for (size_t i = 0; i < 4; i++)
    for (size_t k = 0; k < 4; k++) {
      small_model *small = new_with_head("transformer.", "", false);
      small_retype(small, small_find(small, "lm_head.weight"), types[i]);
      small_retype(small, small_find(small, "transformer.wte.weight"), types[k]);
      expect_unembedding(small, true);
      small_logits found = small_evaluate(small);
      assert_memory_equal(&found, &expected, sizeof found);
      small_free(small);
    }
  small_free(alone);
}

static void one_that_differs_in_any_element_is_used_although_the_config_ties(void **state)
{
  (void)state;
  for (size_t changed = 0; changed < HEAD_PARAMETERS; changed++) {
    float values[HEAD_PARAMETERS];
    small_model *small = new_with_head("", tied, false);
    built_tensor *head = small_find(small, "lm_head.weight");
    memcpy(values, head->data, sizeof values);
    values[changed] += 0.5f;
    head->data = values;
    expect_unembedding(small, false);
    expect_products(small, values);
    small_free(small);
  }
}

static void one_that_is_the_configs_own_is_used(void **state)
{
  (void)state;
  small_model *own = new_with_head("transformer.", untied, true);
  expect_unembedding(own, false);
  expect_products(own, head_values);
  small_free(own);
  small_model *equal = new_with_head("transformer.", untied, false);
  expect_unembedding(equal, false); /* the config says that it is one of its own */
  small_free(equal);
}

static void without_the_one_that_the_config_wants_the_model_is_refused(void **state)
{
  (void)state;
  static const char message[] = "model.safetensors: has no tensor lm_head.weight, and config.json "
                                "sets tie_word_embeddings to false";
  small_model *small = small_new("transformer.");
  small->more = untied;
  expect_refused(small, GPT2_ERR_NOT_FOUND, message);
  /* It stands outside the transformer and never has the prefix. */
  small_rename(small, small_add_head(small, "transformer.wte.weight"),
               "transformer.lm_head.weight");
  expect_refused(small, GPT2_ERR_NOT_FOUND, message);
  small_free(small);
}

static void one_of_a_wrong_shape_or_type_is_refused_whatever_the_config_says(void **state)
{
  (void)state;
  for (int tie = 0; tie < 2; tie++) {
    small_model *small = new_with_head("", tie ? tied : untied, false);
    small_reshape(small_find(small, "lm_head.weight"), 2, SMALL_EMBD, SMALL_VOCAB);
    expect_refused(small, GPT2_ERR_FORMAT, other_shape);
    small_free(small);
    small = new_with_head("", tie ? tied : untied, false);
    small_retype(small, small_find(small, "lm_head.weight"), "I32");
    expect_refused(small, GPT2_ERR_UNSUPPORTED, other_type);
    small_free(small);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_one_the_unembedding_is_the_token_table),
      cmocka_unit_test(one_that_equals_the_token_table_is_tied_whatever_its_type),
      cmocka_unit_test(one_that_differs_in_any_element_is_used_although_the_config_ties),
      cmocka_unit_test(one_that_is_the_configs_own_is_used),
      cmocka_unit_test(without_the_one_that_the_config_wants_the_model_is_refused),
      cmocka_unit_test(one_of_a_wrong_shape_or_type_is_refused_whatever_the_config_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
