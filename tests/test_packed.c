/* test_packed.c - packed weights: where each is, the blocks of GGUF files to the bit and back, and
 * what is packed against a quantiser of single columns, written from the definition. */
#include "kernels/packed.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "support/random_numbers.h"

/* Sizes on both sides of whole blocks and whole groups. */
static const size_t sizes_in[] = {1, 31, 32, 33, 64, 97, 160};
static const size_t sizes_out[] = {1, 15, 16, 17, 48, 50};
enum { N_IN = sizeof sizes_in / sizeof *sizes_in, N_OUT = sizeof sizes_out / sizeof *sizes_out };

static const element_type types[] = {ELEMENT_Q8_0, ELEMENT_Q4_0};

static const uint32_t sets[] = {0, CPU_AVX2, CPU_AVX2 | CPU_AVX512,
                                CPU_AVX2 | CPU_AVX512 | CPU_AVX512_VNNI | CPU_AVX512_BF16};
enum { N_SETS = sizeof sets / sizeof *sets };

/* One block of a column, of either type, as GGUF has it. */
typedef union any_block {
  q8_0_block q8_0;
  q4_0_block q4_0;
} any_block;

static size_t block_size(element_type type)
{
  return type == ELEMENT_Q8_0 ? sizeof(q8_0_block) : sizeof(q4_0_block);
}

static any_block get(const void *data, element_type type, size_t n_in, size_t column, size_t block)
{
  any_block found;
  memset(&found, 0, sizeof found);
  if (type == ELEMENT_Q8_0)
    packed_get_q8_0(data, n_in, column, block, &found.q8_0);
  else
    packed_get_q4_0(data, n_in, column, block, &found.q4_0);
  return found;
}

static void put(void *data, element_type type, size_t n_in, size_t column, size_t block,
                const any_block *from)
{
  if (type == ELEMENT_Q8_0)
    packed_put_q8_0(data, n_in, column, block, &from->q8_0);
  else
    packed_put_q4_0(data, n_in, column, block, &from->q4_0);
}

/* Memory of a packed matrix, not a byte more, full of rubbish. */
static uint8_t *new_packed(element_type type, size_t n_in, size_t n_out, size_t *size)
{
  assert_true(packed_size(type, n_in, n_out, size));
  uint8_t *data = aligned_alloc(64, *size);
  assert_non_null(data);
  return memset(data, 0xa5, *size);
}

/* Calls `check` for every type and all sizes. */
static void for_each_size(void (*check)(element_type type, size_t n_in, size_t n_out))
{
  for (size_t t = 0; t < 2; t++)
    for (size_t i = 0; i < N_IN; i++)
      for (size_t o = 0; o < N_OUT; o++)
        check(types[t], sizes_in[i], sizes_out[o]);
}

/* ---- Sizes ---- */

static void check_size(element_type type, size_t n_in, size_t n_out)
{
  size_t n_blocks = (n_in + 31) / 32, n_groups = (n_out + 15) / 16, size;
  size_t block = type == ELEMENT_Q8_0 ? 32 * 16 : 16 * 16;
  size_t scales = (n_blocks * 16 * 2 + 63) / 64 * 64;
  assert_true(packed_size(type, n_in, n_out, &size));
  assert_int_equal(size, n_groups * (n_blocks * block + scales));
}

static void a_matrix_takes_whole_groups_of_whole_cache_lines(void **state)
{
  (void)state;
  for_each_size(check_size);
}

static void a_size_that_cannot_be_is_refused(void **state)
{
  (void)state;
  size_t size;
  for (size_t t = 0; t < 2; t++) {
    assert_false(packed_size(types[t], SIZE_MAX, 1, &size));
    assert_false(packed_size(types[t], SIZE_MAX / 2, 16, &size));
    assert_false(packed_size(types[t], (size_t)1 << 33, (size_t)1 << 33, &size));
    assert_false(packed_size(types[t], 32, SIZE_MAX, &size));
  }
}

/* ---- Places ---- */

static any_block random_block(random_numbers *random)
{
  any_block block;
  for (size_t i = 0; i < sizeof block; i++)
    ((uint8_t *)&block)[i] = (uint8_t)random_bits(random);
  return block;
}

/* Every block of every column is put, and then all are still there. */
static void check_round_trip(element_type type, size_t n_in, size_t n_out)
{
  random_numbers random = {n_in * 1000 + n_out}, again = random;
  size_t size, n_blocks = packed_blocks(n_in);
  uint8_t *data = new_packed(type, n_in, n_out, &size);
  for (size_t column = 0; column < n_out; column++)
    for (size_t block = 0; block < n_blocks; block++) {
      any_block from = random_block(&random);
      put(data, type, n_in, column, block, &from);
    }
  for (size_t column = 0; column < n_out; column++)
    for (size_t block = 0; block < n_blocks; block++) {
      any_block from = random_block(&again), found = get(data, type, n_in, column, block);
      assert_memory_equal(&found, &from, block_size(type));
    }
  free(data);
}

