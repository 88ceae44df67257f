/* test_free_orders.c - handles are freed in every order that there is, and what is left goes on
 * working, to the bit, until the last of them takes the model along. */
#include "gpt2.h"
#include "support/context_state.h"
#include "support/counting_allocator.h"
#include "support/opened.h"
#include "support/sampling.h"
#include "support/scripted_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* All on one model; two on the context. */
enum { MODEL, CONTEXT, OTHER, GENERATION, DECODER, SAMPLER, N_HANDLES };

typedef struct scene {
  scripted_model scripted;
  gpt2_context *context, *other;
  gpt2_generation *generation;
  gpt2_decoder *decoder;
  gpt2_sampler *sampler;
  bool is_freed[N_HANDLES];
  int n_pieces; /* drawn from the generation */
} scene;

static const char script[] = "abcdefghijklmnopqrstuvwxyz";

static void open_scene(scene *s, const gpt2_allocator *hooks)
{
  *s = (scene){.scripted = scripted_open(&(model_script){.text = script, .allocator = hooks})};
  s->context = s->scripted.context;
  s->other = open_context(s->scripted.model, 2);
  gpt2_sampler_options greedy_almost = at_temperature(1e-3f, 7);
  gpt2_generate_options options = {.struct_size = sizeof options, .sampling = &greedy_almost};
  must_succeed(gpt2_generation_new(s->context, "p", 1, &options, &s->generation), s->context);
  assert_int_equal(gpt2_decoder_new(s->scripted.model, 0, &s->decoder, NULL), GPT2_OK);
  s->sampler = new_sampler(at_temperature(1.0f, 0));
}

static void free_handle(scene *s, int handle)
{
  s->is_freed[handle] = true;
  switch (handle) {
  case MODEL:
    gpt2_model_free(s->scripted.model);
    break;
  case CONTEXT:
    gpt2_context_free(s->context);
    break;
  case OTHER:
    gpt2_context_free(s->other);
    break;
  case GENERATION:
    gpt2_generation_free(s->generation);
    break;
  case DECODER:
    gpt2_decoder_free(s->decoder);
    break;
  default:
    gpt2_sampler_free(s->sampler);
  }
}

/* ---- What is left works ---- */

/* The script's n-th token follows n tokens. */
static void use_context(gpt2_context *context)
{
  gpt2_token token = 'x';
  must_succeed(gpt2_eval(context, 3, &token, 1, 0), context);
  must_succeed(gpt2_sample(context, 3, NULL, &token), context);
  assert_int_equal(token, script[gpt2_kv_length(context, 3) - 1]);
}

static void use_generation(scene *s)
{
  gpt2_piece piece = {.struct_size = sizeof piece};
  assert_int_equal(gpt2_generation_next(s->generation, &piece), GPT2_OK);
  assert_int_equal(piece.token, script[s->n_pieces]);
  assert_int_equal(piece.size, 1);
  assert_int_equal(piece.text[0], script[s->n_pieces++]);
  assert_true(gpt2_generation_seed(s->generation) == 7);
}

static void use_decoder(gpt2_decoder *decoder)
{
  const char *text;
  size_t size;
  assert_int_equal(gpt2_decoder_push(decoder, 'd', &text, &size, NULL), GPT2_OK);
  assert_true(size == 1 && *text == 'd');
}

static void use_what_is_left(scene *s)
{
  if (!s->is_freed[MODEL])
    assert_int_equal(info_of(s->scripted.model).n_vocab, s->scripted.n_vocab);
  if (!s->is_freed[CONTEXT])
    use_context(s->context);
  if (!s->is_freed[OTHER])
    use_context(s->other);
  if (!s->is_freed[GENERATION])
    use_generation(s);
  if (!s->is_freed[DECODER])
    use_decoder(s->decoder);
  if (!s->is_freed[SAMPLER])
    assert_int_equal(draw_byte(s->sampler), FIRST_BYTE_OF_SEED_0);
}

/* Whether something on the model is left: a sampler stands by itself. */
static bool model_is_left(const scene *s)
{
  for (int i = 0; i < SAMPLER; i++)
    if (!s->is_freed[i])
      return true;
  return false;
}

/* ---- Every order ---- */

/* Frees the handles in the order (N_HANDLES), and uses all that is left after each. */
static void free_in_order(const int *order)
{
  scene s;
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  open_scene(&s, &hooks);
  for (int i = 0; i < N_HANDLES; i++) {
    free_handle(&s, order[i]);
    use_what_is_left(&s);
    assert_int_equal(counter.n_live > 0, model_is_left(&s));
  }
  s.scripted.model = NULL;
  s.scripted.context = NULL;
  scripted_close(&s.scripted);
}

/* Calls `free_in_order` with every order of places [from, N_HANDLES); how many there were. */
static int try_orders(int *order, int from)
{
  int n = 0;
  if (from == N_HANDLES) {
    free_in_order(order);
    return 1;
  }
  for (int i = from; i < N_HANDLES; i++) {
    int first = order[from];
    order[from] = order[i];
    order[i] = first;
    n += try_orders(order, from + 1);
    order[i] = order[from];
    order[from] = first;
  }
  return n;
}

static void in_whatever_order_handles_are_freed_the_others_go_on(void **state)
{
  (void)state;
  int order[N_HANDLES], n = 0;
  for (int i = 0; i < N_HANDLES; i++)
    order[i] = i;
  n = try_orders(order, 0);
  print_message("# %d orders\n", n);
  assert_int_equal(n, 720);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_whatever_order_handles_are_freed_the_others_go_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
