/* avx512_vnni.c - products with packed weights for processors with AVX-512 VNNI, whose vpdpbusd
 * adds four products of bytes to each of 16 integers.
 *
 * It multiplies unsigned by signed bytes: the weights are the unsigned ones, as they are packed
 * with 128 (q8_0) or 8 (q4_0) added; the sum of a block therefore starts at minus that offset times
 * the sum of the block's inputs. */
#include "kernels/packed.h"

#include <immintrin.h>
#include <math.h>

/* A tile: rows and groups of 16 columns whose sums are kept in registers. One row takes more groups
 * at once, so that several sums are on their way at a time, and several places of memory. */
enum { MAX_ROWS = 6, ROW_GROUPS = 2, LONE_GROUPS = 4 };

typedef struct place {
  const uint8_t *quads;
  const uint16_t *scales;
} place;

/* What a tile works on. */
typedef struct tile {
  const quantized_rows *x;
  size_t row;
  place group[LONE_GROUPS];
  size_t n_columns; /* of all groups together that exist */
  destination to;
  size_t ahead;           /* so many bytes behind those in use are asked for */
  size_t number, n_tiles; /* of the tiles that share the asking */
} tile;

/* What a tile asks for while it runs: nothing, all that stands `ahead` of what it reads, or its
 * share of that. */
typedef enum asking { NOTHING, ALL, SHARE } asking;

/* With so many tiles of rows, or fewer, each asks for a part of the next groups: if the first one
 * did it alone, the memory would rest while the others work. 8 to 16 rows are 5% faster by it. With
 * many rows that rest is short, and the plain tile is faster. */
enum { MOST_SHARES = 8 };

/* Of a single row. Measured: 1536 and 2048 bytes are 1 to 2% faster than 512 to 1024. */
enum { AHEAD = 1536 };

/* The inputs of quad `k` of a row's block, in every lane. */
static inline __m512i quad_of_row(const tile *t, int r, size_t block, int k)
{
  const int8_t *q = t->x->q + ((t->row + (size_t)r) * t->x->n_blocks + block) * BLOCK_ELEMENTS;
  int32_t quad;
  __builtin_memcpy(&quad, q + 4 * k, sizeof quad);
  return _mm512_set1_epi32(quad);
}

/* Asks for the line at `address`: into the nearest cache for a single row, else into the next. (The
 * hint is a literal, as clang wants a constant before it knows `rows`.) */
static inline __attribute__((always_inline)) void ask_for(const uint8_t *address, int rows)
{
  if (rows == 1)
    _mm_prefetch((const char *)address, _MM_HINT_T0);
  else
    _mm_prefetch((const char *)address, _MM_HINT_T1);
}

/* Adds the blocks' exact sums of q8_0 weights to `sum`. */
static inline __attribute__((always_inline)) void add_q8_0(const tile *t, int rows, int groups,
                                                           asking asks, size_t block,
                                                           __m512i sum[MAX_ROWS][LONE_GROUPS])
{
  for (int k = 0; k < 8; k++)
    for (int g = 0; g < groups; g++) {
      const uint8_t *at = t->group[g].quads + (block * 8 + (size_t)k) * 64;
      if (asks == ALL)
        ask_for(at + t->ahead, rows);
      __m512i weights = _mm512_loadu_si512(at);
      for (int r = 0; r < rows; r++)
        sum[r][g] = _mm512_dpbusd_epi32(sum[r][g], weights, quad_of_row(t, r, block, k));
    }
}

/* The same for q4_0, whose bytes hold two quads. */
static inline __attribute__((always_inline)) void add_q4_0(const tile *t, int rows, int groups,
                                                           asking asks, size_t block,
                                                           __m512i sum[MAX_ROWS][LONE_GROUPS])
{
  const __m512i nibble = _mm512_set1_epi8(15);
  for (int k = 0; k < 4; k++)
    for (int g = 0; g < groups; g++) {
      const uint8_t *at = t->group[g].quads + (block * 4 + (size_t)k) * 64;
      if (asks == ALL)
        ask_for(at + t->ahead, rows);
      __m512i both = _mm512_loadu_si512(at);
      __m512i low = _mm512_and_si512(both, nibble);
      __m512i high = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
      for (int r = 0; r < rows; r++) {
        sum[r][g] = _mm512_dpbusd_epi32(sum[r][g], low, quad_of_row(t, r, block, k));
        sum[r][g] = _mm512_dpbusd_epi32(sum[r][g], high, quad_of_row(t, r, block, k + 4));
      }
    }
}

/* Asks for a block's quads of the next groups. */
static inline void prefetch_block(const tile *t, element_type type, int groups, size_t block)
{
  size_t size = packed_block_size(type);
  for (int g = 0; g < groups; g++)
    for (size_t at = block * size; at < (block + 1) * size; at += 64)
      _mm_prefetch((const char *)t->group[g].quads + t->ahead + at, _MM_HINT_T1);
}