static void blocks_of_gguf_go_in_and_come_out_to_the_bit(void **state)
{
  (void)state;
  for_each_size(check_round_trip);
}

/* A value of a block by its definition: what all agree on. */
static int value_in(const any_block *block, element_type type, size_t i)
{
  if (type == ELEMENT_Q8_0)
    return block->q8_0.q[i];
  return (i < 16 ? block->q4_0.q[i] & 15 : block->q4_0.q[i - 16] >> 4) - 8;
}

/* packed.h tells where in memory each number is: quads (n_blocks, 8 or 4, 16, 4), then scales
 * (n_blocks, 16). */
static void check_places(element_type type, size_t n_in, size_t n_out)
{
  random_numbers random = {n_in + n_out};
  size_t size, n_blocks = packed_blocks(n_in), n_quads = type == ELEMENT_Q8_0 ? 8 : 4;
  uint8_t *data = new_packed(type, n_in, n_out, &size);
  for (size_t column = 0; column < n_out; column++)
    for (size_t block = 0; block < n_blocks; block++) {
      any_block from = random_block(&random);
      put(data, type, n_in, column, block, &from);
      const uint8_t *group = data + column / 16 * packed_group_size(type, n_blocks);
      const uint8_t *scale = group + n_blocks * n_quads * 64 + (block * 16 + column % 16) * 2;
      assert_memory_equal(scale, &from, 2); /* the scale is the first of either */
      for (size_t i = 0; i < 32; i++) {
        size_t half = type == ELEMENT_Q8_0 ? 0 : i / 16, quad = i / 4 - half * 4;
        uint8_t byte = group[((block * n_quads + quad) * 16 + column % 16) * 4 + i % 4];
        int found = type == ELEMENT_Q8_0 ? byte - 128 : (byte >> 4 * half & 15) - 8;
        assert_int_equal(found, value_in(&from, type, i));
      }
    }
  free(data);
}

static void every_number_is_where_the_header_says(void **state)
{
  (void)state;
  for_each_size(check_places);
}

/* ---- Packing ---- */

/* The quantisers of ggml, from the definition of the formats: a column at a time. Where a step is
 * too small to have an inverse, all is zero. */
static any_block quantize_column(element_type type, const float *x)
{
  any_block block;
  float greatest = 0;
  memset(&block, 0, sizeof block);
  for (int i = 0; i < 32; i++)
    if (fabsf(x[i]) > fabsf(greatest))
      greatest = x[i];
  float step = type == ELEMENT_Q8_0 ? fabsf(greatest) / 127 : greatest / -8;
  float inverse = fabsf(step) >= 0x1p-126f ? 1 / step : 0;
  for (int i = 0; i < 32; i++) {
    float q = x[i] * inverse;
    if (type == ELEMENT_Q8_0) {
      block.q8_0.q[i] = (int8_t)roundf(q);
    } else {
      int nibble = (int)floorf(q + 8.5f);
      block.q4_0.q[i % 16] |= (uint8_t)((nibble > 15 ? 15 : nibble) << (i < 16 ? 0 : 4));
    }
  }
  if (type == ELEMENT_Q8_0)
    block.q8_0.scale = f16_from_f32(step);
  else
    block.q4_0.scale = f16_from_f32(step);
  return block;
}

/* What columns may be like; some so that values fall half-way between two steps. */
static float column_value(random_numbers *random, int kind, int i)
{
  switch (kind) {
  case 0:
    return (float)random_normal(random);
  case 1:
    return i == 5 ? 127 : (float)(random_below(random, 509) - 254) / 2;
  case 2:
    return (float)random_normal(random) * 1e-3f;
  case 3:
    return random_below(random, 2) ? 3.0f : -3.0f; /* greatest of either sign */
  case 4:
    return i % 7 ? 0.0f : -0.0f;
  case 5:
    return (float)random_normal(random) * 0x1p-126f;
  case 6:
    return i == 31 ? 0x1.fffffep-2f * 4 : i == 0 ? -508.0f : 0x1.fffffep-1f; /* 0.49999997 steps */
  default:
    return (float)random_normal(random) * 1e4f;
  }
}
enum { N_KINDS = 8 };

