/* bench_vectors.c - the entries that are no products of matrices, at the sizes of GPT-2 124M. */
#include <stdio.h>
#include <stdlib.h>

#include "gpt2.h"
#include "kernels/bench.h"
#include "kernels/packed.h"

/* n_embd, n_inner, n_vocab. */
enum { EMBD = 768, INNER = 3072, VOCAB = 50257 };

/* Arrays that all kernels find their operands in, and what an entry is asked for. */
typedef struct vectors {
  int index;
  size_t n;
  float *x, *w, *b, *y;
  uint16_t *halves;
  int8_t *q;
  int32_t *sum;
  uint8_t *group;
} vectors;

/* ---- Runs ---- */

static void run_to_f32(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->to_f32[v->index](v->y, v->index == ELEMENT_F32 ? (const void *)v->x : v->halves, v->n);
}

static void run_from_f32(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->from_f32[v->index](v->y, v->x, v->n);
}

static void run_quantize_row(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->quantize_row(v->x, v->n, v->q, v->y, v->sum);
}

static void run_pack_block(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->pack_block[v->index](v->x, v->group, 1, 0);
}

static void run_unpack_block(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->unpack_block[v->index](v->group, 1, 0, v->y);
}

static void run_layer_norm(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->layer_norm(v->x, v->w, v->b, 1e-5f, v->n, v->y);
}

static void run_activation(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->activation[v->index](v->y, v->n);
}

static void run_maximum(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  v->y[0] = kernel->maximum(v->x, v->n);
}

/* A value that is not there, so that all are looked at. */
static void run_first_equal(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  v->y[0] = (float)kernel->first_equal(v->x, 1e30f, v->n);
}

static void run_exponentials(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->exponentials(v->x, 0.5f, 0.8f, v->n, v->y);
}

static void run_exponential_sums(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  double sum, weighted;
  kernel->exponential_sums(v->x, 0.5f, v->n, &sum, &weighted);
}

/* Few are greater, as when the best of a vocabulary are looked for. */
static void run_count_greater(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  v->sum[0] = (int32_t)kernel->count_greater(v->x, 0.499f, v->n);
}

static void run_find_greater(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  size_t end;
  kernel->find_greater(v->x, 0.499f, v->n, v->sum, v->n, &end);
}

static void run_sum_greater(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  v->y[0] = (float)kernel->sum_greater(v->x, 0.499f, v->w, v->n);
}

static void run_add(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->add(v->y, v->x, v->n);
}

static void run_scale(const kernels *kernel, const void *data)
{
  const vectors *v = data;
  kernel->scale(v->y, 1.0f, v->n);
}

/* ---- What is measured ---- */

static vectors operands(void)
{
  static vectors v;
  if (!v.x) {
    v.x = bench_elements(ELEMENT_F32, VOCAB);
    v.w = bench_elements(ELEMENT_F32, VOCAB);
    v.b = bench_elements(ELEMENT_F32, VOCAB);
    v.y = bench_elements(ELEMENT_F32, VOCAB);
    v.halves = bench_elements(ELEMENT_F16, VOCAB);
    v.q = bench_bytes(VOCAB);
    v.sum = bench_bytes(VOCAB * sizeof *v.sum);
    v.group = bench_bytes(packed_group_size(ELEMENT_Q8_0, 1));
  }
  return v;
}

/* n numbers, each of so many bytes read and written, and so many operations. */
static void bench_vector(const kernel_entry *entry, size_t n, double bytes, double operations,
                         void (*run)(const kernels *kernel, const void *data))
{
  vectors v = operands();
  bench_work work = {.entry = entry, .run = run, .data = &v};
  v.index = entry->index;
  v.n = n;
  work.bytes = bytes * (double)n;
  work.operations = operations * (double)n;
  snprintf(work.shape, sizeof work.shape, "%zu", n);
  bench_entry(&work);
}

static void bench_conversions(void)
{
  bench_vector(ENTRY_AT(to_f32, ELEMENT_F32), INNER, 8, 0, run_to_f32);
  bench_vector(ENTRY_AT(to_f32, ELEMENT_F16), INNER, 6, 0, run_to_f32);
  bench_vector(ENTRY_AT(to_f32, ELEMENT_BF16), INNER, 6, 0, run_to_f32);
  bench_vector(ENTRY_AT(from_f32, ELEMENT_F32), INNER, 8, 0, run_from_f32);
  bench_vector(ENTRY_AT(from_f32, ELEMENT_F16), INNER, 6, 0, run_from_f32);
  bench_vector(ENTRY_AT(from_f32, ELEMENT_BF16), INNER, 6, 0, run_from_f32);
  bench_vector(ENTRY(quantize_row), EMBD, 5, 0, run_quantize_row);
  bench_vector(ENTRY(quantize_row), INNER, 5, 0, run_quantize_row);
  bench_vector(ENTRY_AT(pack_block, ELEMENT_Q8_0), 512, 5, 0, run_pack_block);
  bench_vector(ENTRY_AT(pack_block, ELEMENT_Q4_0), 512, 4.5, 0, run_pack_block);
  bench_vector(ENTRY_AT(unpack_block, ELEMENT_Q8_0), 512, 5, 0, run_unpack_block);
  bench_vector(ENTRY_AT(unpack_block, ELEMENT_Q4_0), 512, 4.5, 0, run_unpack_block);
}

static void bench_pieces(void)
{
  bench_vector(ENTRY(layer_norm), EMBD, 16, 0, run_layer_norm);
  bench_vector(ENTRY_AT(activation, GPT2_ACTIVATION_GELU_TANH), INNER, 8, 0, run_activation);
  bench_vector(ENTRY_AT(activation, GPT2_ACTIVATION_GELU_ERF), INNER, 8, 0, run_activation);
  bench_vector(ENTRY_AT(activation, GPT2_ACTIVATION_RELU), INNER, 8, 0, run_activation);
  bench_vector(ENTRY(add), EMBD, 12, 1, run_add);
  bench_vector(ENTRY(scale), EMBD, 8, 1, run_scale);
}

static void bench_logits(void)
{
  bench_vector(ENTRY(maximum), VOCAB, 4, 0, run_maximum);
  bench_vector(ENTRY(first_equal), VOCAB, 4, 0, run_first_equal);
  bench_vector(ENTRY(exponentials), VOCAB, 8, 0, run_exponentials);
  bench_vector(ENTRY(exponential_sums), VOCAB, 4, 0, run_exponential_sums);
  bench_vector(ENTRY(count_greater), VOCAB, 4, 0, run_count_greater);
  bench_vector(ENTRY(find_greater), VOCAB, 4, 0, run_find_greater);
  bench_vector(ENTRY(sum_greater), VOCAB, 8, 0, run_sum_greater);
}

void bench_vectors(void)
{
  bench_conversions();
  bench_pieces();
  bench_logits();
}