static inline __attribute__((always_inline)) void run_tile(const tile *t, element_type type,
                                                           int rows, int groups, asking asks)
{
  __m512 total[MAX_ROWS][LONE_GROUPS];
  size_t next = t->number; /* block to ask for */
  for (int r = 0; r < rows; r++)
    for (int g = 0; g < groups; g++)
      total[r][g] = _mm512_setzero_ps();
  for (size_t block = 0; block < t->x->n_blocks; block++) {
    __m512i sum[MAX_ROWS][LONE_GROUPS];
    if (asks == SHARE && block == next) {
      prefetch_block(t, type, groups, block);
      next += t->n_tiles;
    }
    for (int r = 0; r < rows; r++) {
      size_t at = (t->row + (size_t)r) * t->x->n_blocks + block;
      int32_t offset = t->x->sum[at] * (type == ELEMENT_Q8_0 ? -128 : -8);
      for (int g = 0; g < groups; g++)
        sum[r][g] = _mm512_set1_epi32(offset);
    }
    if (type == ELEMENT_Q8_0)
      add_q8_0(t, rows, groups, asks, block, sum);
    else
      add_q4_0(t, rows, groups, asks, block, sum);
    for (int g = 0; g < groups; g++) {
      const uint16_t *scales = t->group[g].scales + block * PACKED_COLUMNS;
      if (rows == 1 && block % SCALE_BLOCKS == 0)
        prefetch_scales(scales, (size_t)groups * packed_group_size(type, t->x->n_blocks));
      __m512 weight_scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)scales));
      for (int r = 0; r < rows; r++) {
        size_t at = (t->row + (size_t)r) * t->x->n_blocks + block;
        __m512 scale = _mm512_mul_ps(weight_scale, _mm512_set1_ps(t->x->scale[at]));
        total[r][g] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][g]), scale, total[r][g]);
      }
    }
  }
  for (int r = 0; r < rows; r++)
    for (int g = 0; g < groups; g++) {
      size_t first = (size_t)g * PACKED_COLUMNS, left = t->n_columns - first;
      __mmask16 there = (__mmask16)(left >= PACKED_COLUMNS ? 0xffff : (1u << left) - 1);
      destination to = destination_at(&t->to, (size_t)r, first);
      if (to.start)
        total[r][g] = _mm512_add_ps(_mm512_maskz_loadu_ps(there, to.start), total[r][g]);
      _mm512_mask_storeu_ps(to.y, there, total[r][g]);
    }
}

/* Of so many rows left, how many a tile takes: few tiles, none of them so small that its sums would
 * wait for each other. */
static size_t rows_of_tile(size_t n_left)
{
  return n_left >= 9 || n_left == MAX_ROWS ? MAX_ROWS : n_left >= 7 ? 4 : n_left == 5 ? 3 : n_left;
}

static inline __attribute__((always_inline)) void run_tile_of(const tile *t, element_type type,
                                                              size_t rows, int groups, asking asks)
{
  if (rows == MAX_ROWS)
    run_tile(t, type, MAX_ROWS, groups, asks);
  else if (rows == 4)
    run_tile(t, type, 4, groups, asks);
  else if (rows == 3)
    run_tile(t, type, 3, groups, asks);
  else if (rows == 2)
    run_tile(t, type, 2, groups, asks);
  else
    run_tile(t, type, 1, groups, asks);
}

static size_t tiles_of_rows(size_t n_rows)
{
  size_t n = 0;
  for (; n_rows > 0; n++)
    n_rows -= rows_of_tile(n_rows);
  return n;
}

/* All rows against a few groups. The groups that come next are asked for meanwhile: by all tiles,
 * or by the first one. */
static inline __attribute__((always_inline)) void run_rows(tile *t, element_type type,
                                                           size_t n_rows, int groups, bool shares)
{
  const destination to = t->to;
  t->ahead = (size_t)groups * packed_group_size(type, t->x->n_blocks);
  t->number = 0;
  for (size_t r = 0, rows; r < n_rows; r += rows, t->number++) {
    rows = rows_of_tile(n_rows - r);
    t->row = r;
    t->to = destination_at(&to, r, 0);
    if (shares)
      run_tile_of(t, type, rows, groups, SHARE);
    else if (r == 0)
      run_tile_of(t, type, rows, groups, ALL);
    else
      run_tile_of(t, type, rows, groups, NOTHING);
  }
}

/* Where the groups of a tile are. */
static void find_groups(tile *t, element_type type, const uint8_t *groups, size_t n)
{
  size_t size = packed_group_size(type, t->x->n_blocks);
  for (size_t g = 0; g < n; g++) {
    const uint8_t *group = groups + g * size;
    t->group[g] = (place){group, packed_scales(group, type, t->x->n_blocks)};
  }
}

