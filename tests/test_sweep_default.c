/* test_sweep_default.c - whatever one flipped bit makes of the header of the default model: it is
 * refused in words, or the model works. */
#include "support/fixture.h"
#include "support/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIZE_FIELD = 8 };

static void every_bit_of_the_default_models_header_does_no_harm(void **state)
{
  (void)state;
  char *config_path = test_data_path("../examples/models/tales/config.json");
  char *weights_path = test_data_path("../examples/models/tales/model.safetensors");
  size_t config_size, size, header_size = 0;
  char *config = read_test_file(config_path, &config_size);
  char *weights = read_test_file(weights_path, &size);
  for (int i = SIZE_FIELD - 1; i >= 0; i--)
    header_size = header_size << 8 | (uint8_t)weights[i];
  const gpt2_blob blobs[] = {
      {.name = "config.json", .bytes = config, .size = config_size},
      {.name = "model.safetensors", .bytes = weights, .size = size},
  };
  sweep s;
  sweep_open(&s, blobs, 2, "model.safetensors", NULL);
  sweep_bits(&s, 0, SIZE_FIELD + header_size);
  assert_int_equal(s.count.expected, 8 * (SIZE_FIELD + header_size));
  sweep_close(&s);
  free(config);
  free(weights);
  free(config_path);
  free(weights_path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_bit_of_the_default_models_header_does_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
