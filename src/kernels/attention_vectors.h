/* attention_vectors.h - the scores and weighted sums of attention in vector registers.
 *
 * An instruction set includes this file once for each type of keys and values, after its
 * vector_....h, with
 *
 *     ELEMENT    the type of one number
 *     OF(name)   the name of a function of this type
 *     LOAD, LOAD_PART   one vector of them, widened to f32
 *
 * A score is the sum of q[i] * k[i] in the order of i, a weighted sum that of its tokens in their
 * order, whether one row streams them or a tile of rows keeps its sums in registers: so a row has
 * the same bits in any company. */

/* ---- Scores: the lanes of a register are the tokens of a block ---- */

/* Scores of `rows` rows with `blocks` blocks. A single row streams: it asks for the blocks that
 * stand ATTENTION_AHEAD further on, line for line. */
static inline __attribute__((always_inline)) void
OF(score_tile)(const attention_step *s, size_t row, int rows, size_t block, int blocks)
{
  const float *q = s->q + row * s->d_head;
  const ELEMENT *const *keys = (const ELEMENT *const *)s->keys + block;
  vector sum[ATTENTION_ROWS][MOST_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < blocks * BLOCK_VECTORS; v++)
      sum[r][v] = vector_zero();
  for (size_t i = 0; i < s->d_head; i++) {
    vector key[MOST_VECTORS];
    for (int v = 0; v < blocks * BLOCK_VECTORS; v++)
      key[v] = LOAD(keys[v / BLOCK_VECTORS] + i * ATTENTION_BLOCK + v % BLOCK_VECTORS * VECTOR);
    for (int r = 0; r < rows; r++) {
      vector factor = vector_all(q[(size_t)r * s->d_head + i]);
      for (int v = 0; v < blocks * BLOCK_VECTORS; v++)
        sum[r][v] = vector_fma(factor, key[v], sum[r][v]);
    }
    if (rows == 1 && i * ATTENTION_BLOCK * sizeof(ELEMENT) % 64 == 0)
      for (int b = 0; b < blocks; b++)
        prefetch(keys[b + ATTENTION_AHEAD] + i * ATTENTION_BLOCK);
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < blocks * BLOCK_VECTORS; v++)
      vector_store(s->scores + (row + (size_t)r) * s->score_stride + block * ATTENTION_BLOCK +
                       (size_t)v * VECTOR,
                   sum[r][v]);
}

/* `rows` rows with blocks [block, end), of which only those count that the last row sees. */
static inline __attribute__((always_inline)) void
OF(score_rows)(const attention_step *s, size_t row, int rows, size_t block, size_t end)
{
  enum { AT_ONCE = ATTENTION_VECTORS / BLOCK_VECTORS };
  size_t n = attention_blocks(attention_tokens(s, row + (size_t)rows - 1));
  end = end < n ? end : n;
  if (rows == 1)
    for (; block + BLOCKS_AT_ONCE <= end; block += BLOCKS_AT_ONCE)
      OF(score_tile)(s, row, rows, block, BLOCKS_AT_ONCE);
  for (; block + AT_ONCE <= end; block += AT_ONCE)
    OF(score_tile)(s, row, rows, block, AT_ONCE);
  for (; block < end; block++)
    OF(score_tile)(s, row, rows, block, 1);
}

/* A few blocks stay in the first-level cache for all rows. */
static void OF(scores)(const attention_step *s)
{
  size_t n = attention_blocks(attention_tokens(s, s->n_rows - 1));
  for (size_t block = 0; block < n; block += BLOCKS_AT_ONCE) {
    size_t row = 0, end = block + BLOCKS_AT_ONCE;
    for (; row + ATTENTION_ROWS <= s->n_rows; row += ATTENTION_ROWS)
      OF(score_rows)(s, row, ATTENTION_ROWS, block, end);
    for (; row + 2 <= s->n_rows; row += 2)
      OF(score_rows)(s, row, 2, block, end);
    if (row < s->n_rows)
      OF(score_rows)(s, row, 1, block, end);
  }
}

/* ---- Weighted sums: the lanes are elements of the values ---- */

/* Tokens [from, to) for `rows` rows and `vectors` whole vectors of elements, or one of which only
 * `part` elements exist (0: all of them). */
