/* test_sampler.c - a sampler draws what its options, its seed and its place in the sequence of
 * random numbers say, and nothing else. */
#include "generate/random.h"
#include "gpt2.h"
#include "support/expect.h"
#include "support/sampling.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- Greedy ---- */

static void zeroed_options_take_the_first_of_the_greatest_logits(void **state)
{
  (void)state;
  static const float logits[] = {-3.0f, 2.0f, -INFINITY, 7.5f, 7.5f, 7.0f};
  gpt2_sampler *by_null = NULL, *by_zero = new_sampler(at_temperature(0.0f, 0));
  assert_int_equal(gpt2_sampler_new(NULL, &by_null, NULL), GPT2_OK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(draw_from(by_null, logits, 6), 3);
    assert_int_equal(draw_from(by_zero, logits, 6), 3);
    accept_token(by_null, 3);
    accept_token(by_zero, 3);
  }
  gpt2_sampler_free(by_null);
  gpt2_sampler_free(by_zero);
}

static void temperature_zero_is_greedy_whatever_the_rest_says(void **state)
{
  (void)state;
  static const float logits[] = {1.0f, 1.5f, 1.25f};
  gpt2_sampler_options options = at_temperature(0.0f, 99);
  options.top_k = 3;
  options.top_p = 0.9f;
  options.min_p = 0.01f;
  gpt2_sampler *sampler = new_sampler(options);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(draw_from(sampler, logits, 3), 1);
    accept_token(sampler, 1);
  }
  gpt2_sampler_free(sampler);
}

static void the_smallest_temperatures_are_as_good_as_greedy(void **state)
{
  (void)state;
  static const float temperatures[] = {1e-3f, FLT_MIN, FLT_TRUE_MIN};
  static const float logits[] = {-INFINITY, 1.0f, 2.0f, -FLT_MAX, 1.9f};
  for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
    gpt2_sampler *sampler = new_sampler(at_temperature(temperatures[i], 5));
    for (int n = 0; n < 100; n++) {
      assert_int_equal(draw_from(sampler, logits, 5), 2);
      accept_token(sampler, 2);
    }
    gpt2_sampler_free(sampler);
  }
}

static void the_greatest_temperature_takes_every_token_but_impossible_ones(void **state)
{
  (void)state;
  static const float logits[] = {-INFINITY, 10.0f, -10.0f, 0.0f};
  int n_drawn[4] = {0};
  gpt2_sampler *sampler = new_sampler(at_temperature(FLT_MAX, 5));
  for (int n = 0; n < 300; n++) {
    gpt2_token token = draw_from(sampler, logits, 4);
    n_drawn[token]++;
    accept_token(sampler, token);
  }
  assert_int_equal(n_drawn[0], 0);
  for (int i = 1; i < 4; i++)
    assert_in_range(n_drawn[i], 60, 140); /* 100 and five deviations of 8.2 */
  gpt2_sampler_free(sampler);
}

static void a_token_that_alone_is_possible_is_always_taken(void **state)
{
  (void)state;
  static const float logits[] = {-INFINITY, -INFINITY, -1e30f, -INFINITY};
  gpt2_sampler *sampler = new_sampler(at_temperature(1.0f, 1));
  for (int n = 0; n < 50; n++) {
    assert_int_equal(draw_from(sampler, logits, 4), 2);
    accept_token(sampler, 2);
  }
  gpt2_sampler_free(sampler);
}

/* ---- Random numbers ---- */

/* The vectors are those that the authors' distribution, Random123, comes with (kat_vectors). */
static void the_generator_gives_its_authors_vectors(void **state)
{
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], expected[4];
  } vectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    uint32_t counter[4];
    memcpy(counter, vectors[i].counter, sizeof counter);
    philox4x32_10(counter, vectors[i].key[0], vectors[i].key[1]);
    assert_memory_equal(counter, vectors[i].expected, sizeof counter);
  }
}

/* Of 256 tokens that are as likely the random number's first byte is drawn. Seed 0 begins with that
 * of Philox4x32-10's published vector for zeros, 6627e8d5; the others come from the same function
 * written down a second time, in Python:
 *
 *   def philox(i, seed):
 *     c, k = [i & M, i >> 32, 0, 0], [seed & M, seed >> 32]          # M = 2**32 - 1
 *     for _ in range(10):
 *       p, q = 0xd2511f53 * c[0], 0xcd9e8d57 * c[2]
 *       c = [q >> 32 ^ c[1] ^ k[0], q & M, p >> 32 ^ c[3] ^ k[1], p & M]
 *       k = [k[0] + 0x9e3779b9 & M, k[1] + 0xbb67ae85 & M]
 *     return c[0] >> 24 */
static void the_tokens_of_a_seed_are_the_published_generators(void **state)
{
  (void)state;
  static const struct {
    uint64_t seed;
    gpt2_token tokens[8];
  } golden[] = {
      {0, {102, 248, 4, 201, 239, 115, 182, 168}},
      {1, {227, 172, 63, 193, 63, 41, 114, 123}},
      {42, {156, 252, 211, 186, 83, 80, 57, 91}},
      {UINT64_C(1) << 32, {253, 204, 159, 252, 236, 216, 86, 230}},
      {UINT64_MAX, {114, 25, 23, 142, 153, 110, 99, 110}},
  };
  for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
    gpt2_sampler *sampler = new_sampler(at_temperature(1.0f, golden[i].seed));
    assert_true(gpt2_sampler_seed(sampler) == golden[i].seed);
    for (int n = 0; n < 8; n++)
      assert_int_equal(take_byte(sampler), golden[i].tokens[n]);
    gpt2_sampler_free(sampler);
  }
}

