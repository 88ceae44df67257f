/* words.c - a stretch of text to tokens: cut into words, each of which is encoded for itself. */
#include "tokenizer/words.h"

#include <string.h>

#include "tokenizer/split.h"

enum {
  LONGEST_REMEMBERED = 16, /* bytes of a word */
  MOST_SLOT_BITS = 14,     /* 512 KiB of slots: half of a core's second-level cache */
  LEAST_SIZE = 256,        /* bytes of text for which remembering pays */
  BYTES_PER_SLOT = 8       /* of text: more than enough slots for its words */
};

gpt2_status word_encoder_init(word_encoder *w, const vocabulary *v, size_t size, gpt2_error *error)
{
  *w = (word_encoder){.use_regex = true};
  piece_init(&w->piece, v);
  if (size < LEAST_SIZE)
    return GPT2_OK;
  while (w->slot_bits < MOST_SLOT_BITS && size / BYTES_PER_SLOT >> w->slot_bits > 0)
    w->slot_bits++;
  size_t n_slots = (size_t)1 << w->slot_bits;
  w->slots = allocate_array(v->allocator, n_slots, sizeof *w->slots);
  return w->slots ? GPT2_OK : fail_memory(error, n_slots * sizeof *w->slots);
}

void word_encoder_free(word_encoder *w)
{
  release(w->piece.vocabulary->allocator, w->slots);
  piece_free(&w->piece);
}

/* Two numbers that, with the size, are different for any two words (0 < size <= 16): its first and its
 * last bytes, which overlap. */
static void word_key(const uint8_t *word, size_t size, uint64_t *low, uint64_t *high)
{
  uint32_t first, last;
  if (size >= 8) {
    memcpy(low, word, 8);
    memcpy(high, word + size - 8, 8);
  } else if (size >= 4) {
    memcpy(&first, word, 4);
    memcpy(&last, word + size - 4, 4);
    *low = first;
    *high = last;
  } else {
    *low = (uint64_t)word[0] << 8 | word[size / 2];
    *high = word[size - 1];
  }
}

static void put_tokens(token_sink *sink, const gpt2_token *tokens, size_t n)
{
  for (size_t i = 0; i < n; i++)
    put_token(sink, tokens[i]);
}

/* Encodes a word and remembers its tokens in the slot, unless they are many. */
static gpt2_status encode_new(word_encoder *w, const uint8_t *word, size_t size, int64_t offset,
                                   word_slot *slot, gpt2_error *error)
{
  gpt2_token tokens[LONGEST_REMEMBERED];
  token_sink found = {.tokens = tokens, .capacity = LONGEST_REMEMBERED};
  gpt2_status status = encode_word(&w->piece, word, size, WORD_WINDOW, offset, &found, error);
  if (status != GPT2_OK)
    return status;
  put_tokens(&w->sink, tokens, found.n);
  if (found.n > REMEMBERED_TOKENS)
    return GPT2_OK;
  word_key(word, size, &slot->low, &slot->high);
  slot->size = (uint8_t)size;
  slot->n_tokens = (uint8_t)found.n;
  memcpy(slot->tokens, tokens, found.n * sizeof *tokens);
  return GPT2_OK;
}

static gpt2_status encode_one(word_encoder *w, const uint8_t *word, size_t size, int64_t offset,
                               gpt2_error *error)
{
  if (!w->slots || size > LONGEST_REMEMBERED)
    return encode_word(&w->piece, word, size, WORD_WINDOW, offset, &w->sink, error);
  uint64_t low, high;
  word_key(word, size, &low, &high);
  /* Multiplying carries every bit upwards; the multipliers are odd, else any would do. */
  uint64_t hash = (low * 0x9e3779b97f4a7c15u ^ high) * 0xbf58476d1ce4e5b9u;
  word_slot *slot = &w->slots[hash >> (64 - w->slot_bits)];
  if (slot->low != low || slot->high != high || slot->size != size)
    return encode_new(w, word, size, offset, slot, error);
  put_tokens(&w->sink, slot->tokens, slot->n_tokens);
  return GPT2_OK;
}

/* The stretch with a space before it, which then belongs to its first word. */
static gpt2_status encode_with_space(word_encoder *w, const uint8_t *text, size_t size,
                                     int64_t offset, gpt2_error *error)
{
  const gpt2_allocator *allocator = w->piece.vocabulary->allocator;
  size_t total;
  uint8_t *copy = add_size(&total, size, 1) ? allocate(allocator, total) : NULL;
  if (!copy)
    return fail_memory(error, size);
  copy[0] = ' ';
  memcpy(copy + 1, text, size);
  gpt2_status status = encode_words(w, copy, total, offset - 1, error);
  release(allocator, copy);
  return status;
}

gpt2_status encode_words(word_encoder *w, const uint8_t *text, size_t size, int64_t offset,
                         gpt2_error *error)
{
  if (w->add_prefix_space && text[0] != ' ')
    return encode_with_space(w, text, size, offset, error);
  for (size_t at = 0, n; at < size; at += n) {
    n = w->use_regex ? split_word(text + at, size - at) : size - at;
    gpt2_status status = encode_one(w, text + at, n, offset + (int64_t)at, error);
    if (status != GPT2_OK)
      return status;
  }
  return GPT2_OK;
}
