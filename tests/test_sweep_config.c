/* test_sweep_config.c - whatever config.json and the index of shards become by one byte, or by
 * their end missing: they are refused in words, or the model works. */
#include "support/sweep.h"
#include "support/tiny_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_end_and_every_byte_of_the_config_does_no_harm(void **state)
{
  (void)state;
  tiny_files *files = tiny_new();
  tiny_add_tokenizer_json(files);
  sweep_file(files->blobs, files->n, "config.json", tiny_text);
  tiny_free(files);
}

static void every_end_and_every_byte_of_the_index_does_no_harm(void **state)
{
  (void)state;
  tiny_files *files = tiny_new_sharded();
  tiny_add_tokenizer_json(files);
  sweep_file(files->blobs, files->n, tiny_index, tiny_text);
  tiny_free(files);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_end_and_every_byte_of_the_config_does_no_harm),
      cmocka_unit_test(every_end_and_every_byte_of_the_index_does_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
