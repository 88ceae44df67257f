/* several_copies.c - a program that is linked with the static library and loads shared ones beside
 * it, as plugins might: each computes what it computes alone, by turns and at once, and none
 * notices another's end.
 *
 *     several_copies MODEL LIBRARY...
 *
 * Prints how many evaluations were compared. */
#define _GNU_SOURCE
#include "copies.h"

#include <pthread.h>

enum { MAX_COPIES = 5, N_PROMPT = 48, N_SINGLE = 8, N_TOKENS = N_PROMPT + N_SINGLE };
enum { THREADS_A_COPY = 2, N_ROUNDS = 6, HOST_BLAS_THREADS = 2 };

static const char *model_path;
static copy copies[MAX_COPIES];
static gpt2_model *models[MAX_COPIES];
static float *alone[MAX_COPIES]; /* (n_vocab) what each computes alone */
static int n_copies;
static size_t n_vocab;
static gpt2_token tokens[N_TOKENS];
static _Atomic int n_compared;

static copy linked_copy(void)
{
  return (copy){.name = "the static library",
#define COPY_FUNCTION(function) .function = function,
                COPY_FUNCTIONS(COPY_FUNCTION)
#undef COPY_FUNCTION
  };
}

/* ---- The host's own BLAS: the one that a copy has brought along ---- */

static void *blas_function(const char *name)
{
  void *blas = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NOLOAD);
  return blas ? dlsym(blas, name) : NULL;
}

static int blas_threads(void)
{
  int (*get)(void);
  void *found = blas_function("openblas_get_num_threads");
  memcpy(&get, &found, sizeof found);
  return found ? get() : 0;
}

/* What it is then: 0 without it, 1 for one that has no threads. */
static int set_blas_threads(int n)
{
  void (*set)(int);
  void *found = blas_function("openblas_set_num_threads");
  memcpy(&set, &found, sizeof found);
  if (found)
    set(n);
  return blas_threads();
}

/* ---- One text: a prompt, and tokens one at a time ---- */

/* The next step of the text; true after the last. */
static int step(int i, gpt2_context *context, size_t *at)
{
  size_t n = *at == 0 ? N_PROMPT : 1;
  must_succeed(&copies[i], context, copies[i].gpt2_eval(context, 0, tokens + *at, n, 0));
  *at += n;
  return *at == N_TOKENS;
}

static void must_be_as_alone(int i, gpt2_context *context)
{
  const float *logits = copies[i].gpt2_logits(context, 0);
  if (!logits || memcmp(logits, alone[i], n_vocab * sizeof *logits) != 0)
    give_up(copies[i].name, "computes something else than alone");
  n_compared++;
}

static void run_text(int i, gpt2_context *context)
{
  size_t at = 0;
  must_succeed(&copies[i], context, copies[i].gpt2_kv_clear(context));
  while (!step(i, context, &at))
    continue;
}

/* ---- The copies ---- */

static void add_copy(copy c)
{
  gpt2_info info = {.struct_size = sizeof info};
  int i = n_copies++;
  copies[i] = c;
  models[i] = load_with(&c, model_path);
  if (c.gpt2_model_info(models[i], &info, NULL) != GPT2_OK)
    give_up(c.name, "cannot describe its model");
  n_vocab = (size_t)info.n_vocab;
  for (int t = 0; t < N_TOKENS; t++)
    tokens[t] = (t * 37 + 1) % info.n_vocab;
  gpt2_context *context = context_with(&c, models[i], 3);
  run_text(i, context);
  alone[i] = malloc(n_vocab * sizeof **alone);
  if (!alone[i])
    give_up(c.name, "no memory");
  memcpy(alone[i], c.gpt2_logits(context, 0), n_vocab * sizeof **alone);
  c.gpt2_context_free(context);
}

/* Each has its own memory; and where none asks BLAS, they compute the same. */
static void must_be_copies(void)
{
  gpt2_build build = {.struct_size = sizeof build};
  for (int i = 0; i < n_copies; i++)
    for (int j = 0; j < i; j++) {
      if (copies[i].gpt2_version() == copies[j].gpt2_version())
        give_up(copies[i].name, "is another one again");
      if (copies[i].gpt2_build_info(&build, NULL) != GPT2_OK)
        give_up(copies[i].name, "cannot describe itself");
      if (strcmp(build.instruction_sets, "scalar") != 0 &&
          memcmp(alone[i], alone[j], n_vocab * sizeof **alone) != 0)
        give_up(copies[i].name, "computes something else than another copy");
    }
}

static void take_turns(void)
{
  gpt2_context *contexts[MAX_COPIES];
  size_t at[MAX_COPIES] = {0};
  int done = 0;
  for (int i = 0; i < n_copies; i++)
    contexts[i] = context_with(&copies[i], models[i], 2);
  while (!done)
    for (int i = 0; i < n_copies; i++)
      done = step(i, contexts[i], &at[i]);
  for (int i = 0; i < n_copies; i++) {
    must_be_as_alone(i, contexts[i]);
    copies[i].gpt2_context_free(contexts[i]);
  }
}

static void *run_often(void *data)
{
  int i = *(int *)data;
  gpt2_context *context = context_with(&copies[i], models[i], 2);
  for (int round = 0; round < N_ROUNDS; round++) {
    run_text(i, context);
    must_be_as_alone(i, context);
  }
  copies[i].gpt2_context_free(context);
  return NULL;
}

static void run_at_once(void)
{
  pthread_t threads[MAX_COPIES * THREADS_A_COPY];
  int of[MAX_COPIES * THREADS_A_COPY];
  for (int t = 0; t < n_copies * THREADS_A_COPY; t++) {
    of[t] = t % n_copies;
    if (pthread_create(&threads[t], NULL, run_often, &of[t]) != 0)
      give_up("pthread_create", "failed");
  }
  for (int t = 0; t < n_copies * THREADS_A_COPY; t++)
    pthread_join(threads[t], NULL);
}

/* The last one goes first; those that are left compute as ever. */
static void remove_copies(void)
{
  while (n_copies > 0) {
    take_turns();
    copy *c = &copies[--n_copies];
    c->gpt2_model_free(models[n_copies]);
    free(alone[n_copies]);
    if (c->handle && dlclose(c->handle) != 0)
      give_up(c->name, dlerror());
  }
}

int main(int argc, char **argv)
{
  if (argc < 3 || argc - 1 > MAX_COPIES)
    return 2;
  model_path = argv[1];
  add_copy(linked_copy());
  for (int i = 2; i < argc; i++)
    add_copy(open_copy(argv[i], i % 2 ? RTLD_GLOBAL : RTLD_LOCAL));
  int host_threads = set_blas_threads(HOST_BLAS_THREADS);
  must_be_copies();
  take_turns();
  run_at_once();
  if (blas_threads() != host_threads)
    give_up("the program's BLAS", "has another number of threads than the program gave it");
  remove_copies();
  printf("%d", n_compared);
  return 0;
}
