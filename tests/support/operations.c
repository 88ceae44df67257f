/* operations.c - all that takes memory or threads of a model's user, with each thing refused. */
#include "support/operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/expect.h"
#include "support/opened.h"
#include "support/record.h"

static const gpt2_token prompt[] = {'O', 'n', 'c', 'e', 32, 200, 7, 'T', 'o', 'm'};
enum { N_PROMPT = sizeof prompt / sizeof *prompt };
static const char text[] = "Once upon a time, there were 3 bears.\n\n<|endoftext|>  \xc3\xa9\xff";

typedef struct scene {
  gpt2_model *model;
  gpt2_context *context;
  gpt2_context_options options;
  const gpt2_allocator *sampler_hooks;
  gpt2_error error; /* of the last call that failed */
} scene;

static gpt2_status told(scene *s, gpt2_status status)
{
  if (status != GPT2_OK)
    s->error = *gpt2_context_error(s->context);
  return status;
}

static size_t n_vocab_of(const scene *s)
{
  return (size_t)info_of(s->model).n_vocab;
}

/* Another context, of several threads. */
static gpt2_status make_context(scene *s, record *r)
{
  gpt2_context_options options = s->options;
  options.n_threads = 3;
  gpt2_context *context = (gpt2_context *)s;
  gpt2_status status = gpt2_context_new(s->model, &options, &context, &s->error);
  assert_int_equal(status == GPT2_OK, context != NULL);
  int32_t n_threads = gpt2_context_threads(context);
  keep(r, &n_threads, sizeof n_threads);
  gpt2_context_free(context);
  return status;
}

/* Evaluates in sequence 5; what fails leaves it as it was, but for its logits. */
static gpt2_status evaluate(scene *s, size_t n_tokens, uint32_t flags, record *r)
{
  static const gpt2_token tokens[100] = {'a', 'b', 'c', 200};
  size_t before = gpt2_kv_length(s->context, 5), n_vocab = n_vocab_of(s);
  gpt2_status status = gpt2_eval(s->context, 5, tokens, n_tokens, flags);
  if (status != GPT2_OK) {
    assert_int_equal(gpt2_kv_length(s->context, 5), before);
    assert_null(gpt2_logits(s->context, 5));
    assert_null(gpt2_row_logits(s->context, 0));
    return told(s, status);
  }
  assert_int_equal(gpt2_kv_length(s->context, 5), before + n_tokens);
  keep(r, gpt2_logits(s->context, 5), n_vocab * sizeof(float));
  for (size_t row = 0; row < n_tokens && flags & GPT2_ROW_LOGITS; row += 9)
    keep(r, gpt2_row_logits(s->context, row), n_vocab * sizeof(float));
  return status;
}

static gpt2_status evaluate_a_token(scene *s, record *r)
{
  return evaluate(s, 1, 0, r);
}

static gpt2_status evaluate_many(scene *s, record *r)
{
  return evaluate(s, 60, GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN, r);
}

/* After a token, so that the cache and the workspace have to grow. */
static gpt2_status evaluate_more(scene *s, record *r)
{
  return evaluate(s, 80, 0, r);
}

static void evaluate_first(scene *s)
{
  record *r = malloc(sizeof *r);
  assert_non_null(r);
  r->size = 0;
  must_succeed(evaluate(s, 5, 0, r), s->context);
  free(r);
}

/* Rows of three sequences, in turn; one of them has something already. */
static gpt2_status evaluate_batch(scene *s, record *r)
{
  gpt2_row rows[45];
  gpt2_token_score score;
  for (int i = 0; i < 45; i++)
    rows[i] = (gpt2_row){
        .token = prompt[i % N_PROMPT], .sequence = 4 + i % 3, .flags = GPT2_ROW_SCORE, .target = i};
  size_t before = gpt2_kv_length(s->context, 5);
  gpt2_status status = gpt2_eval_batch(s->context, rows, 45);
  for (int32_t sequence = 4; status != GPT2_OK && sequence < 7; sequence++) {
    assert_int_equal(gpt2_kv_length(s->context, sequence), sequence == 5 ? before : 0);
    assert_null(gpt2_logits(s->context, sequence));
  }
  for (size_t row = 0; status == GPT2_OK && row < 45; row++) {
    must_succeed(gpt2_row_score(s->context, row, &score), s->context);
    keep(r, &score, sizeof score);
  }
  return told(s, status);
}

static gpt2_status encode(scene *s, record *r)
{
  gpt2_token tokens[sizeof text];
  size_t n_tokens = 0;
  gpt2_status status = gpt2_encode(s->model, text, sizeof text - 1, GPT2_ENCODE_SPECIAL, tokens,
                                   sizeof text, &n_tokens, &s->error);
  keep(r, tokens, n_tokens * sizeof *tokens);
  return status;
}

static gpt2_status decode(scene *s, record *r)
{
  gpt2_decoder *decoder = (gpt2_decoder *)s;
  gpt2_status status = gpt2_decoder_new(s->model, 0, &decoder, &s->error);
  assert_int_equal(status == GPT2_OK, decoder != NULL);
  for (size_t i = 0; status == GPT2_OK && i < N_PROMPT; i++) {
    const char *piece;
    size_t size;
    assert_int_equal(gpt2_decoder_push(decoder, prompt[i], &piece, &size, NULL), GPT2_OK);
    keep(r, piece, size);
  }
  gpt2_decoder_free(decoder);
  return status;
}

