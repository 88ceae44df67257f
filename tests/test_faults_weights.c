/* test_faults_weights.c - weights that are no numbers, infinite, as great as can be or subnormal:
 * they load, whatever they are stored and kept as, and what the logits then are is told by name. */
#include "support/expect.h"
#include "support/faults.h"
#include "support/opened.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A value that is odd, and a half, in the bits of each type. */
typedef enum oddity {
  HALF,
  QUIET_NAN,
  SIGNALLING_NAN,
  PLUS_INFINITY,
  MINUS_INFINITY,
  SUBNORMAL,
  GREATEST,
  N_ODDITIES
} oddity;

static const struct {
  const char *dtype;
  size_t size;
  uint64_t bits[N_ODDITIES];
} stored[] = {
    {"F32", 4, {0x3f000000, 0x7fc00000, 0x7f800001, 0x7f800000, 0xff800000, 1, 0x7f7fffff}},
    {"F16", 2, {0x3800, 0x7e00, 0x7c01, 0x7c00, 0xfc00, 1, 0x7bff}},
    {"BF16", 2, {0x3f00, 0x7fc0, 0x7f81, 0x7f80, 0xff80, 1, 0x7f7f}},
    {"F64",
     8,
     {0x3fe0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0x7ff0000000000000,
      0xfff0000000000000, 1, 0x7fefffffffffffff}},
};
enum { N_STORED = sizeof stored / sizeof *stored };

/* ln_2.bias, and weight and bias of mlp.c_fc: an infinity there may be -infinity before a ReLU. */
enum { FIRST_BEFORE_RELU = 9, LAST_BEFORE_RELU = 11 };

/* The tiny model, all of whose weights are a half but one: the first of the tensor is odd. */
static tiny_files *make_odd(int type, int tensor, oddity odd)
{
  static uint8_t data[TINY_TENSORS][TINY_MOST_ELEMENTS * 8];
  built_tensor tensors[TINY_TENSORS];
  float values[TINY_TENSORS][TINY_MOST_ELEMENTS];
  size_t size = stored[type].size, file_size;
  tiny_tensors(tensors, values);
  for (int t = 0; t < TINY_TENSORS; t++) {
    size_t n = tensors[t].size / sizeof(float);
    for (size_t i = 0; i < n; i++) /* little-endian, as the file is */
      memcpy(data[t] + i * size, &stored[type].bits[t == tensor && i == 0 ? odd : HALF], size);
    tensors[t].dtype = stored[type].dtype;
    tensors[t].data = data[t];
    tensors[t].size = n * size;
  }
  uint8_t *bytes = build_safetensors(tensors, TINY_TENSORS, &file_size);
  tiny_files *files = fault_files(FAULT_PLAIN);
  tiny_set(files, tiny_weights, bytes, file_size);
  free(bytes);
  return files;
}

/* What may be drawn from these logits. */
typedef enum { DRAWABLE, NOT_A_NUMBER, INFINITE } kind_of_logits;

static kind_of_logits kind_of(const float *logits)
{
  bool has_nan = false, has_plus = false, all_minus = true;
  for (int i = 0; i < TINY_VOCAB; i++) {
    has_nan |= isnan(logits[i]) != 0;
    has_plus |= logits[i] == INFINITY;
    all_minus &= logits[i] == -INFINITY;
  }
  return has_nan ? NOT_A_NUMBER : has_plus || all_minus ? INFINITE : DRAWABLE;
}

/* The call draws a token from the logits, or says why it cannot. */
static void expect_told(gpt2_status status, kind_of_logits kind, const gpt2_error *error)
{
  if (kind == DRAWABLE)
    must_have_succeeded(status, error);
  else
    expect_failure(status, GPT2_ERR_NON_FINITE, error, kind == NOT_A_NUMBER ? NULL : "infinity",
                   NULL);
}

