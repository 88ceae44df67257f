/* collected.c - all that a generation says, gathered. */
#include "support/collected.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/opened.h"
#include "support/scripted_model.h"

int32_t collect(const gpt2_piece *piece, void *user)
{
  collected *all = user;
  size_t size = (size_t)piece->size;
  assert_int_equal(piece->struct_size, sizeof *piece);
  assert_non_null(piece->text);
  assert_true(all->pieces_size + size + 2 < MOST_COLLECTED && all->n < MOST_COLLECTED);
  memcpy(all->text + all->size, piece->text, size);
  memcpy(all->pieces + all->pieces_size, piece->text, size);
  all->size += size;
  all->pieces_size += size;
  all->text[all->size] = '\0';
  all->pieces[all->pieces_size++] = '|';
  all->pieces[all->pieces_size] = '\0';
  all->tokens[all->n] = piece->token;
  all->logprobs[all->n++] = piece->logprob;
  all->finish = piece->finish;
  return all->n == all->stop_at;
}

gpt2_status generate_into(gpt2_context *context, const char *prompt,
                          const gpt2_generate_options *options, collected *all)
{
  *all = (collected){.stop_at = all->stop_at, .result = {.struct_size = sizeof all->result}};
  return gpt2_generate(context, prompt, strlen(prompt), options, collect, all, &all->result);
}

const collected *generated(gpt2_context *context, const char *prompt,
                           const gpt2_generate_options *options)
{
  static collected all;
  all.stop_at = 0;
  must_succeed(generate_into(context, prompt, options, &all), context);
  assert_int_equal(all.result.finish, all.finish);
  assert_int_equal(all.result.n_tokens, all.n);
  return &all;
}

void expect_pieces(gpt2_context *context, const char *prompt, const gpt2_generate_options *options,
                   const char *pieces, int32_t finish)
{
  const collected *all = generated(context, prompt, options);
  assert_string_equal(all->pieces, pieces);
  assert_string_equal(gpt2_finish_name(all->finish), gpt2_finish_name(finish));
}

const char *kv_text(gpt2_context *context, int32_t sequence)
{
  static char text[MOST_COLLECTED];
  gpt2_token tokens[MOST_COLLECTED];
  size_t n;
  must_succeed(gpt2_kv_tokens(context, sequence, tokens, MOST_COLLECTED - 1, &n), context);
  assert_int_equal(n, gpt2_kv_length(context, sequence));
  for (size_t i = 0; i < n; i++)
    text[i] = (char)(tokens[i] < END_TOKEN    ? tokens[i]
                     : tokens[i] == END_TOKEN ? '$'
                                              : 'A' + tokens[i] - FIRST_OWN_TOKEN);
  text[n] = '\0';
  return text;
}

gpt2_generate_options at_most(int32_t max_tokens)
{
  return (gpt2_generate_options){.struct_size = sizeof(gpt2_generate_options),
                                 .max_tokens = max_tokens};
}
