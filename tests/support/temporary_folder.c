/* temporary_folder.c - a folder on disk for the time of a test. */
#define _XOPEN_SOURCE 700
#include "support/temporary_folder.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { PATH_SIZE = 4096 };

char *new_temporary_folder(void)
{
  const char *parent = getenv("TMPDIR");
  char *folder = malloc(PATH_SIZE);
  assert_non_null(folder);
  snprintf(folder, PATH_SIZE, "%s/gpt2-test-XXXXXX", parent && parent[0] ? parent : "/tmp");
  assert_non_null(mkdtemp(folder));
  return folder;
}

void write_temporary_file(const char *folder, const char *name, const void *bytes, size_t size)
{
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
  (void)about, (void)kind, (void)where;
  return remove(path);
}

void remove_temporary_folder(char *folder)
{
  assert_int_equal(nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
  free(folder);
}
