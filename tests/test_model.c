/* test_model.c - the library computes what transformers computes in float64, for every
 * configuration, however the tokens are handed to it. */
#include "gpt2.h"
#include "reference/reference.h"
#include "support/fixture.h"
#include "support/opened.h"
#include "support/random_numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the range of a row of logits or of a hidden state. What is promised is 1e-5; models as small
 * as these come within 6e-7, and a bound near that notices a formula that is only nearly right. */
static const double TOLERANCE = 3e-6;

/* Fails if `found` (n) is missing or further from `expected` than the tolerance times its range. */
static void check_row(const char *name, const char *what, size_t row, const float *found,
                      const double *expected, int n)
{
  if (!found)
    fail_msg("%s: row %zu has no %s", name, row, what);
  double error = greatest_error(found, expected, (size_t)n);
  double range = logits_range(expected, (size_t)n);
  if (!(error <= TOLERANCE * range))
    fail_msg("%s: row %zu: the %s are off by %g of their range", name, row, what, error / range);
}

static void check_logits(const model_fixture *fixture, size_t row, const float *found)
{
  check_row(fixture->name, "logits", row, found, fixture->logits + row * (size_t)fixture->n_vocab,
            fixture->n_vocab);
}

/* Evaluates the prompt at once and compares every row. */
static void check_prompt(const model_fixture *fixture, gpt2_model *model)
{
  gpt2_context *context = open_context_for_rows(model, 0);
  const token_list prompt = fixture->prompt;
  must_succeed(gpt2_eval(context, 0, prompt.tokens, prompt.n, GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN),
               context);
  for (size_t row = 0; row < prompt.n; row++) {
    check_logits(fixture, row, gpt2_row_logits(context, row));
    check_row(fixture->name, "hidden states", row, gpt2_row_hidden(context, row),
              fixture->hidden + row * (size_t)fixture->n_embd, fixture->n_embd);
  }
  check_logits(fixture, prompt.n - 1, gpt2_logits(context, 0));
  gpt2_context_free(context);
}

static void check_prompt_at_once(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  check_prompt(fixture, model);
  gpt2_model_free(model);
}

static void every_configuration_gives_the_logits_and_hidden_states_of_transformers(void **state)
{
  (void)state;
  for_each_fixture(check_prompt_at_once);
}

