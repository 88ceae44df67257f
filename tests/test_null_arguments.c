/* test_null_arguments.c - every pointer of every function may be NULL: it is refused by its name,
 * or means what the header says, and harms nothing. A function that is not tried fails the test. */
#include "gpt2.h"
#include "support/context_state.h"
#include "support/expect.h"
#include "support/fixture.h"
#include "support/handles.h"
#include "support/header_functions.h"
#include "support/host_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Handles that work, and places for what calls give. */
typedef struct scene {
  handles on;
  char *folder;
  gpt2_blob blobs[2];
  host_source host;
  gpt2_source source;

  void **out; /* the place of a handle that was passed, or NULL */
  gpt2_model *made_model;
  gpt2_context *made_context;
  gpt2_sampler *made_sampler;
  gpt2_decoder *made_decoder;
  gpt2_generation *made_generation;
  gpt2_build build;
  gpt2_info info;
  gpt2_piece piece;
  gpt2_token token, tokens[8];
  gpt2_token_score score;
  const char *bytes;
  char text[8];
  size_t n;
} scene;

/* The place of a handle, which a failure must set to NULL. */
#define OUT(handle) (s->out = (void **)&s->handle, s->handle = (void *)s, &s->handle)

#define IS(answer) ((answer) ? GPT2_OK : -100)
#define DOES(call) ((call), GPT2_OK)

static const float level[4];
static const gpt2_token some[] = {'a', 'b'};
static const gpt2_row row = {.token = 'a'};
/* REFUSED: with the name of the argument, in the error or in the context's; SILENT: there is no
 * place for words; FINE: NULL has a meaning. */
typedef enum outcome { REFUSED, SILENT, FINE } outcome;

