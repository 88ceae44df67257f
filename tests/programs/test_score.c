/* test_score.c - gpt2-score: prints what the library computes, in the units and forms that the
 * documents promise. */
#include "programs/run.h"

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

#define HEADER "position\tid\tpiece\tlogprob\tsurprisal\trank\tentropy\n"
#define TEXT                                                                                       \
  "Once upon a time there was a t\xc3\xa9l\xc3\xa9phone, and\tit said:\n"                          \
  "\"Hello\\\"\xff"

static const double LN_2 = 0.69314718055994530942;

/* What the library says about a text. */
typedef struct library_scores {
  gpt2_token_score *scores; /* (n) */
  size_t n;
  gpt2_score_result result;
} library_scores;

static int32_t keep(const gpt2_token_score *score, void *user)
{
  library_scores *all = user;
  all->scores = realloc(all->scores, (all->n + 1) * sizeof *score);
  assert_non_null(all->scores);
  all->scores[all->n++] = *score;
  return 0;
}

static library_scores ask_library(const char *folder, const char *text, uint32_t flags,
                                  int32_t stride)
{
  library_scores all = {.result = {.struct_size = sizeof all.result}};
  gpt2_score_options options = {.struct_size = sizeof options, .flags = flags, .stride = stride};
  gpt2_model *model = open_model(folder);
  gpt2_context *context = open_context(model, 0);
  must_succeed(gpt2_score(context, text, strlen(text), &options, keep, &all, &all.result), context);
  gpt2_context_free(context);
  gpt2_model_free(model);
  return all;
}

/* A printed float reads back to exactly this one; the C locale's strtof rounds correctly. */
static void expect_float(const char *printed, double value)
{
  if (strtof(printed, NULL) != (float)value)
    fail_msg("%s was printed for %.9g", printed, value);
}

/* Cuts a line at its tabs. */
static void cut(char *line, char *cells[7])
{
  for (int i = 0; i < 7; i++) {
    cells[i] = line;
    line += strcspn(line, "\t");
    assert_true(i < 6 ? *line == '\t' : *line == 0);
    *line++ = 0;
  }
}

static void expect_row(char *line, const gpt2_token_score *score)
{
  char *cells[7];
  cut(line, cells);
  assert_int_equal(atoll(cells[0]), score->position);
  assert_int_equal(atoi(cells[1]), score->token);
  if (score->rank == 0) {
    for (int i = 3; i < 7; i++)
      assert_string_equal(cells[i], "");
    return;
  }
  expect_float(cells[3], score->logprob);
  expect_float(cells[4], -(double)score->logprob / LN_2);
  assert_int_equal(atoi(cells[5]), score->rank);
  expect_float(cells[6], score->entropy / LN_2);
}

/* The table has the library's scores, row by row. */
static void expect_table(outcome o, library_scores expected)
{
  assert_int_equal(o.status, 0);
  assert_memory_equal(o.out, HEADER, strlen(HEADER));
  char *line = o.out + strlen(HEADER);
  for (size_t i = 0; i < expected.n; i++) {
    char *end = strchr(line, '\n');
    assert_non_null(end);
    *end = 0;
    expect_row(line, &expected.scores[i]);
    line = end + 1;
  }
  assert_string_equal(line, "");
  free_outcome(&o);
  free(expected.scores);
}

static void the_table_has_what_the_library_computes(void **state)
{
  (void)state;
  expect_table(RUN("score", NULL, TEXT), ask_library(default_model(), TEXT, 0, 0));
}

static void without_bos_the_first_token_is_left_empty(void **state)
{
  (void)state;
  library_scores expected = ask_library(default_model(), TEXT, GPT2_SCORE_NO_BOS, 0);
  assert_int_equal(expected.scores[0].rank, 0);
  expect_table(RUN("score", NULL, "--no-bos", TEXT), expected);
}

/* A text of four windows of the model with a context of 16. */
static char *long_text(void)
{
  char *text = calloc(1, 400);
  assert_non_null(text);
  for (int i = 0; i < 10; i++)
    strcat(text, i % 2 ? " the king went home" : " and then she said no");
  return text;
}

static void a_long_text_is_scored_in_windows(void **state)
{
  (void)state;
  char *folder = make_odd_model(16, true), *text = long_text();
  const setting given = {.input = text, .model = folder};
  expect_table(RUN("score", &given, "-t2"), ask_library(folder, text, 0, 0));
  expect_table(RUN("score", &given, "--stride", "3"), ask_library(folder, text, 0, 3));
  expect_table(RUN("score", &given, "--stride=16", "--no-bos"),
               ask_library(folder, text, GPT2_SCORE_NO_BOS, 16));
  free(text);
  remove_temporary_folder(folder);
}

static void a_stride_beyond_the_context_is_wrong_usage(void **state)
{
  (void)state;
  outcome o = RUN("score", NULL, "--stride", "513", "text");
  ASSERT_FAILURE(&o, 2, "score", "--stride", "513", "512");
  free_outcome(&o);
}

