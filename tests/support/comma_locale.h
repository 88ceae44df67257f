/* comma_locale.h - a locale with decimal commas, which the machine need not have. */
#ifndef TESTS_SUPPORT_COMMA_LOCALE_H
#define TESTS_SUPPORT_COMMA_LOCALE_H

#include <stdbool.h>

/* Switches this process's numbers to it; false when the C library cannot take it
 * (data/locale/README.md). */
bool use_comma_locale(void);

/* Back to the "C" locale. */
void leave_comma_locale(void);

#endif