/* Function, argument that is NULL, outcome, and the call. */
#define TRIALS(X)                                                                                  \
  X(gpt2_build_info, build, REFUSED, (NULL, e))                                                    \
  X(gpt2_build_info, error, SILENT, (NULL, NULL))                                                  \
  X(gpt2_load, path, REFUSED, (NULL, NULL, OUT(made_model), e))                                    \
  X(gpt2_load, options, FINE, (s->folder, NULL, OUT(made_model), e))                               \
  X(gpt2_load, model, REFUSED, (s->folder, NULL, NULL, e))                                         \
  X(gpt2_load, error, SILENT, ("", NULL, OUT(made_model), NULL))                                   \
  X(gpt2_load_memory, blobs, REFUSED, (NULL, 2, NULL, OUT(made_model), e))                         \
  X(gpt2_load_memory, options, FINE, (s->blobs, 2, NULL, OUT(made_model), e))                      \
  X(gpt2_load_memory, model, REFUSED, (s->blobs, 2, NULL, NULL, e))                                \
  X(gpt2_load_memory, error, SILENT, (NULL, 2, NULL, OUT(made_model), NULL))                       \
  X(gpt2_load_source, source, REFUSED, (NULL, NULL, OUT(made_model), e))                           \
  X(gpt2_load_source, options, FINE, (&s->source, NULL, OUT(made_model), e))                       \
  X(gpt2_load_source, model, REFUSED, (&s->source, NULL, NULL, e))                                 \
  X(gpt2_load_source, error, SILENT, (NULL, NULL, OUT(made_model), NULL))                          \
  X(gpt2_model_info, model, REFUSED, (NULL, &s->info, e))                                          \
  X(gpt2_model_info, info, REFUSED, (s->on.model, NULL, e))                                        \
  X(gpt2_model_info, error, SILENT, (NULL, NULL, NULL))                                            \
  X(gpt2_encode, model, REFUSED, (NULL, "a", 1, 0, s->tokens, 8, &s->n, e))                        \
  X(gpt2_encode, text, REFUSED, (s->on.model, NULL, 1, 0, s->tokens, 8, &s->n, e))                 \
  X(gpt2_encode, tokens, REFUSED, (s->on.model, "a", 1, 0, NULL, 8, &s->n, e))                     \
  X(gpt2_encode, n_tokens, REFUSED, (s->on.model, "a", 1, 0, s->tokens, 8, NULL, e))               \
  X(gpt2_encode, error, SILENT, (NULL, "a", 1, 0, s->tokens, 8, &s->n, NULL))                      \
  X(gpt2_decode, model, REFUSED, (NULL, some, 2, s->text, 8, &s->n, e))                            \
  X(gpt2_decode, tokens, REFUSED, (s->on.model, NULL, 2, s->text, 8, &s->n, e))                    \
  X(gpt2_decode, text, REFUSED, (s->on.model, some, 2, NULL, 8, &s->n, e))                         \
  X(gpt2_decode, size, REFUSED, (s->on.model, some, 2, s->text, 8, NULL, e))                       \
  X(gpt2_decode, error, SILENT, (NULL, some, 2, s->text, 8, &s->n, NULL))                          \
  X(gpt2_token_bytes, model, REFUSED, (NULL, 'a', &s->bytes, &s->n, e))                            \
  X(gpt2_token_bytes, bytes, REFUSED, (s->on.model, 'a', NULL, &s->n, e))                          \
  X(gpt2_token_bytes, size, REFUSED, (s->on.model, 'a', &s->bytes, NULL, e))                       \
  X(gpt2_token_bytes, error, SILENT, (NULL, 'a', &s->bytes, &s->n, NULL))                          \
  X(gpt2_decoder_new, model, REFUSED, (NULL, 0, OUT(made_decoder), e))                             \
  X(gpt2_decoder_new, decoder, REFUSED, (s->on.model, 0, NULL, e))                                 \
  X(gpt2_decoder_new, error, SILENT, (NULL, 0, OUT(made_decoder), NULL))                           \
  X(gpt2_decoder_push, decoder, REFUSED, (NULL, 'a', &s->bytes, &s->n, e))                         \
  X(gpt2_decoder_push, text, REFUSED, (s->on.decoder, 'a', NULL, &s->n, e))                        \
  X(gpt2_decoder_push, size, REFUSED, (s->on.decoder, 'a', &s->bytes, NULL, e))                    \
  X(gpt2_decoder_push, error, SILENT, (NULL, 'a', &s->bytes, &s->n, NULL))                         \
  X(gpt2_decoder_finish, decoder, REFUSED, (NULL, &s->bytes, &s->n, e))                            \
  X(gpt2_decoder_finish, text, REFUSED, (s->on.decoder, NULL, &s->n, e))                           \
  X(gpt2_decoder_finish, size, REFUSED, (s->on.decoder, &s->bytes, NULL, e))                       \
  X(gpt2_decoder_finish, error, SILENT, (NULL, &s->bytes, &s->n, NULL))                            \
  X(gpt2_context_new, model, REFUSED, (NULL, NULL, OUT(made_context), e))                          \
  X(gpt2_context_new, options, FINE, (s->on.model, NULL, OUT(made_context), e))                    \
  X(gpt2_context_new, context, REFUSED, (s->on.model, NULL, NULL, e))                              \
  X(gpt2_context_new, error, SILENT, (NULL, NULL, OUT(made_context), NULL))                        \
  X(gpt2_eval, context, SILENT, (NULL, 0, some, 2, 0))                                             \
  X(gpt2_eval, tokens, REFUSED, (s->on.context, 0, NULL, 2, 0))                                    \
  X(gpt2_eval_batch, context, SILENT, (NULL, &row, 1))                                             \
  X(gpt2_eval_batch, rows, REFUSED, (s->on.context, NULL, 1))                                      \
  X(gpt2_row_score, context, SILENT, (NULL, 0, &s->score))                                         \
  X(gpt2_row_score, score, REFUSED, (s->on.context, 0, NULL))                                      \
  X(gpt2_kv_tokens, context, SILENT, (NULL, 0, s->tokens, 8, &s->n))                               \
  X(gpt2_kv_tokens, tokens, REFUSED, (s->on.context, 0, NULL, 8, &s->n))                           \
  X(gpt2_kv_tokens, n_tokens, REFUSED, (s->on.context, 0, s->tokens, 8, NULL))                     \
  X(gpt2_kv_truncate, context, SILENT, (NULL, 0, 0))                                               \
  X(gpt2_kv_drop, context, SILENT, (NULL, 0))                                                      \
  X(gpt2_kv_clear, context, SILENT, (NULL))                                                        \
  X(gpt2_sampler_new, options, FINE, (NULL, OUT(made_sampler), e))                                 \
  X(gpt2_sampler_new, sampler, REFUSED, (NULL, NULL, e))                                           \
  X(gpt2_sampler_new, error, SILENT, (NULL, NULL, NULL))                                           \
  X(gpt2_sampler_draw, sampler, REFUSED, (NULL, level, 4, &s->token, e))                           \
  X(gpt2_sampler_draw, logits, REFUSED, (s->on.sampler, NULL, 4, &s->token, e))                    \
  X(gpt2_sampler_draw, token, REFUSED, (s->on.sampler, level, 4, NULL, e))                         \
  X(gpt2_sampler_draw, error, SILENT, (NULL, level, 4, &s->token, NULL))                           \
  X(gpt2_sampler_accept, sampler, REFUSED, (NULL, 1, e))                                           \
  X(gpt2_sampler_accept, error, SILENT, (NULL, 1, NULL))                                           \
  X(gpt2_sampler_clone, sampler, REFUSED, (NULL, OUT(made_sampler), e))                            \
  X(gpt2_sampler_clone, clone, REFUSED, (s->on.sampler, NULL, e))                                  \
  X(gpt2_sampler_clone, error, SILENT, (NULL, OUT(made_sampler), NULL))                            \
  X(gpt2_sample, context, SILENT, (NULL, 0, s->on.sampler, &s->token))                             \
  X(gpt2_sample, sampler, FINE, (s->on.spare, 0, NULL, &s->token))                                 \
  X(gpt2_sample, token, REFUSED, (s->on.context, 0, s->on.sampler, NULL))                          \
  X(gpt2_generation_new, context, SILENT, (NULL, "a", 1, NULL, OUT(made_generation)))              \
  X(gpt2_generation_new, prompt, REFUSED, (s->on.context, NULL, 1, NULL, OUT(made_generation)))    \
  X(gpt2_generation_new, options, FINE, (s->on.spare, "a", 1, NULL, OUT(made_generation)))         \
  X(gpt2_generation_new, generation, REFUSED, (s->on.context, "a", 1, NULL, NULL))                 \
  X(gpt2_generation_next, generation, SILENT, (NULL, &s->piece))                                   \
  X(gpt2_generation_next, piece, REFUSED, (s->on.generation, NULL))                                \
  X(gpt2_generate, context, SILENT, (NULL, "a", 1, NULL, NULL, NULL, NULL))                        \
  X(gpt2_generate, prompt, REFUSED, (s->on.context, NULL, 1, NULL, NULL, NULL, NULL))              \
  X(gpt2_generate, options, FINE, (s->on.spare, "a", 1, NULL, go_on, s, &result))                  \
  X(gpt2_generate, callback, FINE, (s->on.spare, "a", 1, &generate_options, NULL, s, &result))     \
  X(gpt2_generate, user, FINE, (s->on.spare, "a", 1, &generate_options, go_on, NULL, &result))     \
  X(gpt2_generate, result, FINE, (s->on.spare, "a", 1, &generate_options, go_on, s, NULL))         \
  X(gpt2_score, context, SILENT, (NULL, "ab", 2, NULL, NULL, NULL, NULL))                          \
  X(gpt2_score, text, REFUSED, (s->on.context, NULL, 2, NULL, NULL, NULL, NULL))                   \
  X(gpt2_score, options, FINE, (s->on.spare, "ab", 2, NULL, read_on, s, &totals))                  \
  X(gpt2_score, callback, FINE, (s->on.spare, "ab", 2, &score_options, NULL, s, &totals))          \
  X(gpt2_score, user, FINE, (s->on.spare, "ab", 2, &score_options, read_on, NULL, &totals))        \
  X(gpt2_score, result, FINE, (s->on.spare, "ab", 2, &score_options, read_on, s, NULL))            \
  X(gpt2_score_tokens, context, SILENT, (NULL, some, 2, NULL, NULL, NULL, NULL))                   \
  X(gpt2_score_tokens, tokens, REFUSED, (s->on.context, NULL, 2, NULL, NULL, NULL, NULL))          \
  X(gpt2_score_tokens, options, FINE, (s->on.spare, some, 2, NULL, read_on, s, &totals))           \
  X(gpt2_score_tokens, callback, FINE, (s->on.spare, some, 2, &score_options, NULL, s, &totals))   \
  X(gpt2_score_tokens, user, FINE, (s->on.spare, some, 2, &score_options, read_on, NULL, &totals)) \
  X(gpt2_score_tokens, result, FINE, (s->on.spare, some, 2, &score_options, read_on, s, NULL))