static void totals_are_told_on_standard_error(void **state)
{
  (void)state;
  library_scores expected = ask_library(default_model(), TEXT, 0, 0);
  outcome o = RUN("score", NULL, TEXT);
  unsigned long n_tokens, n_scored;
  double logprob, perplexity, bits_per_byte;
  assert_int_equal(
      sscanf(o.err,
             "gpt2-score: %lu tokens, %lu scored: log-probability %lf nats, perplexity %lf, "
             "%lf bits per byte\n",
             &n_tokens, &n_scored, &logprob, &perplexity, &bits_per_byte),
      5);
  assert_int_equal(n_tokens, expected.n);
  assert_int_equal(n_scored, expected.n);
  assert_true(fabs(logprob / expected.result.logprob - 1) < 1e-5);
  assert_true(fabs(perplexity / expected.result.perplexity - 1) < 1e-5);
  assert_true(fabs(bits_per_byte / expected.result.bits_per_byte - 1) < 1e-5);
  free_outcome(&o);
  free(expected.scores);
}

static const char *piece_cell(char *table, int row, char *cells[7])
{
  char *line = table;
  for (int i = 0; i <= row; i++)
    line = strchr(line, '\n') + 1;
  *strchr(line, '\n') = 0;
  cut(line, cells);
  return cells[2];
}

static void pieces_are_escaped(void **state)
{
  (void)state;
  static const struct {
    const char *text, *cell;
  } cases[] = {
      {"\t", "\\t"},     {"\n", "\\n"},     {"\r", "\\r"},     {"\\", "\\\\"},
      {"\x01", "\\x01"}, {"\x7f", "\\x7F"}, {"\xff", "\\xFF"}, {"\xc3\xa9", "\\xC3"},
      {"a", "a"},        {"\"", "\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *cells[7];
    const setting given = {.input = cases[i].text};
    outcome o = RUN("score", &given, "-");
    assert_int_equal(o.status, 0);
    assert_string_equal(piece_cell(o.out, 0, cells), cases[i].cell);
    free_outcome(&o);
  }
}

static void an_empty_text_has_no_rows(void **state)
{
  (void)state;
  outcome table = RUN("score", NULL, "");
  assert_int_equal(table.status, 0);
  assert_string_equal(table.out, HEADER);
  assert_string_equal(table.err, "gpt2-score: 0 tokens, none scored\n");
  outcome json = RUN("score", NULL, "--json");
  assert_quiet_success(&json);
  assert_string_equal(json.out,
                      "{\"tokens\":[],\"logprob\":0,\"perplexity\":null,\"bits_per_byte\":null}\n");
  free_outcome(&table);
  free_outcome(&json);
}

static void expect_json_float(json_t *object, const char *key, double value)
{
  json_t *number = json_object_get(object, key);
  assert_true(json_is_number(number));
  if ((float)json_number_value(number) != (float)value)
    fail_msg("%s: %.9g was printed for %.9g", key, json_number_value(number), value);
}

static void expect_json_token(json_t *token, const gpt2_token_score *score)
{
  assert_int_equal(json_object_size(token), 6);
  assert_int_equal(json_integer_value(json_object_get(token, "id")), score->token);
  assert_true(json_is_string(json_object_get(token, "piece")));
  if (score->rank == 0) {
    assert_true(json_is_null(json_object_get(token, "logprob")));
    assert_true(json_is_null(json_object_get(token, "surprisal")));
    assert_true(json_is_null(json_object_get(token, "rank")));
    assert_true(json_is_null(json_object_get(token, "entropy")));
    return;
  }
  expect_json_float(token, "logprob", score->logprob);
  expect_json_float(token, "surprisal", -(double)score->logprob / LN_2);
  assert_int_equal(json_integer_value(json_object_get(token, "rank")), score->rank);
  expect_json_float(token, "entropy", score->entropy / LN_2);
}

static void expect_json(outcome o, library_scores expected)
{
  assert_quiet_success(&o);
  json_t *json = json_of(&o), *tokens = json_object_get(json, "tokens");
  assert_int_equal(json_array_size(tokens), expected.n);
  for (size_t i = 0; i < expected.n; i++)
    expect_json_token(json_array_get(tokens, i), &expected.scores[i]);
  assert_true(json_number_value(json_object_get(json, "logprob")) == expected.result.logprob);
  assert_true(json_number_value(json_object_get(json, "perplexity")) == expected.result.perplexity);
  assert_true(json_number_value(json_object_get(json, "bits_per_byte")) ==
              expected.result.bits_per_byte);
  assert_int_equal(json_array_size(json_object_get(json, "bytes")), expected.n);
  json_decref(json);
  free_outcome(&o);
  free(expected.scores);
}

static void json_has_what_the_library_computes(void **state)
{
  (void)state;
  expect_json(RUN("score", NULL, "--json", TEXT), ask_library(default_model(), TEXT, 0, 0));
  expect_json(RUN("score", NULL, "--json", "--no-bos", TEXT),
              ask_library(default_model(), TEXT, GPT2_SCORE_NO_BOS, 0));
}

static void whole_pieces_need_no_bytes(void **state)
{
  (void)state;
  outcome o = RUN("score", NULL, "--json", "Once upon a time");
  json_t *json = json_of(&o);
  assert_int_equal(json_object_size(json), 4);
  json_decref(json);
  free_outcome(&o);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_table_has_what_the_library_computes),
      cmocka_unit_test(without_bos_the_first_token_is_left_empty),
      cmocka_unit_test(a_long_text_is_scored_in_windows),
      cmocka_unit_test(a_stride_beyond_the_context_is_wrong_usage),
      cmocka_unit_test(totals_are_told_on_standard_error),
      cmocka_unit_test(pieces_are_escaped),
      cmocka_unit_test(an_empty_text_has_no_rows),
      cmocka_unit_test(json_has_what_the_library_computes),
      cmocka_unit_test(whole_pieces_need_no_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
