/* test_stop_anywhere.c - generating and scoring at one go, stopped by each of the host's callbacks
 * at its first call, its second, and so on until it is never stopped: what was done stands, nothing
 * else has changed, and the rest comes when it is asked for, to the bit. */
#include "gpt2.h"
#include "support/context_state.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/record.h"
#include "support/scripted_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* How a callback stops what is running: by its answer, or by gpt2_cancel. */
typedef struct stopper {
  gpt2_context *context;
  int stop_at; /* the call that stops, from 1 on; 0: none */
  bool by_cancel;
  int n_calls;
  record seen; /* of the pieces or scores */
} stopper;

static int32_t stop_now(stopper *s)
{
  bool now = ++s->n_calls == s->stop_at;
  if (now && s->by_cancel)
    gpt2_cancel(s->context);
  return now && !s->by_cancel;
}

static int32_t asked(void *user)
{
  return stop_now(user);
}

/* ---- Generating ---- */

/* Only what a text is made of: a stop may cut it into other pieces. */
static void see_piece(record *seen, const gpt2_piece *piece)
{
  keep(seen, piece->text, (size_t)piece->size);
  keep(seen, &piece->token, sizeof piece->token);
  keep(seen, &piece->logprob, sizeof piece->logprob);
}

static int32_t look(const gpt2_piece *piece, void *user)
{
  see_piece(&((stopper *)user)->seen, piece);
  return 0;
}

static int32_t look_and_stop(const gpt2_piece *piece, void *user)
{
  look(piece, user);
  return stop_now(user);
}

typedef struct scene {
  scripted_model scripted;
  gpt2_context *context;
  stopper stopper;
} scene;

/* A context of the scripted model; `abort_callback` may be NULL. */
static void open_scene(scene *s, gpt2_abort_callback abort_callback)
{
  memset(s, 0, sizeof *s);
  s->scripted = scripted_open(&(model_script){.text = "abcdefgh", .n_ctx = 16});
  const gpt2_context_options options = {.struct_size = sizeof options,
                                        .n_threads = 1,
                                        .abort_callback = abort_callback,
                                        .abort_user = &s->stopper};
  assert_int_equal(gpt2_context_new(s->scripted.model, &options, &s->context, NULL), GPT2_OK);
  must_succeed(gpt2_eval(s->context, 1, (gpt2_token[]){'x', 'y'}, 2, 0), s->context);
  s->stopper.context = s->context;
}

static void close_scene(scene *s)
{
  gpt2_context_free(s->context);
  scripted_close(&s->scripted);
}

/* Sequence 1 is none of their business. */
static void must_have_left_others_alone(scene *s)
{
  gpt2_context *other = open_context(s->scripted.model, 1);
  must_succeed(gpt2_eval(other, 1, (gpt2_token[]){'x', 'y'}, 2, 0), other);
  assert_int_equal(gpt2_kv_length(s->context, 1), 2);
  must_have_logits(s->context, 1, gpt2_logits(other, 1));
  gpt2_context_free(other);
}

/* Generates at one go, and after a stop the rest; true when it was stopped. */
static bool generates_after_a_stop(scene *s, gpt2_text_callback callback, bool is_error)
{
  static const char prompt[] = "pq";
  gpt2_result result = {.struct_size = sizeof result};
  int32_t n_tokens;
  gpt2_status status = gpt2_generate(s->context, prompt, 2, NULL, callback, &s->stopper, &result);
  bool stopped = status != GPT2_OK || result.finish == GPT2_FINISH_CANCELLED;
  if (stopped && is_error)
    expect_failure(status, GPT2_ERR_CANCELLED, gpt2_context_error(s->context), "cancelled", NULL);
  assert_true(status == GPT2_OK || is_error);
  must_have_left_others_alone(s);
  if (!stopped)
    return false;
  n_tokens = result.n_tokens;
  size_t length = gpt2_kv_length(s->context, 0);
  if (n_tokens > 0)
    assert_int_equal(length, 2 + n_tokens - 1);
  assert_true(length == 0 || length >= 2);
  /* Nothing was evaluated: the prompt is to be given again. */
  must_succeed(
      gpt2_generate(s->context, prompt, length == 0 ? 2 : 0, NULL, look, &s->stopper, &result),
      s->context);
  assert_int_equal(result.finish, GPT2_FINISH_END);
  assert_int_equal(n_tokens + result.n_tokens, 8); /* "bcdefgh" and the end */
  return true;
}

