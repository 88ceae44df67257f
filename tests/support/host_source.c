/* host_source.c - a host's own source of bytes. */
#include "support/host_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int32_t host_open(const char *name, void **file, uint64_t *size, void *user)
{
  host_source *host = user;
  if (host->broken_name && strcmp(name, host->broken_name) == 0)
    return GPT2_SOURCE_FAILED;
  for (size_t i = 0; i < host->n_blobs; i++)
    if (strcmp(name, host->blobs[i].name) == 0) {
      *file = (void *)(uintptr_t)&host->blobs[i];
      *size = host->blobs[i].size;
      host->n_open++;
      return GPT2_SOURCE_FOUND;
    }
  return GPT2_SOURCE_MISSING;
}

static int32_t host_read_at(void *file, uint64_t offset, void *buffer, size_t size, void *user)
{
  host_source *host = user;
  const gpt2_blob *blob = file;
  assert_true(offset <= blob->size && size <= blob->size - offset); /* the library promises it */
  if (++host->n_reads == host->broken_read)
    return 5;
  memcpy(buffer, (const char *)blob->bytes + offset, size);
  return 0;
}

static const void *host_view(void *file, void *user)
{
  const host_source *host = user;
  return host->has_view ? ((const gpt2_blob *)file)->bytes : NULL;
}

static void host_close(void *file, void *user)
{
  (void)file;
  ((host_source *)user)->n_open--;
}

static void host_release(void *user)
{
  ((host_source *)user)->n_released++;
}

gpt2_source host_callbacks(host_source *host)
{
  return (gpt2_source){.struct_size = sizeof(gpt2_source),
                       .open = host_open,
                       .read_at = host_read_at,
                       .view = host_view,
                       .close = host_close,
                       .release = host_release,
                       .user = host};
}
