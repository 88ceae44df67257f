/* handles.c - one handle of each kind. */
#include "support/handles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/context_state.h"
#include "support/opened.h"
#include "support/sampling.h"

static gpt2_context *used_context(gpt2_model *model)
{
  gpt2_context *context = open_context(model, 1);
  const uint32_t flags = GPT2_ROW_LOGITS | GPT2_ROW_HIDDEN | GPT2_ROW_SCORE;
  const gpt2_row rows[] = {{'p', 0, flags, 'a'}, {'q', 0, flags, 'b'}, {'r', 1, flags, 'c'}};
  must_succeed(gpt2_eval_batch(context, rows, 3), context);
  return context;
}

handles open_handles(void)
{
  handles h = {.scripted = scripted_open(&(model_script){.text = "abcdef"})};
  h.model = h.scripted.model;
  h.context = used_context(h.model);
  h.spare = used_context(h.model);
  h.sampler = new_sampler(at_temperature(1.0f, 0));
  assert_int_equal(gpt2_decoder_new(h.model, 0, &h.decoder, NULL), GPT2_OK);
  must_succeed(gpt2_generation_new(h.context, "p", 1, NULL, &h.generation), h.context);
  return h;
}

void close_handles(handles *h)
{
  gpt2_generation_free(h->generation);
  gpt2_decoder_free(h->decoder);
  gpt2_sampler_free(h->sampler);
  gpt2_context_free(h->spare);
  gpt2_context_free(h->context);
  scripted_close(&h->scripted);
}

gpt2_status told(const gpt2_context *context, gpt2_status status, gpt2_error *error)
{
  if (status != GPT2_OK && error)
    *error = *gpt2_context_error(context);
  return status;
}

static void must_evaluate_alike(gpt2_context *context, gpt2_context *other)
{
  static const gpt2_token some[] = {'a', 'b'};
  must_succeed(gpt2_eval(context, 0, some, 2, 0), context);
  must_succeed(gpt2_eval(other, 0, some, 2, 0), other);
  must_have_logits(context, 0, gpt2_logits(other, 0));
}

static void must_generate_alike(handles *h, handles *other)
{
  gpt2_piece piece = {.struct_size = sizeof piece}, other_piece = piece;
  must_succeed(gpt2_generation_next(h->generation, &piece), h->context);
  must_succeed(gpt2_generation_next(other->generation, &other_piece), other->context);
  assert_int_equal(piece.token, other_piece.token);
  assert_memory_equal(&piece.logprob, &other_piece.logprob, sizeof piece.logprob);
}

void must_go_on_as_new(handles *h)
{
  handles other = open_handles();
  const char *bytes = NULL;
  gpt2_token token = -1;
  size_t n = 0;
  must_evaluate_alike(h->context, other.context);
  must_generate_alike(h, &other);
  assert_int_equal(take_byte(h->sampler), take_byte(other.sampler));
  assert_int_equal(gpt2_decoder_push(h->decoder, 'a', &bytes, &n, NULL), GPT2_OK);
  assert_true(n == 1 && *bytes == 'a');
  assert_int_equal(gpt2_encode(h->model, "b", 1, 0, &token, 1, &n, NULL), GPT2_OK);
  assert_int_equal(token, 'b');
  close_handles(&other);
}
