/* attention.c - the steps of attention, against plain loops in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/checks.h"
#include "kernels/entries.h"
#include "kernels/tolerances.h"

enum {
  MOST_ROWS = 40,
  MOST_BLOCKS = (LONG_TRIAL + MOST_ROWS) / ATTENTION_BLOCK + 1,
};

/* A step, whose blocks lie in memory in any order. Tokens that no row sees are NaN. */
typedef struct attention {
  attention_step step;
  element_type type;
  size_t n_tokens, n_blocks; /* that the last row sees */
  bool of_keys;              /* blocks (d_head, tokens), else (tokens, d_head) */
  void *elements;
  const void *blocks[MOST_BLOCKS + ATTENTION_AHEAD];
  size_t place[MOST_BLOCKS]; /* of each block, among them */
  float *wide;
  float *q, *scores, *out;
  float greatest[MOST_ROWS], factor[MOST_ROWS];
  double total[MOST_ROWS];
} attention;

/* Element i of a token, among all. */
static size_t element_at(const attention *a, size_t token, size_t i)
{
  size_t block = a->place[token / ATTENTION_BLOCK] * ATTENTION_BLOCK * a->step.d_head;
  size_t t = token % ATTENTION_BLOCK;
  return block + (a->of_keys ? i * ATTENTION_BLOCK + t : t * a->step.d_head + i);
}

static void put(const attention *a, size_t token, size_t i, float value)
{
  size_t at = element_at(a, token, i);
  if (a->type == ELEMENT_F16)
    ((uint16_t *)a->elements)[at] = f16_from_f32(value);
  else
    ((float *)a->elements)[at] = value;
  a->wide[at] = value;
}

static void shuffle(size_t *places, size_t n)
{
  for (size_t i = 0; i < n; i++)
    places[i] = i;
  for (size_t i = n; i > 1; i--) {
    size_t other = some(i), place = places[i - 1];
    places[i - 1] = places[other];
    places[other] = place;
  }
}

static void draw_blocks(const kernel_trial *trial, attention *a, number_kind kind)
{
  size_t block = ATTENTION_BLOCK * a->step.d_head, n = a->n_blocks * block;
  a->elements = trial_elements(trial, ARRAY_W, n, kind, a->type);
  a->wide = widen_elements(a->elements, a->type, n);
  shuffle(a->place, a->n_blocks);
  for (size_t b = 0; b < a->n_blocks + ATTENTION_AHEAD; b++)
    a->blocks[b] =
        (char *)a->elements + (b < a->n_blocks ? a->place[b] : 0) * block * element_size(a->type);
  for (size_t t = a->n_tokens; t < a->n_blocks * ATTENTION_BLOCK; t++)
    for (size_t i = 0; i < a->step.d_head; i++)
      put(a, t, i, NAN);
}

