/* host_source.h - a host's own source of bytes: named blobs behind callbacks, which count and
 * can fail. */
#ifndef TESTS_SUPPORT_HOST_SOURCE_H
#define TESTS_SUPPORT_HOST_SOURCE_H

#include <stdbool.h>

#include "gpt2.h"

typedef struct host_source {
  const gpt2_blob *blobs;
  size_t n_blobs;
  bool has_view;           /* files can be seen whole, too */
  const char *broken_name; /* the file whose opening fails; NULL: none */
  int broken_read;         /* the number of the one read_at that fails, from 1 on; 0: none */
  int n_reads, n_open, n_released; /* calls of read_at, files not yet closed, calls of release */
} host_source;

/* Callbacks that use `host`, which must outlive them. */
gpt2_source host_callbacks(host_source *host);

#endif
