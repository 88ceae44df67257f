/* header_functions.h - the functions that gpt2.h declares, with their parameters, so that a test
 * can see that it leaves none out. */
#ifndef TESTS_SUPPORT_HEADER_FUNCTIONS_H
#define TESTS_SUPPORT_HEADER_FUNCTIONS_H

#include <stdbool.h>

enum { MOST_FUNCTIONS = 200, MOST_PARAMETERS = 16 };

typedef struct header_parameter {
  char name[64];
  bool is_pointer; /* to data or to a function */
} header_parameter;

typedef struct header_function {
  char name[64];
  header_parameter parameters[MOST_PARAMETERS]; /* (n_parameters) */
  int n_parameters;
} header_function;

/* All of them, in the order of the header; how many they are goes to *n. They are those of
 * tests/house/symbols.txt, or the test fails. The array is static. */
const header_function *header_functions(int *n);

#endif