/* Trials of few numbers are those of short heads; the long one is a long run. */
static attention draw_attention(const kernel_trial *trial, bool of_keys)
{
  attention a = {.type = (element_type)trial->index, .of_keys = of_keys};
  attention_step *s = &a.step;
  bool long_run = trial->n == LONG_TRIAL || some(2);
  size_t other = any_trial_length();
  s->n_rows = trial->n == LONG_TRIAL ? 1 + some(3) : 1 + (trial_rows(trial) - 1) % MOST_ROWS;
  s->d_head = long_run ? other : trial->n;
  s->n_tokens = long_run ? trial->n : other;
  s->causal = some(2);
  a.n_tokens = attention_tokens(s, s->n_rows - 1);
  a.n_blocks = (a.n_tokens + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK;
  s->score_stride = a.n_blocks * ATTENTION_BLOCK + some(3);
  return a;
}

static size_t scores_size(const attention *a)
{
  return span(a->step.n_rows, a->step.score_stride, a->n_blocks * ATTENTION_BLOCK);
}

/* Scores of an earlier step, or of none. */
static void draw_state(attention *a)
{
  for (size_t r = 0; r < a->step.n_rows; r++) {
    bool first = some(2);
    a->greatest[r] = first ? -INFINITY : (float)random_normal(&trial_numbers);
    a->total[r] = first ? 0 : 1 + (double)some(100);
    a->factor[r] = (float)random_normal(&trial_numbers);
  }
}

static void point(attention *a)
{
  attention_step *s = &a->step;
  s->keys = s->values = a->blocks;
  s->q = a->q;
  s->scores = a->scores;
  s->out = a->out;
  s->greatest = a->greatest;
  s->factor = a->factor;
  s->total = a->total;
}

/* The step of one row alone. */
static attention_step alone(const attention *a, size_t row)
{
  attention_step s = a->step;
  s.n_tokens = attention_tokens(&s, row);
  s.n_rows = 1;
  s.causal = false;
  s.q = s.q ? s.q + row * s.d_head : NULL;
  s.scores += row * s.score_stride;
  s.out = s.out ? s.out + row * s.d_head : NULL;
  s.greatest += row;
  s.factor += row;
  s.total += row;
  return s;
}

/* ---- Scores ---- */

static void check_scores_of(const kernel_trial *trial, const attention *a, size_t row)
{
  const attention_step *s = &a->step;
  for (size_t t = 0; t < attention_tokens(s, row); t++) {
    exact_sum expected = exact_dot(0, a->q + row * s->d_head, 1, a->wide + element_at(a, t, 0),
                                   ATTENTION_BLOCK, s->d_head);
    size_t at = row * s->score_stride + t;
    check_sum(trial, "scores", at, (double)a->scores[at], &expected, tolerance_scores(s->d_head));
  }
}

static void check_scores(const kernel_trial *trial)
{
  attention a = draw_attention(trial, true);
  draw_blocks(trial, &a, trial->kind);
  a.q = trial_array(trial, ARRAY_X, a.step.n_rows * a.step.d_head, any_kind());
  a.scores = trial_array(trial, ARRAY_Y, scores_size(&a), NORMAL);
  point(&a);
  spoil_gaps(a.scores, sizeof *a.scores, a.step.n_rows, a.step.score_stride,
             a.n_blocks * ATTENTION_BLOCK);
  trial->kernel->scores[a.type](&a.step);
  if (!gaps_are_spoiled(a.scores, sizeof *a.scores, a.step.n_rows, a.step.score_stride,
                        a.n_blocks * ATTENTION_BLOCK))
    fail_msg("%s: scores writes between its rows", trial->set);
  for (size_t r = 0; r < a.step.n_rows; r++) {
    size_t n = attention_tokens(&a.step, r);
    float *row = a.scores + r * a.step.score_stride, *together = copy_floats(row, n);
    attention_step one = alone(&a, r);
    check_scores_of(trial, &a, r);
    trial->kernel->scores[a.type](&one);
    check_same_bits(trial, "scores", row, together, n);
    free(together);
  }
  free(a.wide);
}

void scores_are_the_products_of_queries_with_keys(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(scores, ELEMENT_F32), check_scores);
  try_entry(ENTRY_AT(scores, ELEMENT_F16), check_scores);
}

/* In a key it shows in its scores alone, in a query in all of its row. */
static void check_scores_not_finite(const kernel_trial *trial)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  attention a = draw_attention(trial, true);
  draw_blocks(trial, &a, NORMAL);
  a.q = trial_array(trial, ARRAY_X, a.step.n_rows * a.step.d_head, NORMAL);
  a.scores = trial_array(trial, ARRAY_Y, scores_size(&a), NORMAL);
  point(&a);
  bool in_query = some(2);
  size_t row = some(a.step.n_rows), token = some(a.n_tokens), i = some(a.step.d_head);
  if (in_query)
    a.q[row * a.step.d_head + i] = bad[some(3)];
  else
    put(&a, token, i, bad[some(3)]);
  trial->kernel->scores[a.type](&a.step);
  for (size_t r = 0; r < a.step.n_rows; r++)
    for (size_t t = 0; t < attention_tokens(&a.step, r); t++) {
      float found = a.scores[r * a.step.score_stride + t];
      bool expected = in_query ? r == row : t == token;
      if (!isfinite(found) != expected)
        wrong_element(trial, "scores", r * a.step.score_stride + t, (double)found, (double)NAN);
    }
  free(a.wide);
}