/* Those without a status. */
#define ANSWERS(X)                                                                                 \
  X(gpt2_model_ref, model, IS(!gpt2_model_ref(NULL)))                                              \
  X(gpt2_model_free, model, DOES(gpt2_model_free(NULL)))                                           \
  X(gpt2_ignored_tensor, model, IS(!gpt2_ignored_tensor(NULL, 0)))                                 \
  X(gpt2_token_flags, model, IS(gpt2_token_flags(NULL, 'a') == 0))                                 \
  X(gpt2_bos_token, model, IS(gpt2_bos_token(NULL) == -1))                                         \
  X(gpt2_eos_token, model, IS(gpt2_eos_token(NULL, 0) == -1))                                      \
  X(gpt2_decoder_free, decoder, DOES(gpt2_decoder_free(NULL)))                                     \
  X(gpt2_context_free, context, DOES(gpt2_context_free(NULL)))                                     \
  X(gpt2_context_error, context, IS(!gpt2_context_error(NULL)))                                    \
  X(gpt2_context_model, context, IS(!gpt2_context_model(NULL)))                                    \
  X(gpt2_context_threads, context, IS(gpt2_context_threads(NULL) == 0))                            \
  X(gpt2_cancel, context, DOES(gpt2_cancel(NULL)))                                                 \
  X(gpt2_logits, context, IS(!gpt2_logits(NULL, 0)))                                               \
  X(gpt2_row_logits, context, IS(!gpt2_row_logits(NULL, 0)))                                       \
  X(gpt2_row_hidden, context, IS(!gpt2_row_hidden(NULL, 0)))                                       \
  X(gpt2_kv_length, context, IS(gpt2_kv_length(NULL, 0) == 0))                                     \
  X(gpt2_sampler_reset, sampler, DOES(gpt2_sampler_reset(NULL)))                                   \
  X(gpt2_sampler_seed, sampler, IS(gpt2_sampler_seed(NULL) == 0))                                  \
  X(gpt2_sampler_free, sampler, DOES(gpt2_sampler_free(NULL)))                                     \
  X(gpt2_generation_seed, generation, IS(gpt2_generation_seed(NULL) == 0))                         \
  X(gpt2_generation_prompt_length, generation, IS(gpt2_generation_prompt_length(NULL) == 0))       \
  X(gpt2_generation_free, generation, DOES(gpt2_generation_free(NULL)))

