/* reload.c - a program that loads the library, uses it with threads, and unloads it, again and
 * again: it must not grow, and nothing of the library may be left behind.
 *
 *     reload LIBRARY MODEL ROUNDS
 *
 * Each round has a thread of the program, too, that has used the library and ends only when that is
 * gone: what the library might have left to be called at a thread's end would be called then. */
#define _GNU_SOURCE
#include "copies.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WARM_UP = 150, N_THREADS = 4, N_TOKENS = 40, MAX_KEYS = 2048 };

/* ---- What a process can grow by ---- */

enum { MAPPINGS, MAPPED, RESIDENT, THREADS, FILES, KEYS, HEAP, N_KINDS };

/* Of these, what may come and go by itself: pages of files in memory, and what the C library keeps
 * for itself. One page, mapping, thread, file or key a round would be far more over 1,000 rounds,
 * and the smallest piece of heap is 32 bytes. */
static const struct {
  const char *name;
  long allowed; /* over all rounds */
} kinds[N_KINDS] = {
    [MAPPINGS] = {"mappings", 4},
    [MAPPED] = {"mapped pages", 100},
    [RESIDENT] = {"resident pages", 250},
    [THREADS] = {"threads", 0},
    [FILES] = {"open files", 0},
    [KEYS] = {"keys of threads' values", 0},
    [HEAP] = {"bytes of heap in use", 8192},
};

typedef struct usage {
  long of[N_KINDS];
} usage;

static long n_entries(const char *folder)
{
  long n = 0;
  DIR *d = opendir(folder);
  for (struct dirent *entry; d && (entry = readdir(d));)
    n += entry->d_name[0] != '.';
  if (d)
    closedir(d);
  return n;
}

/* Lines in /proc/self/maps; *found is whether one of them names the library. */
static long n_mappings(const char *library, int *found)
{
  char line[4352];
  long n = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  if (!maps)
    give_up("/proc/self/maps", "cannot be opened");
  for (*found = 0; fgets(line, sizeof line, maps); n++)
    *found |= strstr(line, library) != NULL;
  fclose(maps);
  return n;
}

/* How many are left to be made. */
static long n_free_keys(void)
{
  static pthread_key_t keys[MAX_KEYS];
  int n = 0;
  while (n < MAX_KEYS && pthread_key_create(&keys[n], NULL) == 0)
    n++;
  for (int i = 0; i < n; i++)
    pthread_key_delete(keys[i]);
  return n;
}

static usage usage_now(void)
{
  usage u;
  int found;
  u.of[HEAP] = (long)(mallinfo2().uordblks + mallinfo2().hblkhd);
  u.of[MAPPINGS] = n_mappings("/", &found);
  FILE *sizes = fopen("/proc/self/statm", "r");
  if (!sizes || fscanf(sizes, "%ld %ld", &u.of[MAPPED], &u.of[RESIDENT]) != 2)
    give_up("/proc/self/statm", "cannot be read");
  fclose(sizes);
  u.of[THREADS] = n_entries("/proc/self/task");
  u.of[FILES] = n_entries("/proc/self/fd");
  u.of[KEYS] = MAX_KEYS - n_free_keys();
  return u;
}

/* ---- A round ---- */

typedef struct round_state {
  copy library;
  gpt2_model *model;
  pthread_barrier_t used, unloaded;
} round_state;

/* So many tokens that a processor without instruction sets of ours asks BLAS. */
static void evaluate(const copy *c, gpt2_model *model)
{
  static const gpt2_token tokens[N_TOKENS];
  gpt2_context *context = context_with(c, model, N_THREADS);
  must_succeed(c, context, c->gpt2_eval(context, 0, tokens, N_TOKENS, 0));
  c->gpt2_context_free(context);
}

static void *use_and_outlive(void *data)
{
  round_state *r = data;
  evaluate(&r->library, r->model);
  pthread_barrier_wait(&r->used);
  pthread_barrier_wait(&r->unloaded);
  return NULL;
}

/* Failures on the way, and whatever allocates for a while. */
static void use(const copy *c, gpt2_model *model)
{
  gpt2_model *none = NULL;
  gpt2_sampler_options sampling = {.struct_size = sizeof sampling,
                                   .flags = GPT2_SAMPLER_RANDOM_SEED,
                                   .temperature = 1.0f,
                                   .top_k = 5};
  gpt2_generate_options options = {
      .struct_size = sizeof options, .max_tokens = 4, .sampling = &sampling};
  if (c->gpt2_load("/nowhere", NULL, &none, NULL) == GPT2_OK)
    give_up(c->name, "has loaded nothing");
  gpt2_context *context = context_with(c, model, N_THREADS);
  must_succeed(c, context, c->gpt2_generate(context, "ab", 2, &options, NULL, NULL, NULL));
  must_succeed(c, context, c->gpt2_score(context, "abc", 3, NULL, NULL, NULL, NULL));
  c->gpt2_context_free(context);
  evaluate(c, model);
}

static void run_round(const char *library, const char *model)
{
  round_state r = {.library = open_copy(library, RTLD_LOCAL)};
  pthread_t thread;
  int found;
  r.model = load_with(&r.library, model);
  pthread_barrier_init(&r.used, NULL, 2);
  pthread_barrier_init(&r.unloaded, NULL, 2);
  if (pthread_create(&thread, NULL, use_and_outlive, &r) != 0)
    give_up("pthread_create", "failed");
  use(&r.library, r.model);
  pthread_barrier_wait(&r.used);
  r.library.gpt2_model_free(r.model);
  if (dlclose(r.library.handle) != 0)
    give_up(library, dlerror());
  n_mappings(library, &found);
  if (found)
    give_up(library, "is still mapped");
  pthread_barrier_wait(&r.unloaded);
  pthread_join(thread, NULL);
  pthread_barrier_destroy(&r.used);
  pthread_barrier_destroy(&r.unloaded);
}

/* What the library might have left to be called at a fork, or at the end of a process. */
static void fork_once(void)
{
  int status = -1;
  pid_t child = fork();
  if (child == 0)
    exit(0);
  if (waitpid(child, &status, 0) != child || status != 0)
    give_up("fork", "the child did not end well");
}

/* One heap, no limits that move by themselves, and no pieces that are free and count as used: the C
 * library takes the last only from the environment, at the start of a program. */
static void make_heap_countable(char **argv)
{
  static const char tunable[] = "glibc.malloc.tcache_count=0";
  const char *now = getenv("GLIBC_TUNABLES");
  if (!now || strcmp(now, tunable) != 0) {
    setenv("GLIBC_TUNABLES", tunable, 1);
    execv("/proc/self/exe", argv);
    give_up("/proc/self/exe", "cannot be started again");
  }
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 1 << 17);
  mallopt(M_TRIM_THRESHOLD, 1 << 17);
}

int main(int argc, char **argv)
{
  int grown = 0;
  if (argc != 4)
    return 2;
  make_heap_countable(argv);
  for (int round = 0; round < WARM_UP; round++)
    run_round(argv[1], argv[2]);
  usage before = usage_now();
  for (int round = 0; round < atoi(argv[3]); round++)
    run_round(argv[1], argv[2]);
  usage after = usage_now();
  fork_once();
  for (int kind = 0; kind < N_KINDS; kind++) {
    fprintf(stderr, "%s: %ld, and %ld after %s rounds\n", kinds[kind].name, before.of[kind],
            after.of[kind], argv[3]);
    grown |= after.of[kind] - before.of[kind] > kinds[kind].allowed;
  }
  return grown;
}
