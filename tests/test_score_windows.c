/* test_score_windows.c - which tokens of a text are scored, and by what comes before them: against
 * the definition of the windows, spelled out and evaluated row by row. */
#include "gpt2.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/random_folder.h"
#include "support/random_numbers.h"
#include "support/temporary_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { N_VOCAB = 61, N_CTX = 8, MOST = 64, BOS = 0 };

typedef struct workplace {
  char *folder;
  gpt2_model *model;
  gpt2_context *context, *other; /* the other one evaluates what is expected */
} workplace;

static workplace open_workplace(int n_ctx)
{
  workplace w = {.folder = make_random_folder(&(random_sizes){.n_vocab = N_VOCAB,
                                                              .n_ctx = n_ctx,
                                                              .n_embd = 24,
                                                              .n_head = 2,
                                                              .n_layer = 2,
                                                              .n_inner = 48,
                                                              .seed = 5})};
  w.model = open_model(w.folder);
  w.context = open_context(w.model, 1);
  w.other = open_context(w.model, 1);
  return w;
}

static void close_workplace(workplace *w)
{
  gpt2_context_free(w->context);
  gpt2_context_free(w->other);
  gpt2_model_free(w->model);
  remove_temporary_folder(w->folder);
}

/* ---- The definition ---- */

/* The first window that holds token i of a list of n other than as its first; false: none does. */
static bool find_window(size_t i, size_t n, size_t n_ctx, size_t stride, size_t *start, size_t *end)
{
  for (*start = 0;; *start += stride) {
    *end = *start + n_ctx < n ? *start + n_ctx : n;
    if (*start < i && i < *end)
      return true;
    if (*end == n)
      return false;
  }
}

/* The score of token i of `list` in the window [start, end). */
static gpt2_token_score score_in_window(gpt2_context *context, const gpt2_token *list, size_t i,
                                        size_t start, size_t end)
{
  gpt2_row rows[MOST];
  gpt2_token_score score;
  for (size_t k = start; k + 1 < end; k++)
    rows[k - start] = (gpt2_row){.token = list[k], .flags = GPT2_ROW_SCORE, .target = list[k + 1]};
  must_succeed(gpt2_kv_drop(context, 0), context);
  must_succeed(gpt2_eval_batch(context, rows, end - start - 1), context);
  must_succeed(gpt2_row_score(context, i - 1 - start, &score), context);
  return score;
}

/* What gpt2_score_tokens must call back (n_text scores), and its result. */
static gpt2_score_result expected_scores(workplace *w, const gpt2_token *text, size_t n_text,
                                         bool has_bos, size_t n_ctx, size_t stride,
                                         gpt2_token_score *scores)
{
  gpt2_score_result result = {.n_tokens = n_text};
  gpt2_token list[MOST] = {BOS};
  size_t n_before = has_bos ? 1 : 0, n = n_before + n_text, start, end;
  if (n_text > 0)
    memcpy(list + n_before, text, n_text * sizeof *text);
  for (size_t i = n_before; i < n; i++) {
    gpt2_token_score *score = &scores[i - n_before];
    *score = (gpt2_token_score){.token = list[i]};
    if (find_window(i, n, n_ctx, stride, &start, &end)) {
      *score = score_in_window(w->other, list, i, start, end);
      result.n_scored++;
      result.logprob += (double)score->logprob;
    }
    score->position = (int64_t)(i - n_before);
  }
  return result;
}

/* ---- Against it ---- */

typedef struct arrived {
  gpt2_token_score scores[MOST];
  size_t n;
} arrived;

static int32_t arrive(const gpt2_token_score *score, void *user)
{
  arrived *a = user;
  assert_true(a->n < MOST);
  a->scores[a->n++] = *score;
  return 0;
}

