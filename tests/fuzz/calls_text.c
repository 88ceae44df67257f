/* calls_text.c - the calls on samplers and decoders, and encoding. */
#include <string.h>

#include "fuzz/calls.h"
#include "fuzz/plain_text.h"

/* ---- Samplers ---- */

static void make_sampler(world *w, plain_sampler *s)
{
  plain_sampler made = {.sampler = (gpt2_sampler *)w};
  statuses wrong = take_sampler_options(w, &made.options) ? 0 : one_of(GPT2_ERR_ARGUMENT);
  call_begins(w);
  gpt2_status status = gpt2_sampler_new(&made.options, &made.sampler, NULL);
  bool done = call_ends(w, status, wrong, false, "gpt2_sampler_new");
  must(done == (made.sampler != NULL), "%s", gpt2_status_name(status));
  if (!done)
    return;
  must(gpt2_sampler_seed(made.sampler) == made.options.seed, "another seed");
  gpt2_sampler_free(s->sampler);
  *s = made;
}

static void clone_sampler(world *w, const plain_sampler *s, plain_sampler *to)
{
  plain_sampler made = *s;
  call_begins(w);
  gpt2_status status = gpt2_sampler_clone(s->sampler, &made.sampler, NULL);
  if (!call_ends(w, status, 0, false, "gpt2_sampler_clone"))
    return;
  gpt2_sampler_free(to->sampler);
  *to = made;
}

/* A draw does not advance it. */
static void draw_twice(world *w, const plain_sampler *s)
{
  const gpt2_token tokens[] = {take_byte(&w->input) % CALLS_VOCAB};
  const float *logits = calls_logits(tokens, 1, 0);
  gpt2_token first, second;
  call_begins(w);
  gpt2_status status = gpt2_sampler_draw(s->sampler, logits, CALLS_VOCAB, &first, NULL);
  if (!call_ends(w, status, 0, false, "gpt2_sampler_draw"))
    return;
  must(gpt2_sampler_draw(s->sampler, logits, CALLS_VOCAB, &second, NULL) == GPT2_OK &&
           first == second,
       "a second draw gives %d, the first %d", (int)second, (int)first);
  must(first == expected_draw(s, logits), "%d is drawn", (int)first);
}

void call_sampler(world *w)
{
  enum { NEW, CLONE, RESET, ACCEPT, DRAW, N_USES };
  uint8_t byte = take_byte(&w->input);
  int use = byte % N_USES;
  plain_sampler *s = &w->samplers[byte / N_USES % N_SAMPLERS];
  if (use == NEW || !s->sampler) {
    make_sampler(w, s);
  } else if (use == CLONE) {
    clone_sampler(w, s, &w->samplers[s == w->samplers ? 1 : 0]);
  } else if (use == RESET) {
    gpt2_sampler_reset(s->sampler);
    s->n_accepted = 0;
  } else if (use == ACCEPT) {
    gpt2_token token = take_token(w);
    must((gpt2_sampler_accept(s->sampler, token, NULL) == GPT2_OK) == (token >= 0), "accepted %d",
         (int)token);
    s->n_accepted += token >= 0;
  } else {
    draw_twice(w, s);
  }
}

void call_sample(world *w)
{
  int slot;
  int32_t sequence = take_sequence(w, &slot);
  uint8_t byte = take_byte(&w->input);
  plain_sampler *s = byte % 3 < N_SAMPLERS ? &w->samplers[byte % 3] : NULL;
  s = s && s->sampler ? s : NULL;
  gpt2_token token = -1;
  statuses wrong = slot < 0                         ? one_of(GPT2_ERR_ARGUMENT)
                   : !w->sequences[slot].has_logits ? one_of(GPT2_ERR_NO_LOGITS)
                                                    : 0;
  call_begins(w);
  gpt2_status status = gpt2_sample(w->context, sequence, s ? s->sampler : NULL, &token);
  if (!call_ends(w, status, wrong, false, "gpt2_sample"))
    return;
  gpt2_token expected = expected_draw(s, gpt2_logits(w->context, sequence));
  must(token == expected, "%d is sampled, not %d", (int)token, (int)expected);
  if (s)
    s->n_accepted++;
}