void what_is_not_finite_in_a_key_or_query_shows_in_its_scores_alone(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(scores, ELEMENT_F32), check_scores_not_finite);
  try_entry(ENTRY_AT(scores, ELEMENT_F16), check_scores_not_finite);
}

/* ---- Softmax ---- */

/* Scores that are like those of attention, and sometimes minus infinity; NaN where a row does not
 * see. */
static void draw_scores(const kernel_trial *trial, attention *a)
{
  a->scores = trial_array(trial, ARRAY_Y, scores_size(a), NORMAL);
  for (size_t r = 0; r < a->step.n_rows; r++) {
    float *row = a->scores + r * a->step.score_stride;
    size_t n = attention_tokens(&a->step, r);
    for (size_t t = 0; t < a->n_blocks * ATTENTION_BLOCK; t++) {
      row[t] = trial->kind == EQUAL ? 3.3f : row[t] * (trial->kind == LARGE ? 30.0f : 3.0f);
      row[t] = t >= n ? NAN : trial->kind == SPARSE && t > 0 && some(3) == 0 ? -INFINITY : row[t];
    }
  }
}

static void check_weights(const kernel_trial *trial, const attention *a, const attention *before,
                          const float *scores, size_t row)
{
  const float *weights = a->scores + row * a->step.score_stride;
  size_t n = attention_tokens(&a->step, row);
  float greatest = before->greatest[row];
  for (size_t t = 0; t < n; t++)
    greatest = fmaxf(greatest, scores[t]);
  if (a->greatest[row] != greatest)
    wrong_element(trial, "softmax: greatest", row, (double)a->greatest[row], (double)greatest);
  double factor = exp((double)(before->greatest[row] - greatest));
  if (!near_exponential(a->factor[row], factor))
    wrong_element(trial, "softmax: factor", row, (double)a->factor[row], factor);
  exact_sum total = {0};
  add_term(&total, before->total[row] * factor);
  for (size_t t = 0; t < n; t++) {
    double weight = exp((double)(scores[t] - greatest));
    if (!near_exponential(weights[t], weight))
      wrong_element(trial, "softmax", t, (double)weights[t], weight);
    add_term(&total, weight);
  }
  check_sum(trial, "softmax: total", row, a->total[row], &total, EXPONENTIAL_SUM_TOLERANCE);
}

