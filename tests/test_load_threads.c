/* test_load_threads.c - loads at once: several threads open the same model, each with threads of
 * its own, and all get the same. */
#include "gpt2.h"
#include "kernels/convert.h"
#include "model/model.h"
#include "support/expect.h"
#include "support/opened.h"
#include "support/temporary_folder.h"
#include "support/typed_model.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "Once upon a time, there were 3 bears.\n\n  \xc3\xa9\xff and a fourth";

/* A model of ours with the published vocabulary, which is long enough to be read in pieces. */
static char *folder;

static int make_model(void **state)
{
  (void)state;
  typed_model *typed = typed_new(ELEMENT_F16, true);
  folder = typed_published_folder(typed);
  typed_free(typed);
  return 0;
}

static int remove_model(void **state)
{
  (void)state;
  remove_temporary_folder(folder);
  return 0;
}

typedef struct loading {
  pthread_t thread;
  int32_t weights, n_threads;
  gpt2_status status;
  gpt2_error error;
  gpt2_model *model;
} loading;

static void *load(void *data)
{
  loading *l = data;
  gpt2_load_options options = {
      .struct_size = sizeof options, .weights = l->weights, .n_threads = l->n_threads};
  l->error = NO_ERROR_YET;
  l->status = gpt2_load(folder, &options, &l->model, &l->error);
  return NULL;
}

static void expect_same(const gpt2_model *found, const gpt2_model *expected)
{
  enum { MOST = 64 };
  gpt2_token tokens[2][MOST];
  size_t n[2], size;
  const matrix *of_found = &found->blocks[1].mlp_proj.weight;
  const matrix *of_expected = &expected->blocks[1].mlp_proj.weight;
  assert_true(matrix_size(&expected->wte, &size));
  assert_memory_equal(found->wte.data, expected->wte.data, size);
  assert_true(matrix_size(of_expected, &size));
  assert_memory_equal(of_found->data, of_expected->data, size);
  for (int i = 0; i < 2; i++)
    assert_int_equal(
        gpt2_encode(i ? expected : found, text, sizeof text - 1, 0, tokens[i], MOST, &n[i], NULL),
        GPT2_OK);
  assert_int_equal(n[0], n[1]);
  assert_memory_equal(tokens[0], tokens[1], n[0] * sizeof **tokens);
}

static void several_loads_at_once_give_what_one_gives(void **state)
{
  (void)state;
  enum { N = 4 };
  for (int32_t weights = GPT2_TYPE_DEFAULT; weights <= GPT2_TYPE_Q4_0; weights++) {
    loading alone = {.weights = weights, .n_threads = 1}, all[N];
    load(&alone);
    must_have_succeeded(alone.status, &alone.error);
    for (int i = 0; i < N; i++) {
      all[i] = (loading){.weights = weights, .n_threads = 1 + i};
      assert_int_equal(pthread_create(&all[i].thread, NULL, load, &all[i]), 0);
    }
    for (int i = 0; i < N; i++) {
      pthread_join(all[i].thread, NULL);
      must_have_succeeded(all[i].status, &all[i].error);
      expect_same(all[i].model, alone.model);
      gpt2_model_free(all[i].model);
    }
    gpt2_model_free(alone.model);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(several_loads_at_once_give_what_one_gives),
  };
  return cmocka_run_group_tests(tests, make_model, remove_model);
}