static gpt2_status draw(scene *s, record *r)
{
  static const float logits[300] = {0.5f, 2.0f, 1.5f, -3.0f};
  gpt2_sampler_options options = {.struct_size = sizeof options,
                                  .temperature = 0.7f,
                                  .top_p = 0.9f,
                                  .seed = 3,
                                  .allocator = s->sampler_hooks};
  gpt2_sampler *sampler = NULL;
  gpt2_token token = -1;
  gpt2_status status = gpt2_sampler_new(&options, &sampler, &s->error);
  for (int i = 0; status == GPT2_OK && i < 20; i++) {
    status = gpt2_sampler_draw(sampler, logits, 300, &token, &s->error);
    keep(r, &token, sizeof token);
    gpt2_sampler_accept(sampler, token, NULL);
  }
  gpt2_sampler_free(sampler);
  return status;
}

static int32_t keep_piece(const gpt2_piece *piece, void *user)
{
  keep(user, piece->text, (size_t)piece->size);
  keep(user, &piece->token, sizeof piece->token);
  keep(user, &piece->logprob, sizeof piece->logprob);
  return 0;
}

/* What was generated before a failure stays in the sequence, so it starts from nothing. */
static gpt2_status generate(scene *s, record *r)
{
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling, .temperature = 1, .top_k = 50};
  gpt2_string stop = {"never to be found", 17};
  gpt2_generate_options options = {.struct_size = sizeof options,
                                   .flags = GPT2_GENERATE_IGNORE_END,
                                   .sequence = 5,
                                   .max_tokens = 30,
                                   .sampling = &sampling,
                                   .stops = &stop,
                                   .n_stops = 1};
  must_succeed(gpt2_kv_drop(s->context, 5), s->context);
  return told(s, gpt2_generate(s->context, text, 20, &options, keep_piece, r, NULL));
}

static int32_t keep_score(const gpt2_token_score *score, void *user)
{
  keep(user, score, sizeof *score);
  return 0;
}

static gpt2_status score(scene *s, record *r)
{
  char longer[200];
  memset(longer, 'a', sizeof longer);
  memcpy(longer + 90, text, sizeof text - 1);
  gpt2_score_options options = {.struct_size = sizeof options, .stride = 50};
  return told(s, gpt2_score(s->context, longer, sizeof longer, &options, keep_score, r, NULL));
}

typedef struct operation {
  const char *name;
  gpt2_status (*run)(scene *s, record *r);
  void (*prepare)(scene *s); /* NULL: nothing */
  size_t least;              /* allocations that it makes, on a new context */
} operation;

static const operation operations[] = {
    {"a new context", make_context, NULL, 2},
    {"a token", evaluate_a_token, NULL, 6},
    {"many tokens", evaluate_many, NULL, 8},
    {"more tokens", evaluate_more, evaluate_first, 6},
    {"a batch", evaluate_batch, NULL, 8},
    {"a batch after a text", evaluate_batch, evaluate_first, 6},
    {"encoding", encode, NULL, 1},
    {"a decoder", decode, NULL, 2},
    {"a sampler", draw, NULL, 2},
    {"generating", generate, NULL, 10},
    {"generating after a text", generate, evaluate_first, 8},
    {"scoring", score, NULL, 10},
};
enum { N_OPERATIONS = sizeof operations / sizeof *operations };

static void new_context(scene *s)
{
  gpt2_error error = NO_ERROR_YET;
  s->context = NULL;
  must_have_succeeded(gpt2_context_new(s->model, &s->options, &s->context, &error), &error);
}

/* Something else goes on: a text in a sequence that nothing has been refused. */
static void must_go_on(scene *s)
{
  must_succeed(gpt2_eval(s->context, 9, prompt, 2, 0), s->context);
}

/* Runs it on a new context with the nth thing refused (0: none), and again after a failure, which
 * must give *expected, or becomes it when nothing was refused. Whether there was an nth. */
static bool is_refused(scene *s, const operation *o, const refusing *r, size_t nth,
                       record *expected)
{
  static record found;
  new_context(s);
  if (o->prepare)
    o->prepare(s);
  s->error = NO_ERROR_YET;
  found.size = 0;
  r->begin(r->user, nth);
  gpt2_status status = o->run(s, &found);
  bool reached = r->end(r->user);
  assert_true(status == GPT2_OK || reached);
  if (status != GPT2_OK || (reached && r->must_fail)) {
    r->expect(status, &s->error);
    found.size = 0;
    must_go_on(s);
    assert_int_equal(o->run(s, &found), GPT2_OK);
  }
  if (nth > 0)
    expect_same(&found, expected);
  else
    *expected = found;
  gpt2_context_free(s->context);
  return reached;
}

static size_t refuse_all(scene *s, const operation *o, const refusing *r)
{
  static record expected;
  size_t n = 0;
  assert_false(is_refused(s, o, r, 0, &expected));
  while (n < 1000 && is_refused(s, o, r, n + 1, &expected))
    n++;
  if (n == 1000 || (r->is_memory && n < o->least))
    fail_msg("%s: %zu were refused", o->name, n);
  return n;
}

size_t refuse_all_operations(gpt2_model *model, const gpt2_context_options *options,
                             const refusing *r, const gpt2_allocator *sampler_hooks)
{
  scene s = {.model = model, .options = *options, .sampler_hooks = sampler_hooks};
  size_t n = 0;
  for (size_t i = 0; i < N_OPERATIONS; i++)
    n += refuse_all(&s, &operations[i], r);
  return n;
}
