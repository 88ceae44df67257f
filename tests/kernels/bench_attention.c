/* bench_attention.c - the steps of attention of one head, for one query, as in decoding, and for
 * many, as in prefill. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/bench.h"

/* A head of every published GPT-2; a full context; rows that a tile of prefill has. */
enum { HEAD = 64, CONTEXT = 1024, MOST_ROWS = 64, N_BLOCKS = CONTEXT / ATTENTION_BLOCK };

static struct {
  void *elements[N_STORED_TYPES];
  float *q, *scores, *out;
  float greatest[MOST_ROWS], factor[MOST_ROWS];
  double total[MOST_ROWS];
} operands;

typedef struct step_of {
  attention_step step;
  int index;
  const void *blocks[N_BLOCKS + ATTENTION_AHEAD];
} step_of;

static void find_operands(step_of *s, size_t n_rows, size_t n_tokens)
{
  if (!operands.q) {
    operands.elements[ELEMENT_F32] = bench_elements(ELEMENT_F32, CONTEXT * HEAD);
    operands.elements[ELEMENT_F16] = bench_elements(ELEMENT_F16, CONTEXT * HEAD);
    operands.q = bench_elements(ELEMENT_F32, MOST_ROWS * HEAD);
    operands.scores = bench_elements(ELEMENT_F32, MOST_ROWS * CONTEXT);
    operands.out = bench_elements(ELEMENT_F32, MOST_ROWS * HEAD);
  }
  for (size_t b = 0; b < N_BLOCKS + ATTENTION_AHEAD; b++)
    s->blocks[b] = (char *)operands.elements[s->index] +
                   b % N_BLOCKS * ATTENTION_BLOCK * HEAD * element_size((element_type)s->index);
  for (size_t r = 0; r < n_rows; r++)
    operands.factor[r] = 1.0f;
  s->step = (attention_step){.n_rows = n_rows,
                             .d_head = HEAD,
                             .n_tokens = n_tokens,
                             .q = operands.q,
                             .keys = s->blocks,
                             .values = s->blocks,
                             .scores = operands.scores,
                             .score_stride = CONTEXT,
                             .greatest = operands.greatest,
                             .factor = operands.factor,
                             .total = operands.total,
                             .out = operands.out};
}

static void run_scores(const kernels *kernel, const void *data)
{
  const step_of *s = data;
  kernel->scores[s->index](&s->step);
}

/* The weights of one run are the scores of the next: from 0 to 1 all. */
static void run_softmax(const kernels *kernel, const void *data)
{
  const step_of *s = data;
  for (size_t r = 0; r < s->step.n_rows; r++) {
    s->step.greatest[r] = -INFINITY;
    s->step.total[r] = 0;
  }
  kernel->softmax(&s->step);
}

static void run_weighted_sum(const kernels *kernel, const void *data)
{
  const step_of *s = data;
  kernel->weighted_sum[s->index](&s->step);
}

static void bench_step(const kernel_entry *entry, size_t n_rows, size_t n_tokens, bool of_scores,
                       void (*run)(const kernels *kernel, const void *data))
{
  step_of s = {.index = entry->index};
  bench_work work = {.entry = entry, .run = run, .data = &s};
  double n = (double)n_rows * (double)n_tokens;
  snprintf(work.shape, sizeof work.shape, "%zu tokens, rows %zu", n_tokens, n_rows);
  if (!bench_wants(&work))
    return;
  find_operands(&s, n_rows, n_tokens);
  work.operations = of_scores ? 0 : 2 * HEAD * n;
  work.bytes =
      of_scores ? 8 * n : (double)(n_tokens * HEAD * element_size((element_type)entry->index));
  bench_entry(&work);
}

void bench_attention(void)
{
  for (size_t n_rows = 1; n_rows <= MOST_ROWS; n_rows *= MOST_ROWS)
    for (size_t n = 16; n <= CONTEXT; n *= 8) {
      bench_step(ENTRY_AT(scores, ELEMENT_F32), n_rows, n, false, run_scores);
      bench_step(ENTRY_AT(scores, ELEMENT_F16), n_rows, n, false, run_scores);
      bench_step(ENTRY(softmax), n_rows, n, true, run_softmax);
      bench_step(ENTRY_AT(weighted_sum, ELEMENT_F32), n_rows, n, false, run_weighted_sum);
      bench_step(ENTRY_AT(weighted_sum, ELEMENT_F16), n_rows, n, false, run_weighted_sum);
    }
}
