/* temporary_folder.c - a folder on disk for the time of a test. */
#include "support/temporary_folder.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

void remove_temporary_folder(char *folder)
{
  DIR *directory = opendir(folder);
  assert_non_null(directory);
  for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
    char path[PATH_SIZE];
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    assert_int_equal(remove(path), 0);
  }
  closedir(directory);
  assert_int_equal(rmdir(folder), 0);
  free(folder);
}
