/* bench_operands.c - what products are measured with. */
#include "kernels/bench_operands.h"

#include <stdlib.h>

#include "kernels/bench.h"
#include "base/memory.h"
#include "kernels/packed.h"

const bench_shape bench_shapes[N_SHAPES] = {{"attn_qkv", 768, 2304},
                                            {"attn_proj", 768, 768},
                                            {"mlp_fc", 768, 3072},
                                            {"mlp_proj", 3072, 768},
                                            {"wte", 768, 50257}};

enum { MOST_IN = 3072, MOST_WEIGHTS = 768 * 50257, MOST_RESULTS = MOST_LOGIT_ROWS * 50257 };

/* Any bytes are quads, and these are finite scales as well. */
static void *packed_weights(element_type type)
{
  size_t size;
  if (!packed_size(type, 768, 50257, &size))
    exit(1);
  uint16_t *halves = bench_bytes(size);
  for (size_t i = 0; i < size / sizeof *halves; i++)
    halves[i] &= 0xbfff; /* below 2 */
  return halves;
}

const void *bench_weights(element_type type)
{
  static void *weights[N_ELEMENT_TYPES];
  if (!weights[type])
    weights[type] =
        type < N_STORED_TYPES ? bench_elements(type, MOST_WEIGHTS) : packed_weights(type);
  return weights[type];
}

const float *bench_rows(void)
{
  static float *x;
  if (!x)
    x = bench_elements(ELEMENT_F32, MOST_ROWS * MOST_IN);
  return x;
}

const uint16_t *bench_rows_bf16(void)
{
  static uint16_t *x;
  if (!x)
    x = bench_elements(ELEMENT_BF16, MOST_ROWS * MOST_IN);
  return x;
}

/* All rows are rounded as one: each has whole blocks. */
quantized_rows bench_rows_int8(const kernels *kernel, size_t n_rows, size_t n_in)
{
  static int8_t q[MOST_ROWS * MOST_IN];
  static float scale[MOST_ROWS * MOST_IN / BLOCK_ELEMENTS];
  static int32_t sum[MOST_ROWS * MOST_IN / BLOCK_ELEMENTS];
  static int16_t wide[MOST_ROWS * MOST_IN];
  if (scale[0] == 0) {
    kernel->quantize_row(bench_rows(), MOST_ROWS * MOST_IN, q, scale, sum);
    kernel->widen_quads(q, MOST_ROWS * MOST_IN / BLOCK_ELEMENTS, wide);
  }
  bool widens = n_rows >= kernel->wide_rows;
  return (quantized_rows){q, scale, sum, widens ? wide : NULL, packed_blocks(n_in)};
}

int16_t *bench_panel(void)
{
  static _Alignas(MEMORY_ALIGNMENT) int16_t panel[MOST_IN * PACKED_COLUMNS];
  return panel;
}

float *bench_y(void)
{
  static float *y;
  if (!y)
    y = bench_elements(ELEMENT_F32, MOST_RESULTS);
  return y;
}
