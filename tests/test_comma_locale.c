/* test_comma_locale.c - a host whose numbers have a decimal comma: the library reads files,
 * computes and complains as it does in any other. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/comma_locale.h"
#include "support/fixture.h"
#include "support/session.h"

static record plain, comma;

static void a_whole_session_is_the_same_with_decimal_commas(void **state)
{
  (void)state;
  char *with_files = test_data_path("fixtures/models/base");
  char *with_json = test_data_path("fixtures/models/extra_rows");
  const char *const paths[] = {with_files, with_json, NULL};
  run_session(paths, &plain);
  bool there = use_comma_locale();
  if (there) {
    run_session(paths, &comma);
    assert_string_equal(localeconv()->decimal_point, ","); /* the locale is the host's still */
    leave_comma_locale();
    expect_same(&comma, &plain);
  }
  free(with_files);
  free(with_json);
  if (!there)
    skip();
}

/* What the record must have for the test above to say something. */
static void the_session_tells_numbers_with_points(void **state)
{
  (void)state;
  static const char *const words[] = {"16.5", "-0.25", "-1.5", "1.5", "temperature"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t size = strlen(words[i]), at = 0;
    while (at + size <= plain.size && memcmp(plain.bytes + at, words[i], size) != 0)
      at++;
    if (at + size > plain.size)
      fail_msg("no \"%s\" in the session's record", words[i]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_whole_session_is_the_same_with_decimal_commas),
      cmocka_unit_test(the_session_tells_numbers_with_points),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