static void check_pack(const kernels *k, element_type type, random_numbers *random)
{
  enum { N_BLOCKS = 3 };
  size_t size;
  uint8_t *data = new_packed(type, N_BLOCKS * 32, 16, &size);
  for (size_t block = 0; block < N_BLOCKS; block++) {
    float tile[32][16], unpacked[32][16];
    for (int c = 0; c < 16; c++)
      for (int i = 0; i < 32; i++)
        tile[i][c] = column_value(random, c % N_KINDS, i);
    k->pack_block[type](tile[0], data, N_BLOCKS, block);
    k->unpack_block[type](data, N_BLOCKS, block, unpacked[0]);
    for (size_t c = 0; c < 16; c++) {
      float column[32];
      for (int i = 0; i < 32; i++)
        column[i] = tile[i][c];
      any_block expected = quantize_column(type, column);
      any_block found = get(data, type, N_BLOCKS * 32, c, block);
      float scale = f16_to_f32(type == ELEMENT_Q8_0 ? expected.q8_0.scale : expected.q4_0.scale);
      if (memcmp(&found, &expected, block_size(type)) != 0)
        fail_msg("%s, %s: a column of kind %zu differs", k->name, element_name(type), c % N_KINDS);
      for (size_t i = 0; i < 32; i++)
        assert_true(unpacked[i][c] == (float)value_in(&expected, type, i) * scale);
    }
  }
  free(data);
}

static void columns_are_packed_as_ggml_quantises_them_with_every_instruction_set(void **state)
{
  (void)state;
  random_numbers random = random_from_seed(__func__);
  for (size_t set = 0; set < N_SETS; set++) {
    kernels k;
    kernels_for(sets[set] & cpu_features(), &k);
    for (int round = 0; round < 100; round++)
      for (size_t t = 0; t < 2; t++)
        check_pack(&k, types[t], &random);
  }
}

/* Nothing but that column suffers from what is no number: it gets a scale that is none, or is
 * infinite. */
static void numbers_that_are_not_finite_stay_in_their_column(void **state)
{
  (void)state;
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t set = 0; set < N_SETS; set++)
    for (size_t t = 0; t < 2; t++)
      for (size_t b = 0; b < 3; b++) {
        float tile[32][16], clean[32][16], unpacked[32][16], expected[32][16];
        size_t size;
        kernels k;
        kernels_for(sets[set] & cpu_features(), &k);
        uint8_t *data = new_packed(types[t], 32, 16, &size);
        for (int i = 0; i < 32; i++)
          for (int c = 0; c < 16; c++)
            tile[i][c] = clean[i][c] = (float)(i * c % 23 - 11);
        tile[9][3] = bad[b];
        k.pack_block[types[t]](clean[0], data, 1, 0);
        k.unpack_block[types[t]](data, 1, 0, expected[0]);
        k.pack_block[types[t]](tile[0], data, 1, 0);
        k.unpack_block[types[t]](data, 1, 0, unpacked[0]);
        assert_false(isfinite(unpacked[9][3]) && isfinite(unpacked[8][3]));
        for (int i = 0; i < 32; i++)
          for (int c = 0; c < 16; c++)
            assert_true(c == 3 || unpacked[i][c] == expected[i][c]);
        free(data);
      }
}

/* ---- Columns ---- */

static void check_column(element_type type, size_t n_in, size_t n_out)
{
  random_numbers random = {n_in ^ n_out};
  size_t size;
  uint8_t *data = new_packed(type, n_in, n_out, &size);
  float *column = malloc(n_in * sizeof *column); /* not one more */
  assert_non_null(column);
  for (size_t c = 0; c < n_out; c++)
    for (size_t block = 0; block < packed_blocks(n_in); block++) {
      any_block from = random_block(&random);
      uint16_t scale = f16_from_f32((float)random_normal(&random));
      memcpy(&from, &scale, sizeof scale);
      put(data, type, n_in, c, block, &from);
    }
  for (size_t c = 0; c < n_out; c++) {
    packed_column(data, type, n_in, c, column);
    for (size_t i = 0; i < n_in; i++) {
      any_block block = get(data, type, n_in, c, i / 32);
      float scale = f16_to_f32(type == ELEMENT_Q8_0 ? block.q8_0.scale : block.q4_0.scale);
      assert_true(column[i] == (float)value_in(&block, type, i % 32) * scale);
    }
  }
  free(column);
  free(data);
}

static void a_column_is_its_numbers_times_their_scales(void **state)
{
  (void)state;
  for_each_size(check_column);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_matrix_takes_whole_groups_of_whole_cache_lines),
      cmocka_unit_test(a_size_that_cannot_be_is_refused),
      cmocka_unit_test(blocks_of_gguf_go_in_and_come_out_to_the_bit),
      cmocka_unit_test(every_number_is_where_the_header_says),
      cmocka_unit_test(columns_are_packed_as_ggml_quantises_them_with_every_instruction_set),
      cmocka_unit_test(numbers_that_are_not_finite_stay_in_their_column),
      cmocka_unit_test(a_column_is_its_numbers_times_their_scales),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