static void check_token_by_token(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  for (size_t row = 0; row < fixture->prompt.n; row++) {
    must_succeed(gpt2_eval(context, 3, &fixture->prompt.tokens[row], 1, 0), context);
    check_logits(fixture, row, gpt2_logits(context, 3));
  }
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void tokens_one_by_one_give_the_same_logits(void **state)
{
  (void)state;
  for_each_fixture(check_token_by_token);
}

static random_numbers chance;

static void check_chunks(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  for (size_t row = 0; row < fixture->prompt.n;) {
    size_t left = fixture->prompt.n - row, n = 1 + (size_t)random_below(&chance, 9);
    n = n < left ? n : left;
    must_succeed(gpt2_eval(context, 0, fixture->prompt.tokens + row, n, GPT2_ROW_LOGITS), context);
    for (size_t i = 0; i < n; i++)
      check_logits(fixture, row + i, gpt2_row_logits(context, i));
    row += n;
  }
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void random_chunks_give_the_same_logits(void **state)
{
  (void)state;
  chance = random_from_seed(__func__);
  for (int repeat = 0; repeat < 3; repeat++)
    for_each_fixture(check_chunks);
}

/* ---- Eight sequences in one batch, in shuffled order ---- */

enum { N_SEQUENCES = 8, LONGEST = 40 };

/* The texts of the sequences: the fixture's prompt somewhere, random tokens everywhere else. */
typedef struct sequence_crowd {
  int32_t sequence[N_SEQUENCES]; /* the numbers they have in the context */
  int32_t tokens[N_SEQUENCES][LONGEST];
  size_t n[N_SEQUENCES], done[N_SEQUENCES];
  int place; /* which of them is the fixture's */
} sequence_crowd;

static sequence_crowd make_crowd(const model_fixture *fixture)
{
  sequence_crowd crowd = {.place = random_below(&chance, N_SEQUENCES)};
  for (int i = 0; i < N_SEQUENCES; i++) {
    crowd.sequence[i] = 1000 * i + random_below(&chance, 1000);
    crowd.n[i] = 1 + (size_t)random_below(&chance, LONGEST);
    for (size_t k = 0; k < crowd.n[i]; k++)
      crowd.tokens[i][k] = random_below(&chance, fixture->n_vocab);
  }
  crowd.n[crowd.place] = fixture->prompt.n;
  memcpy(crowd.tokens[crowd.place], fixture->prompt.tokens, fixture->prompt.n * sizeof(int32_t));
  return crowd;
}

/* Takes up to `most` rows from the texts, the next token of a text chosen by chance each time.
 * place[row] tells which text a row is from. */
static size_t draw_rows(sequence_crowd *crowd, gpt2_row *rows, int *place, size_t most)
{
  size_t n = 0, left = 0;
  for (int i = 0; i < N_SEQUENCES; i++)
    left += crowd->n[i] - crowd->done[i];
  while (n < most && n < left) {
    int i = random_below(&chance, N_SEQUENCES);
    if (crowd->done[i] == crowd->n[i])
      continue;
    place[n] = i;
    rows[n++] = (gpt2_row){.token = crowd->tokens[i][crowd->done[i]++],
                           .sequence = crowd->sequence[i],
                           .flags = i == crowd->place ? GPT2_ROW_LOGITS : 0};
  }
  return n;
}

/* The next-token logits of all sequences against the reference model. */
static void check_last_logits(const model_fixture *fixture, const sequence_crowd *crowd,
                              const gpt2_context *context)
{
  reference_model *reference = reference_load(fixture->folder);
  assert_non_null(reference);
  size_t n_vocab = (size_t)fixture->n_vocab;
  double *logits = reference_doubles(LONGEST * n_vocab);
  for (int i = 0; i < N_SEQUENCES; i++) {
    reference_logits(reference, crowd->tokens[i], (int)crowd->n[i], logits);
    check_row(fixture->name, "logits of another sequence", crowd->n[i] - 1,
              gpt2_logits(context, crowd->sequence[i]), logits + (crowd->n[i] - 1) * n_vocab,
              fixture->n_vocab);
  }
  free(logits);
  reference_free(reference);
}

static void check_among_others(const model_fixture *fixture, size_t most_rows)
{
  gpt2_row rows[N_SEQUENCES * LONGEST];
  int place[N_SEQUENCES * LONGEST];
  sequence_crowd crowd = make_crowd(fixture);
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  size_t position = 0;
  for (size_t n; (n = draw_rows(&crowd, rows, place, most_rows)) > 0;) {
    must_succeed(gpt2_eval_batch(context, rows, n), context);
    for (size_t row = 0; row < n; row++)
      if (place[row] == crowd.place)
        check_logits(fixture, position++, gpt2_row_logits(context, row));
  }
  assert_int_equal(position, fixture->prompt.n);
  check_last_logits(fixture, &crowd, context);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void check_one_shuffled_batch(const model_fixture *fixture)
{
  check_among_others(fixture, N_SEQUENCES * LONGEST);
}

static void check_small_shuffled_batches(const model_fixture *fixture)
{
  check_among_others(fixture, 1 + (size_t)random_below(&chance, 50));
}

static void a_sequence_among_seven_others_in_shuffled_order_has_the_same_logits(void **state)
{
  (void)state;
  chance = random_from_seed(__func__);
  for_each_fixture(check_one_shuffled_batch);
}

static void so_it_has_in_several_shuffled_batches(void **state)
{
  (void)state;
  chance = random_from_seed(__func__);
  for_each_fixture(check_small_shuffled_batches);
}

/* ---- Greedy continuations ---- */

static void check_greedy_by_hand(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  const token_list wanted = fixture->continuation;
  must_succeed(gpt2_eval(context, 0, fixture->prompt.tokens, fixture->prompt.n, 0), context);
  for (size_t i = 0; i < wanted.n; i++) {
    gpt2_token token = -1;
    must_succeed(gpt2_sample(context, 0, NULL, &token), context);
    if (token != wanted.tokens[i])
      fail_msg("%s: token %zu of the continuation is %d, not %d", fixture->name, i, token,
               wanted.tokens[i]);
    if (i + 1 < wanted.n)
      must_succeed(gpt2_eval(context, 0, &token, 1, 0), context);
  }
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void greedy_continuations_are_those_of_transformers(void **state)
{
  (void)state;
  for_each_fixture(check_greedy_by_hand);
}

static gpt2_generate_options continuation_options(const model_fixture *fixture)
{
  return (gpt2_generate_options){.struct_size = sizeof(gpt2_generate_options),
                                 .max_tokens = (int32_t)fixture->continuation.n,
                                 .prompt_tokens = fixture->prompt.tokens,
                                 .n_prompt_tokens = (uint32_t)fixture->prompt.n};
}

static void check_generation(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  gpt2_generation *generation = NULL;
  gpt2_generate_options options = continuation_options(fixture);
  must_succeed(gpt2_generation_new(context, NULL, 0, &options, &generation), context);
  for (size_t i = 0; i < fixture->continuation.n; i++) {
    gpt2_piece piece = {.struct_size = sizeof piece};
    must_succeed(gpt2_generation_next(generation, &piece), context);
    assert_int_equal(piece.token, fixture->continuation.tokens[i]);
    bool last = i + 1 == fixture->continuation.n;
    assert_int_equal(piece.finish, last ? GPT2_FINISH_LENGTH : GPT2_FINISH_NONE);
  }
  gpt2_generation_free(generation);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void so_are_those_of_a_generation(void **state)
{
  (void)state;
  for_each_fixture(check_generation);
}

static void check_generate(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_context *context = open_context(model, 0);
  gpt2_generate_options options = continuation_options(fixture);
  gpt2_result result = {.struct_size = sizeof result};
  must_succeed(gpt2_generate(context, NULL, 0, &options, NULL, NULL, &result), context);
  assert_int_equal(result.finish, GPT2_FINISH_LENGTH);
  assert_int_equal(result.n_tokens, fixture->continuation.n);
  assert_int_equal(result.n_prompt_tokens, fixture->prompt.n);

  /* The sequence holds the prompt and every token but the last. */
  token_list text = concatenate(fixture->prompt, fixture->continuation);
  token_list held = {calloc(text.n, sizeof(int32_t)), 0};
  must_succeed(gpt2_kv_tokens(context, 0, held.tokens, text.n, &held.n), context);
  assert_int_equal(held.n, text.n - 1);
  assert_memory_equal(held.tokens, text.tokens, held.n * sizeof(int32_t));
  free_tokens(text);
  free_tokens(held);
  gpt2_context_free(context);
  gpt2_model_free(model);
}

static void gpt2_generate_leaves_them_in_the_sequence(void **state)
{
  (void)state;
  for_each_fixture(check_generate);
}

/* ---- What is told of a model ---- */

static bool ignores(const gpt2_model *model, const char *name)
{
  for (size_t i = 0; gpt2_ignored_tensor(model, i); i++)
    if (strcmp(gpt2_ignored_tensor(model, i), name) == 0)
      return true;
  return false;
}

static void check_description(const model_fixture *fixture)
{
  gpt2_model *model = open_model(fixture->folder);
  gpt2_info info = info_of(model);
  assert_int_equal(info.n_vocab, fixture->n_vocab);
  assert_int_equal(info.n_ctx, fixture->n_ctx);
  assert_int_equal(info.n_embd, fixture->n_embd);
  assert_int_equal(info.n_layer, fixture->n_layer);
  if (!!(info.flags & GPT2_INFO_TIED) != fixture->tied)
    fail_msg("%s: is %stied", fixture->name, fixture->tied ? "not " : "");
  json_t *ignored = json_object_get(fixture->expected, "ignored");
  for (size_t i = 0; i < json_array_size(ignored); i++)
    if (!ignores(model, json_string_value(json_array_get(ignored, i))))
      fail_msg("%s: %s is not told to be ignored", fixture->name,
               json_string_value(json_array_get(ignored, i)));
  assert_int_equal(info.n_ignored, json_array_size(ignored));
  assert_null(gpt2_ignored_tensor(model, (size_t)info.n_ignored));
  gpt2_model_free(model);
}

static void every_configuration_is_described_as_it_is(void **state)
{
  (void)state;
  for_each_fixture(check_description);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_configuration_gives_the_logits_and_hidden_states_of_transformers),
      cmocka_unit_test(tokens_one_by_one_give_the_same_logits),
      cmocka_unit_test(random_chunks_give_the_same_logits),
      cmocka_unit_test(a_sequence_among_seven_others_in_shuffled_order_has_the_same_logits),
      cmocka_unit_test(so_it_has_in_several_shuffled_batches),
      cmocka_unit_test(greedy_continuations_are_those_of_transformers),
      cmocka_unit_test(so_are_those_of_a_generation),
      cmocka_unit_test(gpt2_generate_leaves_them_in_the_sequence),
      cmocka_unit_test(every_configuration_is_described_as_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
