/* sampling.c - samplers that must work. */
#include "support/sampling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/expect.h"

enum { N_BYTES = 256 };

gpt2_sampler_options at_temperature(float temperature, uint64_t seed)
{
  return (gpt2_sampler_options){
      .struct_size = sizeof(gpt2_sampler_options), .temperature = temperature, .seed = seed};
}

gpt2_sampler *new_sampler(gpt2_sampler_options options)
{
  gpt2_sampler *sampler = NULL;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_sampler_new(&options, &sampler, &error), &error);
  assert_non_null(sampler);
  return sampler;
}

gpt2_token draw_from(gpt2_sampler *sampler, const float *logits, size_t n)
{
  gpt2_token token = -1;
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_sampler_draw(sampler, logits, n, &token, &error), &error);
  assert_in_range(token, 0, n - 1);
  return token;
}

void accept_token(gpt2_sampler *sampler, gpt2_token token)
{
  gpt2_error error = NO_ERROR_YET;
  expect_success(gpt2_sampler_accept(sampler, token, &error), &error);
}

gpt2_token draw_byte(gpt2_sampler *sampler)
{
  static const float level[N_BYTES];
  return draw_from(sampler, level, N_BYTES);
}

gpt2_token take_byte(gpt2_sampler *sampler)
{
  gpt2_token byte = draw_byte(sampler);
  accept_token(sampler, byte);
  return byte;
}