static int32_t go_on(const gpt2_piece *piece, void *user)
{
  (void)piece, (void)user;
  return 0;
}

static int32_t read_on(const gpt2_token_score *score, void *user)
{
  (void)score, (void)user;
  return 0;
}

static gpt2_result result = {.struct_size = sizeof result};
static gpt2_score_result totals = {.struct_size = sizeof totals};
static const gpt2_generate_options generate_options = {.struct_size = sizeof generate_options,
                                                       .max_tokens = 2};
static const gpt2_score_options score_options = {.struct_size = sizeof score_options};

#define TRIAL_FUNCTION(function, argument, outcome, arguments)                                     \
  static gpt2_status function##_without_##argument(scene *s, gpt2_error *e)                        \
  {                                                                                                \
    (void)s, (void)e;                                                                              \
    return function arguments;                                                                     \
  }
#define ANSWER_FUNCTION(function, argument, answer)                                                \
  static gpt2_status function##_without_##argument(scene *s, gpt2_error *e)                        \
  {                                                                                                \
    (void)s, (void)e;                                                                              \
    return answer;                                                                                 \
  }
TRIALS(TRIAL_FUNCTION)
ANSWERS(ANSWER_FUNCTION)

typedef struct trial {
  const char *function, *argument;
  outcome outcome;
  gpt2_status (*call)(scene *s, gpt2_error *e);
} trial;

