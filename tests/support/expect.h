/* expect.h - what a call must answer; a test that fails shows what it did answer. */
#ifndef TESTS_SUPPORT_EXPECT_H
#define TESTS_SUPPORT_EXPECT_H

#include "gpt2.h"

/* An error to be filled, and that is empty. */
#define NO_ERROR_YET                                                                               \
  (gpt2_error)                                                                                     \
  {                                                                                                \
    .struct_size = sizeof(gpt2_error), .offset = -1                                                \
  }

/* The call failed with that status, the error says so, and its message holds each of the texts,
 * in any order. A NULL text is not looked for. */
void expect_failure(gpt2_status status, gpt2_status expected, const gpt2_error *error,
                    const char *text, const char *other_text);

/* The call succeeded, and did not touch the error. */
void expect_success(gpt2_status status, const gpt2_error *error);

#endif
