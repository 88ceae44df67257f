/* test_sweep_tokenizer.c - whatever tokenizer.json becomes by one byte, or by its end missing: it
 * is refused in words, or the model works. */
#include "support/sweep.h"
#include "support/tiny_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_end_and_every_byte_of_tokenizer_json_does_no_harm(void **state)
{
  (void)state;
  tiny_files *files = tiny_new();
  tiny_add_tokenizer_json(files);
  sweep_file(files->blobs, files->n, "tokenizer.json", tiny_text);
  tiny_free(files);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_end_and_every_byte_of_tokenizer_json_does_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
