/* test_shared_model.c - one model used by many threads at once, for all that a host does with it:
 * each gets, to the bit, what one alone gets, whatever the weights and the cache are kept in. */
#include "gpt2.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/all_work.h"
#include "support/counting_allocator.h"
#include "support/opened.h"

enum { HANG_SECONDS = 250, N_USERS = 5, N_ROUNDS = 2 };

/* ---- All that a host does ---- */

typedef struct user {
  pthread_t thread;
  gpt2_model *model; /* a reference of its own */
  gpt2_context_options options;
  uint64_t seed;
  record expected, found;
  int n_wrong;
} user;

static user users[N_USERS];

static void *use_model(void *data)
{
  user *u = data;
  for (int round = 0; round < N_ROUNDS; round++) {
    do_all_work(u->model, &u->options, u->seed, &u->found);
    u->n_wrong += u->found.size != u->expected.size ||
                  memcmp(u->found.bytes, u->expected.bytes, u->found.size) != 0;
  }
  gpt2_model_free(u->model);
  return NULL;
}

/* One thread alone, with a context of one thread. */
static void prepare_user(user *u, gpt2_model *model, int32_t n_threads, int32_t kv_type)
{
  gpt2_context_options serial = {.struct_size = sizeof serial, .n_threads = 1, .kv_type = kv_type};
  do_all_work(model, &serial, u->seed, &u->expected);
  u->options = serial;
  u->options.n_threads = n_threads;
  u->model = gpt2_model_ref(model);
  u->n_wrong = 0;
}

/* Contexts of 1, 2 and 3 threads; the first two users do the same. */
static void check_weights(int32_t weights, int32_t kv_type)
{
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_model *model = open_base_model(weights, &hooks);
  for (int i = 0; i < N_USERS; i++) {
    users[i].seed = i < 2 ? 77 : (uint64_t)i;
    prepare_user(&users[i], model, 1 + (i + 1) % 3, kv_type);
  }
  assert_memory_equal(users[0].expected.bytes, users[1].expected.bytes, users[0].expected.size);
  gpt2_model_free(model); /* each of them has its reference */
  for (int i = 0; i < N_USERS; i++)
    assert_int_equal(pthread_create(&users[i].thread, NULL, use_model, &users[i]), 0);
  for (int i = 0; i < N_USERS; i++)
    pthread_join(users[i].thread, NULL);
  for (int i = 0; i < N_USERS; i++)
    if (users[i].n_wrong > 0)
      fail_msg("weights %d, KV cache %d: user %d differed from one thread alone in %d of %d rounds",
               (int)weights, (int)kv_type, i, users[i].n_wrong, N_ROUNDS);
  assert_int_equal(counter.n_live, 0);
}

static void check_both_caches(int32_t weights)
{
  check_weights(weights, GPT2_TYPE_F32);
  check_weights(weights, GPT2_TYPE_F16);
}

static void users_of_weights_in_f32_get_what_one_alone_gets(void **state)
{
  (void)state;
  check_both_caches(GPT2_TYPE_F32);
}

static void so_do_those_in_f16(void **state)
{
  (void)state;
  check_both_caches(GPT2_TYPE_F16);
}

static void so_do_those_in_bf16(void **state)
{
  (void)state;
  check_both_caches(GPT2_TYPE_BF16);
}

static void so_do_those_in_q8_0(void **state)
{
  (void)state;
  check_both_caches(GPT2_TYPE_Q8_0);
}

static void so_do_those_in_q4_0(void **state)
{
  (void)state;
  check_both_caches(GPT2_TYPE_Q4_0);
}

/* What is not the same as every other user's would not show a mix-up. */
static void users_do_different_work(void **state)
{
  (void)state;
  gpt2_model *model = open_base_model(GPT2_TYPE_F32, NULL);
  for (int i = 0; i < 2; i++) {
    users[i].seed = (uint64_t)i;
    prepare_user(&users[i], model, 1, GPT2_TYPE_F32);
    gpt2_model_free(users[i].model);
  }
  size_t size = users[0].expected.size;
  assert_true(size > 4096);
  assert_true(users[1].expected.size != size ||
              memcmp(users[0].expected.bytes, users[1].expected.bytes, size) != 0);
  gpt2_model_free(model);
}

/* ---- Handles that come and go ---- */

enum { N_COMINGS = 60 };

static void *come_and_go(void *data)
{
  gpt2_model *model = data;
  const gpt2_token token = 7;
  for (int i = 0; i < N_COMINGS; i++) {
    gpt2_model *mine = gpt2_model_ref(model);
    gpt2_context *context = open_context(mine, 1 + i % 2);
    gpt2_decoder *decoder = NULL;
    assert_int_equal(gpt2_decoder_new(mine, 0, &decoder, NULL), GPT2_OK);
    gpt2_model_free(mine);
    must_succeed(gpt2_eval(context, i, &token, 1, 0), context);
    gpt2_context_free(context);
    gpt2_decoder_free(decoder);
  }
  gpt2_model_free(model);
  return NULL;
}

/* Whoever is last frees the model: often none of those who opened it. */
static void references_contexts_and_decoders_may_come_and_go_on_all_threads(void **state)
{
  (void)state;
  pthread_t threads[N_USERS];
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  gpt2_model *model = open_base_model(GPT2_TYPE_Q8_0, &hooks);
  for (int i = 0; i < N_USERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, gpt2_model_ref(model)), 0);
  gpt2_model_free(model);
  for (int i = 0; i < N_USERS; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(counter.n_live, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(users_of_weights_in_f32_get_what_one_alone_gets),
      cmocka_unit_test(so_do_those_in_f16),
      cmocka_unit_test(so_do_those_in_bf16),
      cmocka_unit_test(so_do_those_in_q8_0),
      cmocka_unit_test(so_do_those_in_q4_0),
      cmocka_unit_test(users_do_different_work),
      cmocka_unit_test(references_contexts_and_decoders_may_come_and_go_on_all_threads),
  };
  alarm(HANG_SECONDS);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