static kind_of_logits use(gpt2_model *model)
{
  const gpt2_token text[] = {1, 0};
  float before[TINY_VOCAB];
  gpt2_token token;
  gpt2_context *context = open_context(model, 1);
  gpt2_generate_options options = {.struct_size = sizeof options, .max_tokens = 1};
  const gpt2_error *error = gpt2_context_error(context);
  must_succeed(gpt2_eval(context, 0, text, 2, 0), context);
  memcpy(before, gpt2_logits(context, 0), sizeof before);
  kind_of_logits kind = kind_of(before);
  expect_told(gpt2_sample(context, 0, NULL, &token), kind, error);
  expect_told(gpt2_generate(context, NULL, 0, &options, NULL, NULL, NULL), kind, error);
  gpt2_status status = gpt2_score_tokens(context, text, 2, NULL, NULL, NULL, NULL);
  assert_true(status == GPT2_OK || (status == GPT2_ERR_NON_FINITE && error->status == status));
  must_succeed(gpt2_kv_clear(context), context); /* the handle is none the worse for it */
  must_succeed(gpt2_eval(context, 0, text, 2, 0), context);
  assert_memory_equal(gpt2_logits(context, 0), before, sizeof before);
  gpt2_context_free(context);
  return kind;
}

/* How many models gave logits of each kind. */
typedef struct tally {
  size_t of[3], n;
} tally;

static void check_model(gpt2_model *model, int32_t type, void *user)
{
  (void)type;
  tally *t = user;
  t->of[use(model)]++;
  t->n++;
}

/* Models with that weight in each of the tensors but those after which a ReLU may make nothing of
 * it, or in these alone. */
static tally try_oddity(oddity odd, bool before_relu)
{
  tally all = {.n = 0};
  for (int type = 0; type < N_STORED; type++)
    for (int tensor = 0; tensor < TINY_TENSORS; tensor++) {
      bool is_before_relu = tensor >= FIRST_BEFORE_RELU && tensor <= LAST_BEFORE_RELU;
      tiny_files *files = make_odd(type, tensor, odd);
      if (is_before_relu == before_relu)
        load_every_type(files, check_model, &all);
      tiny_free(files);
    }
  assert_true(all.n >= N_STORED * 2 * (GPT2_TYPE_Q4_0 + 1));
  return all;
}

static void weights_that_are_no_numbers_load_and_are_told(void **state)
{
  (void)state;
  for (int before_relu = 0; before_relu < 2; before_relu++)
    for (oddity odd = QUIET_NAN; odd <= SIGNALLING_NAN; odd++) {
      tally all = try_oddity(odd, before_relu);
      assert_int_equal(all.of[NOT_A_NUMBER], all.n);
    }
}

static void infinite_weights_load_and_are_told(void **state)
{
  (void)state;
  for (oddity odd = PLUS_INFINITY; odd <= MINUS_INFINITY; odd++) {
    tally all = try_oddity(odd, false);
    assert_int_equal(all.of[DRAWABLE], 0);
    try_oddity(odd, true);
  }
}

/* Sums of them may be beyond all numbers, or not. */
static void the_greatest_weights_load_and_are_told(void **state)
{
  (void)state;
  try_oddity(GREATEST, false);
  try_oddity(GREATEST, true);
}

static void subnormal_weights_load_and_give_numbers(void **state)
{
  (void)state;
  for (int before_relu = 0; before_relu < 2; before_relu++) {
    tally all = try_oddity(SUBNORMAL, before_relu);
    assert_int_equal(all.of[DRAWABLE], all.n);
  }
}

/* By every door, too: what is mapped, copied, read or viewed. */
static void odd_weights_load_by_every_door(void **state)
{
  (void)state;
  for (int type = 0; type < N_STORED; type++)
    for (oddity odd = QUIET_NAN; odd < N_ODDITIES; odd++) {
      tally all = {.n = 0};
      tiny_files *files = make_odd(type, 0, odd);
      load_every_way(files, check_model, &all);
      tiny_free(files);
      assert_int_equal(all.n, 6 * (GPT2_TYPE_Q4_0 + 1));
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(weights_that_are_no_numbers_load_and_are_told),
      cmocka_unit_test(infinite_weights_load_and_are_told),
      cmocka_unit_test(the_greatest_weights_load_and_are_told),
      cmocka_unit_test(subnormal_weights_load_and_give_numbers),
      cmocka_unit_test(odd_weights_load_by_every_door),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
