/* expect.c - what a call must answer. */
#include "support/expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect_text(const gpt2_error *error, const char *text)
{
  if (text && !strstr(error->message, text))
    fail_msg("the message is \"%s\"; expected one with \"%s\"", error->message, text);
}

void expect_failure(gpt2_status status, gpt2_status expected, const gpt2_error *error,
                    const char *text, const char *other_text)
{
  if (status != expected)
    fail_msg("%s (\"%s\"); expected %s", gpt2_status_name(status), error->message,
             gpt2_status_name(expected));
  if (error->status != expected)
    fail_msg("the error says %s; expected %s", gpt2_status_name(error->status),
             gpt2_status_name(expected));
  expect_text(error, text);
  expect_text(error, other_text);
}

void expect_success(gpt2_status status, const gpt2_error *error)
{
  if (status != GPT2_OK)
    fail_msg("%s: %s", gpt2_status_name(status), error->message);
  if (error->status != GPT2_OK || error->message[0] != '\0')
    fail_msg("a success left words behind: %s", error->message);
}
