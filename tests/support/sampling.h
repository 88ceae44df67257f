/* sampling.h - samplers that must work: what fails ends the test with the library's own words. */
#ifndef TESTS_SUPPORT_SAMPLING_H
#define TESTS_SUPPORT_SAMPLING_H

#include "gpt2.h"

/* Options that are zero but for these. */
gpt2_sampler_options at_temperature(float temperature, uint64_t seed);

gpt2_sampler *new_sampler(gpt2_sampler_options options);

/* A token from logits (n). */
gpt2_token draw_from(gpt2_sampler *sampler, const float *logits, size_t n);
void accept_token(gpt2_sampler *sampler, gpt2_token token);

/* 256 tokens are as likely: which one is drawn is the first byte of the random number. */
gpt2_token draw_byte(gpt2_sampler *sampler);

/* The same, and accepts it. */
gpt2_token take_byte(gpt2_sampler *sampler);

/* The first byte of the random numbers of seed 0: Philox4x32-10's published vector for a counter
 * and a key of zeros begins with 6627e8d5. */
enum { FIRST_BYTE_OF_SEED_0 = 0x66 };

#endif