static void check_score(workplace *w, const gpt2_token *text, size_t n_text, bool has_bos,
                        size_t n_ctx, int stride)
{
  gpt2_token_score expected[MOST];
  arrived found = {.n = 0};
  gpt2_score_options options = {
      .struct_size = sizeof options, .flags = has_bos ? 0 : GPT2_SCORE_NO_BOS, .stride = stride};
  gpt2_score_result result = {.struct_size = sizeof result};
  size_t step = stride > 0 ? (size_t)stride : n_ctx > 1 ? n_ctx / 2 : 1;
  gpt2_score_result sum = expected_scores(w, text, n_text, has_bos, n_ctx, step, expected);
  must_succeed(gpt2_score_tokens(w->context, n_text ? text : NULL, n_text, &options, arrive, &found,
                                 &result),
               w->context);
  assert_int_equal(found.n, n_text);
  for (size_t i = 0; i < n_text; i++) {
    assert_int_equal(found.scores[i].position, expected[i].position);
    assert_int_equal(found.scores[i].token, expected[i].token);
    assert_int_equal(found.scores[i].rank, expected[i].rank);
    assert_true(found.scores[i].logprob == expected[i].logprob);
    assert_true(found.scores[i].entropy == expected[i].entropy);
  }
  assert_int_equal(result.n_tokens, n_text);
  assert_int_equal(result.n_scored, sum.n_scored);
  assert_true(result.logprob == sum.logprob);
  double perplexity = sum.n_scored ? exp(-sum.logprob / (double)sum.n_scored) : 0.0;
  assert_true(fabs(result.perplexity - perplexity) <= 1e-12 * perplexity);
  assert_int_equal(result.scored_size, 0); /* there is no tokenizer */
  assert_true(result.bits_per_byte == 0.0);
}

static void check_all(int n_ctx, const int *strides, size_t n_strides)
{
  gpt2_token text[MOST];
  workplace w = open_workplace(n_ctx);
  random_numbers chance = random_from_seed(__func__);
  for (int i = 0; i < MOST; i++)
    text[i] = random_below(&chance, N_VOCAB);
  for (size_t i = 0; i < n_strides; i++)
    for (int has_bos = 0; has_bos < 2; has_bos++)
      for (size_t n_text = 0; n_text <= 4 * N_CTX + 1; n_text++)
        check_score(&w, text, n_text, has_bos, (size_t)n_ctx, strides[i]);
  close_workplace(&w);
}

static void every_length_and_stride_is_cut_and_scored_as_defined(void **state)
{
  (void)state;
  static const int strides[] = {0, 1, 3, N_CTX - 1, N_CTX};
  check_all(N_CTX, strides, sizeof strides / sizeof *strides);
}

static void a_context_of_two_positions_is_enough_for_every_token_but_the_first(void **state)
{
  (void)state;
  static const int strides[] = {0, 1, 2};
  check_all(2, strides, sizeof strides / sizeof *strides);
}

static void a_context_of_one_position_leaves_every_token_unscored(void **state)
{
  (void)state;
  static const int strides[] = {0, 1};
  static const gpt2_token text[] = {5, 6, 7};
  check_all(1, strides, 2);
  workplace w = open_workplace(1);
  gpt2_score_result result = {.struct_size = sizeof result};
  must_succeed(gpt2_score_tokens(w.context, text, 3, NULL, NULL, NULL, &result), w.context);
  assert_int_equal(result.n_scored, 0);
  assert_true(result.perplexity == 0.0);
  close_workplace(&w);
}

/* Spelled out once by hand, so that the definition itself is held to something. With a context of 8
 * and a stride of 4, token 8 of the list is judged in the window [4, 12): by tokens 4 to 7. */
