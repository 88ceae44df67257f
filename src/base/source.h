/* source.h - where the bytes of a model come from, behind one interface.
 *
 * A source finds files by name: in a folder (mapped, or read when the caller wants copies), among
 * named blobs in memory, or through the host's callbacks. Readers see only `file`: some have a view
 * (all their bytes in memory, until the file is closed), from the others one reads. */
#ifndef BASE_SOURCE_H
#define BASE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

typedef struct source source;

typedef struct file {
  const char *name; /* for messages: "folder/config.json" */
  uint64_t size;
  const uint8_t *view; /* (size) or NULL: then use file_read */
  uint8_t *copy;       /* made by file_bytes, or NULL */
  source *from;
  void *handle; /* what `from` keeps of it */
} file;

/* `path` is a folder; with `copy` its files are read, never mapped. */
gpt2_status source_open_folder(const gpt2_allocator *allocator, const char *path, bool copy,
                               source **out, gpt2_error *error);
gpt2_status source_open_blobs(const gpt2_allocator *allocator, const gpt2_blob *blobs,
                              size_t n_blobs, source **out, gpt2_error *error);

/* `open` and `read_at` are set. Once this has succeeded, source_free calls given->release. */
gpt2_status source_open_callbacks(const gpt2_allocator *allocator, const gpt2_source *given,
                                  bool copy, source **out, gpt2_error *error);

/* Frees a source whose files are all closed. */
void source_free(source *s);

/* Opens the file `name` (no folders in it). A file that is not there is GPT2_ERR_NOT_FOUND. */
gpt2_status source_file(source *s, const char *name, file **out, gpt2_error *error);

/* The allocator that the source was opened with. */
const gpt2_allocator *source_allocator(const source *s);

/* Reads exactly `size` bytes at `offset`. A range beyond the end is an error. */
gpt2_status file_read(file *f, uint64_t offset, void *buffer, size_t size, gpt2_error *error);

/* All bytes of a file of at most `limit` bytes: its view, or a copy that lives as long as the
 * file. */
gpt2_status file_bytes(file *f, uint64_t limit, const uint8_t **bytes, gpt2_error *error);

/* Bytes that have been read from a view and are not needed soon: gives the pages of a mapped file
 * back. They stay readable. */
void file_forget(const file *f, uint64_t offset, uint64_t size);

/* Asks for huge pages for a mapped file. */
void file_prefer_huge_pages(const file *f);

void file_close(file *f);

#endif
