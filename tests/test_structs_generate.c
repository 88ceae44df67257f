/* test_structs_generate.c - structs of older and newer programs: those about sampling, generation
 * and scoring; and that no struct of the header is left out. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/handles.h"
#include "support/opened.h"
#include "support/sized_structs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static handles on;

static int open_all(void **state)
{
  (void)state;
  on = open_handles();
  return 0;
}

static int close_all(void **state)
{
  (void)state;
  close_handles(&on);
  return 0;
}

/* ---- Filled ---- */

static const gpt2_generate_options two_tokens = {.struct_size = sizeof two_tokens, .max_tokens = 2};

/* A generation that has ended tells its finish again and again. */
static gpt2_status fill_piece(void *given, gpt2_error *error)
{
  gpt2_generation *generation = NULL;
  gpt2_piece piece = {.struct_size = sizeof piece};
  must_succeed(gpt2_kv_drop(on.spare, 0), on.spare);
  must_succeed(gpt2_generation_new(on.spare, "p", 1, &two_tokens, &generation), on.spare);
  while (piece.finish == GPT2_FINISH_NONE)
    must_succeed(gpt2_generation_next(generation, &piece), on.spare);
  gpt2_status status = told(on.spare, gpt2_generation_next(generation, given), error);
  gpt2_generation_free(generation);
  return status;
}

static gpt2_status fill_result(void *given, gpt2_error *error)
{
  must_succeed(gpt2_kv_drop(on.spare, 0), on.spare);
  return told(on.spare, gpt2_generate(on.spare, "p", 1, &two_tokens, NULL, NULL, given), error);
}

static gpt2_status fill_score_result(void *given, gpt2_error *error)
{
  return told(on.spare, gpt2_score(on.spare, "abxd", 4, NULL, NULL, NULL, given), error);
}

static const output outputs[] = {
    {"gpt2_piece", "piece", sizeof(gpt2_piece), fill_piece},
    {"gpt2_result", "result", sizeof(gpt2_result), fill_result},
    {"gpt2_score_result", "result", sizeof(gpt2_score_result), fill_score_result}};
enum { N_OUTPUTS = sizeof outputs / sizeof *outputs };

static void a_struct_of_any_size_is_filled_so_far_and_zeroed_beyond(void **state)
{
  (void)state;
  for (size_t i = 0; i < N_OUTPUTS; i++)
    check_filled_sizes(&outputs[i]);
}

static void a_struct_to_be_filled_without_its_size_is_refused_and_not_written(void **state)
{
  (void)state;
  for (size_t i = 0; i < N_OUTPUTS; i++)
    check_unfilled_sizes(&outputs[i]);
}

/* ---- Read ---- */

static gpt2_status use_sampler_options(const void *given, gpt2_error *error)
{
  gpt2_sampler *sampler = (gpt2_sampler *)&on;
  gpt2_status status = gpt2_sampler_new(given, &sampler, error);
  assert_int_equal(status == GPT2_OK, sampler != NULL);
  gpt2_sampler_free(sampler);
  return status;
}

static gpt2_status use_generate_options(const void *given, gpt2_error *error)
{
  gpt2_generation *generation = (gpt2_generation *)&on;
  gpt2_status status = gpt2_generation_new(on.spare, "p", 1, given, &generation);
  assert_int_equal(status == GPT2_OK, generation != NULL);
  gpt2_generation_free(generation);
  return told(on.spare, status, error);
}

static gpt2_status use_sampling(const void *given, gpt2_error *error)
{
  const gpt2_generate_options options = {.struct_size = sizeof options, .sampling = given};
  return use_generate_options(&options, error);
}

static gpt2_status use_score_options(const void *given, gpt2_error *error)
{
  static const gpt2_token tokens[] = {'a', 'b'};
  gpt2_status status = gpt2_score(on.spare, "ab", 2, given, NULL, NULL, NULL);
  assert_int_equal(gpt2_score_tokens(on.spare, tokens, 2, given, NULL, NULL, NULL), status);
  return told(on.spare, status, error);
}

static const gpt2_sampler_options sampler_options = {
    .struct_size = sizeof sampler_options, .seed = 5, .temperature = 1, .top_k = 3, .top_p = 0.5f};
static const gpt2_token prompt_tokens[] = {'a', 'b'};
static const gpt2_string stops[] = {{"stop", 4}};
static const gpt2_generate_options generate_options = {.struct_size = sizeof generate_options,
                                                       .max_tokens = 3,
                                                       .stops = stops,
                                                       .n_stops = 1,
                                                       .prompt_tokens = prompt_tokens};
static const gpt2_score_options score_options = {.struct_size = sizeof score_options, .stride = 7};

#define FIELD(type, field) offsetof(type, field)
#define SAMPLER_SIZES                                                                              \
  {                                                                                                \
    FIELD(gpt2_sampler_options, flags), FIELD(gpt2_sampler_options, seed),                         \
        FIELD(gpt2_sampler_options, temperature), FIELD(gpt2_sampler_options, top_k),              \
        FIELD(gpt2_sampler_options, top_p), FIELD(gpt2_sampler_options, min_p),                    \
        FIELD(gpt2_sampler_options, allocator)                                                     \
  }
static const input inputs[] = {
    {"gpt2_sampler_options", "options", &sampler_options, sizeof sampler_options, SAMPLER_SIZES,
     use_sampler_options},
    {"gpt2_sampler_options", "options.sampling", &sampler_options, sizeof sampler_options,
     SAMPLER_SIZES, use_sampling},
    {"gpt2_generate_options",
     "options",
     &generate_options,
     sizeof generate_options,
     {FIELD(gpt2_generate_options, flags), FIELD(gpt2_generate_options, sequence),
      FIELD(gpt2_generate_options, sampling), FIELD(gpt2_generate_options, sampler),
      FIELD(gpt2_generate_options, stops), FIELD(gpt2_generate_options, n_stops),
      FIELD(gpt2_generate_options, prompt_tokens)},
     use_generate_options},
    {"gpt2_score_options",
     "options",
     &score_options,
     sizeof score_options,
     {FIELD(gpt2_score_options, flags), FIELD(gpt2_score_options, stride),
      FIELD(gpt2_score_options, reserved)},
     use_score_options},
};
enum { N_INPUTS = sizeof inputs / sizeof *inputs };

static void a_struct_of_any_version_is_read_if_nothing_unknown_is_set(void **state)
{
  (void)state;
  for (size_t i = 0; i < N_INPUTS; i++)
    check_read_sizes(&inputs[i]);
  must_go_on_as_new(&on);
}

/* ---- All ---- */

static void no_struct_of_the_header_is_left_out(void **state)
{
  (void)state;
  static const char *const types[] = {"gpt2_error",
                                      "gpt2_build",
                                      "gpt2_allocator",
                                      "gpt2_load_options",
                                      "gpt2_source",
                                      "gpt2_info",
                                      "gpt2_context_options", /* test_structs.c */
                                      "gpt2_piece",
                                      "gpt2_result",
                                      "gpt2_score_result",
                                      "gpt2_sampler_options",
                                      "gpt2_generate_options",
                                      "gpt2_score_options"};
  must_be_all_sized_structs(types, sizeof types / sizeof *types);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_struct_of_any_size_is_filled_so_far_and_zeroed_beyond),
      cmocka_unit_test(a_struct_to_be_filled_without_its_size_is_refused_and_not_written),
      cmocka_unit_test(a_struct_of_any_version_is_read_if_nothing_unknown_is_set),
      cmocka_unit_test(no_struct_of_the_header_is_left_out),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