/* ---- Decoders ---- */

static void make_decoder(world *w)
{
  uint8_t byte = take_byte(&w->input);
  uint32_t flags = byte < 250 ? byte & GPT2_DECODE_REPLACE : 2;
  gpt2_decoder *decoder = (gpt2_decoder *)w;
  call_begins(w);
  gpt2_status status = gpt2_decoder_new(w->model, flags, &decoder, NULL);
  bool done =
      call_ends(w, status, flags > 1 ? one_of(GPT2_ERR_UNSUPPORTED) : 0, false, "gpt2_decoder_new");
  must(done == (decoder != NULL), "%s", gpt2_status_name(status));
  if (!done)
    return;
  gpt2_decoder_free(w->decoder);
  w->decoder = decoder;
  w->decoder_replaces = flags;
  w->n_decoded = w->n_handed_out = 0;
}

/* What is handed out is what is due, less what was. */
static void check_handed_out(world *w, const char *text, size_t size, bool at_end)
{
  uint8_t due[3 * MOST_PLAIN_TEXT];
  size_t n = plain_characters(w->decoded, w->n_decoded, w->decoder_replaces, at_end, due);
  must(size == n - w->n_handed_out && memcmp(text, due + w->n_handed_out, size) == 0,
       "%zu bytes are handed out, %zu are due", size, n - w->n_handed_out);
  w->n_handed_out = n;
}

void call_decoder(world *w)
{
  const char *text;
  size_t size;
  uint8_t byte = take_byte(&w->input);
  if (!w->decoder || byte % 8 == 0) {
    make_decoder(w);
  } else if (byte % 8 == 1 || w->n_decoded > MOST_PLAIN_TEXT - 32) {
    must(gpt2_decoder_finish(w->decoder, &text, &size, NULL) == GPT2_OK, "no end");
    check_handed_out(w, text, size, true);
    w->n_decoded = w->n_handed_out = 0;
  } else {
    gpt2_token token = take_token(w);
    gpt2_status status = gpt2_decoder_push(w->decoder, token, &text, &size, NULL);
    must(status == (is_token(token) ? GPT2_OK : GPT2_ERR_ARGUMENT), "token %d: %s", (int)token,
         gpt2_status_name(status));
    if (status != GPT2_OK)
      return;
    memcpy(w->decoded + w->n_decoded, calls_texts[token], strlen(calls_texts[token]));
    w->n_decoded += strlen(calls_texts[token]);
    check_handed_out(w, text, size, false);
  }
}

/* ---- Encoding ---- */

void call_encode(world *w)
{
  char text[MOST_TAKEN_TEXT], decoded[MOST_TAKEN_TEXT];
  gpt2_token tokens[MOST_TAKEN_TEXT];
  size_t size = take_text(w, text), n = 0, n_bytes = 0;
  uint8_t byte = take_byte(&w->input);
  uint32_t flags = byte < 250 ? byte & GPT2_ENCODE_SPECIAL : 2;
  /* Of "<|endoftext|>" only the special token has its letters. */
  statuses wrong = flags > 1 ? one_of(GPT2_ERR_UNSUPPORTED) : 0;
  if (flags == 0 && size > 0 && memchr(text, '|', size))
    wrong = one_of(GPT2_ERR_UNSUPPORTED);
  call_begins(w);
  gpt2_status status = gpt2_encode(w->model, text, size, flags, tokens, size, &n, NULL);
  if (!call_ends(w, status, wrong, false, "gpt2_encode"))
    return;
  status = gpt2_decode(w->model, tokens, n, decoded, size, &n_bytes, NULL);
  must(status == GPT2_OK && n_bytes == size && memcmp(decoded, text, size) == 0,
       "%zu bytes come back as %zu", size, n_bytes);
}
