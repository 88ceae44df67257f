/* comma_locale.c - a locale with decimal commas. */
#include "support/comma_locale.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fixture.h"

bool use_comma_locale(void)
{
  char *folder = test_data_path("data/locale");
  assert_int_equal(setenv("LOCPATH", folder, 1), 0);
  free(folder);
  return setlocale(LC_NUMERIC, "comma") && strcmp(localeconv()->decimal_point, ",") == 0;
}

void leave_comma_locale(void)
{
  assert_non_null(setlocale(LC_NUMERIC, "C"));
  assert_int_equal(unsetenv("LOCPATH"), 0);
}