static inline __attribute__((always_inline)) void multiply(element_type type,
                                                           const quantized_rows *x, size_t n_rows,
                                                           const uint8_t *groups, size_t n_out,
                                                           const destination *to, bool shares)
{
  size_t size = packed_group_size(type, x->n_blocks), j = 0;
  tile t = {.x = x, .n_tiles = tiles_of_rows(n_rows)};
  for (; n_rows == 1 && j + LONE_GROUPS * PACKED_COLUMNS <= n_out;
       j += LONE_GROUPS * PACKED_COLUMNS) {
    find_groups(&t, type, groups + j / PACKED_COLUMNS * size, LONE_GROUPS);
    t.to = destination_at(to, 0, j);
    t.n_columns = LONE_GROUPS * PACKED_COLUMNS;
    t.ahead = AHEAD;
    run_tile(&t, type, 1, LONE_GROUPS, ALL);
  }
  for (; j + ROW_GROUPS * PACKED_COLUMNS <= n_out; j += ROW_GROUPS * PACKED_COLUMNS) {
    find_groups(&t, type, groups + j / PACKED_COLUMNS * size, ROW_GROUPS);
    t.to = destination_at(to, 0, j);
    t.n_columns = ROW_GROUPS * PACKED_COLUMNS;
    run_rows(&t, type, n_rows, ROW_GROUPS, shares);
  }
  for (; j < n_out; j += PACKED_COLUMNS) {
    find_groups(&t, type, groups + j / PACKED_COLUMNS * size, 1);
    t.to = destination_at(to, 0, j);
    t.n_columns = n_out - j;
    run_rows(&t, type, n_rows, 1, shares);
  }
}

/* Tiles that share are in functions of their own: in one with the others the compiler makes those
 * 4% slower. */
#define DEFINE_PRODUCT(type, name)                                                                 \
  static __attribute__((noinline)) void name##_shared(const quantized_rows *x, size_t n_rows,      \
                                                      const void *groups, size_t n_out,            \
                                                      const destination *to)                       \
  {                                                                                                \
    multiply(type, x, n_rows, groups, n_out, to, true);                                            \
  }                                                                                                \
                                                                                                   \
  static void name(const quantized_rows *x, size_t n_rows, const void *groups, size_t n_out,       \
                   const destination *to, int16_t *panel)                                          \
  {                                                                                                \
    size_t n_tiles = tiles_of_rows(n_rows);                                                        \
    (void)panel;                                                                                   \
    if (n_tiles > 1 && n_tiles <= MOST_SHARES)                                                     \
      name##_shared(x, n_rows, groups, n_out, to);                                                 \
    else                                                                                           \
      multiply(type, x, n_rows, groups, n_out, to, false);                                         \
  }

DEFINE_PRODUCT(ELEMENT_Q8_0, product_q8_0)
DEFINE_PRODUCT(ELEMENT_Q4_0, product_q4_0)

/* ---- Rounding rows ---- */

/* One block, as quantize_block (scalar_types.c) has it. */
static inline void quantize_block(__m512 low, __m512 high, int8_t *q, float *scale, int32_t *sum)
{
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i most = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(low), magnitude),
                                  _mm512_and_si512(_mm512_castps_si512(high), magnitude));
  int32_t greatest = _mm512_reduce_max_epi32(most);
  float step = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(greatest))) / 127.0f;
  bool finite = greatest < 0x7f800000, any = finite && step >= 0x1p-126f;
  __m512 inverse = _mm512_set1_ps(any ? 1.0f / step : 0.0f);
  __mmask16 all = any ? 0xffff : 0;
  __m512i first = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(low, inverse));
  __m512i second = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(high, inverse));
  _mm_storeu_si128((__m128i *)q, _mm512_cvtepi32_epi8(first));
  _mm_storeu_si128((__m128i *)(q + 16), _mm512_cvtepi32_epi8(second));
  *scale = !finite ? NAN : any ? step : 0.0f;
  *sum = _mm512_reduce_add_epi32(_mm512_add_epi32(first, second));
}

static void quantize_row(const float *x, size_t n, int8_t *q, float *scale, int32_t *sum)
{
  for (size_t i = 0; i < n; i += BLOCK_ELEMENTS, x += BLOCK_ELEMENTS, q += BLOCK_ELEMENTS) {
    uint32_t there = n - i < BLOCK_ELEMENTS ? (1u << (n - i)) - 1 : UINT32_MAX;
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)there, x);
    __m512 high = _mm512_maskz_loadu_ps((__mmask16)(there >> 16), x + 16);
    quantize_block(low, high, q, scale++, sum++);
  }
}

void kernels_avx512_vnni(kernels *table)
{
  table->quantize_row = quantize_row;
  table->product_packed[ELEMENT_Q8_0] = product_q8_0;
  table->product_packed[ELEMENT_Q4_0] = product_q4_0;
  table->wide_rows = SIZE_MAX;
}