#define TRIAL_ENTRY(function, argument, outcome, arguments)                                        \
  {#function, #argument, outcome, function##_without_##argument},
#define ANSWER_ENTRY(function, argument, answer)                                                   \
  {#function, #argument, FINE, function##_without_##argument},
static const trial trials[] = {TRIALS(TRIAL_ENTRY) ANSWERS(ANSWER_ENTRY)};
enum { N_TRIALS = sizeof trials / sizeof *trials };

/* ---- The handles ---- */

static void open_scene(scene *s)
{
  memset(s, 0, sizeof *s);
  s->on = open_handles();
  s->folder = test_data_path("fixtures/models/relu");
  s->blobs[0] = (gpt2_blob){.name = "config.json"};
  s->blobs[1] = (gpt2_blob){.name = "model.safetensors"};
  for (int i = 0; i < 2; i++) {
    char path[4096];
    size_t size;
    snprintf(path, sizeof path, "%s/%s", s->folder, s->blobs[i].name);
    s->blobs[i].bytes = read_test_file(path, &size);
    s->blobs[i].size = size;
  }
  s->host = (host_source){.blobs = s->blobs, .n_blobs = 2};
  s->source = host_callbacks(&s->host);
  s->build.struct_size = sizeof s->build;
  s->info.struct_size = sizeof s->info;
  s->piece.struct_size = sizeof s->piece;
}

static void close_scene(scene *s)
{
  close_handles(&s->on);
  for (int i = 0; i < 2; i++)
    free((void *)(uintptr_t)s->blobs[i].bytes);
  free(s->folder);
}

/* ---- The test ---- */

/* What was made is freed; a failure has made nothing, and said so. */
static void check_handles(scene *s, const trial *t, gpt2_status status)
{
  if (!s->out)
    return;
  if (!*s->out != (status != GPT2_OK))
    fail_msg("%s without %s: %s, and the handle is %p", t->function, t->argument,
             gpt2_status_name(status), *s->out);
  if (s->out == (void **)&s->made_model)
    gpt2_model_free(s->made_model);
  else if (s->out == (void **)&s->made_context)
    gpt2_context_free(s->made_context);
  else if (s->out == (void **)&s->made_sampler)
    gpt2_sampler_free(s->made_sampler);
  else if (s->out == (void **)&s->made_decoder)
    gpt2_decoder_free(s->made_decoder);
  else
    gpt2_generation_free(s->made_generation);
}

/* The words are in the error, or in the context whose function it is. */
static void check_words(const scene *s, const trial *t, gpt2_status status, const gpt2_error *error)
{
  char words[80];
  snprintf(words, sizeof words, "%s: is NULL", t->argument);
  if (error->status == GPT2_OK)
    error = gpt2_context_error(s->on.context);
  expect_failure(status, GPT2_ERR_ARGUMENT, error, words, NULL);
}

static void try_call(scene *s, const trial *t)
{
  gpt2_error error = NO_ERROR_YET;
  context_state before = state_of(s->on.context);
  s->out = NULL;
  gpt2_status status = t->call(s, &error);
  if (status != (t->outcome == FINE ? GPT2_OK : GPT2_ERR_ARGUMENT))
    fail_msg("%s without %s: %s: %s", t->function, t->argument, gpt2_status_name(status),
             error.message);
  if (t->outcome == REFUSED)
    check_words(s, t, status, &error);
  else
    assert_int_equal(error.status, GPT2_OK);
  check_handles(s, t, status);
  must_be_unchanged(s->on.context, &before, t->function);
}

static void every_pointer_that_is_null_is_refused_by_its_name_or_has_a_meaning(void **state)
{
  (void)state;
  scene s;
  open_scene(&s);
  for (int i = 0; i < N_TRIALS; i++)
    try_call(&s, &trials[i]);
  must_go_on_as_new(&s.on);
  close_scene(&s);
}

static int trials_of(const char *function, const char *argument)
{
  int n = 0;
  for (int i = 0; i < N_TRIALS; i++)
    n += strcmp(trials[i].function, function) == 0 && strcmp(trials[i].argument, argument) == 0;
  return n;
}

static void no_pointer_of_the_header_is_left_out(void **state)
{
  (void)state;
  int n, n_pointers = 0;
  const header_function *functions = header_functions(&n);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < functions[i].n_parameters; k++) {
      const header_parameter *p = &functions[i].parameters[k];
      n_pointers += p->is_pointer;
      if (trials_of(functions[i].name, p->name) != p->is_pointer)
        fail_msg("%s: %s is tried %d times", functions[i].name, p->name,
                 trials_of(functions[i].name, p->name));
    }
  assert_int_equal(n_pointers, N_TRIALS);
  print_message("# %d pointers of %d functions\n", n_pointers, n);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_pointer_that_is_null_is_refused_by_its_name_or_has_a_meaning),
      cmocka_unit_test(no_pointer_of_the_header_is_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
