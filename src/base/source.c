/* source.c - where the bytes of a model come from, behind one interface. */
#include "base/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pages.h"

/* One kind of source: how it opens a file (filling size, view and handle), reads from one, closes
 * one, and ends. `read` and `end` may be NULL: where there is always a view, and where there is
 * nothing to end. */
typedef struct source_kind {
  gpt2_status (*open)(source *s, const char *name, file *f, gpt2_error *error);
  gpt2_status (*read)(file *f, uint64_t offset, void *buffer, size_t size, gpt2_error *error);
  void (*close)(file *f);
  void (*end)(source *s);
} source_kind;

struct source {
  const source_kind *kind;
  gpt2_allocator allocator;
  bool copy;      /* no views: read everything */
  char *folder;   /* of a folder on disk */
  size_t n_blobs; /* blobs in memory; names are ours, bytes the caller's */
  gpt2_blob *blobs;
  gpt2_source callbacks; /* the host's */
};

/* ---- A folder on disk ---- */

/* Files that are read and not mapped keep their descriptor, plus one: NULL means none. */
static void *handle_of(int descriptor)
{
  return (void *)((intptr_t)descriptor + 1);
}

static int descriptor_of(const file *f)
{
  return (int)((intptr_t)f->handle - 1);
}

static gpt2_status fail_errno(gpt2_error *error, const file *f, const char *what)
{
  int number = errno;
  return fail(error, number == ENOENT ? GPT2_ERR_NOT_FOUND : GPT2_ERR_IO, NO_OFFSET, "%s: %s: %s",
              f->name, what, errno_text(number));
}