/* Stops at each call in turn; how many there were. */
static int stop_generating_everywhere(gpt2_text_callback callback, gpt2_abort_callback abort,
                                      bool by_cancel)
{
  static record expected;
  bool stopped = true;
  int n = 0;
  for (; stopped && n < 200; n++) {
    static scene s;
    open_scene(&s, abort);
    s.stopper.n_calls = 0;
    s.stopper.stop_at = n; /* the first time never: what is expected */
    s.stopper.by_cancel = by_cancel;
    stopped = generates_after_a_stop(&s, callback, abort || by_cancel) || n == 0;
    if (n == 0)
      expected = s.stopper.seen;
    expect_same(&s.stopper.seen, &expected);
    close_scene(&s);
  }
  return n - 2;
}

static void wherever_a_text_callback_stops_a_generation_the_rest_can_follow(void **state)
{
  (void)state;
  assert_int_equal(stop_generating_everywhere(look_and_stop, NULL, false), 7);
}

static void wherever_it_is_cancelled_the_rest_can_follow(void **state)
{
  (void)state;
  assert_int_equal(stop_generating_everywhere(look_and_stop, NULL, true), 7);
}

static void wherever_an_abort_callback_stops_a_generation_the_rest_can_follow(void **state)
{
  (void)state;
  assert_in_range(stop_generating_everywhere(look, asked, false), 16, 199);
}

static void wherever_that_cancels_the_rest_can_follow(void **state)
{
  (void)state;
  assert_in_range(stop_generating_everywhere(look, asked, true), 14, 199);
}

/* ---- Scoring ---- */

static int32_t see_score(const gpt2_token_score *score, void *user)
{
  keep(&((stopper *)user)->seen, score, sizeof *score);
  return 0;
}

static int32_t see_score_and_stop(const gpt2_token_score *score, void *user)
{
  see_score(score, user);
  return stop_now(user);
}

/* Longer than the context: several windows. */
static const char text[] = "abcdefghabcdxfghabcdefghabzdefgh";

static gpt2_status score(scene *s, gpt2_score_callback callback)
{
  s->stopper.seen.size = 0;
  return gpt2_score(s->context, text, sizeof text - 1, NULL, callback, &s->stopper, NULL);
}

static bool scores_after_a_stop(scene *s, gpt2_score_callback callback, const record *expected)
{
  gpt2_status status = score(s, callback);
  bool stopped = status != GPT2_OK;
  if (stopped) {
    expect_failure(status, GPT2_ERR_CANCELLED, gpt2_context_error(s->context), "", NULL);
    assert_true(s->stopper.seen.size < expected->size || s->stopper.n_calls == s->stopper.stop_at);
    assert_memory_equal(s->stopper.seen.bytes, expected->bytes, s->stopper.seen.size);
    must_have_left_others_alone(s);
    must_succeed(score(s, see_score), s->context);
  }
  must_have_left_others_alone(s);
  return stopped;
}

static int stop_scoring_everywhere(gpt2_score_callback callback, gpt2_abort_callback abort,
                                   bool by_cancel)
{
  static record expected;
  static scene s;
  bool stopped = true;
  int n = 0;
  open_scene(&s, NULL);
  must_succeed(score(&s, see_score), s.context);
  expected = s.stopper.seen;
  close_scene(&s);
  for (; stopped && n < 500; n++) {
    open_scene(&s, abort);
    s.stopper.n_calls = 0;
    s.stopper.stop_at = n + 1;
    s.stopper.by_cancel = by_cancel;
    stopped = scores_after_a_stop(&s, callback, &expected);
    expect_same(&s.stopper.seen, &expected);
    close_scene(&s);
  }
  return n - 1;
}

static void wherever_a_score_callback_stops_the_same_call_scores_all(void **state)
{
  (void)state;
  assert_int_equal(stop_scoring_everywhere(see_score_and_stop, NULL, false), sizeof text - 1);
}

static void wherever_an_abort_callback_stops_a_scoring_the_same_call_scores_all(void **state)
{
  (void)state;
  assert_in_range(stop_scoring_everywhere(see_score, asked, false), 3, 499);
  assert_in_range(stop_scoring_everywhere(see_score, asked, true), 3, 499);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wherever_a_text_callback_stops_a_generation_the_rest_can_follow),
      cmocka_unit_test(wherever_it_is_cancelled_the_rest_can_follow),
      cmocka_unit_test(wherever_an_abort_callback_stops_a_generation_the_rest_can_follow),
      cmocka_unit_test(wherever_that_cancels_the_rest_can_follow),
      cmocka_unit_test(wherever_a_score_callback_stops_the_same_call_scores_all),
      cmocka_unit_test(wherever_an_abort_callback_stops_a_scoring_the_same_call_scores_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
