/* listed_tensors.c - the tensors of a safetensors file called "m.safetensors". */
#include "support/listed_tensors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "support/counting_allocator.h"

gpt2_status list_tensors(source *s, tensors *out, gpt2_error *error)
{
  *out = (tensors){.allocator = *source_allocator(s)};
  gpt2_status status = safetensors_add(s, "m.safetensors", out, error);
  if (status == GPT2_OK)
    status = tensors_index(out, error);
  if (status != GPT2_OK)
    tensors_free(out);
  return status;
}

gpt2_status list_bytes(const void *bytes, size_t size, size_t *n, gpt2_error *error)
{
  counting_allocator counter = {0};
  gpt2_allocator hooks = counting_hooks(&counter);
  const gpt2_blob blob = {"m.safetensors", bytes, size, 0};
  source *s;
  tensors list;
  assert_int_equal(source_open_blobs(&hooks, &blob, 1, &s, NULL), GPT2_OK);
  gpt2_status status = list_tensors(s, &list, error);
  if (n)
    *n = list.n;
  if (status == GPT2_OK)
    tensors_free(&list);
  source_free(s);
  assert_int_equal(counter.n_live, 0);
  return status;
}