static void the_second_window_begins_a_stride_after_the_first(void **state)
{
  (void)state;
  static const gpt2_token text[] = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
  workplace w = open_workplace(N_CTX);
  arrived found = {.n = 0};
  must_succeed(gpt2_score_tokens(w.context, text, 10, NULL, arrive, &found, NULL), w.context);
  must_succeed(gpt2_eval(w.other, 3, text + 3, 4, 0), w.other); /* the list begins with BOS */
  gpt2_row row = {.token = BOS};
  gpt2_token_score last, first;
  must_succeed(gpt2_kv_truncate(w.other, 3, 3), w.other);
  row = (gpt2_row){.token = text[6], .sequence = 3, .flags = GPT2_ROW_SCORE, .target = text[7]};
  must_succeed(gpt2_eval_batch(w.other, &row, 1), w.other);
  must_succeed(gpt2_row_score(w.other, 0, &last), w.other);
  assert_true(fabsf(found.scores[7].logprob - last.logprob) < 1e-5f);
  row = (gpt2_row){.token = BOS, .sequence = 4, .flags = GPT2_ROW_SCORE, .target = text[0]};
  must_succeed(gpt2_eval_batch(w.other, &row, 1), w.other);
  must_succeed(gpt2_row_score(w.other, 0, &first), w.other);
  assert_true(fabsf(found.scores[0].logprob - first.logprob) < 1e-5f);
  close_workplace(&w);
}

/* ---- What else is in the context ---- */

static void sequences_and_their_logits_are_left_alone(void **state)
{
  (void)state;
  static const gpt2_token text[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, own[] = {40, 41, 42};
  static const int32_t sequences[] = {0, 65535};
  workplace w = open_workplace(N_CTX);
  float logits[2][N_VOCAB];
  gpt2_token kept[N_CTX];
  size_t n;
  for (int i = 0; i < 2; i++) {
    must_succeed(gpt2_eval(w.context, sequences[i], own, 3, GPT2_ROW_LOGITS), w.context);
    memcpy(logits[i], gpt2_logits(w.context, sequences[i]), sizeof logits[i]);
  }
  must_succeed(gpt2_score_tokens(w.context, text, 12, NULL, NULL, NULL, NULL), w.context);
  for (int i = 0; i < 2; i++) {
    assert_memory_equal(gpt2_logits(w.context, sequences[i]), logits[i], sizeof logits[i]);
    must_succeed(gpt2_kv_tokens(w.context, sequences[i], kept, N_CTX, &n), w.context);
    assert_int_equal(n, 3);
    assert_memory_equal(kept, own, sizeof own);
  }
  must_succeed(gpt2_eval(w.context, 0, text, 5, 0), w.context);
  must_succeed(gpt2_eval(w.other, 0, own, 3, 0), w.other);
  must_succeed(gpt2_eval(w.other, 0, text, 5, 0), w.other);
  assert_memory_equal(gpt2_logits(w.context, 0), gpt2_logits(w.other, 0), sizeof logits[0]);
  close_workplace(&w);
}

static void views_of_rows_are_gone_after_scoring_but_not_after_a_refusal(void **state)
{
  (void)state;
  static const gpt2_token text[] = {1, 2, 3}, bad[] = {1, N_VOCAB};
  workplace w = open_workplace(N_CTX);
  gpt2_token_score score;
  must_succeed(gpt2_eval(w.context, 0, text, 3, GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN), w.context);
  const float *view = gpt2_row_logits(w.context, 2);
  assert_non_null(view);
  assert_int_equal(gpt2_score_tokens(w.context, bad, 2, NULL, NULL, NULL, NULL), GPT2_ERR_ARGUMENT);
  assert_ptr_equal(gpt2_row_logits(w.context, 2), view);
  must_succeed(gpt2_score_tokens(w.context, text, 3, NULL, NULL, NULL, NULL), w.context);
  assert_null(gpt2_row_logits(w.context, 0));
  assert_null(gpt2_row_hidden(w.context, 0));
  expect_failure(gpt2_row_score(w.context, 0, &score), GPT2_ERR_ARGUMENT,
                 gpt2_context_error(w.context), "row", "0 rows");
  close_workplace(&w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_length_and_stride_is_cut_and_scored_as_defined),
      cmocka_unit_test(a_context_of_two_positions_is_enough_for_every_token_but_the_first),
      cmocka_unit_test(a_context_of_one_position_leaves_every_token_unscored),
      cmocka_unit_test(the_second_window_begins_a_stride_after_the_first),
      cmocka_unit_test(sequences_and_their_logits_are_left_alone),
      cmocka_unit_test(views_of_rows_are_gone_after_scoring_but_not_after_a_refusal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
