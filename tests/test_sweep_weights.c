/* test_sweep_weights.c - whatever the header of a safetensors file becomes by one byte, or by the
 * file's end missing: it is refused in words, or the model works. */
#include "support/sweep.h"
#include "support/tiny_files.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The eight bytes of its size, too. */
static size_t header_end(tiny_files *files)
{
  built_tensor tensors[TINY_TENSORS];
  float values[TINY_TENSORS][TINY_MOST_ELEMENTS];
  size_t end = (size_t)tiny_file(files, tiny_weights)->size;
  tiny_tensors(tensors, values);
  for (int i = 0; i < TINY_TENSORS; i++)
    end -= tensors[i].size;
  return end;
}

static void every_end_and_every_byte_of_the_header_does_no_harm(void **state)
{
  (void)state;
  tiny_files *files = tiny_new();
  tiny_add_tokenizer_json(files);
  sweep s;
  sweep_open(&s, files->blobs, files->n, tiny_weights, tiny_text);
  sweep_cuts(&s);
  sweep_values(&s, 0, header_end(files));
  assert_int_equal(s.count.expected,
                   tiny_file(files, tiny_weights)->size + 256 * header_end(files));
  sweep_close(&s);
  tiny_free(files);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_end_and_every_byte_of_the_header_does_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