/* The words for seed 1 are by the function above, in Python. */
static void uniform_numbers_are_the_first_53_bits(void **state)
{
  (void)state;
  static const struct {
    uint64_t seed, index, words;
  } cases[] = {{0, 0, UINT64_C(0x6627e8d5e169c58d)},
               {1, 0, UINT64_C(0xe3e80670e50a0ebc)},
               {1, UINT64_C(1) << 32, UINT64_C(0x833ff8dc225c963c)}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_true(random_uniform(cases[i].seed, cases[i].index) ==
                (double)(cases[i].words >> 11) * 0x1p-53);
}

static void a_draw_is_repeated_until_a_token_is_accepted(void **state)
{
  (void)state;
  gpt2_sampler *sampler = new_sampler(at_temperature(1.0f, 7));
  bool has_moved = false;
  for (int n = 0; n < 20; n++) {
    gpt2_token token = draw_byte(sampler);
    assert_int_equal(draw_byte(sampler), token);
    assert_int_equal(draw_byte(sampler), token);
    accept_token(sampler, token);
    has_moved = has_moved || draw_byte(sampler) != token;
  }
  assert_true(has_moved);
  gpt2_sampler_free(sampler);
}

static void accepting_another_token_than_the_one_drawn_moves_on_too(void **state)
{
  (void)state;
  gpt2_sampler *one = new_sampler(at_temperature(1.0f, 7));
  gpt2_sampler *other = new_sampler(at_temperature(1.0f, 7));
  for (int n = 0; n < 20; n++) {
    assert_int_equal(take_byte(one), draw_byte(other));
    accept_token(other, INT32_MAX);
  }
  gpt2_sampler_free(one);
  gpt2_sampler_free(other);
}

static void reset_brings_the_first_random_number_back(void **state)
{
  (void)state;
  gpt2_sampler *sampler = new_sampler(at_temperature(1.0f, 7));
  gpt2_token first[10];
  for (int n = 0; n < 10; n++)
    first[n] = take_byte(sampler);
  gpt2_sampler_reset(sampler);
  for (int n = 0; n < 10; n++)
    assert_int_equal(take_byte(sampler), first[n]);
  gpt2_sampler_reset(NULL);
  gpt2_sampler_free(sampler);
}

static void a_clone_goes_on_where_the_sampler_is_and_by_itself(void **state)
{
  (void)state;
  gpt2_sampler_options options = at_temperature(0.7f, 7);
  options.top_k = 100;
  gpt2_sampler *sampler = new_sampler(options), *clone = NULL;
  gpt2_token expected[10];
  gpt2_error error = NO_ERROR_YET;
  take_byte(sampler);
  take_byte(sampler);
  expect_success(gpt2_sampler_clone(sampler, &clone, &error), &error);
  for (int n = 0; n < 10; n++)
    expected[n] = take_byte(sampler);
  assert_true(gpt2_sampler_seed(clone) == 7);
  gpt2_sampler_free(sampler);
  for (int n = 0; n < 10; n++)
    assert_int_equal(take_byte(clone), expected[n]);
  gpt2_sampler_free(clone);
}

static void a_seed_from_the_system_is_told_and_can_be_used_again(void **state)
{
  (void)state;
  gpt2_sampler_options options = at_temperature(1.0f, 3);
  options.flags = GPT2_SAMPLER_RANDOM_SEED;
  gpt2_sampler *one = new_sampler(options), *other = new_sampler(options);
  assert_true(gpt2_sampler_seed(one) != gpt2_sampler_seed(other));
  assert_true(gpt2_sampler_seed(one) != 3);
  gpt2_sampler *again = new_sampler(at_temperature(1.0f, gpt2_sampler_seed(one)));
  for (int n = 0; n < 20; n++)
    assert_int_equal(take_byte(one), take_byte(again));
  gpt2_sampler_free(one);
  gpt2_sampler_free(other);
  gpt2_sampler_free(again);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zeroed_options_take_the_first_of_the_greatest_logits),
      cmocka_unit_test(temperature_zero_is_greedy_whatever_the_rest_says),
      cmocka_unit_test(the_smallest_temperatures_are_as_good_as_greedy),
      cmocka_unit_test(the_greatest_temperature_takes_every_token_but_impossible_ones),
      cmocka_unit_test(a_token_that_alone_is_possible_is_always_taken),
      cmocka_unit_test(the_generator_gives_its_authors_vectors),
      cmocka_unit_test(the_tokens_of_a_seed_are_the_published_generators),
      cmocka_unit_test(uniform_numbers_are_the_first_53_bits),
      cmocka_unit_test(a_draw_is_repeated_until_a_token_is_accepted),
      cmocka_unit_test(accepting_another_token_than_the_one_drawn_moves_on_too),
      cmocka_unit_test(reset_brings_the_first_random_number_back),
      cmocka_unit_test(a_clone_goes_on_where_the_sampler_is_and_by_itself),
      cmocka_unit_test(a_seed_from_the_system_is_told_and_can_be_used_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
