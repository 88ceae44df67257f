/* session.h - a whole session of a host, failures included: what it gives must be the same wherever
 * the process finds itself. */
#ifndef TESTS_SUPPORT_SESSION_H
#define TESTS_SUPPORT_SESSION_H

#include "gpt2.h"
#include "support/record.h"

/* Everything that the library does, for each model (ended by NULL) that these paths lead to: loads
 * it in several ways and from broken files, describes it, encodes and decodes, evaluates, samples,
 * generates, scores, and makes mistakes on the way. Keeps what every call gave, words of failures
 * and of the log included, in `r`. What must succeed and does not fails the test. */
void run_session(const char *const *paths, record *r);

#endif
