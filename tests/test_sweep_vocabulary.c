/* test_sweep_vocabulary.c - whatever vocab.json, merges.txt or a file beside them becomes by one
 * byte, or by its end missing: it is refused in words, or the model works. */
#include "support/sweep.h"
#include "support/tiny_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void sweep_beside(void (*add)(tiny_files *files), const char *file)
{
  tiny_files *files = tiny_new();
  add(files);
  sweep_file(files->blobs, files->n, file, tiny_text);
  tiny_free(files);
}

static void every_end_and_every_byte_of_vocab_json_does_no_harm(void **state)
{
  (void)state;
  sweep_beside(tiny_add_older_side_files, "vocab.json");
}

static void every_end_and_every_byte_of_merges_txt_does_no_harm(void **state)
{
  (void)state;
  sweep_beside(tiny_add_older_side_files, "merges.txt");
}

static void every_end_and_every_byte_of_added_tokens_does_no_harm(void **state)
{
  (void)state;
  sweep_beside(tiny_add_older_side_files, "added_tokens.json");
}

static void every_end_and_every_byte_of_special_tokens_does_no_harm(void **state)
{
  (void)state;
  sweep_beside(tiny_add_older_side_files, "special_tokens_map.json");
}

static void every_end_and_every_byte_of_the_tokenizers_config_does_no_harm(void **state)
{
  (void)state;
  sweep_beside(tiny_add_newer_side_file, "tokenizer_config.json");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_end_and_every_byte_of_vocab_json_does_no_harm),
      cmocka_unit_test(every_end_and_every_byte_of_merges_txt_does_no_harm),
      cmocka_unit_test(every_end_and_every_byte_of_added_tokens_does_no_harm),
      cmocka_unit_test(every_end_and_every_byte_of_special_tokens_does_no_harm),
      cmocka_unit_test(every_end_and_every_byte_of_the_tokenizers_config_does_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
