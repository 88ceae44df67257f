/* intruder.h - a second user of a context that is in use. */
#ifndef TESTS_SUPPORT_INTRUDER_H
#define TESTS_SUPPORT_INTRUDER_H

#include "gpt2.h"

/* Tries every function that uses a context, with arguments that would do: each must answer
 * GPT2_ERR_BUSY, without words and without a result. `generation` is one on the context, or NULL.
 * On any thread; what fails ends the test. */
void must_all_be_busy(gpt2_context *context, gpt2_generation *generation);

#endif
