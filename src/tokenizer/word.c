/* word.c - the tokens of one word, of any size.
 *
 * A long word is encoded in windows, so that memory and time stay small. What a window's end looks
 * like depends on where it was cut, so its last few tokens are left to the next window, which
 * begins with them; the joint between the tokens that are kept and the next window's first one is
 * then proven (joint.h). */
#include "tokenizer/word.h"

#include "tokenizer/joint.h"

/* Tokens at a window's end that the next window finds again. With 2, one window in 160 of 10 MB of
 * English without spaces is tried again. */
enum { KEPT = 2 };

/* Puts the piece's tokens before symbol `end` into the sink. */
static void put_symbols(const piece *p, uint32_t end, token_sink *sink)
{
  for (uint32_t at = 0; at < end; at = p->next[at])
    put_token(sink, p->vocabulary->ids[p->symbol[at]]);
}

/* The symbol where the next window should begin; 0 when the piece has too few tokens for that. */
static uint32_t choose_cut(const piece *p)
{
  uint32_t cut = p->previous[p->n];
  for (int i = 1; i < KEPT && cut > 0; i++)
    cut = p->previous[cut];
  return cut;
}

/* A window of a word: where it begins, what was before it, and how much is encoded from there. */
typedef struct word_window {
  size_t at;     /* in the word */
  size_t n_sink; /* tokens in the sink */
  uint32_t left; /* the token before it, or NO_TOKEN */
  size_t size;
} word_window;

/* A window that has too few tokens, or whose joint with the next one is unproven, is tried again,
 * larger. If that changes its own beginning, so that the joint there is unproven, the word is
 * encoded whole. So the work stays in proportion, and the result exact for any vocabulary. */
static gpt2_status encode_long_word(piece *p, const uint8_t *word, size_t size, size_t window_size,
                                    int64_t offset, token_sink *sink, gpt2_error *error)
{
  const word_window all = {.n_sink = sink->n, .left = NO_TOKEN, .size = size};
  word_window window = all, before;
  bool has_before = false;
  for (window.size = window_size;;) {
    size_t n = size - window.at < window.size ? size - window.at : window.size;
    sink->n = window.n_sink;
    gpt2_status status = piece_merge(p, word + window.at, n, offset + (int64_t)window.at, error);
    if (status != GPT2_OK)
      return status;
    if (window.left != NO_TOKEN && !stay_apart(p->vocabulary, window.left, p->symbol[0])) {
      window = has_before ? before : all;
      window.size *= 2;
      has_before = false;
      continue;
    }
    if (window.at + n == size)
      break;
    uint32_t cut = choose_cut(p);
    if (cut == 0) {
      window_size = window.size *= 4;
      continue;
    }
    put_symbols(p, cut, sink);
    before = window;
    has_before = true;
    window =
        (word_window){window.at + p->start[cut], sink->n, p->symbol[p->previous[cut]], window_size};
  }
  put_symbols(p, p->n, sink);
  return GPT2_OK;
}

/* The token that is all of the word; NO_TOKEN: there is none, or merging has to find out. Of the
 * words of ordinary text four in five are one token. */
static uint32_t whole_token(const vocabulary *v, const uint8_t *word, size_t size)
{
  uint32_t token = vocabulary_word(v, (const char *)word, size);
  bool sure = token != NO_TOKEN && (v->match_words || v->flags[token] & FLAG_WHOLE);
  return sure ? token : NO_TOKEN;
}

gpt2_status encode_word(piece *p, const uint8_t *word, size_t size, size_t window, int64_t offset,
                        token_sink *sink, gpt2_error *error)
{
  uint32_t whole = whole_token(p->vocabulary, word, size);
  if (whole != NO_TOKEN) {
    put_token(sink, p->vocabulary->ids[whole]);
    return GPT2_OK;
  }
  /* One unknown token may stand for a run of bytes of any size: such a run must not be cut. */
  if (size > window && !p->vocabulary->fuse_unknown)
    return encode_long_word(p, word, size, window, offset, sink, error);
  gpt2_status status = piece_merge(p, word, size, offset, error);
  if (status == GPT2_OK)
    put_symbols(p, p->n, sink);
  return status;
}