/* `scores`: what the row had, in whole blocks. */
static void check_row_alone(const kernel_trial *trial, const attention *a, const attention *before,
                            const float *scores, size_t row)
{
  attention one = *before;
  size_t n = attention_tokens(&a->step, row);
  size_t size = (n + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK * ATTENTION_BLOCK * sizeof(float);
  point(&one);
  attention_step step = alone(&one, row);
  step.scores = memcpy(trial_bytes(trial, ARRAY_Z, size, sizeof(float)), scores, size);
  trial->kernel->softmax(&step);
  check_margins(trial);
  check_same_bits(trial, "softmax", a->scores + row * a->step.score_stride, step.scores, n);
  check_same_bits(trial, "softmax: greatest", &a->greatest[row], step.greatest, 1);
  check_same_bits(trial, "softmax: factor", &a->factor[row], step.factor, 1);
  check_same_bytes(trial, "softmax: total", &a->total[row], step.total, sizeof *step.total);
}

static void check_softmax(const kernel_trial *trial)
{
  attention a = draw_attention(trial, true);
  draw_scores(trial, &a);
  draw_state(&a);
  point(&a);
  attention before = a;
  float *scores = copy_floats(a.scores, scores_size(&a));
  trial->kernel->softmax(&a.step);
  for (size_t r = 0; r < a.step.n_rows; r++) {
    check_weights(trial, &a, &before, scores + r * a.step.score_stride, r);
    check_row_alone(trial, &a, &before, scores + r * a.step.score_stride, r);
  }
  free(scores);
}

void softmax_makes_weights_of_the_scores_that_a_row_sees(void **state)
{
  (void)state;
  try_entry(ENTRY(softmax), check_softmax);
}

/* ---- Weighted sums ---- */

/* Weights of tokens that a row does not see are NaN. */
static void draw_weights(const kernel_trial *trial, attention *a, number_kind kind)
{
  a->scores = trial_array(trial, ARRAY_X, scores_size(a), kind);
  for (size_t r = 0; r < a->step.n_rows; r++)
    for (size_t t = attention_tokens(&a->step, r); t < a->n_blocks * ATTENTION_BLOCK; t++)
      a->scores[r * a->step.score_stride + t] = NAN;
}

static void check_sums_of(const kernel_trial *trial, const attention *a, const float *before,
                          size_t row)
{
  const attention_step *s = &a->step;
  size_t n = attention_tokens(s, row);
  for (size_t i = 0; i < s->d_head; i++) {
    exact_sum expected = {0};
    add_term(&expected, (double)before[row * s->d_head + i] * (double)a->factor[row]);
    for (size_t t = 0; t < n; t++)
      add_term(&expected,
               (double)a->scores[row * s->score_stride + t] * (double)a->wide[element_at(a, t, i)]);
    check_sum(trial, "weighted_sum", row * s->d_head + i, (double)a->out[row * s->d_head + i],
              &expected, tolerance_weighted_sum(n));
  }
}

static void check_weighted_sum(const kernel_trial *trial)
{
  attention a = draw_attention(trial, false);
  size_t n = a.step.n_rows * a.step.d_head;
  draw_blocks(trial, &a, trial->kind);
  draw_weights(trial, &a, any_kind());
  draw_state(&a);
  a.out = trial_array(trial, ARRAY_Y, n, any_kind());
  point(&a);
  float *before = copy_floats(a.out, n);
  trial->kernel->weighted_sum[a.type](&a.step);
  float *together = copy_floats(a.out, n);
  for (size_t r = 0; r < a.step.n_rows; r++) {
    attention_step one = alone(&a, r);
    check_sums_of(trial, &a, before, r);
    memcpy(one.out, before + r * a.step.d_head, a.step.d_head * sizeof *before);
    trial->kernel->weighted_sum[a.type](&one);
  }
  check_same_bits(trial, "weighted_sum", a.out, together, n);
  free(before);
  free(together);
  free(a.wide);
}

void weighted_sums_of_values_are_added_to_what_was_there(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(weighted_sum, ELEMENT_F32), check_weighted_sum);
  try_entry(ENTRY_AT(weighted_sum, ELEMENT_F16), check_weighted_sum);
}

static void check_weighted_sum_not_finite(const kernel_trial *trial)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  attention a = draw_attention(trial, false);
  draw_blocks(trial, &a, NORMAL);
  draw_weights(trial, &a, NORMAL);
  draw_state(&a);
  a.out = trial_array(trial, ARRAY_Y, a.step.n_rows * a.step.d_head, NORMAL);
  point(&a);
  size_t token = some(a.n_tokens), bad_element = some(a.step.d_head);
  put(&a, token, bad_element, bad[some(3)]);
  trial->kernel->weighted_sum[a.type](&a.step);
  for (size_t r = 0; r < a.step.n_rows; r++)
    for (size_t i = 0; i < a.step.d_head; i++) {
      float found = a.out[r * a.step.d_head + i];
      if (!isfinite(found) != (i == bad_element && token < attention_tokens(&a.step, r)))
        wrong_element(trial, "weighted_sum", r * a.step.d_head + i, (double)found, (double)NAN);
    }
  free(a.wide);
}

void a_value_that_is_not_finite_shows_in_its_place_of_rows_that_see_it(void **state)
{
  (void)state;
  try_entry(ENTRY_AT(weighted_sum, ELEMENT_F32), check_weighted_sum_not_finite);
  try_entry(ENTRY_AT(weighted_sum, ELEMENT_F16), check_weighted_sum_not_finite);
}