static gpt2_status map_file(file *f, int descriptor, gpt2_error *error)
{
  static const uint8_t empty[1]; /* mmap refuses a size of zero */
  f->view = empty;
  if (f->size == 0)
    return GPT2_OK;
  void *map = mmap(NULL, (size_t)f->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  f->view = map == MAP_FAILED ? NULL : map;
  return f->view ? GPT2_OK : fail_errno(error, f, "cannot be mapped");
}

static gpt2_status folder_open(source *s, const char *name, file *f, gpt2_error *error)
{
  (void)name; /* f->name is the whole path */
  int descriptor = open(f->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (descriptor < 0)
    return fail_errno(error, f, "cannot be opened");
  struct stat about;
  gpt2_status status = GPT2_OK;
  if (fstat(descriptor, &about) != 0)
    status = fail_errno(error, f, "cannot be examined");
  else if (!S_ISREG(about.st_mode))
    status = fail(error, GPT2_ERR_IO, NO_OFFSET, "%s: is not a regular file", f->name);
  else
    f->size = (uint64_t)about.st_size;
  if (status == GPT2_OK && s->copy) {
    f->handle = handle_of(descriptor);
    return GPT2_OK;
  }
  if (status == GPT2_OK)
    status = map_file(f, descriptor, error);
  close(descriptor);
  return status;
}

/* A read of more than this is cut short by Linux anyway (man 2 read: 0x7ffff000 bytes). */
enum { MOST_PER_READ = 1 << 30 };

static gpt2_status folder_read(file *f, uint64_t offset, void *buffer, size_t size,
                               gpt2_error *error)
{
  uint8_t *to = buffer;
  while (size > 0) {
    ssize_t n =
        pread(descriptor_of(f), to, size < MOST_PER_READ ? size : MOST_PER_READ, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail_errno(error, f, "cannot be read");
    if (n == 0)
      return fail(error, GPT2_ERR_IO, (int64_t)offset,
                  "%s: ended while it was read: it had %llu bytes", f->name,
                  (unsigned long long)f->size);
    to += n;
    offset += (uint64_t)n;
    size -= (size_t)n;
  }
  return GPT2_OK;
}

static void folder_close(file *f)
{
  if (f->handle)
    close(descriptor_of(f));
  else if (f->view && f->size > 0)
    munmap((void *)(uintptr_t)f->view, (size_t)f->size);
}

static const source_kind folder_kind = {folder_open, folder_read, folder_close, NULL};

static bool is_mapped(const file *f)
{
  return f->from->kind == &folder_kind && f->view;
}

/* ---- Named blobs in memory ---- */

static gpt2_status blobs_open(source *s, const char *name, file *f, gpt2_error *error)
{
  for (size_t i = 0; i < s->n_blobs; i++)
    if (strcmp(s->blobs[i].name, name) == 0) {
      f->size = s->blobs[i].size;
      f->view = f->size ? s->blobs[i].bytes : (const uint8_t *)"";
      return GPT2_OK;
    }
  return fail(error, GPT2_ERR_NOT_FOUND, NO_OFFSET, "%s: is not among the %zu files in memory",
              name, s->n_blobs);
}

static void blobs_end(source *s)
{
  for (size_t i = 0; i < s->n_blobs; i++)
    release(&s->allocator, (void *)(uintptr_t)s->blobs[i].name);
  release(&s->allocator, s->blobs);
}

static const source_kind blobs_kind = {blobs_open, NULL, NULL, blobs_end};

/* ---- The host's callbacks ---- */

static gpt2_status callbacks_open(source *s, const char *name, file *f, gpt2_error *error)
{
  const gpt2_source *host = &s->callbacks;
  int32_t answer = host->open(name, &f->handle, &f->size, host->user);
  if (answer == GPT2_SOURCE_MISSING)
    return fail(error, GPT2_ERR_NOT_FOUND, NO_OFFSET, "%s: the source has no such file", name);
  if (answer != GPT2_SOURCE_FOUND)
    return fail(error, GPT2_ERR_IO, NO_OFFSET, "%s: the source's open answered %d", name,
                (int)answer);
  if (host->view && !s->copy)
    f->view = host->view(f->handle, host->user);
  return GPT2_OK;
}

static gpt2_status callbacks_read(file *f, uint64_t offset, void *buffer, size_t size,
                                  gpt2_error *error)
{
  const gpt2_source *host = &f->from->callbacks;
  int32_t answer = host->read_at(f->handle, offset, buffer, size, host->user);
  if (answer != 0)
    return fail(error, GPT2_ERR_IO, (int64_t)offset, "%s: the source's read_at answered %d",
                f->name, (int)answer);
  return GPT2_OK;
}

static void callbacks_close(file *f)
{
  const gpt2_source *host = &f->from->callbacks;
  if (host->close)
    host->close(f->handle, host->user);
}

static void callbacks_end(source *s)
{
  if (s->callbacks.release)
    s->callbacks.release(s->callbacks.user);
}

static const source_kind callbacks_kind = {callbacks_open, callbacks_read, callbacks_close,
                                           callbacks_end};

/* ---- All kinds ---- */

static source *source_new(const gpt2_allocator *allocator, const source_kind *kind, bool copy,
                          gpt2_error *error)
{
  source *s = allocate_zeroed(allocator, sizeof *s);
  if (!s) {
    fail_memory(error, sizeof *s);
    return NULL;
  }
  s->kind = kind;
  s->allocator = *allocator;
  s->copy = copy;
  return s;
}

gpt2_status source_open_folder(const gpt2_allocator *allocator, const char *path, bool copy,
                               source **out, gpt2_error *error)
{
  *out = NULL;
  source *s = source_new(allocator, &folder_kind, copy, error);
  if (!s)
    return GPT2_ERR_MEMORY;
  s->folder = duplicate(allocator, path, strlen(path));
  if (!s->folder) {
    source_free(s);
    return fail_memory(error, strlen(path));
  }
  *out = s;
  return GPT2_OK;
}

static gpt2_status copy_blobs(source *s, const gpt2_blob *blobs, size_t n_blobs, gpt2_error *error)
{
  s->blobs = allocate_array(&s->allocator, n_blobs, sizeof *s->blobs);
  if (!s->blobs)
    return fail_memory(error, n_blobs * sizeof *s->blobs);
  for (size_t i = 0; i < n_blobs; i++) {
    if (!blobs[i].name || (!blobs[i].bytes && blobs[i].size > 0))
      return fail(error, GPT2_ERR_ARGUMENT, NO_OFFSET, "blobs[%zu]: %s is NULL", i,
                  blobs[i].name ? "bytes" : "name");
    if (blobs[i].reserved != 0)
      return fail(error, GPT2_ERR_UNSUPPORTED, NO_OFFSET, "blobs[%zu]: reserved is not zero", i);
    s->blobs[i] = blobs[i];
    s->blobs[i].name = duplicate(&s->allocator, blobs[i].name, strlen(blobs[i].name));
    if (!s->blobs[i].name)
      return fail_memory(error, strlen(blobs[i].name));
    s->n_blobs = i + 1; /* those that source_free has to free */
  }
  return GPT2_OK;
}

gpt2_status source_open_blobs(const gpt2_allocator *allocator, const gpt2_blob *blobs,
                              size_t n_blobs, source **out, gpt2_error *error)
{
  *out = NULL;
  if (!blobs && n_blobs > 0)
    return fail_null(error, "blobs");
  source *s = source_new(allocator, &blobs_kind, false, error);
  if (!s)
    return GPT2_ERR_MEMORY;
  gpt2_status status = copy_blobs(s, blobs, n_blobs, error);
  if (status != GPT2_OK) {
    source_free(s);
    return status;
  }
  *out = s;
  return GPT2_OK;
}

gpt2_status source_open_callbacks(const gpt2_allocator *allocator, const gpt2_source *given,
                                  bool copy, source **out, gpt2_error *error)
{
  *out = NULL;
  source *s = source_new(allocator, &callbacks_kind, copy, error);
  if (!s)
    return GPT2_ERR_MEMORY;
  s->callbacks = *given;
  *out = s;
  return GPT2_OK;
}

void source_free(source *s)
{
  if (!s)
    return;
  if (s->kind->end)
    s->kind->end(s);
  gpt2_allocator allocator = s->allocator;
  release(&allocator, s->folder);
  release(&allocator, s);
}

const gpt2_allocator *source_allocator(const source *s)
{
  return &s->allocator;
}

/* The name that messages use, and that a folder opens: "folder/name", or the name alone. */
static char *full_name(const source *s, const char *name)
{
  size_t folder_size = s->folder ? strlen(s->folder) : 0, name_size = strlen(name), size;
  if (!add_size(&size, folder_size, name_size) || !add_size(&size, size, 2))
    return NULL;
  char *full = allocate_zeroed(&s->allocator, size);
  if (!full)
    return NULL;
  if (s->folder) {
    memcpy(full, s->folder, folder_size);
    if (folder_size > 0 && full[folder_size - 1] != '/')
      full[folder_size++] = '/';
  }
  memcpy(full + folder_size, name, name_size);
  return full;
}

static void file_free(file *f)
{
  const gpt2_allocator *allocator = &f->from->allocator;
  release(allocator, f->copy);
  release(allocator, (void *)(uintptr_t)f->name);
  release(allocator, f);
}

gpt2_status source_file(source *s, const char *name, file **out, gpt2_error *error)
{
  *out = NULL;
  /* A name may come from a file (the index of a sharded model): it must not lead out of the
   * folder. */
  if (name[0] == '\0' || strchr(name, '/'))
    return fail(error, GPT2_ERR_FORMAT, NO_OFFSET,
                "\"%s\": is not the name of a file in the model's folder", name);
  file *f = allocate_zeroed(&s->allocator, sizeof *f);
  if (!f)
    return fail_memory(error, sizeof *f);
  f->from = s;
  f->name = full_name(s, name);
  gpt2_status status =
      f->name ? s->kind->open(s, name, f, error) : fail_memory(error, strlen(name));
  if (status != GPT2_OK) {
    file_free(f);
    return status;
  }
  *out = f;
  return GPT2_OK;
}

gpt2_status file_read(file *f, uint64_t offset, void *buffer, size_t size, gpt2_error *error)
{
  if (offset > f->size || size > f->size - offset)
    return fail(error, GPT2_ERR_FORMAT, (int64_t)f->size,
                "%s: ends at byte %llu, %zu bytes are needed at %llu", f->name,
                (unsigned long long)f->size, size, (unsigned long long)offset);
  if (size == 0)
    return GPT2_OK;
  if (!f->view)
    return f->from->kind->read(f, offset, buffer, size, error);
  memcpy(buffer, f->view + offset, size);
  return GPT2_OK;
}

gpt2_status file_bytes(file *f, uint64_t limit, const uint8_t **bytes, gpt2_error *error)
{
  if (f->size > limit)
    return fail(error, GPT2_ERR_LIMIT, NO_OFFSET, "%s: has %llu bytes, at most %llu are allowed",
                f->name, (unsigned long long)f->size, (unsigned long long)limit);
  *bytes = f->view ? f->view : f->copy;
  if (*bytes)
    return GPT2_OK;
  f->copy = allocate(&f->from->allocator, (size_t)f->size);
  if (!f->copy)
    return fail_memory(error, (size_t)f->size);
  gpt2_status status = file_read(f, 0, f->copy, (size_t)f->size, error);
  if (status != GPT2_OK) {
    release(&f->from->allocator, f->copy);
    f->copy = NULL;
    return status;
  }
  *bytes = f->copy;
  return GPT2_OK;
}

/* Linux maps what is around a page that is touched, too: those before the range have come back
 * since they were forgotten, those behind it are still to be read. */
enum { READ_AROUND = 64 << 10 };

void file_forget(const file *f, uint64_t offset, uint64_t size)
{
  uint64_t before = offset < READ_AROUND ? offset : READ_AROUND;
  if (is_mapped(f))
    pages_forget(f->view + offset - before, (size_t)(size + before));
}

void file_prefer_huge_pages(const file *f)
{
  if (is_mapped(f))
    pages_prefer_huge(f->view, (size_t)f->size);
}

void file_close(file *f)
{
  if (!f)
    return;
  if (f->from->kind->close)
    f->from->kind->close(f);
  file_free(f);
}