static inline __attribute__((always_inline)) void OF(weigh_tile)(const attention_step *s,
                                                                 size_t row, int rows, size_t from,
                                                                 size_t to, size_t at, int vectors,
                                                                 size_t part)
{
  const float *weights = s->scores + row * s->score_stride;
  float *out = s->out + row * s->d_head + at;
  vector sum[ATTENTION_ROWS][MOST_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) {
      float *o = out + (size_t)r * s->d_head + v * VECTOR;
      sum[r][v] = part ? vector_load_f32_part(o, part) : vector_load_f32(o);
      if (from == 0)
        sum[r][v] = vector_multiply(sum[r][v], vector_all(s->factor[row + (size_t)r]));
    }
  while (from < to) {
    size_t block = from / ATTENTION_BLOCK, end = (block + 1) * ATTENTION_BLOCK;
    size_t offset = from % ATTENTION_BLOCK * s->d_head + at;
    const ELEMENT *value = (const ELEMENT *)s->values[block] + offset;
    const ELEMENT *ahead = (const ELEMENT *)s->values[block + ATTENTION_AHEAD] + offset;
    for (end = end < to ? end : to; from < end; from++, value += s->d_head, ahead += s->d_head) {
      vector element[MOST_VECTORS];
      for (int v = 0; v < vectors; v++)
        element[v] = part ? LOAD_PART(value, part) : LOAD(value + v * VECTOR);
      for (int r = 0; r < rows; r++) {
        vector weight = vector_all(weights[(size_t)r * s->score_stride + from]);
        for (int v = 0; v < vectors; v++)
          sum[r][v] = vector_fma(weight, element[v], sum[r][v]);
      }
      for (size_t line = 0; rows == 1 && line < (size_t)vectors * VECTOR * sizeof(ELEMENT);
           line += 64)
        prefetch((const char *)ahead + line);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) {
      float *o = out + (size_t)r * s->d_head + v * VECTOR;
      if (part)
        vector_store_part(o, sum[r][v], part);
      else
        vector_store(o, sum[r][v]);
    }
}

/* All elements, for tokens [from, to) that all of `rows` rows see. */
static inline __attribute__((always_inline)) void
OF(weigh_together)(const attention_step *s, size_t row, int rows, size_t from, size_t to)
{
  enum { AT_ONCE = ATTENTION_VECTORS, STREAM = MOST_VECTORS };
  size_t at = 0;
  if (rows == 1)
    for (; at + STREAM * VECTOR <= s->d_head; at += STREAM * VECTOR)
      OF(weigh_tile)(s, row, rows, from, to, at, STREAM, 0);
  for (; at + AT_ONCE * VECTOR <= s->d_head; at += AT_ONCE * VECTOR)
    OF(weigh_tile)(s, row, rows, from, to, at, AT_ONCE, 0);
  for (; at + VECTOR <= s->d_head; at += VECTOR)
    OF(weigh_tile)(s, row, rows, from, to, at, 1, 0);
  if (at < s->d_head)
    OF(weigh_tile)(s, row, rows, from, to, at, 1, s->d_head - at);
}

/* Tokens [from, to), of which each row takes those that it sees: the rows together, and then each
 * by itself what the first one does not see. */
static inline __attribute__((always_inline)) void
OF(weigh_rows)(const attention_step *s, size_t row, int rows, size_t from, size_t to)
{
  size_t together = lesser(to, attention_tokens(s, row));
  if (from < together)
    OF(weigh_together)(s, row, rows, from, together);
  else
    together = from;
  for (size_t r = row + 1; r < row + (size_t)rows; r++)
    if (together < lesser(to, attention_tokens(s, r)))
      OF(weigh_together)(s, r, 1, together, lesser(to, attention_tokens(s, r)));
}

static void OF(weighted_sum)(const attention_step *s)
{
  size_t n = attention_tokens(s, s->n_rows - 1);
  for (size_t from = 0; from < n; from += BLOCKS_AT_ONCE * ATTENTION_BLOCK) {
    size_t row = 0, to = from + BLOCKS_AT_ONCE * ATTENTION_BLOCK;
    for (; row + ATTENTION_ROWS <= s->n_rows; row += ATTENTION_ROWS)
      OF(weigh_rows)(s, row, ATTENTION_ROWS, from, to);
    for (; row + 2 <= s->n_rows; row += 2)
      OF(weigh_rows)(s, row, 2, from, to);
    if (row < s->n_rows)
      OF(weigh_rows)(s, row, 1, from, to);
  }
}

#undef ELEMENT
#undef OF
#undef LOAD
#undef LOAD_PART
